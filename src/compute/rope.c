/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/rope.h"

#include <math.h>
#include <string.h>

/* The pair that turns @turns times in @context positions (Peng et al. 2023). */
static double
pair_of_turns (const LlmRopeParams *p, double turns)
{
  return p->dim * log (p->yarn_context / (turns * 2 * G_PI)) / (2 * log ((double) p->base));
}

/* How much of pair @i is scaled, 0 to 1. */
static double
stretched (const LlmRopeParams *p, guint i)
{
  double low, high;

  if (p->yarn_context == 0)
    return 1;
  low = MAX (0, floor (pair_of_turns (p, (double) p->beta_fast)));
  high = MIN (p->dim - 1, ceil (pair_of_turns (p, (double) p->beta_slow)));
  return CLAMP ((i - low) / MAX (0.001, high - low), 0, 1);
}

double *
llm_rope_frequencies (const LlmPlan *plan, const LlmOp *op)
{
  const LlmRopeParams *p = &op->p.rope;
  double *frequencies = g_new (double, p->dim / 2);

  for (guint i = 0; i < p->dim / 2; i++)
    {
      double own = pow ((double) p->base, -2.0 * i / p->dim), part = stretched (p, i);
      float factor = 1;

      if (op->w != LLM_NONE)
        memcpy (&factor, (const guint8 *) llm_plan_weight_at (plan, op->w)->data + 4 * (gsize) i, sizeof factor);
      frequencies[i] = (own / (double) p->scale * part + own * (1 - part)) / (double) factor;
    }
  return frequencies;
}

static gboolean
same_frequencies (const LlmOp *a, const LlmOp *b)
{
  const LlmRopeParams *p = &a->p.rope, *q = &b->p.rope;

  return a->kind == LLM_OP_ROPE && a->w == b->w && p->dim == q->dim && p->base == q->base && p->scale == q->scale && p->magnitude == q->magnitude
         && p->yarn_context == q->yarn_context && p->beta_fast == q->beta_fast && p->beta_slow == q->beta_slow;
}

guint
llm_rope_first_same (const LlmPlan *plan, guint i)
{
  guint first = 0;

  while (!same_frequencies (llm_plan_op (plan, first), llm_plan_op (plan, i)))
    first++;
  return first;
}

void
llm_rope_fill (float *table, const double *frequencies, guint half, guint32 position, float magnitude)
{
  for (guint i = 0; i < half; i++)
    {
      double theta = position * frequencies[i];

      table[2 * i] = magnitude * (float) cos (theta);
      table[2 * i + 1] = magnitude * (float) sin (theta);
    }
}
