/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See sampler.h for the order.  The candidates are cut by a bounded heap when top-k is on (the
 * usual case), so that a step costs one pass over the vocabulary, not a sort of it.
 */
#include "engine/sampler.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

typedef struct {
  gint32 token;
  float logit;
} Candidate;

struct _LlmSampler {
  LlmSamplingParams params;
  guint n_vocab;
  guint64 state, increment; /* PCG32 */
  gint32 window[LLM_MAX_PENALTY_WINDOW];
  guint n_window, window_at;
  Candidate *candidates; /* [n_vocab] */
  float *adjusted;       /* [n_vocab] */
};

void
llm_sampling_params_init (LlmSamplingParams *self)
{
  *self = (LlmSamplingParams) {
    .temperature = LLM_DEFAULT_TEMPERATURE, .top_k = LLM_DEFAULT_TOP_K, .top_p = LLM_DEFAULT_TOP_P, .min_p = LLM_DEFAULT_MIN_P,
    .repetition_penalty = 1,
  };
}

void
llm_sampling_params_clear (LlmSamplingParams *self)
{
  g_clear_pointer (&self->logit_bias, g_array_unref);
}

/* ---- PCG-XSH-RR 64/32 ---- */

static guint32
next_u32 (LlmSampler *self)
{
  guint64 old = self->state;
  guint32 shifted = (guint32) (((old >> 18) ^ old) >> 27);
  guint rotate = (guint) (old >> 59);

  self->state = old * 6364136223846793005u + self->increment;
  return shifted >> rotate | shifted << ((32 - rotate) & 31);
}

static void
seed_generator (LlmSampler *self, guint64 seed)
{
  self->state = 0;
  self->increment = 0xda3e39cb94b95bdbu; /* PCG's default stream, odd */
  next_u32 (self);
  self->state += seed;
  next_u32 (self);
}

/* [0, 1) with 32 random bits */
static double
next_unit (LlmSampler *self)
{
  return next_u32 (self) * (1.0 / 4294967296.0);
}

LlmSampler *
llm_sampler_new (const LlmSamplingParams *params, guint n_vocab)
{
  LlmSampler *self = g_new0 (LlmSampler, 1);

  self->params = *params;
  if (params->logit_bias != NULL)
    self->params.logit_bias = g_array_ref (params->logit_bias);
  self->n_vocab = n_vocab;
  self->candidates = g_try_new (Candidate, n_vocab);
  self->adjusted = g_try_new (float, n_vocab);
  if (self->candidates == NULL || self->adjusted == NULL)
    {
      llm_sampler_free (self);
      return NULL;
    }
  seed_generator (self, params->has_seed ? params->seed : (guint64) g_random_int () << 32 | g_random_int ());
  return self;
}

void
llm_sampler_free (LlmSampler *self)
{
  llm_sampling_params_clear (&self->params);
  g_free (self->candidates);
  g_free (self->adjusted);
  g_free (self);
}

void
llm_sampler_accept (LlmSampler *self, gint32 token)
{
  self->window[self->window_at] = token;
  self->window_at = (self->window_at + 1) % LLM_MAX_PENALTY_WINDOW;
  self->n_window = MIN (self->n_window + 1, LLM_MAX_PENALTY_WINDOW);
}

/* ---- adjusting logits ---- */

static void
apply_penalties (LlmSampler *self, float *logits)
{
  const LlmSamplingParams *p = &self->params;

  for (guint i = 0; i < self->n_window; i++)
    {
      gint32 token = self->window[i];
      guint count = 0;
      gboolean first = TRUE;

      for (guint j = 0; j < self->n_window; j++)
        if (self->window[j] == token)
          {
            count++;
            first = first && j >= i;
          }
      if (!first || (guint) token >= self->n_vocab)
        continue;
      logits[token] = (float) (logits[token] > 0 ? logits[token] / p->repetition_penalty : logits[token] * p->repetition_penalty);
      logits[token] -= (float) (p->frequency_penalty * count + p->presence_penalty);
    }
}

static void
apply_bias (LlmSampler *self, float *logits)
{
  for (guint i = 0; self->params.logit_bias != NULL && i < self->params.logit_bias->len; i++)
    {
      const LlmLogitBias *bias = &g_array_index (self->params.logit_bias, LlmLogitBias, i);

      if ((guint) bias->token < self->n_vocab)
        logits[bias->token] += bias->bias;
    }
}

static const float *
adjust (LlmSampler *self, const float *logits)
{
  const LlmSamplingParams *p = &self->params;
  gboolean penalties = self->n_window > 0 && (p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0);

  if (!penalties && p->logit_bias == NULL)
    return logits;
  memcpy (self->adjusted, logits, self->n_vocab * sizeof (float));
  if (penalties)
    apply_penalties (self, self->adjusted);
  apply_bias (self, self->adjusted);
  return self->adjusted;
}

/* ---- candidates ---- */

/* Higher logit first, lower id among equals. */
static gboolean
better (const Candidate *a, const Candidate *b)
{
  return a->logit != b->logit ? a->logit > b->logit : a->token < b->token;
}

static int
compare (const void *a, const void *b)
{
  return better (a, b) ? -1 : 1;
}

static gint32
arg_max (const float *logits, guint n)
{
  gint32 best = 0;
  float top = -INFINITY;

  for (guint i = 0; i < n; i++)
    if (logits[i] > top) /* false for NaN */
      {
        top = logits[i];
        best = (gint32) i;
      }
  return best;
}

/* Sinks the root of a heap whose root is the worst. */
static void
sink (Candidate *heap, guint n)
{
  guint i = 0;
  Candidate c = heap[0];

  for (;;)
    {
      guint child = 2 * i + 1;

      if (child + 1 < n && better (&heap[child], &heap[child + 1]))
        child++;
      if (child >= n || !better (&c, &heap[child]))
        break;
      heap[i] = heap[child];
      i = child;
    }
  heap[i] = c;
}

/* The best @k tokens, best first; all of them for k = 0. Returns how many. */
static guint
collect (LlmSampler *self, const float *logits, guint k)
{
  Candidate *c = self->candidates;
  guint n = 0;

  if (k == 0 || k > self->n_vocab)
    k = self->n_vocab;
  for (guint i = 0; i < self->n_vocab; i++)
    {
      Candidate next = { (gint32) i, isnan (logits[i]) ? -INFINITY : logits[i] };

      if (n < k)
        {
          c[n++] = next;
          if (n == k && k < self->n_vocab)
            { /* turn what is there into a heap with the worst at its root: a sorted array reversed is one */
              qsort (c, n, sizeof *c, compare);
              for (guint a = 0; a < n / 2; a++)
                {
                  Candidate swap = c[a];
                  c[a] = c[n - 1 - a];
                  c[n - 1 - a] = swap;
                }
            }
        }
      else if (better (&next, &c[0]))
        {
          c[0] = next;
          sink (c, n);
        }
    }
  qsort (c, n, sizeof *c, compare);
  return n;
}

/* How many of the sorted candidates stay under top-p and min-p, by their probabilities at temperature 1. */
static guint
cut (const LlmSampler *self, guint n)
{
  const LlmSamplingParams *p = &self->params;
  const Candidate *c = self->candidates;
  double total = 0, running = 0;
  guint keep;

  for (guint i = 0; i < n; i++)
    total += exp ((double) c[i].logit - (double) c[0].logit);
  for (keep = 0; keep < n && (keep == 0 || running < p->top_p * total || p->top_p >= 1); keep++)
    {
      double weight = exp ((double) c[keep].logit - (double) c[0].logit);

      if (keep > 0 && weight < p->min_p) /* the best has weight 1 */
        break;
      running += weight;
    }
  return keep;
}

/* What is left to draw from, best first, in self->candidates. */
static guint
remaining (LlmSampler *self, const float *logits)
{
  guint n;

  logits = adjust (self, logits);
  if (self->params.temperature <= 0)
    {
      gint32 best = arg_max (logits, self->n_vocab);

      self->candidates[0] = (Candidate) { best, logits[best] };
      return 1;
    }
  n = collect (self, logits, self->params.top_k);
  return isfinite (self->candidates[0].logit) ? cut (self, n) : 1;
}

/* exp ((logit - best) / temperature), of candidate @i */
static double
weight (const LlmSampler *self, guint i)
{
  const Candidate *c = self->candidates;

  return i == 0 ? 1 : exp (((double) c[i].logit - (double) c[0].logit) / self->params.temperature);
}

gint32
llm_sampler_sample (LlmSampler *self, const float *logits)
{
  guint n = remaining (self, logits);
  double total = 0, at;

  for (guint i = 0; i < n; i++)
    total += weight (self, i);
  at = next_unit (self) * total;
  for (guint i = 0; i < n; i++)
    {
      at -= weight (self, i);
      if (at < 0)
        return self->candidates[i].token;
    }
  return self->candidates[n - 1].token;
}

guint
llm_sampler_distribution (LlmSampler *self, const float *logits, gint32 *token, double *probability)
{
  guint n = remaining (self, logits);
  double total = 0;

  for (guint i = 0; i < n; i++)
    total += weight (self, i);
  for (guint i = 0; i < n; i++)
    {
      token[i] = self->candidates[i].token;
      probability[i] = weight (self, i) / total;
    }
  return n;
}

float
llm_logprobs (const float *logits, guint n_vocab, gint32 token, guint n, gint32 *top_token, float *top_logprob)
{
  double max = -INFINITY, sum = 0, log_sum;
  guint have = 0;

  for (guint i = 0; i < n_vocab; i++)
    if (logits[i] > max)
      max = (double) logits[i];
  for (guint i = 0; i < n_vocab; i++)
    if (!isnan (logits[i]))
      sum += exp ((double) logits[i] - max);
  log_sum = max + log (sum);
  for (guint i = 0; i < n_vocab && n > 0; i++)
    {
      guint at = have;
      float value = isnan (logits[i]) ? -INFINITY : logits[i];

      while (at > 0 && value > top_logprob[at - 1])
        at--;
      if (at == n)
        continue;
      have = MIN (have + 1, n);
      for (guint j = have - 1; j > at; j--)
        {
          top_token[j] = top_token[j - 1];
          top_logprob[j] = top_logprob[j - 1];
        }
      top_token[at] = (gint32) i;
      top_logprob[at] = value;
    }
  for (guint i = 0; i < have; i++)
    top_logprob[i] = (float) ((double) top_logprob[i] - log_sum);
  return isnan (logits[token]) ? -INFINITY : (float) ((double) logits[token] - log_sum);
}
