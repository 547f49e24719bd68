/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definition of attention: all scores of a row, their softmax, the sum of the values; sums in double.
 */
#include <math.h>

#include "base/limits.h"
#include "compute/cpu/kv-pages.h"

#define SCORES_ON_STACK 4096

static void
load (LlmDtype dtype, const guint8 *from, float *to, guint dim)
{
  llm_dtype_info (dtype)->decode (from, to, dim);
}

/* Softmax in place, the largest subtracted; @sink: one more score that has no value. */
static void
softmax (float *score, guint n, const float *sink)
{
  float max = sink != NULL ? *sink : -INFINITY;
  double sum = 0;

  for (guint t = 0; t < n; t++)
    max = MAX (max, score[t]);
  for (guint t = 0; t < n; t++)
    {
      score[t] = expf (score[t] - max);
      sum += (double) score[t];
    }
  if (sink != NULL)
    sum += (double) expf (*sink - max);
  for (guint t = 0; t < n; t++)
    score[t] = (float) ((double) score[t] / sum);
}

void
llm_cpu_attention_definition (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  LlmCpuExecutable *self = job->self;
  const LlmKvLayout *layout = &self->kv->parent.layout;
  const LlmAttentionParams *p = &job->op->p.attention;
  guint r = piece / p->n_heads, h = piece % p->n_heads, slot = self->batch->slot[r], dim_k = layout->head_dim_k, dim_v = layout->head_dim_v, first, end;
  gsize head = h / (p->n_heads / layout->n_kv_heads);
  const float *q = job->x + (gsize) r * job->x_width + (gsize) h * dim_k;
  float *y = job->y + (gsize) r * job->y_width + (gsize) h * dim_v;
  float on_stack[SCORES_ON_STACK], sink = 0, row[LLM_MODEL_MAX_HEAD_DIM];
  g_autofree float *on_heap = NULL;
  float *score = on_stack;

  llm_cpu_keys_of_row (self->batch, p, r, &first, &end);
  if (end - first > SCORES_ON_STACK) /* bounded by the context window */
    score = on_heap = g_new (float, end - first);
  for (guint t = first; t < end; t++)
    {
      double sum = 0;

      load (layout->dtype, llm_cpu_kv_row (self, p->layer, slot, t, FALSE) + head * (self->kv->k_row / layout->n_kv_heads), row, dim_k);
      for (guint i = 0; i < dim_k; i++)
        sum += (double) q[i] * (double) row[i];
      score[t - first] = p->scale * (float) sum;
      if (p->cap > 0)
        score[t - first] = p->cap * tanhf (score[t - first] / p->cap);
    }
  if (job->w != NULL)
    sink = llm_cpu_f32_at (job->w->data, h);
  softmax (score, end - first, job->w != NULL ? &sink : NULL);
  memset (y, 0, dim_v * sizeof (float));
  for (guint t = first; t < end; t++)
    {
      load (layout->dtype, llm_cpu_kv_row (self, p->layer, slot, t, TRUE) + head * (self->kv->v_row / layout->n_kv_heads), row, dim_v);
      for (guint i = 0; i < dim_v; i++)
        y[i] += score[t - first] * row[i];
    }
}
