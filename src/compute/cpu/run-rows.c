/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops that see one row at a time, and nothing of the KV cache.
 */
#include <math.h>

#include "compute/cpu/run-op.h"

void
llm_cpu_embed_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmBatch *batch = job->self->batch;
  const LlmEmbedParams *p = &job->op->p.embed;
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  gsize i = p->source == LLM_EMBED_TOKEN ? (gsize) batch->token[r] : p->source == LLM_EMBED_POSITION ? batch->position[r] : 0;
  float *y = job->y + (gsize) r * job->y_width;

  job->w->dtype->decode ((const guint8 *) job->w->data + i * row_bytes, y, job->y_width);
  for (guint c = 0; c < job->y_width && p->scale != 1; c++)
    y[c] *= p->scale;
}

/* Zhang & Sennrich 2019 */
void
llm_cpu_rms_norm_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  guint group = (guint) job->w->n_cols;

  for (guint g = 0; g < job->x_width; g += group)
    {
      const float *x = job->x + (gsize) r * job->x_width + g;
      float *y = job->y + (gsize) r * job->y_width + g;
      double sum = 0;
      float scale;

      for (guint i = 0; i < group; i++)
        sum += (double) x[i] * (double) x[i];
      scale = (float) (1 / sqrt (sum / group + (double) job->op->p.norm.eps));
      for (guint i = 0; i < group; i++)
        y[i] = x[i] * scale * llm_cpu_f32_at (job->w->data, i);
    }
}

/* Ba et al. 2016 */
void
llm_cpu_layer_norm_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const float *x = job->x + (gsize) r * job->x_width;
  float *y = job->y + (gsize) r * job->y_width;
  double mean = 0, variance = 0, scale;

  for (guint i = 0; i < job->x_width; i++)
    mean += (double) x[i];
  mean /= job->x_width;
  for (guint i = 0; i < job->x_width; i++)
    variance += ((double) x[i] - mean) * ((double) x[i] - mean);
  scale = 1 / sqrt (variance / job->x_width + (double) job->op->p.norm.eps);
  for (guint i = 0; i < job->x_width; i++)
    y[i] = (float) (((double) x[i] - mean) * scale) * llm_cpu_f32_at (job->w->data, i) + (job->b != NULL ? llm_cpu_f32_at (job->b->data, i) : 0);
}

static float
activate (LlmActivation act, float a)
{
  switch (act)
    {
    case LLM_ACT_GELU:
      return a / 2 * (1 + erff (a * (float) G_SQRT2 / 2));
    case LLM_ACT_GELU_TANH:
      return a / 2 * (1 + tanhf (0.7978845608f * (a + 0.044715f * a * a * a))); /* sqrt (2 / pi) */
    default:
      return a / (1 + expf (-a));
    }
}

static float
swiglu_clamped (float gate, float up)
{
  float g = MIN (gate, 7), u = CLAMP (up, -7, 7);

  return g / (1 + expf (-1.702f * g)) * (u + 1);
}

void
llm_cpu_glu_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  gsize at = (gsize) r * job->x_width;
  LlmActivation act = job->op->p.glu.act;
  const float *x = job->x + at, *z = job->z != NULL ? job->z + at : NULL;
  float *y = job->y + at;

  for (guint i = 0; i < job->x_width; i++)
    y[i] = act == LLM_ACT_SWIGLU_CLAMPED ? swiglu_clamped (x[i], z[i]) : activate (act, x[i]) * (z != NULL ? z[i] : 1);
}

void
llm_cpu_scale_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmScaleParams *p = &job->op->p.scale;
  gsize at = (gsize) r * job->x_width;

  for (guint i = 0; i < job->x_width; i++)
    job->y[at + i] = p->cap > 0 ? p->cap * tanhf (p->scale * job->x[at + i] / p->cap) : p->scale * job->x[at + i];
}

void
llm_cpu_add_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  gsize at = (gsize) r * job->x_width;

  for (guint i = 0; i < job->x_width; i++)
    job->y[at + i] = job->x[at + i] + job->z[at + i];
}

void
llm_cpu_select_row (gpointer data, guint o)
{
  LlmCpuJob *job = data;

  memcpy (job->y + (gsize) o * job->y_width, job->x + (gsize) job->self->batch->out_row[o] * job->x_width, job->x_width * sizeof (float));
}
