/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definitions: plain C, sums in double, the weights decoded by their own definition.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/scalar.h"

#define PIECE 256 /* elements decoded at a time; a multiple of every block size */

static void
matmul (const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y, gsize first)
{
  float piece[PIECE];

  for (guint n = 0; n < n_w; n++)
    for (guint r = 0; r < n_x; r++)
      {
        double sum = 0;

        for (guint at = 0; at < k; at += PIECE)
          {
            guint count = MIN (PIECE, k - at);

            dtype->decode (w + n * w_stride + (gsize) at / dtype->block_elems * dtype->block_bytes, piece, count);
            for (guint i = 0; i < count; i++)
              sum += (double) piece[i] * (double) x[r][at + i];
          }
        y[r][first + n] = (float) sum;
      }
}

static float
load_f32 (const guint8 *p)
{
  float f;

  memcpy (&f, p, sizeof f);
  return f;
}

static float
load_f16 (const guint8 *p)
{
  guint16 h;

  memcpy (&h, p, sizeof h);
  return llm_half_to_float (h);
}

#define ATTENTION(name, load, elem_bytes)                                                                                                  \
  static void dots_##name (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score)                   \
  {                                                                                                                                        \
    for (guint t = 0; t < n; t++)                                                                                                          \
      {                                                                                                                                    \
        double sum = 0;                                                                                                                    \
                                                                                                                                           \
        for (guint i = 0; i < dim; i++)                                                                                                    \
          sum += (double) q[i] * (double) load (k + t * stride + (gsize) i * (elem_bytes));                                                \
        score[t] = scale * (float) sum;                                                                                                    \
      }                                                                                                                                    \
  }                                                                                                                                        \
                                                                                                                                           \
  static void mix_##name (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim)                                     \
  {                                                                                                                                        \
    for (guint t = 0; t < n; t++)                                                                                                          \
      for (guint i = 0; i < dim; i++)                                                                                                      \
        y[i] += a[t] * load (v + t * stride + (gsize) i * (elem_bytes));                                                                   \
  }

ATTENTION (f32, load_f32, 4)
ATTENTION (f16, load_f16, 2)

static gboolean
usable (void)
{
  return TRUE;
}

const LlmCpuKernels llm_cpu_scalar = {
  .name = "scalar",
  .usable = usable,
  .definition = matmul,
  .dots_f32 = dots_f32,
  .dots_f16 = dots_f16,
  .mix_f32 = mix_f32,
  .mix_f16 = mix_f16,
  LLM_SCALAR_ROWS,
  .noise = 0,
};
