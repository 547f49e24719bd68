/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SIMD kernels, written once and included by one file per instruction set, which defines:
 *   VF, VF_LANES, VF_ZERO, VF_LOAD(p), VF_LOAD_HALF(p), VF_FMA(a, b, c) = a * b + c, VF_SET1(f),
 *   VF_STORE(p, v), VF_SUM(v): float vectors;
 *   DOT_Q8(w, x, start), DOT_Q4(w, x, start): 8 x int32 of start + w . x, 32 of each; w is int8, or 0..15;
 *   DOT_U8(w, x): the same without start, w as in unpack.h.
 *
 * Rounding: float sums run in VF_LANES lanes with fused multiply-add; quantised kernels round the
 * inputs to 8 bits per block of 32 (the error llm_device_noise() states).
 */
#include "compute/cpu/simd.h"
#include "compute/cpu/unpack-kernels.h"

/* ---- products: a tile of n_w weight rows and n_x input rows at a time ---- */

/* Few input rows: four weight rows, to read four streams. Many: the weights of a piece stay in the L2 cache while
 * each four input rows pass. Every sum runs over its own row in the same order in every tile. */
#define TILES(name)                                                                                                                        \
  static void name (const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y,             \
                    gsize y_stride)                                                                                                        \
  {                                                                                                                                        \
    for (guint r = 0; r < n_x; r += 4)                                                                                                     \
      {                                                                                                                                    \
        const guint8 *in = x + r * x_stride;                                                                                               \
        float *out = y + r * y_stride;                                                                                                     \
        guint n = 0;                                                                                                                       \
                                                                                                                                           \
        switch (n_x - r)                                                                                                                   \
          {                                                                                                                                \
          case 1:                                                                                                                          \
            for (; n + 4 <= n_w; n += 4)                                                                                                   \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 4, 1);                                          \
            for (; n < n_w; n++)                                                                                                           \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 1, 1);                                          \
            break;                                                                                                                         \
          case 2:                                                                                                                          \
            for (; n + 2 <= n_w; n += 2)                                                                                                   \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 2, 2);                                          \
            for (; n < n_w; n++)                                                                                                           \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 1, 2);                                          \
            break;                                                                                                                         \
          case 3:                                                                                                                          \
            for (; n + 2 <= n_w; n += 2)                                                                                                   \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 2, 3);                                          \
            for (; n < n_w; n++)                                                                                                           \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 1, 3);                                          \
            break;                                                                                                                         \
          default:                                                                                                                         \
            for (; n + 2 <= n_w; n += 2)                                                                                                   \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 2, 4);                                          \
            for (; n < n_w; n++)                                                                                                           \
              name##_tile (w + n * w_stride, w_stride, in, x_stride, k, out + n, y_stride, 1, 4);                                          \
            break;                                                                                                                         \
          }                                                                                                                                \
      }                                                                                                                                    \
  }

#define FLOAT_MATMUL(name, load, load_one, elem_bytes)                                                                                     \
  static ALWAYS_INLINE void name##_tile (const guint8 *w, gsize w_stride, const guint8 *x, gsize x_stride, guint k, float *y,              \
                                         gsize y_stride, const guint n_w, const guint n_x)                                                 \
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
          UNROLL                                                                                                                           \
          for (guint r = 0; r < n_x; r++)                                                                                                  \
            sum[n][r] = VF_FMA (VF_LOAD (x + r * x_stride + (gsize) i * 4), weight, sum[n][r]);                                            \
        }                                                                                                                                  \
    UNROLL                                                                                                                                 \
    for (guint n = 0; n < n_w; n++)                                                                                                        \
      UNROLL                                                                                                                               \
      for (guint r = 0; r < n_x; r++)                                                                                                      \
        {                                                                                                                                  \
          float rest = 0;                                                                                                                  \
                                                                                                                                           \
          for (guint j = i; j < k; j++)                                                                                                    \
            rest = fmaf (float_at (x + r * x_stride + (gsize) j * 4), load_one (w + n * w_stride + (gsize) j * (elem_bytes)), rest);       \
          y[r * y_stride + n] = VF_SUM (sum[n][r]) + rest;                                                                                 \
        }                                                                                                                                  \
  }                                                                                                                                        \
  TILES (name)

FLOAT_MATMUL (matmul_f32, VF_LOAD, float_at, 4)
FLOAT_MATMUL (matmul_f16, VF_LOAD_HALF, half_at, 2)
FLOAT_MATMUL (matmul_bf16, VF_LOAD_BF16, bf16_at, 2)

/* ---- quantised weights: y = sum over blocks of (w.d * x.d) * (w.q . x.q) ---- */

static void
quantise (const float *x, LlmQ8Block *out, guint k)
{
  const __m256 sign = _mm256_set1_ps (-0.0f);

  for (guint b = 0; b < k / 32; b++, x += 32, out++)
    {
      __m256 v[4], top = _mm256_setzero_ps ();
      __m256i q[4], sum;
      __m128 half;
      float max, inverse;
      gint32 lanes[8];
      float halves[2] = { 0, 0 };

      for (int i = 0; i < 4; i++)
        {
          v[i] = _mm256_loadu_ps (x + 8 * i);
          top = _mm256_max_ps (top, _mm256_andnot_ps (sign, v[i]));
        }
      half = _mm_max_ps (_mm256_castps256_ps128 (top), _mm256_extractf128_ps (top, 1));
      half = _mm_max_ps (half, _mm_movehl_ps (half, half));
      max = _mm_cvtss_f32 (_mm_max_ss (half, _mm_movehdup_ps (half)));
      out->d = max / 127;
      inverse = max > 0 ? 127 / max : 0;
      for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32 (_mm256_mul_ps (v[i], _mm256_set1_ps (inverse)));
      sum = _mm256_hadd_epi32 (_mm256_add_epi32 (q[0], q[1]), _mm256_add_epi32 (q[2], q[3])); /* two of the one, two of the other, twice */
      _mm256_storeu_si256 ((__m256i *) (gpointer) lanes, sum);
      for (int i = 0; i < 8; i++)
        halves[i / 2 % 2] += (float) lanes[i];
      out->minus_8_sum = -8 * (gint32) (halves[0] + halves[1]);
      out->sum[0] = out->d * halves[0];
      out->sum[1] = out->d * halves[1];
      q[0] = _mm256_packs_epi16 (_mm256_packs_epi32 (q[0], q[1]), _mm256_packs_epi32 (q[2], q[3])); /* in turns of 4 from each half */
      _mm256_storeu_si256 ((__m256i *) (gpointer) out->q, _mm256_permutevar8x32_epi32 (q[0], _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7)));
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

#define START_Q8(in) _mm256_setzero_si256 ()
#define START_Q4(in) _mm256_zextsi128_si256 (_mm_cvtsi32_si128 ((in)->minus_8_sum))

/* both halves' sums as one number */
static inline gint64
sums_of (const LlmQ8Block *in)
{
  gint64 both;

  memcpy (&both, in->sum, sizeof both);
  return both;
}

#define QUANT_MATMUL(name, load, dot, start, block_bytes)                                                                                  \
  static ALWAYS_INLINE void name##_tile (const guint8 *w, gsize w_stride, const guint8 *x, gsize x_stride, guint k, float *y,              \
                                         gsize y_stride, const guint n_w, const guint n_x)                                                 \
  {                                                                                                                                        \
    __m256 sum[4][4];                                                                                                                      \
                                                                                                                                           \
    UNROLL                                                                                                                                 \
    for (guint n = 0; n < n_w; n++)                                                                                                        \
      UNROLL                                                                                                                               \
      for (guint r = 0; r < n_x; r++)                                                                                                      \
        sum[n][r] = _mm256_setzero_ps ();                                                                                                  \
    for (guint b = 0; b < k / 32; b++, w += (block_bytes), x += sizeof (LlmQ8Block))                                                       \
      UNROLL                                                                                                                               \
      for (guint n = 0; n < n_w; n++)                                                                                                      \
        {                                                                                                                                  \
          __m256i q = load (w + n * w_stride);                                                                                             \
          __m256 d = _mm256_set1_ps (half_at (w + n * w_stride));                                                                          \
                                                                                                                                           \
          UNROLL                                                                                                                           \
          for (guint r = 0; r < n_x; r++)                                                                                                  \
            {                                                                                                                              \
              const LlmQ8Block *in = (const LlmQ8Block *) (gconstpointer) (x + r * x_stride);                                              \
              __m256i p = dot (q, _mm256_loadu_si256 ((const __m256i *) (gconstpointer) in->q), start (in));                               \
                                                                                                                                           \
              sum[n][r] = _mm256_fmadd_ps (_mm256_mul_ps (d, _mm256_set1_ps (in->d)), _mm256_cvtepi32_ps (p), sum[n][r]);                  \
            }                                                                                                                              \
        }                                                                                                                                  \
    UNROLL                                                                                                                                 \
    for (guint n = 0; n < n_w; n++)                                                                                                        \
      UNROLL                                                                                                                               \
      for (guint r = 0; r < n_x; r++)                                                                                                      \
        y[r * y_stride + n] = sum_f256 (sum[n][r]);                                                                                        \
  }                                                                                                                                        \
  TILES (name)

QUANT_MATMUL (matmul_q8_0, load_q8, DOT_Q8, START_Q8, 34)
QUANT_MATMUL (matmul_q4_0, load_q4, DOT_Q4, START_Q4, 18)

/* ---- weights in the form of unpack.h: y = sum over blocks of scale (q . x.q) x.d - offset x.sum ---- */

static ALWAYS_INLINE void
matmul_unpacked_tile (const guint8 *w, gsize w_stride, const guint8 *x, gsize x_stride, guint k, float *y, gsize y_stride, const guint n_w, const guint n_x)
{
  const __m256i halves = _mm256_setr_epi32 (0, 0, 0, 0, 1, 1, 1, 1);
  __m256 sum[4][4];

  UNROLL
  for (guint n = 0; n < n_w; n++)
    UNROLL
    for (guint r = 0; r < n_x; r++)
      sum[n][r] = _mm256_setzero_ps ();
  for (guint b = 0; b < k / 32; b++, w += sizeof (LlmUnpackedBlock), x += sizeof (LlmQ8Block))
    UNROLL
    for (guint r = 0; r < n_x; r++)
      {
        const LlmQ8Block *in = (const LlmQ8Block *) (gconstpointer) (x + r * x_stride);
        __m256i q = _mm256_loadu_si256 ((const __m256i *) (gconstpointer) in->q);
        __m256 d = _mm256_set1_ps (in->d), s = _mm256_permutevar8x32_ps (_mm256_castsi256_ps (_mm256_set1_epi64x (sums_of (in))), halves);

        UNROLL
        for (guint n = 0; n < n_w; n++)
          {
            const LlmUnpackedBlock *block = (const LlmUnpackedBlock *) (gconstpointer) (w + n * w_stride);
            __m256i p = DOT_U8 (_mm256_loadu_si256 ((const __m256i *) (gconstpointer) block->q), q);

            sum[n][r] = _mm256_fmadd_ps (_mm256_mul_ps (_mm256_loadu_ps (block->scale), d), _mm256_cvtepi32_ps (p), sum[n][r]);
            sum[n][r] = _mm256_fnmadd_ps (_mm256_loadu_ps (block->offset), s, sum[n][r]);
          }
      }
  UNROLL
  for (guint n = 0; n < n_w; n++)
    UNROLL
    for (guint r = 0; r < n_x; r++)
      y[r * y_stride + n] = sum_f256 (sum[n][r]);
}

TILES (matmul_unpacked)

#define SIMD_KERNELS(kernels_name)                                                                                                         \
  {                                                                                                                                        \
    .name = kernels_name, .usable = usable, .f32 = { matmul_f32, FALSE }, .f16 = { matmul_f16, FALSE }, .q8_0 = { matmul_q8_0, TRUE },     \
    .q4_0 = { matmul_q4_0, TRUE }, .dots_f32 = dots_f32, .dots_f16 = dots_f16, .mix_f32 = mix_f32, .mix_f16 = mix_f16,                     \
    .quantise = quantise, .find_unpack = find_unpack, .unpacked = matmul_unpacked, .bf16 = { matmul_bf16, FALSE },     \
    ROW_KERNELS, .noise = 0.08,                                                                                                                         \
  }
