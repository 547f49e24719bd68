/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The attention kernels, written once over the float vectors (VF...) of the instruction set that
 * includes them; see simd-kernels.h.
 */
#include "compute/cpu/simd.h"

/* ---- attention: the tokens of one page ---- */

#define ATTENTION(name, load, load_one, elem_bytes)                                                                                        \
  static void dots_##name (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score)                   \
  {                                                                                                                                        \
    for (guint t = 0; t < n; t++, k += stride)                                                                                             \
      {                                                                                                                                    \
        VF sum = VF_ZERO;                                                                                                                  \
        float rest = 0;                                                                                                                    \
        guint i = 0;                                                                                                                       \
                                                                                                                                           \
        for (; i + VF_LANES <= dim; i += VF_LANES)                                                                                         \
          sum = VF_FMA (VF_LOAD (q + i), load (k + (gsize) i * (elem_bytes)), sum);                                                        \
        for (; i < dim; i++)                                                                                                               \
          rest = fmaf (q[i], load_one (k + (gsize) i * (elem_bytes)), rest);                                                               \
        score[t] = scale * (VF_SUM (sum) + rest);                                                                                          \
      }                                                                                                                                    \
  }                                                                                                                                        \
                                                                                                                                           \
  /* the values' columns @first.. in @lanes vectors that stay in registers */                                                              \
  static ALWAYS_INLINE void mix_columns_##name (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint first,             \
                                                const guint lanes)                                                                         \
  {                                                                                                                                        \
    VF sum[4];                                                                                                                             \
                                                                                                                                           \
    UNROLL                                                                                                                                 \
    for (guint j = 0; j < lanes; j++)                                                                                                      \
      sum[j] = VF_LOAD (y + first + j * VF_LANES);                                                                                         \
    v += (gsize) first * (elem_bytes);                                                                                                     \
    for (guint t = 0; t < n; t++, v += stride)                                                                                             \
      UNROLL                                                                                                                               \
      for (guint j = 0; j < lanes; j++)                                                                                                    \
        sum[j] = VF_FMA (VF_SET1 (a[t]), load (v + (gsize) j * VF_LANES * (elem_bytes)), sum[j]);                                          \
    UNROLL                                                                                                                                 \
    for (guint j = 0; j < lanes; j++)                                                                                                      \
      VF_STORE (y + first + j * VF_LANES, sum[j]);                                                                                         \
  }                                                                                                                                        \
                                                                                                                                           \
  static void mix_##name (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim)                                     \
  {                                                                                                                                        \
    guint i = 0;                                                                                                                           \
                                                                                                                                           \
    for (; i + 4 * VF_LANES <= dim; i += 4 * VF_LANES)                                                                                     \
      mix_columns_##name (y, a, v, stride, n, i, 4);                                                                                       \
    for (; i + VF_LANES <= dim; i += VF_LANES)                                                                                             \
      mix_columns_##name (y, a, v, stride, n, i, 1);                                                                                       \
    for (; i < dim; i++)                                                                                                                   \
      for (guint t = 0; t < n; t++)                                                                                                        \
        y[i] = fmaf (a[t], load_one (v + t * stride + (gsize) i * (elem_bytes)), y[i]);                                                    \
  }

ATTENTION (f32, VF_LOAD, float_at, 4)
ATTENTION (f16, VF_LOAD_HALF, half_at, 2)

static void
to_half (const float *x, guint16 *h, guint n)
{
  guint i = 0;

  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128 ((__m128i *) (gpointer) (h + i), _mm256_cvtps_ph (_mm256_loadu_ps (x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; i++)
    h[i] = _cvtss_sh (x[i], _MM_FROUND_TO_NEAREST_INT);
}

#define ATTENTION_KERNELS .dots_f32 = dots_f32, .dots_f16 = dots_f16, .mix_f32 = mix_f32, .mix_f16 = mix_f16
