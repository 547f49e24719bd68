/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Few input rows: the codes of 32 weights are taken apart in a register and multiplied there and then with every input row.
 * Memory is the limit, so a row is read once, from its beginning to its end, with a prefetch ahead of it.
 *
 * A sum runs over eight lanes, block after block, in the same order for any number of rows.
 * Included after codes.h, once per instruction set, which defines DOT_UNSIGNED (q, x) and DOT_WIDE (q, x): 8 x int32 of 32 products.
 */
#pragma once

#include "compute/cpu/codes-books.h"

#define PREFETCH_AHEAD 4096 /* bytes */
#define GEMV_CHUNKS 4       /* whose scales are at hand at a time: read that far ahead of the codes */

/* Into the L1 cache. The address is a number: it may lie past the end. */
static inline void
prefetch_from (const guint8 *from, guint skip, guint bytes)
{
  for (guint i = 0; i < bytes; i += 64)
    _mm_prefetch ((const char *) ((guintptr) from + skip + i), _MM_HINT_T0);
}

/* Of rows that are read side by side: into the L2 cache. */
static inline void
prefetch_beside (const guint8 *from)
{
  _mm_prefetch ((const char *) ((guintptr) from + 1024), _MM_HINT_T1);
}

/* A scale for each lane: 32 columns share one, or 16 do. */
static ALWAYS_INLINE __m256
factor_at (const float *factor, guint b, const guint group)
{
  const __m256i halves = _mm256_setr_epi32 (0, 0, 0, 0, 1, 1, 1, 1);
  double both;

  if (group == 32)
    return _mm256_set1_ps (factor[b]);
  memcpy (&both, factor + 2 * b, sizeof both);
  return _mm256_permutevar8x32_ps (_mm256_castpd_ps (_mm256_set1_pd (both)), halves);
}

/* For every 16 columns, whatever the group. */
static ALWAYS_INLINE void
store_scales (const LlmScales *s, LlmUnpacked *out, const guint group, const gboolean wide)
{
  const __m256i low = _mm256_setr_epi32 (0, 0, 1, 1, 2, 2, 3, 3), high = _mm256_setr_epi32 (4, 4, 5, 5, 6, 6, 7, 7);
  __m256 scale[2] = { s->scale[0], s->scale[1] }, offset[2] = { s->offset[0], s->offset[1] };

  if (wide)
    offset[0] = _mm256_mul_ps (scale[0], _mm256_set1_ps (PANEL_ZERO));
  if (group == 32)
    {
      scale[1] = _mm256_permutevar8x32_ps (scale[0], high);
      scale[0] = _mm256_permutevar8x32_ps (scale[0], low);
      offset[1] = _mm256_permutevar8x32_ps (offset[0], high);
      offset[0] = _mm256_permutevar8x32_ps (offset[0], low);
    }
  for (int i = 0; i < 2; i++)
    {
      _mm256_storeu_ps (out->scale + 8 * i, scale[i]);
      _mm256_storeu_ps (out->offset + 8 * i, offset[i]);
    }
}

static ALWAYS_INLINE LlmScales
first_half (LlmScales s)
{
  s.scale[0] = _mm256_blend_ps (_mm256_setzero_ps (), s.scale[0], 15);
  s.offset[0] = _mm256_blend_ps (_mm256_setzero_ps (), s.offset[0], 15);
  return s;
}

/* The products of both sides' scales go to @factor; what the offsets take away comes back. */
static ALWAYS_INLINE __m256
start_chunk (const LlmScales *s, const LlmQ8Chunk *x, float *factor, const guint group)
{
  __m256 d = _mm256_loadu_ps (x->d), start = _mm256_setzero_ps ();

  if (group == 32)
    {
      _mm256_store_ps (factor, _mm256_mul_ps (s->scale[0], d));
      return s->has_offset ? _mm256_fnmadd_ps (s->offset[0], _mm256_loadu_ps (x->sum_32), start) : start;
    }
  _mm256_store_ps (factor, _mm256_mul_ps (s->scale[0], _mm256_permutevar8x32_ps (d, _mm256_setr_epi32 (0, 0, 1, 1, 2, 2, 3, 3))));
  _mm256_store_ps (factor + 8, _mm256_mul_ps (s->scale[1], _mm256_permutevar8x32_ps (d, _mm256_setr_epi32 (4, 4, 5, 5, 6, 6, 7, 7))));
  if (s->has_offset)
    {
      start = _mm256_fnmadd_ps (s->offset[0], _mm256_loadu_ps (x->sum), start);
      start = _mm256_fnmadd_ps (s->offset[1], _mm256_loadu_ps (x->sum + 8), start);
    }
  return start;
}

/* What type##_codes() reads: BLOCKS as they are, or the names of vectors in a BOOK (codes-books.h). */
#define BLOCKS_BOOK(type) NULL
#define BLOCKS_NAMES(type, w, names)
#define BLOCKS_CODES(type, w, book, names, b) type##_codes (w, b)
#define BOOK_BOOK(type) llm_codebook_get (type##_book)->values
#define BOOK_NAMES(type, w, names) type##_names (w, names)
#define BOOK_CODES(type, w, book, names, b) type##_codes (book, names, b)

#define GEMV(type, from, elems, bytes, group, is_wide)                                                                                     \
  /* The scales of some chunks, then their codes: what comes late is known when it is needed. */                                           \
  static ALWAYS_INLINE void type##_chunks (const guint8 *w, const gint8 *book, const LlmQ8Chunk *const *x, guint first, guint n_chunks,    \
                                           guint n_blocks, __m256 *sum, const guint n_x)                                                   \
  {                                                                                                                                        \
    LlmNames names[GEMV_CHUNKS] G_GNUC_UNUSED;                                                                                             \
    float factor[LLM_GEMV_ROWS][GEMV_CHUNKS][256 / group] __attribute__ ((aligned (32)));                                                  \
                                                                                                                                           \
    for (guint c = 0; c < n_chunks; c++)                                                                                                   \
      {                                                                                                                                    \
        LlmScales scales = type##_scales (w + c * (LLM_CHUNK / (elems) * (bytes)));                                                        \
                                                                                                                                           \
        from##_NAMES (type, w + c * (LLM_CHUNK / (elems) * (bytes)), &names[c]);                                                           \
        if (n_blocks == 4)                                                                                                                 \
          scales = first_half (scales);                                                                                                    \
                                                                                                                                           \
        UNROLL_8                                                                                                                           \
        for (guint r = 0; r < n_x; r++)                                                                                                    \
          sum[r] = _mm256_add_ps (sum[r], start_chunk (&scales, x[r] + first + c, factor[r][c], group));                                   \
      }                                                                                                                                    \
    __asm__ ("" : "+m"(factor)); /* to be broadcast by loads, not by shuffles of what was stored */                                        \
    for (guint c = 0; c < n_chunks; c++, w += LLM_CHUNK / (elems) * (bytes))                                                               \
      {                                                                                                                                    \
        __m256 chain[LLM_GEMV_ROWS];                                                                                                       \
                                                                                                                                           \
        prefetch_from (w, PREFETCH_AHEAD + GEMV_CHUNKS * LLM_CHUNK / (elems) * (bytes), LLM_CHUNK / (elems) * (bytes));                    \
        UNROLL_8                                                                                                                           \
        for (guint b = 0; b < n_blocks; b++)                                                                                               \
          {                                                                                                                                \
            __m256i q = from##_CODES (type, w, book, &names[c], b);                                                                        \
                                                                                                                                           \
            UNROLL_8                                                                                                                       \
            for (guint r = 0; r < n_x; r++)                                                                                                \
              {                                                                                                                            \
                __m256i in = load_32 ((const guint8 *) x[r][first + c].q + 32 * b), p = is_wide ? DOT_WIDE (q, in) : DOT_UNSIGNED (q, in); \
                __m256 f = factor_at (factor[r][c], b, group), v = _mm256_cvtepi32_ps (p);                                                 \
                                                                                                                                           \
                chain[r] = b % 4 == 0 ? _mm256_mul_ps (v, f) : _mm256_fmadd_ps (v, f, chain[r]);                                           \
                if (b % 4 == 3 || b + 1 == n_blocks)                                                                                       \
                  sum[r] = _mm256_add_ps (sum[r], chain[r]);                                                                               \
              }                                                                                                                            \
          }                                                                                                                                \
      }                                                                                                                                    \
  }                                                                                                                                        \
                                                                                                                                           \
  static ALWAYS_INLINE void type##_row (const guint8 *w, const gint8 *book, const LlmQ8Chunk *const *x, guint k, float *const *y, gsize at,\
                                        gboolean is_last, const guint n_x)                                                                 \
  {                                                                                                                                        \
    guint8 rest[LLM_CHUNK / (elems) * (bytes)];                                                                                            \
    guint n_chunks = k / LLM_CHUNK, n_rest = k % LLM_CHUNK;                                                                                \
    __m256 sum[LLM_GEMV_ROWS];                                                                                                             \
                                                                                                                                           \
    UNROLL_8                                                                                                                               \
    for (guint r = 0; r < n_x; r++)                                                                                                        \
      sum[r] = _mm256_setzero_ps ();                                                                                                       \
    for (guint c = 0; c < n_chunks; c += GEMV_CHUNKS)                                                                                      \
      type##_chunks (w + c * sizeof rest, book, x, c, MIN (GEMV_CHUNKS, n_chunks - c), LLM_CHUNK / 32, sum, n_x);                          \
    if ((elems) == 32 && n_rest == 128 && !is_last) /* as of 896 columns: what is read too far is the next row, and dropped */             \
      type##_chunks (w + n_chunks * sizeof rest, book, x, n_chunks, 1, 4, sum, n_x);                                                       \
    else if (n_rest > 0)                                                                                                                   \
      {                                                                                                                                    \
        memset (rest, 0, sizeof rest);                                                                                                     \
        memcpy (rest, w + n_chunks * sizeof rest, n_rest / (elems) * (bytes));                                                             \
        type##_chunks (rest, book, x, n_chunks, 1, n_rest / 32, sum, n_x);                                                                 \
      }                                                                                                                                    \
    UNROLL_8                                                                                                                               \
    for (guint r = 0; r < n_x; r++)                                                                                                        \
      y[r][at] = sum_f256 (sum[r]);                                                                                                        \
  }                                                                                                                                        \
                                                                                                                                           \
  static void type##_gemv (const guint8 *w, gsize w_stride, guint n_w, const LlmQ8Chunk *const *x, guint n_x, guint k, float *const *y,    \
                           gsize first)                                                                                                    \
  {                                                                                                                                        \
    const gint8 *book = from##_BOOK (type);                                                                                                \
                                                                                                                                           \
    for (guint n = 0; n < n_w; n++, w += w_stride)                                                                                         \
      switch (n_x)                                                                                                                         \
        {                                                                                                                                  \
        case 1:                                                                                                                            \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 1);                                                                       \
          break;                                                                                                                           \
        case 2:                                                                                                                            \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 2);                                                                       \
          break;                                                                                                                           \
        case 3:                                                                                                                            \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 3);                                                                       \
          break;                                                                                                                           \
        case 4:                                                                                                                            \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 4);                                                                       \
          break;                                                                                                                           \
        case 5:                                                                                                                            \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 5);                                                                       \
          break;                                                                                                                           \
        default:                                                                                                                           \
          type##_row (w, book, x, k, y, first + n, n + 1 == n_w, 6);                                                                       \
          break;                                                                                                                           \
        }                                                                                                                                  \
  }                                                                                                                                        \
                                                                                                                                           \
  static void type##_unpack (const guint8 *w, LlmUnpacked *out, gsize out_stride, guint n_cols, const guint8 *next)                        \
  {                                                                                                                                        \
    const gint8 *book G_GNUC_UNUSED = from##_BOOK (type);                                                                                  \
    guint8 rest[LLM_CHUNK / (elems) * (bytes)];                                                                                            \
                                                                                                                                           \
    for (; n_cols > 0; out += out_stride, w += sizeof rest, next += sizeof rest, n_cols -= MIN (n_cols, LLM_CHUNK))                        \
      {                                                                                                                                    \
        const guint8 *at = w;                                                                                                              \
        LlmNames names G_GNUC_UNUSED;                                                                                                      \
        LlmScales scales;                                                                                                                  \
                                                                                                                                           \
        prefetch_from (next, 0, sizeof rest);                                                                                              \
        if (n_cols < LLM_CHUNK)                                                                                                            \
          {                                                                                                                                \
            memset (rest, 0, sizeof rest);                                                                                                 \
            memcpy (rest, w, n_cols / (elems) * (bytes));                                                                                  \
            at = rest;                                                                                                                     \
          }                                                                                                                                \
        scales = type##_scales (at);                                                                                                       \
        store_scales (&scales, out, group, is_wide);                                                                                       \
        from##_NAMES (type, at, &names);                                                                                                   \
        UNROLL_8                                                                                                                           \
        for (guint b = 0; b < LLM_CHUNK / 32; b++)                                                                                         \
          {                                                                                                                                \
            __m256i q = from##_CODES (type, at, book, &names, b);                                                                          \
                                                                                                                                           \
            store_32 (out->q + 32 * b, (is_wide) ? PANEL_CODES (q) : q);                                                                   \
          }                                                                                                                                \
      }                                                                                                                                    \
  }
