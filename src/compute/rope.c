/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/rope.h"

#include <math.h>
#include <string.h>

double *
llm_rope_frequencies (const LlmPlan *plan, const LlmOp *op)
{
  const LlmRopeParams *p = &op->p.rope;
  double *frequencies = g_new (double, p->dim / 2);

  for (guint i = 0; i < p->dim / 2; i++)
    {
      float factor = 1;

      if (op->w != LLM_NONE)
        memcpy (&factor, (const guint8 *) llm_plan_weight_at (plan, op->w)->data + 4 * (gsize) i, sizeof factor);
      frequencies[i] = pow ((double) p->base, -2.0 * i / p->dim) / (double) p->scale / (double) factor;
    }
  return frequencies;
}

static gboolean
same_frequencies (const LlmOp *a, const LlmOp *b)
{
  return a->kind == LLM_OP_ROPE && a->w == b->w && a->p.rope.dim == b->p.rope.dim && a->p.rope.base == b->p.rope.base && a->p.rope.scale == b->p.rope.scale;
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
llm_rope_fill (float *table, const double *frequencies, guint half, guint32 position)
{
  for (guint i = 0; i < half; i++)
    {
      double theta = position * frequencies[i];

      table[2 * i] = (float) cos (theta);
      table[2 * i + 1] = (float) sin (theta);
    }
}
