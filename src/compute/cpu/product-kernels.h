/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The products of one instruction set, put together.  The file that includes this has defined:
 *   VF, VF_LANES, VF_ZERO, VF_LOAD(p), VF_LOAD_HALF(p), VF_LOAD_BF16(p), VF_FMA(a, b, c) = a * b + c, VF_SUM(v): float vectors;
 *   DOT_UNSIGNED(q, x), DOT_WIDE(q, x): 8 x int32 of 32 codes times 32 inputs, the codes 0..127 (vpdpbusd: 0..255) or signed;
 *   PANEL_CODES(q), PANEL_ZERO: how signed codes stand in an LlmUnpacked;
 *   GEMM_OF(type): the kernel of gemm-*.h that multiplies its panels.
 *
 * Rounding: float sums run in lanes with fused multiply-add; inputs of quantised products are rounded to 8 bits per
 * block of 32 (the error llm_device_noise() states).
 */
#include "compute/cpu/gemv.h"

/* ---- floats: a tile of weight rows and input rows ---- */

/* Few input rows: four weight rows, to read four streams.  Many: the weights of a piece stay in the L2 cache while
 * each four input rows pass.  Every sum runs over its own row in the same order in every tile. */
#define FLOAT_PRODUCT(name, load, load_one, elem_bytes)                                                                                    \
  static ALWAYS_INLINE void name##_tile (const guint8 *w, gsize w_stride, const float *const *x, guint k, float *const *y, gsize at,       \
                                         const guint n_w, const guint n_x)                                                                 \
  {                                                                                                                                        \
    VF sum[4][4];                                                                                                                          \
    guint i;                                                                                                                               \
                                                                                                                                           \
    UNROLL                                                                                                                                 \
    for (guint n = 0; n < n_w; n++)                                                                                                        \
      UNROLL                                                                                                                               \
      for (guint r = 0; r < n_x; r++)                                                                                                      \
        sum[n][r] = VF_ZERO;                                                                                                               \
    for (i = 0; i + VF_LANES <= k; i += VF_LANES)                                                                                          \
      UNROLL                                                                                                                               \
      for (guint n = 0; n < n_w; n++)                                                                                                      \
        {                                                                                                                                  \
          VF weight = load (w + n * w_stride + (gsize) i * (elem_bytes));                                                                  \
                                                                                                                                           \
          if (i * (elem_bytes) % 64 == 0)                                                                                                  \
            prefetch_beside (w + n * w_stride + (gsize) i * (elem_bytes));                                                               \
          UNROLL                                                                                                                           \
          for (guint r = 0; r < n_x; r++)                                                                                                  \
            sum[n][r] = VF_FMA (VF_LOAD (x[r] + i), weight, sum[n][r]);                                                                    \
        }                                                                                                                                  \
    UNROLL                                                                                                                                 \
    for (guint n = 0; n < n_w; n++)                                                                                                        \
      UNROLL                                                                                                                               \
      for (guint r = 0; r < n_x; r++)                                                                                                      \
        {                                                                                                                                  \
          float rest = 0;                                                                                                                  \
                                                                                                                                           \
          for (guint j = i; j < k; j++)                                                                                                    \
            rest = fmaf (x[r][j], load_one (w + n * w_stride + (gsize) j * (elem_bytes)), rest);                                           \
          y[r][at + n] = VF_SUM (sum[n][r]) + rest;                                                                                        \
        }                                                                                                                                  \
  }                                                                                                                                        \
                                                                                                                                           \
  static ALWAYS_INLINE void name##_rows (const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint k, float *const *y,      \
                                         gsize first, const guint step, const guint n_x)                                                   \
  {                                                                                                                                        \
    guint n = 0;                                                                                                                           \
                                                                                                                                           \
    for (; n + step <= n_w; n += step)                                                                                                     \
      name##_tile (w + n * w_stride, w_stride, x, k, y, first + n, step, n_x);                                                             \
    for (; n < n_w; n++)                                                                                                                   \
      name##_tile (w + n * w_stride, w_stride, x, k, y, first + n, 1, n_x);                                                                \
  }                                                                                                                                        \
                                                                                                                                           \
  static void name (const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y, gsize first)   \
  {                                                                                                                                        \
    guint r = 0;                                                                                                                           \
                                                                                                                                           \
    for (; r + 4 <= n_x; r += 4)                                                                                                           \
      name##_rows (w, w_stride, n_w, x + r, k, y + r, first, 2, 4);                                                                        \
    if (n_x - r == 3)                                                                                                                      \
      name##_rows (w, w_stride, n_w, x + r, k, y + r, first, 2, 3);                                                                        \
    else if (n_x - r == 2)                                                                                                                 \
      name##_rows (w, w_stride, n_w, x + r, k, y + r, first, 2, 2);                                                                        \
    else if (n_x - r == 1)                                                                                                                 \
      name##_rows (w, w_stride, n_w, x + r, k, y + r, first, 4, 1);                                                                        \
  }

FLOAT_PRODUCT (product_f32, VF_LOAD, float_at, 4)
FLOAT_PRODUCT (product_f16, VF_LOAD_HALF, half_at, 2)
FLOAT_PRODUCT (product_bf16, VF_LOAD_BF16, bf16_at, 2)

/* ---- inputs ---- */

static ALWAYS_INLINE float
largest_of (__m256 v)
{
  __m128 half = _mm_max_ps (_mm256_castps256_ps128 (v), _mm256_extractf128_ps (v, 1));

  half = _mm_max_ps (half, _mm_movehl_ps (half, half));
  return _mm_cvtss_f32 (_mm_max_ss (half, _mm_movehdup_ps (half)));
}

/* Columns 32 @b to 32 @b + 31 of a chunk */
static ALWAYS_INLINE void
quantise_block (const float *x, LlmQ8Chunk *out, guint b)
{
  const __m256 sign = _mm256_set1_ps (-0.0f);
  const __m256i ones = _mm256_set1_epi8 (1);
  __m256 v[4], top = _mm256_setzero_ps ();
  __m256i q[4], codes, pairs;
  __m128i half;
  float max, inverse;

  for (int i = 0; i < 4; i++)
    {
      v[i] = _mm256_loadu_ps (x + 8 * i);
      top = _mm256_max_ps (top, _mm256_andnot_ps (sign, v[i]));
    }
  max = largest_of (top);
  inverse = max > 1e-30f ? 127 / max : 0; /* less is nothing: 127 / max would overflow */
  out->d[b] = max > 1e-30f ? max / 127 : 0;
  for (int i = 0; i < 4; i++)
    q[i] = _mm256_cvtps_epi32 (_mm256_mul_ps (v[i], _mm256_set1_ps (inverse)));
  codes = _mm256_packs_epi16 (_mm256_packs_epi32 (q[0], q[1]), _mm256_packs_epi32 (q[2], q[3])); /* in turns of 4 from each half */
  codes = _mm256_permutevar8x32_epi32 (codes, _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7));
  store_32 ((guint8 *) out->q + 32 * b, codes);
  pairs = _mm256_madd_epi16 (_mm256_maddubs_epi16 (ones, codes), _mm256_set1_epi16 (1)); /* sums of 4 */
  for (int i = 0; i < 2; i++)
    {
      half = i == 0 ? _mm256_castsi256_si128 (pairs) : _mm256_extracti128_si256 (pairs, 1);
      half = _mm_add_epi32 (half, _mm_shuffle_epi32 (half, 0x4e));
      out->count[2 * b + i] = (gint16) (_mm_cvtsi128_si32 (half) + _mm_extract_epi32 (half, 1));
      out->sum[2 * b + i] = out->d[b] * (float) out->count[2 * b + i];
    }
  out->sum_32[b] = out->d[b] * (float) (out->count[2 * b] + out->count[2 * b + 1]);
}

static void
quantise (const float *x, LlmQ8Chunk *out, guint k)
{
  for (; k > 0; out++, x += LLM_CHUNK, k -= MIN (k, LLM_CHUNK))
    {
      if (k < LLM_CHUNK)
        memset (out, 0, sizeof *out);
      for (guint b = 0; b < MIN (k, LLM_CHUNK) / 32; b++)
        quantise_block (x + 32 * b, out, b);
    }
}

/* ---- types ---- */

GEMV (q4_0, BLOCKS, 32, 18, 32, FALSE)
GEMV (q4_1, BLOCKS, 32, 20, 32, FALSE)
GEMV (q5_0, BLOCKS, 32, 22, 32, FALSE)
GEMV (q5_1, BLOCKS, 32, 24, 32, FALSE)
GEMV (q8_0, BLOCKS, 32, 34, 32, TRUE)
GEMV (iq4_nl, BLOCKS, 32, 18, 32, TRUE)
GEMV (mxfp4, BLOCKS, 32, 17, 32, FALSE)
GEMV (q2_k, BLOCKS, 256, 84, 16, FALSE)
GEMV (q3_k, BLOCKS, 256, 110, 16, FALSE)
GEMV (q4_k, BLOCKS, 256, 144, 32, FALSE)
GEMV (q5_k, BLOCKS, 256, 176, 32, FALSE)
GEMV (q6_k, BLOCKS, 256, 210, 16, FALSE)
GEMV (iq4_xs, BLOCKS, 256, 136, 32, TRUE)
GEMV (tq1_0, BLOCKS, 256, 54, 32, FALSE)
GEMV (tq2_0, BLOCKS, 256, 66, 32, FALSE)
GEMV (iq1_s, BOOK, 256, 50, 32, FALSE)
GEMV (iq1_m, BOOK, 256, 56, 16, FALSE)
GEMV (iq2_xxs, BOOK, 256, 66, 32, FALSE)
GEMV (iq2_xs, BOOK, 256, 74, 16, FALSE)
GEMV (iq2_s, BOOK, 256, 82, 16, FALSE)
GEMV (iq3_xxs, BOOK, 256, 98, 32, FALSE)
GEMV (iq3_s, BOOK, 256, 110, 32, FALSE)

#define CODED(id, type, is_wide) { LLM_DTYPE_##id, is_wide, type##_gemv, type##_unpack, GEMM_OF (type) }

static const LlmCodedType coded_types[] = {
  CODED (Q4_0, q4_0, FALSE), CODED (Q4_1, q4_1, FALSE), CODED (Q5_0, q5_0, FALSE), CODED (Q5_1, q5_1, FALSE),
  CODED (Q8_0, q8_0, PANEL_ZERO == 0), CODED (IQ4_NL, iq4_nl, PANEL_ZERO == 0), CODED (MXFP4, mxfp4, FALSE),
  CODED (Q2_K, q2_k, FALSE), CODED (Q3_K, q3_k, FALSE), CODED (Q4_K, q4_k, FALSE), CODED (Q5_K, q5_k, FALSE),
  CODED (Q6_K, q6_k, FALSE), CODED (IQ4_XS, iq4_xs, PANEL_ZERO == 0), CODED (TQ1_0, tq1_0, FALSE), CODED (TQ2_0, tq2_0, FALSE),
  CODED (IQ1_S, iq1_s, FALSE), CODED (IQ1_M, iq1_m, FALSE), CODED (IQ2_XXS, iq2_xxs, FALSE), CODED (IQ2_XS, iq2_xs, FALSE),
  CODED (IQ2_S, iq2_s, FALSE), CODED (IQ3_XXS, iq3_xxs, FALSE), CODED (IQ3_S, iq3_s, FALSE),
};

static const LlmCodedType *
find_coded (guint32 dtype)
{
  for (gsize i = 0; i < G_N_ELEMENTS (coded_types); i++)
    if (coded_types[i].dtype == dtype)
      return &coded_types[i];
  return NULL;
}

/* ---- out of the lanes ---- */

/* y[r][first + n] = acc[n * stride + r] */
static void
store_lanes (const float *acc, gsize stride, guint n_w, guint n_x, float *const *y, gsize first)
{
  guint n = 0;

  for (; n + 4 <= n_w; n += 4)
    for (guint r = 0; r < n_x; r += 4)
      {
        __m128 v[4];

        for (int i = 0; i < 4; i++)
          v[i] = _mm_loadu_ps (acc + (n + i) * stride + r);
        _MM_TRANSPOSE4_PS (v[0], v[1], v[2], v[3]);
        for (guint i = 0; i < MIN (4, n_x - r); i++)
          _mm_storeu_ps (y[r + i] + first + n, v[i]);
      }
  for (; n < n_w; n++)
    for (guint r = 0; r < n_x; r++)
      y[r][first + n] = acc[n * stride + r];
}

#define PRODUCT_KERNELS                                                                                                                    \
  .f32 = product_f32, .f16 = product_f16, .bf16 = product_bf16, .coded = find_coded, .quantise = quantise, .store_lanes = store_lanes
