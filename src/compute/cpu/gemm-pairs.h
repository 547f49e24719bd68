/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many input rows with AVX2 alone: vpmaddubsw adds two products in 16 bits.  Where codes are short, several such pairs are
 * added before they are widened: @depth pairs of |code| * 127 stay below 2^15.  Lanes are input rows, as in gemm-vnni.h.
 */

/* Where codes are signed bytes, the input takes their sign: |-128| is an unsigned byte, |x| <= 127 has either sign. */
static ALWAYS_INLINE __m256i
pairs_of (__m256i word, __m256i in, const gboolean wide)
{
  return wide ? _mm256_maddubs_epi16 (_mm256_abs_epi8 (word), _mm256_sign_epi8 (in, word)) : _mm256_maddubs_epi16 (word, in);
}

static ALWAYS_INLINE gconstpointer
half_tile (const LlmQ8Lanes *x, gsize x_stride, guint half, gsize member)
{
  return (const guint8 *) (x + half / 2 * x_stride) + member + half % 2 * 32;
}

/* Else gcc 12 adds last, and keeps all products on the stack. */
#define IN_ORDER(v) __asm__ volatile ("" : "+x"(v))
#define PAIRS_OF(name) half_tile (inputs, x_stride, half + r, offsetof (LlmQ8Lanes, name))

static ALWAYS_INLINE void
gemm_pairs_tile (const LlmUnpacked *w, gsize w_stride, const LlmQ8Lanes *x, gsize x_stride, guint half, guint n_blocks, float *acc, gsize acc_stride,
                 const guint group, const guint depth, const gboolean wide, const guint n_w, const guint n_x)
{
  const __m256i ones = _mm256_set1_epi16 (1);
  __m256 sum[4][2];

  UNROLL_8
  for (guint n = 0; n < n_w; n++)
    UNROLL_8
    for (guint r = 0; r < n_x; r++)
      sum[n][r] = _mm256_loadu_ps (acc + n * acc_stride + 8 * r);
  for (guint b = 0; b < n_blocks; b++)
    {
      const LlmUnpacked *weights = w + b / 8 * w_stride;
      const LlmQ8Lanes *inputs = x + b / 8;
      guint at = b % 8;
      __m256 block[4][2];

      UNROLL_8
      for (guint g = 0; g < 32 / group; g++)
        {
          guint pair = 2 * at + g;
          __m256i part[4][2], pairs[4][2];

          UNROLL_8
          for (guint i = 0; i < group / 4; i++)
            {
              __m256i in[2];

              UNROLL_8
              for (guint r = 0; r < n_x; r++)
                in[r] = load_32 (PAIRS_OF (q[8 * at + group / 4 * g + i]));
              UNROLL_8
              for (guint n = 0; n < n_w; n++)
                {
                  __m256i word = _mm256_set1_epi32 ((int) word_at (weights[n].q + 32 * at + group * g + 4 * i));

                  UNROLL_8
                  for (guint r = 0; r < n_x; r++)
                    {
                      __m256i p = pairs_of (word, in[r], wide);

                      pairs[n][r] = i % depth == 0 ? p : _mm256_add_epi16 (pairs[n][r], p);
                      if (depth > 1)
                        IN_ORDER (pairs[n][r]);
                      if (i % depth < depth - 1)
                        continue;
                      p = _mm256_madd_epi16 (pairs[n][r], ones);
                      part[n][r] = i < depth ? p : _mm256_add_epi32 (part[n][r], p);
                      if (i >= depth)
                        IN_ORDER (part[n][r]);
                    }
                }
            }
          UNROLL_8
          for (guint n = 0; n < n_w; n++)
            UNROLL_8
            for (guint r = 0; r < n_x; r++)
              {
                __m256 scale = _mm256_set1_ps (weights[n].scale[pair]), p = _mm256_cvtepi32_ps (part[n][r]);

                block[n][r] = g == 0 ? _mm256_mul_ps (p, scale) : _mm256_fmadd_ps (p, scale, block[n][r]);
              }
          UNROLL_8
          for (guint r = 0; r < n_x && !wide; r++)
            {
              __m256i count = load_32 (PAIRS_OF (minus_count[pair]));
              __m256 minus_sum;

              if (group == 32)
                count = _mm256_add_epi32 (count, load_32 (PAIRS_OF (minus_count[pair + 1])));
              minus_sum = _mm256_cvtepi32_ps (count);
              UNROLL_8
              for (guint n = 0; n < n_w; n++)
                block[n][r] = _mm256_fmadd_ps (minus_sum, _mm256_set1_ps (weights[n].offset[pair]), block[n][r]);
            }
        }
      UNROLL_8
      for (guint r = 0; r < n_x; r++)
        {
          __m256 d = _mm256_loadu_ps (PAIRS_OF (d[at]));

          UNROLL_8
          for (guint n = 0; n < n_w; n++)
            sum[n][r] = _mm256_fmadd_ps (block[n][r], d, sum[n][r]);
        }
    }
  UNROLL_8
  for (guint n = 0; n < n_w; n++)
    UNROLL_8
    for (guint r = 0; r < n_x; r++)
      _mm256_storeu_ps (acc + n * acc_stride + 8 * r, sum[n][r]);
}

/* The tiles of a panel, the last columns of input rows in half a tile where 8 or fewer are left. */
#define GEMM_PAIRS(name, group, depth, wide)                                                                                               \
  static void gemm_##name (const LlmUnpacked *w, gsize w_stride, guint n_w, const LlmQ8Lanes *x, gsize x_stride, guint n_x,                \
                           guint n_blocks, float *acc, gsize acc_stride)                                                                   \
  {                                                                                                                                        \
    for (guint r = 0; r < n_x; r += 16)                                                                                                    \
      if (n_x - r > 8)                                                                                                                     \
        for (guint n = 0; n < n_w; n += 2)                                                                                                 \
          gemm_pairs_tile (w + n, w_stride, x, x_stride, r / 8, n_blocks, acc + n * acc_stride + r, acc_stride, group, depth, wide, 2, 2); \
      else                                                                                                                                 \
        for (guint n = 0; n < n_w; n += 4)                                                                                                 \
          gemm_pairs_tile (w + n, w_stride, x, x_stride, r / 8, n_blocks, acc + n * acc_stride + r, acc_stride, group, depth, wide, 4, 1); \
  }
