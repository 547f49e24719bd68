/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The attention kernels, written once over the float vectors (VF...) of the instruction set that
 * includes them: scores of query rows with the keys of a page, softmax, the sum of its values.
 *
 * Lanes are columns of a head.  A score is a sum of VF_LANES partial sums, added by halves (lane i
 * and i + L/2, then i and i + L/4, ...), four keys at a time; a sum of values runs over the keys in
 * order.  So a row has the same bits alone and in a tile with others.
 */
#include "compute/cpu/vector-math.h"

#if VF_LANES == 16
#define VF_LOAD_INT8(p) _mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (p))))
#define MIX_ROWS 4 /* with 4 vectors of columns: 16 of 32 registers */

/* The lanes of four vectors added up to four lanes each, one vector after the other. */
static ALWAYS_INLINE VF
fold_four (VF a, VF b, VF c, VF d)
{
  VF x = _mm512_shuffle_f32x4 (a, b, 0x44) + _mm512_shuffle_f32x4 (a, b, 0xee), y = _mm512_shuffle_f32x4 (c, d, 0x44) + _mm512_shuffle_f32x4 (c, d, 0xee);

  return _mm512_shuffle_f32x4 (x, y, 0x88) + _mm512_shuffle_f32x4 (x, y, 0xdd);
}

/* What fold_four() left, of VF_LANES keys: the sums. */
static ALWAYS_INLINE VF
fold_rest (const VF *f)
{
  const __m512i in_turns = _mm512_setr_epi32 (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  VF x = _mm512_shuffle_ps (f[0], f[1], 0x44) + _mm512_shuffle_ps (f[0], f[1], 0xee);
  VF y = _mm512_shuffle_ps (f[2], f[3], 0x44) + _mm512_shuffle_ps (f[2], f[3], 0xee);

  return _mm512_permutexvar_ps (in_turns, _mm512_shuffle_ps (x, y, 0x88) + _mm512_shuffle_ps (x, y, 0xdd));
}
#else
#define VF_LOAD_INT8(p) _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const __m128i *) (gconstpointer) (p))))
#define MIX_ROWS 2 /* 8 of 16 registers */

static ALWAYS_INLINE VF
fold_four (VF a, VF b, VF c, VF d)
{
  VF x = _mm256_permute2f128_ps (a, b, 0x20) + _mm256_permute2f128_ps (a, b, 0x31), y = _mm256_permute2f128_ps (c, d, 0x20) + _mm256_permute2f128_ps (c, d, 0x31);

  return _mm256_shuffle_ps (x, y, 0x44) + _mm256_shuffle_ps (x, y, 0xee);
}

static ALWAYS_INLINE VF
fold_rest (const VF *f)
{
  const __m256i in_turns = _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7);

  return _mm256_permutevar8x32_ps (_mm256_shuffle_ps (f[0], f[1], 0x88) + _mm256_shuffle_ps (f[0], f[1], 0xdd), in_turns);
}
#endif

static ALWAYS_INLINE VF
load_half_up_to (const guint8 *p, gsize left)
{
  guint16 part[VF_LANES] = { 0 };

  if (left >= VF_LANES)
    return VF_LOAD_HALF (p);
  memcpy (part, p, left * sizeof *part);
  return VF_LOAD_HALF (part);
}

static ALWAYS_INLINE VF
load_float_up_to (const guint8 *p, gsize left)
{
  return load_up_to ((const float *) (gconstpointer) p, left);
}

static ALWAYS_INLINE VF
load_half (const guint8 *p)
{
  return VF_LOAD_HALF (p);
}

static ALWAYS_INLINE VF
load_float (const guint8 *p)
{
  return VF_LOAD ((const float *) (gconstpointer) p);
}

static ALWAYS_INLINE VF
capped (VF s, float cap)
{
  if (cap > 0)
    return VF_SET1 (cap) * vector_tanh (s / VF_SET1 (cap));
  return s;
}

#define KV_KERNELS(name, load, load_to, elem)                                                                                              \
  /* of @rows query rows with the keys k[0..3], not yet folded whole */                                                                    \
  static ALWAYS_INLINE void four_scores_##name (const float *q, gsize q_stride, const guint8 *const *k, guint dim, VF (*out)[VF_LANES / 4],  \
                                                const guint rows)                                                                          \
  {                                                                                                                                        \
    VF sum[MIX_ROWS][4], key[4];                                                                                                           \
    guint i = 0;                                                                                                                           \
                                                                                                                                           \
    UNROLL                                                                                                                                 \
    for (guint r = 0; r < rows; r++)                                                                                                       \
      sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = VF_ZERO;                                                                             \
    for (; i + VF_LANES <= dim; i += VF_LANES)                                                                                             \
      {                                                                                                                                    \
        UNROLL                                                                                                                             \
        for (guint t = 0; t < 4; t++)                                                                                                      \
          key[t] = load (k[t] + (gsize) i * (elem));                                                                                       \
        UNROLL                                                                                                                             \
        for (guint r = 0; r < rows; r++)                                                                                                   \
          UNROLL                                                                                                                           \
          for (guint t = 0; t < 4; t++)                                                                                                    \
            sum[r][t] = VF_FMA (VF_LOAD (q + r * q_stride + i), key[t], sum[r][t]);                                                        \
      }                                                                                                                                    \
    if (i < dim)                                                                                                                           \
      {                                                                                                                                    \
        UNROLL                                                                                                                             \
        for (guint t = 0; t < 4; t++)                                                                                                      \
          key[t] = load_to (k[t] + (gsize) i * (elem), dim - i);                                                                           \
        UNROLL                                                                                                                             \
        for (guint r = 0; r < rows; r++)                                                                                                   \
          UNROLL                                                                                                                           \
          for (guint t = 0; t < 4; t++)                                                                                                    \
            sum[r][t] = VF_FMA (VF_LOAD (q + r * q_stride + i), key[t], sum[r][t]);                                                        \
      }                                                                                                                                    \
    UNROLL                                                                                                                                 \
    for (guint r = 0; r < rows; r++)                                                                                                       \
      *out[r] = fold_four (sum[r][0], sum[r][1], sum[r][2], sum[r][3]);                                                                    \
  }                                                                                                                                        \
                                                                                                                                           \
  static ALWAYS_INLINE void scores_tile_##name (const LlmScores *s, const float *q, const guint8 *k, float *score, const guint rows)       \
  {                                                                                                                                        \
    for (guint t = 0; t < s->n; t += VF_LANES)                                                                                             \
      {                                                                                                                                    \
        VF folded[MIX_ROWS][VF_LANES / 4];                                                                                                 \
                                                                                                                                           \
        for (guint f = 0; f < VF_LANES / 4; f++)                                                                                           \
          {                                                                                                                                \
            const guint8 *key[4];                                                                                                          \
                                                                                                                                           \
            UNROLL                                                                                                                         \
            for (guint i = 0; i < 4; i++) /* beyond the end: the last one again */                                                         \
              key[i] = k + MIN (t + 4 * f + i, s->n - 1) * s->k_stride;                                                                    \
            four_scores_##name (q, s->q_stride, key, s->dim, (VF (*)[VF_LANES / 4]) &folded[0][f], rows);                                  \
          }                                                                                                                                \
        UNROLL                                                                                                                             \
        for (guint r = 0; r < rows; r++)                                                                                                   \
          VF_STORE (score + r * s->score_stride + t, capped (fold_rest (folded[r]) * VF_SET1 (s->scale), s->cap));                         \
      }                                                                                                                                    \
  }                                                                                                                                        \
                                                                                                                                           \
  static void scores_##name (const LlmScores *s, const float *q, const guint8 *k, float *score)                                            \
  {                                                                                                                                        \
    guint r = 0;                                                                                                                           \
                                                                                                                                           \
    for (; r + MIX_ROWS <= s->n_rows; r += MIX_ROWS)                                                                                       \
      scores_tile_##name (s, q + r * s->q_stride, k, score + r * s->score_stride, MIX_ROWS);                                               \
    if (MIX_ROWS > 2 && r + 2 <= s->n_rows)                                                                                                \
      {                                                                                                                                    \
        scores_tile_##name (s, q + r * s->q_stride, k, score + r * s->score_stride, 2);                                                    \
        r += 2;                                                                                                                            \
      }                                                                                                                                    \
    if (r < s->n_rows)                                                                                                                     \
      scores_tile_##name (s, q + r * s->q_stride, k, score + r * s->score_stride, 1);                                                      \
  }                                                                                                                                        \
                                                                                                                                           \
  /* @rows rows of y, the @vectors vectors of columns from @i on; the last of them is cut to @left columns in all */                       \
  static ALWAYS_INLINE void mix_tile_##name (const LlmMix *m, float *y, const float *a, const guint8 *v, gsize left, const guint rows,     \
                                             const guint vectors)                                                                          \
  {                                                                                                                                        \
    VF sum[MIX_ROWS][4], value[4];                                                                                                         \
                                                                                                                                           \
    UNROLL                                                                                                                                 \
    for (guint r = 0; r < rows; r++)                                                                                                       \
      UNROLL                                                                                                                               \
      for (guint j = 0; j < vectors; j++)                                                                                                  \
        sum[r][j] = VF_LOAD (y + r * m->y_stride + j * VF_LANES);                                                                          \
    for (guint t = 0; t < m->n; t++, v += m->v_stride)                                                                                     \
      {                                                                                                                                    \
        UNROLL                                                                                                                             \
        for (guint j = 0; j < vectors; j++)                                                                                                \
          value[j] = vectors > 1 ? load (v + (gsize) j * VF_LANES * (elem)) : load_to (v, left);                                           \
        UNROLL                                                                                                                             \
        for (guint r = 0; r < rows; r++)                                                                                                   \
          {                                                                                                                                \
            VF by = VF_SET1 (a[r * m->a_stride + t]);                                                                                      \
                                                                                                                                           \
            UNROLL                                                                                                                         \
            for (guint j = 0; j < vectors; j++)                                                                                            \
              sum[r][j] = VF_FMA (by, value[j], sum[r][j]);                                                                                \
          }                                                                                                                                \
      }                                                                                                                                    \
    UNROLL                                                                                                                                 \
    for (guint r = 0; r < rows; r++)                                                                                                       \
      UNROLL                                                                                                                               \
      for (guint j = 0; j < vectors; j++)                                                                                                  \
        VF_STORE (y + r * m->y_stride + j * VF_LANES, sum[r][j]);                                                                          \
  }                                                                                                                                        \
                                                                                                                                           \
  static ALWAYS_INLINE void mix_rows_##name (const LlmMix *m, float *y, const float *a, const guint8 *v, const guint rows)                 \
  {                                                                                                                                        \
    guint i = 0;                                                                                                                           \
                                                                                                                                           \
    for (; i + 4 * VF_LANES <= m->dim; i += 4 * VF_LANES)                                                                                  \
      mix_tile_##name (m, y + i, a, v + (gsize) i * (elem), 0, rows, 4);                                                                   \
    for (; i < m->dim; i += VF_LANES)                                                                                                      \
      mix_tile_##name (m, y + i, a, v + (gsize) i * (elem), m->dim - i, rows, 1);                                                          \
  }                                                                                                                                        \
                                                                                                                                           \
  static void mix_##name (const LlmMix *m, float *y, const float *a, const guint8 *v)                                                      \
  {                                                                                                                                        \
    guint r = 0;                                                                                                                           \
                                                                                                                                           \
    for (; r + MIX_ROWS <= m->n_rows; r += MIX_ROWS)                                                                                       \
      mix_rows_##name (m, y + r * m->y_stride, a + r * m->a_stride, v, MIX_ROWS);                                                          \
    if (MIX_ROWS > 2 && r + 2 <= m->n_rows)                                                                                                \
      {                                                                                                                                    \
        mix_rows_##name (m, y + r * m->y_stride, a + r * m->a_stride, v, 2);                                                               \
        r += 2;                                                                                                                            \
      }                                                                                                                                    \
    if (r < m->n_rows)                                                                                                                     \
      mix_rows_##name (m, y + r * m->y_stride, a + r * m->a_stride, v, 1);                                                                 \
  }

KV_KERNELS (f32, load_float, load_float_up_to, 4)
KV_KERNELS (f16, load_half, load_half_up_to, 2)

static void
expand_f16 (const guint8 *page, gsize stride, guint n, guint dim, float *out, gsize out_stride)
{
  for (guint t = 0; t < n; t++, page += stride, out += out_stride)
    for (guint i = 0; i < dim; i += VF_LANES)
      VF_STORE (out + i, load_half_up_to (page + 2 * (gsize) i, dim - i));
}

static void
expand_q8_0 (const guint8 *page, gsize stride, guint n, guint dim, float *out, gsize out_stride)
{
  for (guint t = 0; t < n; t++, page += stride, out += out_stride)
    for (guint b = 0; b < dim / 32; b++)
      {
        const guint8 *block = page + (gsize) b * 34;
        VF d = VF_SET1 (half_at (block));

        for (guint i = 0; i < 32; i += VF_LANES)
          VF_STORE (out + b * 32 + i, d * VF_LOAD_INT8 (block + 2 + i));
      }
}

/* Milakov & Gimelshein 2018: @n scores, a multiple of 16, become exp (score - max). */
static void
softmax_part (float *score, guint n, float *max, float *sum)
{
  VF top = VF_SET1 (-INFINITY), total = VF_ZERO;
  float lanes[VF_LANES];

  for (guint i = 0; i < n; i += VF_LANES)
    top = VF_MAX (top, VF_LOAD (score + i));
  VF_STORE (lanes, top);
  *max = lanes[0];
  for (guint i = 1; i < VF_LANES; i++)
    *max = MAX (*max, lanes[i]);
  top = VF_SET1 (*max);
  for (guint i = 0; i < n; i += VF_LANES)
    {
      VF p = vector_exp (VF_LOAD (score + i) - top);

      VF_STORE (score + i, p);
      total += p;
    }
  *sum = VF_SUM (total);
}

static void
exps (float *x, guint n)
{
  for (guint i = 0; i < n; i += VF_LANES)
    store_up_to (x + i, vector_exp (load_up_to (x + i, n - i)), n - i);
}

/* y = a y + b x */
static void
blend (float *y, float a, const float *x, float b, guint n)
{
  for (guint i = 0; i < n; i += VF_LANES)
    store_up_to (y + i, VF_FMA (VF_SET1 (b), load_up_to (x + i, n - i), VF_SET1 (a) * load_up_to (y + i, n - i)), n - i);
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

#define ATTENTION_KERNELS                                                                                                                  \
  .kv_f32 = { scores_f32, mix_f32, NULL }, .kv_f16 = { scores_f16, mix_f16, expand_f16 },                                             \
  .kv_q8_0 = { NULL, NULL, expand_q8_0 }, .softmax_part = softmax_part, .exps = exps, .blend = blend
