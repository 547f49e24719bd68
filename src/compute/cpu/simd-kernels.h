/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SIMD kernels, written once and included by one file per instruction set, which defines:
 *   VF, VF_LANES, VF_ZERO, VF_LOAD(p), VF_LOAD_HALF(p), VF_FMA(a, b, c) = a * b + c, VF_SET1(f),
 *   VF_STORE(p, v), VF_SUM(v): float vectors;
 *   DOT_Q8(w, x, sum): 8 x int32 of int8 w . int8 x, 32 of each;
 *   DOT_Q4(w, x, sum): the same for w in 0..15, less 8 * sum.
 *
 * Rounding: float sums run in VF_LANES lanes with fused multiply-add; quantised kernels round the
 * inputs to 8 bits per block of 32 (the error llm_device_noise() states).
 */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "compute/cpu/kernels.h"

static inline float
sum_f256 (__m256 v)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (v), _mm256_extractf128_ps (v, 1));

  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  s = _mm_add_ss (s, _mm_movehdup_ps (s));
  return _mm_cvtss_f32 (s);
}

static inline float
half_at (const guint8 *p)
{
  guint16 h;

  memcpy (&h, p, sizeof h);
  return _cvtsh_ss (h);
}

static float
dot_f32 (const float *q, const void *k, guint n)
{
  VF sum = VF_ZERO;
  guint i = 0;
  float rest = 0;

  for (; i + VF_LANES <= n; i += VF_LANES)
    sum = VF_FMA (VF_LOAD (q + i), VF_LOAD ((const guint8 *) k + 4 * (gsize) i), sum);
  for (; i < n; i++)
    {
      float f;

      memcpy (&f, (const guint8 *) k + 4 * (gsize) i, sizeof f);
      rest = fmaf (q[i], f, rest);
    }
  return VF_SUM (sum) + rest;
}

static float
dot_f16 (const float *q, const void *k, guint n)
{
  VF sum = VF_ZERO;
  guint i = 0;
  float rest = 0;

  for (; i + VF_LANES <= n; i += VF_LANES)
    sum = VF_FMA (VF_LOAD (q + i), VF_LOAD_HALF ((const guint8 *) k + 2 * (gsize) i), sum);
  for (; i < n; i++)
    rest = fmaf (q[i], half_at ((const guint8 *) k + 2 * (gsize) i), rest);
  return VF_SUM (sum) + rest;
}

static void
axpy_f32 (float *y, float a, const void *v, guint n)
{
  guint i = 0;

  for (; i + VF_LANES <= n; i += VF_LANES)
    VF_STORE (y + i, VF_FMA (VF_SET1 (a), VF_LOAD ((const guint8 *) v + 4 * (gsize) i), VF_LOAD (y + i)));
  for (; i < n; i++)
    {
      float f;

      memcpy (&f, (const guint8 *) v + 4 * (gsize) i, sizeof f);
      y[i] = fmaf (a, f, y[i]);
    }
}

static void
axpy_f16 (float *y, float a, const void *v, guint n)
{
  guint i = 0;

  for (; i + VF_LANES <= n; i += VF_LANES)
    VF_STORE (y + i, VF_FMA (VF_SET1 (a), VF_LOAD_HALF ((const guint8 *) v + 2 * (gsize) i), VF_LOAD (y + i)));
  for (; i < n; i++)
    y[i] = fmaf (a, half_at ((const guint8 *) v + 2 * (gsize) i), y[i]);
}

static void
to_half (const float *x, guint16 *h, guint n)
{
  guint i = 0;

  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128 ((__m128i *) (gpointer) (h + i), _mm256_cvtps_ph (_mm256_loadu_ps (x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; i++)
    h[i] = _cvtss_sh (x[i], _MM_FROUND_TO_NEAREST_INT);
}

/* ---- float weights: 4 input rows share each load of a weight ---- */

#define FLOAT_MATMUL(name, load, load_one, elem_bytes)                                                                                     \
  static void name (const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y,             \
                    gsize y_stride)                                                                                                        \
  {                                                                                                                                        \
    for (guint n = 0; n < n_w; n++, w += w_stride)                                                                                         \
      for (guint r = 0; r < n_x; r += 4)                                                                                                   \
        {                                                                                                                                  \
          guint rows = MIN (4, n_x - r), i = 0;                                                                                            \
          VF sum[4] = { VF_ZERO, VF_ZERO, VF_ZERO, VF_ZERO };                                                                              \
          float rest[4] = { 0, 0, 0, 0 };                                                                                                  \
                                                                                                                                           \
          if (rows == 4)                                                                                                                   \
            for (; i + VF_LANES <= k; i += VF_LANES)                                                                                       \
              {                                                                                                                            \
                VF weight = load (w + (gsize) i * (elem_bytes));                                                                           \
                for (guint j = 0; j < 4; j++)                                                                                              \
                  sum[j] = VF_FMA (VF_LOAD ((const float *) (gconstpointer) (x + (r + j) * x_stride) + i), weight, sum[j]);                \
              }                                                                                                                            \
          else                                                                                                                             \
            for (; i + VF_LANES <= k; i += VF_LANES)                                                                                       \
              {                                                                                                                            \
                VF weight = load (w + (gsize) i * (elem_bytes));                                                                           \
                for (guint j = 0; j < rows; j++)                                                                                           \
                  sum[j] = VF_FMA (VF_LOAD ((const float *) (gconstpointer) (x + (r + j) * x_stride) + i), weight, sum[j]);                \
              }                                                                                                                            \
          for (; i < k; i++)                                                                                                               \
            for (guint j = 0; j < rows; j++)                                                                                               \
              rest[j] = fmaf (((const float *) (gconstpointer) (x + (r + j) * x_stride))[i], load_one (w + (gsize) i * (elem_bytes)), rest[j]); \
          for (guint j = 0; j < rows; j++)                                                                                                 \
            y[(r + j) * y_stride + n] = VF_SUM (sum[j]) + rest[j];                                                                         \
        }                                                                                                                                  \
  }

static inline float
float_at (const guint8 *p)
{
  float f;

  memcpy (&f, p, sizeof f);
  return f;
}

FLOAT_MATMUL (matmul_f32, VF_LOAD, float_at, 4)
FLOAT_MATMUL (matmul_f16, VF_LOAD_HALF, half_at, 2)

/* ---- quantised weights: y = sum over blocks of (w.d * x.d) * (w.q . x.q) ---- */

static void
quantise (const float *x, LlmQ8Block *out, guint k)
{
  for (guint b = 0; b < k / 32; b++, x += 32, out++)
    {
      float max = 0;
      gint32 sum = 0;
      float inverse;

      for (int i = 0; i < 32; i++)
        max = MAX (max, fabsf (x[i]));
      out->d = max / 127;
      inverse = max > 0 ? 127 / max : 0;
      for (int i = 0; i < 32; i++)
        {
          gint32 q = (gint32) lrintf (x[i] * inverse);

          out->q[i] = (gint8) q;
          sum += q;
        }
      out->sum = sum;
    }
}

static inline __m256i
load_q8 (const guint8 *block)
{
  return _mm256_loadu_si256 ((const __m256i *) (gconstpointer) (block + 2));
}

static inline __m256i
load_q4 (const guint8 *block)
{
  __m128i packed = _mm_loadu_si128 ((const __m128i *) (gconstpointer) (block + 2));

  return _mm256_and_si256 (_mm256_set_m128i (_mm_srli_epi16 (packed, 4), packed), _mm256_set1_epi8 (15));
}

#define QUANT_MATMUL(name, load, dot, block_bytes)                                                                                         \
  static void name (const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y,             \
                    gsize y_stride)                                                                                                        \
  {                                                                                                                                        \
    for (guint n = 0; n < n_w; n++, w += w_stride)                                                                                         \
      for (guint r = 0; r < n_x; r += 4)                                                                                                   \
        {                                                                                                                                  \
          guint rows = MIN (4, n_x - r);                                                                                                   \
          __m256 sum[4] = { _mm256_setzero_ps (), _mm256_setzero_ps (), _mm256_setzero_ps (), _mm256_setzero_ps () };                      \
          const guint8 *block = w;                                                                                                         \
                                                                                                                                           \
          if (rows == 4)                                                                                                                   \
            for (guint b = 0; b < k / 32; b++, block += (block_bytes))                                                                     \
              {                                                                                                                            \
                __m256i q = load (block);                                                                                                  \
                float d = half_at (block);                                                                                                 \
                for (guint j = 0; j < 4; j++)                                                                                              \
                  {                                                                                                                        \
                    const LlmQ8Block *in = (const LlmQ8Block *) (gconstpointer) (x + (r + j) * x_stride) + b;                              \
                    __m256i p = dot (q, _mm256_loadu_si256 ((const __m256i *) (gconstpointer) in->q), in->sum);                            \
                    sum[j] = _mm256_fmadd_ps (_mm256_set1_ps (d * in->d), _mm256_cvtepi32_ps (p), sum[j]);                                 \
                  }                                                                                                                        \
              }                                                                                                                            \
          else                                                                                                                             \
            for (guint b = 0; b < k / 32; b++, block += (block_bytes))                                                                     \
              {                                                                                                                            \
                __m256i q = load (block);                                                                                                  \
                float d = half_at (block);                                                                                                 \
                for (guint j = 0; j < rows; j++)                                                                                           \
                  {                                                                                                                        \
                    const LlmQ8Block *in = (const LlmQ8Block *) (gconstpointer) (x + (r + j) * x_stride) + b;                              \
                    __m256i p = dot (q, _mm256_loadu_si256 ((const __m256i *) (gconstpointer) in->q), in->sum);                            \
                    sum[j] = _mm256_fmadd_ps (_mm256_set1_ps (d * in->d), _mm256_cvtepi32_ps (p), sum[j]);                                 \
                  }                                                                                                                        \
              }                                                                                                                            \
          for (guint j = 0; j < rows; j++)                                                                                                 \
            y[(r + j) * y_stride + n] = sum_f256 (sum[j]);                                                                                 \
        }                                                                                                                                  \
  }

QUANT_MATMUL (matmul_q8_0, load_q8, DOT_Q8, 34)
QUANT_MATMUL (matmul_q4_0, load_q4, DOT_Q4, 18)

#define SIMD_KERNELS(kernels_name)                                                                                                         \
  {                                                                                                                                        \
    .name = kernels_name, .usable = usable, .f32 = { matmul_f32, FALSE }, .f16 = { matmul_f16, FALSE }, .q8_0 = { matmul_q8_0, TRUE },     \
    .q4_0 = { matmul_q4_0, TRUE }, .dot_f32 = dot_f32, .dot_f16 = dot_f16, .axpy_f32 = axpy_f32, .axpy_f16 = axpy_f16,                     \
    .quantise = quantise, .to_half = to_half, .noise = 0.08,                                                                               \
  }
