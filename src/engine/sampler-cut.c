/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tokens may be drawn.  The candidates are collected by a bounded heap when top-k is on (the usual case), else
 * from the best down in ever wider bands of logits, as far as a cut or the draw asks for them: a step costs a few passes over the
 * vocabulary, not a sort of it.  Sums over all that are left come from a pass, not from the candidates.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/sampler-private.h"

#define HEAP_MOST 2048  /* a larger top-k comes in bands */
#define FIRST_BAND 2.0f /* logits; each band is as wide as those before it together */
#define LAST_BAND 64.0f /* below: all the rest at once */

/* Higher logit first, lower id among equals. */
static gboolean
better (const LlmCandidate *a, const LlmCandidate *b)
{
  return a->logit != b->logit ? a->logit > b->logit : a->token < b->token;
}

static int
compare (const void *a, const void *b)
{
  return better (a, b) ? -1 : 1;
}

/* Sinks the root of a heap whose root is the worst. */
static void
sink (LlmCandidate *heap, guint n)
{
  guint i = 0;
  LlmCandidate c = heap[0];

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

/* A heap of the first @n with the worst at its root: a sorted array reversed is one. */
static void
make_heap (LlmCandidate *c, guint n)
{
  qsort (c, n, sizeof *c, compare);
  for (guint a = 0; a < n / 2; a++)
    {
      LlmCandidate swap = c[a];

      c[a] = c[n - 1 - a];
      c[n - 1 - a] = swap;
    }
}

static LlmCandidate
candidate_of (const LlmSampler *self, guint token)
{
  return (LlmCandidate) { (gint32) token, isnan (self->logits[token]) ? -INFINITY : self->logits[token] };
}

/* The best @k tokens: of equals the first, so that a later one must be better than the root. */
static void
collect_heap (LlmSampler *self, guint k)
{
  LlmCandidate *c = self->candidates;

  for (guint i = 0; i < k; i++)
    c[i] = candidate_of (self, i);
  make_heap (c, k);
  for (guint i = k; (i = llm_logits_next (self->logits, i, self->n_vocab, nextafterf (c[0].logit, INFINITY))) < self->n_vocab; i++)
    {
      LlmCandidate next = candidate_of (self, i);

      if (better (&next, &c[0]))
        {
          c[0] = next;
          sink (c, k);
        }
    }
  qsort (c, k, sizeof *c, compare);
  self->n_sorted = k;
}

/* The next band. */
static void
collect_band (LlmSampler *self)
{
  LlmCandidate *c = self->candidates;
  float best = self->n_sorted > 0 ? c[0].logit : llm_logits_max (self->logits, self->n_vocab);
  float least = best - (self->n_sorted > 0 ? 2 * (best - self->bound) : FIRST_BAND);
  guint n = self->n_sorted;

  if (least >= best - LAST_BAND && least > -FLT_MAX)
    {
      for (guint i = 0; (i = llm_logits_next (self->logits, i, self->n_vocab, least)) < self->n_vocab; i++)
        if (!(self->logits[i] >= self->bound))
          c[n++] = candidate_of (self, i);
    }
  else
    for (guint i = 0; i < self->n_vocab; i++)
      if (!(self->logits[i] >= self->bound))
        c[n++] = candidate_of (self, i);
  qsort (c + self->n_sorted, n - self->n_sorted, sizeof *c, compare);
  self->n_sorted = n;
  self->bound = least;
}

gboolean
llm_sampler_reach (LlmSampler *self, guint i)
{
  while (self->n_sorted <= i && i < self->n_limit)
    collect_band (self);
  return i < self->n_limit;
}

static void
start (LlmSampler *self, const float *logits)
{
  guint k = self->params.top_k;

  self->logits = logits;
  self->n_limit = k > 0 && k < self->n_vocab ? k : self->n_vocab;
  self->n_sorted = 0;
  self->bound = INFINITY;
  if (self->n_limit <= HEAP_MOST && self->n_limit < self->n_vocab)
    collect_heap (self, self->n_limit);
  llm_sampler_reach (self, 0);
}

/* ---- the cuts ---- */

typedef struct {
  guint first, end;
  gboolean open; /* end is that of the vocabulary */
} Kept;

/* relative to the best that is left */
static double
weight_of (const LlmSampler *self, const Kept *kept, guint i)
{
  return exp ((double) self->candidates[i].logit - (double) self->candidates[kept->first].logit);
}

double
llm_sampler_mass (LlmSampler *self, guint first, guint end, gboolean open, double scale)
{
  const LlmCandidate *c = self->candidates;
  double total = 0;

  if (!open)
    {
      for (guint i = first; i < end && llm_sampler_reach (self, i); i++)
        total += exp (((double) c[i].logit - (double) c[first].logit) * scale);
      return total;
    }
  total = llm_logits_mass (self->logits, self->n_vocab, c[0].logit, scale, NULL);
  for (guint i = 0; i < first; i++)
    total -= exp (((double) c[i].logit - (double) c[0].logit) * scale);
  return total * exp (((double) c[0].logit - (double) c[first].logit) * scale);
}

static double
total_weight (LlmSampler *self, const Kept *kept)
{
  return llm_sampler_mass (self, kept->first, kept->end, kept->open, 1);
}

static void
cut_end (const LlmSampler *self, Kept *kept, guint end)
{
  kept->open = kept->open && end >= self->n_vocab;
  kept->end = end;
}

/* Those within top_n_sigma standard deviations, those of all logits, of the best. */
static void
cut_sigma (LlmSampler *self, Kept *kept)
{
  const LlmCandidate *c = self->candidates;
  double least;
  guint keep = 1;

  if (self->params.top_n_sigma <= 0)
    return;
  least = (double) c[0].logit - self->params.top_n_sigma * llm_logits_deviation (self->logits, self->n_vocab, c[0].logit);
  while (llm_sampler_reach (self, keep) && (double) c[keep].logit >= least)
    keep++;
  cut_end (self, kept, keep);
}

/* Expected surprise of what is left; only the end has been cut yet. */
static double
entropy_of (LlmSampler *self, const Kept *kept, double total)
{
  double drift = 0;

  if (kept->open)
    llm_logits_mass (self->logits, self->n_vocab, self->candidates[0].logit, 1, &drift);
  else
    for (guint i = 0; i < kept->end; i++)
      if (weight_of (self, kept, i) > 0)
        drift += weight_of (self, kept, i) * log (weight_of (self, kept, i));
  return log (total) - drift / total;
}

/* Those whose surprise is nearest to the expected one, of mass typical_p: they surround it, so a run of the sorted
 * candidates, grown at the end that is nearer. */
static void
cut_typical (LlmSampler *self, Kept *kept)
{
  double total, entropy, mass = 0;
  guint first, end;

  if (self->params.typical_p >= 1)
    return;
  total = total_weight (self, kept);
  entropy = entropy_of (self, kept, total);
  for (first = 0; first < kept->end && llm_sampler_reach (self, first) && -log (weight_of (self, kept, first) / total) < entropy; first++)
    ;
  for (end = first; mass < self->params.typical_p * total && (first > 0 || end < kept->end);)
    {
      gboolean after = end < kept->end && llm_sampler_reach (self, end);
      double below = after ? -log (weight_of (self, kept, end) / total) - entropy : INFINITY;
      double above = first > 0 ? entropy + log (weight_of (self, kept, first - 1) / total) : INFINITY;

      mass += above <= below ? weight_of (self, kept, --first) : weight_of (self, kept, end++);
    }
  cut_end (self, kept, MAX (end, first + 1));
  kept->first = first;
}

/* Those that stay under top-p and min-p, by their probabilities at temperature 1. */
static void
cut_tail (LlmSampler *self, Kept *kept)
{
  const LlmSamplingParams *p = &self->params;
  double enough, running = 0;
  guint keep;

  if (p->top_p >= 1 && p->min_p <= 0)
    return;
  enough = p->top_p < 1 ? p->top_p * total_weight (self, kept) : INFINITY;
  for (keep = kept->first; keep < kept->end && llm_sampler_reach (self, keep) && (keep == kept->first || running < enough); keep++)
    {
      double weight = weight_of (self, kept, keep);

      if (keep > kept->first && weight < p->min_p) /* the best has weight 1 */
        break;
      running += weight;
    }
  cut_end (self, kept, keep);
}

/* At times, all but the last of those above the threshold go. */
static void
cut_top (LlmSampler *self, Kept *kept)
{
  double total;
  guint end = kept->first;

  if (self->params.xtc_probability <= 0 || llm_sampler_next_unit (self) >= self->params.xtc_probability)
    return;
  total = total_weight (self, kept);
  while (end < kept->end && llm_sampler_reach (self, end) && weight_of (self, kept, end) >= self->params.xtc_threshold * total)
    end++;
  if (end - kept->first >= 2)
    kept->first = end - 1;
}

gboolean
llm_sampler_cut (LlmSampler *self, const float *logits, guint *first, guint *end)
{
  Kept kept;

  start (self, logits);
  kept = (Kept) { 0, self->n_limit, self->n_limit == self->n_vocab };
  if (!isfinite (self->candidates[0].logit))
    kept = (Kept) { 0, 1, FALSE };
  else
    {
      cut_sigma (self, &kept);
      cut_typical (self, &kept);
      cut_tail (self, &kept);
      cut_top (self, &kept);
    }
  *first = kept.first;
  *end = kept.end;
  return kept.open;
}
