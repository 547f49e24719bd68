/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See sampler.h for the order, sampler-adjust.c and sampler-cut.c for what it is made of; here are the generator and the draw.
 */
#include <math.h>
#include <string.h>

#include "engine/sampler-private.h"

void
llm_sampling_params_init (LlmSamplingParams *self)
{
  *self = (LlmSamplingParams) {
    .temperature = LLM_DEFAULT_TEMPERATURE, .top_k = LLM_DEFAULT_TOP_K, .top_p = LLM_DEFAULT_TOP_P, .min_p = LLM_DEFAULT_MIN_P,
    .repetition_penalty = 1, .typical_p = 1, .xtc_threshold = LLM_DEFAULT_XTC_THRESHOLD, .dry_base = LLM_DEFAULT_DRY_BASE,
    .dry_allowed_length = LLM_DEFAULT_DRY_ALLOWED_LENGTH,
  };
}

void
llm_sampling_params_clear (LlmSamplingParams *self)
{
  g_clear_pointer (&self->logit_bias, g_array_unref);
  g_clear_pointer (&self->dry_breakers, g_array_unref);
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

double
llm_sampler_next_unit (LlmSampler *self)
{
  return next_u32 (self) * (1.0 / 4294967296.0);
}

/* FALSE: no memory. */
static gboolean
prepare_dry (LlmSampler *self)
{
  const GArray *breakers = self->params.dry_breakers;

  if (self->params.dry_multiplier <= 0)
    return TRUE;
  self->text = g_new (gint32, LLM_MAX_DRY_WINDOW);
  self->breaks = g_try_malloc0 (self->n_vocab);
  for (guint i = 0; self->breaks != NULL && breakers != NULL && i < breakers->len; i++)
    if ((guint) g_array_index (breakers, gint32, i) < self->n_vocab)
      self->breaks[g_array_index (breakers, gint32, i)] = 1;
  return self->breaks != NULL;
}

LlmSampler *
llm_sampler_new (const LlmSamplingParams *params, guint n_vocab)
{
  LlmSampler *self = g_new0 (LlmSampler, 1);

  self->params = *params;
  if (params->logit_bias != NULL)
    self->params.logit_bias = g_array_ref (params->logit_bias);
  if (params->dry_breakers != NULL)
    self->params.dry_breakers = g_array_ref (params->dry_breakers);
  self->n_vocab = n_vocab;
  self->candidates = g_try_new (LlmCandidate, n_vocab);
  self->adjusted = g_try_new (float, n_vocab);
  if (self->candidates == NULL || self->adjusted == NULL || !prepare_dry (self))
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
  g_free (self->text);
  g_free (self->breaks);
  g_free (self);
}

void
llm_sampler_accept (LlmSampler *self, gint32 token)
{
  self->window[self->window_at] = token;
  self->window_at = (self->window_at + 1) % LLM_MAX_PENALTY_WINDOW;
  self->n_window = MIN (self->n_window + 1, LLM_MAX_PENALTY_WINDOW);
  if (self->text == NULL)
    return;
  if (self->n_text == LLM_MAX_DRY_WINDOW)
    memmove (self->text, self->text + 1, --self->n_text * sizeof *self->text);
  self->text[self->n_text++] = token;
}

static guint
arg_max (const float *logits, guint n)
{
  float top = llm_logits_max (logits, n);

  return top > -INFINITY ? llm_logits_next (logits, 0, n, top) : 0;
}

/* What is left to draw from: [*first, *end) of self->candidates; see llm_sampler_cut(). */
static gboolean
remaining (LlmSampler *self, const float *logits, guint *first, guint *end)
{
  logits = llm_sampler_adjust (self, logits);
  if (self->params.temperature <= 0)
    {
      guint best = arg_max (logits, self->n_vocab);

      self->candidates[0] = (LlmCandidate) { (gint32) best, logits[best] };
      self->n_sorted = self->n_limit = 1;
      *first = 0;
      *end = 1;
      return FALSE;
    }
  return llm_sampler_cut (self, logits, first, end);
}

/* exp ((logit - best) / temperature), of candidate @i */
static double
weight (const LlmSampler *self, guint first, guint i)
{
  const LlmCandidate *c = self->candidates;

  return i == first ? 1 : exp (((double) c[i].logit - (double) c[first].logit) / self->params.temperature);
}

gint32
llm_sampler_sample (LlmSampler *self, const float *logits)
{
  const double nothing = 1e-13; /* a candidate that weighs less is there by rounding alone */
  guint first, end;
  gboolean open = remaining (self, logits, &first, &end);
  double at;

  if (end - first == 1)
    at = llm_sampler_next_unit (self);
  else
    at = llm_sampler_next_unit (self) * llm_sampler_mass (self, first, end, open, 1 / self->params.temperature);
  for (guint i = first; i < end && llm_sampler_reach (self, i) && weight (self, first, i) >= nothing; i++)
    {
      at -= weight (self, first, i);
      if (at < 0)
        return self->candidates[i].token;
    }
  return self->candidates[first].token;
}

guint
llm_sampler_distribution (LlmSampler *self, const float *logits, gint32 *token, double *probability)
{
  guint first, end, n = 0;
  double total = 0;

  remaining (self, logits, &first, &end);
  for (guint i = first; i < end && llm_sampler_reach (self, i); i++)
    total += weight (self, first, i);
  for (guint i = first; i < end; i++, n++)
    {
      token[n] = self->candidates[i].token;
      probability[n] = weight (self, first, i) / total;
    }
  return n;
}

/* @logit before the first that is smaller, and out with the last when there are @n. Returns how many there are. */
static guint
insert (gint32 *token, float *logit, guint have, guint n, gint32 next, float value)
{
  guint at = have;

  while (at > 0 && value > logit[at - 1])
    at--;
  if (at == n)
    return have;
  have = MIN (have + 1, n);
  for (guint j = have - 1; j > at; j--)
    {
      token[j] = token[j - 1];
      logit[j] = logit[j - 1];
    }
  token[at] = next;
  logit[at] = value;
  return have;
}

float
llm_logprobs (const float *logits, guint n_vocab, gint32 token, guint n, gint32 *top_token, float *top_logprob)
{
  float max = llm_logits_max (logits, n_vocab);
  double log_sum = (double) max + log (llm_logits_mass (logits, n_vocab, max, 1, NULL));
  guint have = 0, i = 0;

  for (n = MIN (n, n_vocab); i < n; i++)
    have = insert (top_token, top_logprob, have, n, (gint32) i, isnan (logits[i]) ? -INFINITY : logits[i]);
  for (; n > 0 && (i = llm_logits_next (logits, i, n_vocab, nextafterf (top_logprob[n - 1], INFINITY))) < n_vocab; i++)
    insert (top_token, top_logprob, have, n, (gint32) i, logits[i]);
  for (i = 0; i < have; i++)
    top_logprob[i] = (float) ((double) top_logprob[i] - log_sum);
  return isnan (logits[token]) ? -INFINITY : (float) ((double) logits[token] - log_sum);
}
