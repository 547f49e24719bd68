/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tokens may be drawn.  The candidates are collected by a bounded heap when top-k is on (the usual case), so
 * that a step costs one pass over the vocabulary, not a sort of it; every cut works on what is left, best first.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/sampler-private.h"

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

/* The best @k tokens, best first; all of them for k = 0. Returns how many. */
static guint
collect (LlmSampler *self, const float *logits, guint k)
{
  LlmCandidate *c = self->candidates;
  guint n = 0;

  if (k == 0 || k > self->n_vocab)
    k = self->n_vocab;
  for (guint i = 0; i < self->n_vocab; i++)
    {
      LlmCandidate next = { (gint32) i, isnan (logits[i]) ? -INFINITY : logits[i] };

      if (n < k)
        {
          c[n++] = next;
          if (n == k && k < self->n_vocab)
            { /* turn what is there into a heap with the worst at its root: a sorted array reversed is one */
              qsort (c, n, sizeof *c, compare);
              for (guint a = 0; a < n / 2; a++)
                {
                  LlmCandidate swap = c[a];
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

/* How many are within top_n_sigma standard deviations, those of all logits, of the best. */
static guint
cut_sigma (const LlmSampler *self, const float *logits, guint n)
{
  const LlmCandidate *c = self->candidates;
  double mean = 0, squares = 0, least;
  guint finite = 0, keep = 1;

  if (self->params.top_n_sigma <= 0)
    return n;
  for (guint i = 0; i < self->n_vocab; i++)
    if (isfinite (logits[i]))
      {
        double off = (double) logits[i] - mean;

        mean += off / ++finite; /* Welford 1962 */
        squares += off * ((double) logits[i] - mean);
      }
  least = (double) c[0].logit - self->params.top_n_sigma * sqrt (squares / MAX (finite, 1));
  while (keep < n && (double) c[keep].logit >= least)
    keep++;
  return keep;
}

static double
weight_of (const LlmSampler *self, guint i)
{
  return exp ((double) self->candidates[i].logit - (double) self->candidates[0].logit);
}

static double
total_weight (const LlmSampler *self, guint n)
{
  double total = 0;

  for (guint i = 0; i < n; i++)
    total += weight_of (self, i);
  return total;
}

/* Those whose surprise is nearest to the expected one, of mass typical_p: they surround it, so a run of the sorted
 * candidates, grown at the end that is nearer. */
static guint
cut_typical (LlmSampler *self, guint n)
{
  LlmCandidate *c = self->candidates;
  double total, entropy = 0, mass = 0;
  guint first, end;

  if (self->params.typical_p >= 1)
    return n;
  total = total_weight (self, n);
  for (guint i = 0; i < n; i++)
    if (weight_of (self, i) > 0)
      entropy -= weight_of (self, i) / total * log (weight_of (self, i) / total);
  for (first = 0; first < n && -log (weight_of (self, first) / total) < entropy; first++)
    ;
  for (end = first; mass < self->params.typical_p * total && (first > 0 || end < n);)
    {
      double before = first > 0 ? entropy + log (weight_of (self, first - 1) / total) : INFINITY;
      double after = end < n ? -log (weight_of (self, end) / total) - entropy : INFINITY;

      mass += before <= after ? weight_of (self, --first) : weight_of (self, end++);
    }
  for (guint i = first; i < end && first > 0; i++)
    c[i - first] = c[i];
  return MAX (end - first, 1);
}

/* How many stay under top-p and min-p, by their probabilities at temperature 1. */
static guint
cut_tail (const LlmSampler *self, guint n)
{
  const LlmSamplingParams *p = &self->params;
  double total = total_weight (self, n), running = 0;
  guint keep;

  for (keep = 0; keep < n && (keep == 0 || running < p->top_p * total || p->top_p >= 1); keep++)
    {
      double weight = weight_of (self, keep);

      if (keep > 0 && weight < p->min_p) /* the best has weight 1 */
        break;
      running += weight;
    }
  return keep;
}

/* At times, all but the last of those above the threshold go. */
static guint
cut_top (LlmSampler *self, guint n)
{
  LlmCandidate *c = self->candidates;
  double total;
  guint above = 0;

  if (self->params.xtc_probability <= 0 || llm_sampler_next_unit (self) >= self->params.xtc_probability)
    return n;
  total = total_weight (self, n);
  while (above < n && weight_of (self, above) >= self->params.xtc_threshold * total)
    above++;
  if (above < 2)
    return n;
  for (guint i = above - 1; i < n; i++)
    c[i - (above - 1)] = c[i];
  return n - (above - 1);
}

guint
llm_sampler_cut (LlmSampler *self, const float *logits)
{
  guint n = collect (self, logits, self->params.top_k);

  if (!isfinite (self->candidates[0].logit))
    return 1;
  return cut_top (self, cut_tail (self, cut_typical (self, cut_sigma (self, logits, n))));
}
