/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definitions of the ops that see a row alone: plain C, sums in double, the functions of libm.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/run-op.h"
#include "compute/cpu/scalar.h"

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
llm_scalar_glu (LlmActivation act, const float *x, const float *z, float *y, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] = act == LLM_ACT_SWIGLU_CLAMPED ? swiglu_clamped (x[i], z[i]) : activate (act, x[i]) * (z != NULL ? z[i] : 1);
}

void
llm_scalar_add (const float *x, const float *z, float *y, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] = x[i] + z[i];
}

void
llm_scalar_scale (const LlmScaleParams *p, const float *x, float *y, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] = p->cap > 0 ? p->cap * tanhf (p->scale * x[i] / p->cap) : p->scale * x[i];
}

void
llm_scalar_add_scaled (float a, const float *x, float *y, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] += a * x[i];
}

void
llm_scalar_rms_norm (const float *x, const void *gain, float eps, float *y, guint n)
{
  double sum = 0;
  float scale;

  for (guint i = 0; i < n; i++)
    sum += (double) x[i] * (double) x[i];
  scale = (float) (1 / sqrt (sum / n + (double) eps));
  for (guint i = 0; i < n; i++)
    y[i] = x[i] * scale * llm_cpu_f32_at (gain, i);
}

void
llm_scalar_layer_norm (const float *x, const void *gain, const void *bias, float eps, float *y, guint n)
{
  double mean = 0, variance = 0, scale;

  for (guint i = 0; i < n; i++)
    mean += (double) x[i];
  mean /= n;
  for (guint i = 0; i < n; i++)
    variance += ((double) x[i] - mean) * ((double) x[i] - mean);
  scale = 1 / sqrt (variance / n + (double) eps);
  for (guint i = 0; i < n; i++)
    y[i] = (float) (((double) x[i] - mean) * scale) * llm_cpu_f32_at (gain, i) + (bias != NULL ? llm_cpu_f32_at (bias, i) : 0);
}

void
llm_scalar_rope (float *x, const float *table, guint half, gboolean interleaved)
{
  for (guint i = 0; i < half; i++)
    {
      float *a = interleaved ? &x[2 * i] : &x[i], *b = interleaved ? &x[2 * i + 1] : &x[i + half];
      float a0 = *a, b0 = *b;

      *a = a0 * table[2 * i] - b0 * table[2 * i + 1];
      *b = a0 * table[2 * i + 1] + b0 * table[2 * i];
    }
}

void
llm_scalar_to_half (const float *x, guint16 *h, guint n)
{
  for (guint i = 0; i < n; i++)
    h[i] = llm_float_to_half (x[i]);
}
