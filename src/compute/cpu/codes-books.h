/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How 256 columns of the types with code books are taken apart: TYPE_names() makes whole numbers of the bits that name the
 * chunk's vectors, and a bit for each column of its signs, for all 32 or 64 at once; TYPE_codes() fetches those of 32
 * columns, four vectors of 8 or eight of 4.  Loads, not gathers: a book stays in the L1 cache, and they are faster there.
 */
#pragma once

#include "compute/cpu/codes.h"
#include "format/codebook.h"

typedef struct {
  guint16 name[LLM_CHUNK / 4]; /* of vectors, in order */
  guint8 sign[LLM_CHUNK / 8];  /* bit i % 8 of byte i / 8: column i is negative */
} LlmNames;

/* ---- what the types share ---- */

static ALWAYS_INLINE __m256i
eights_of (const gint8 *book, const guint16 *name)
{
  const double *vector = (const double *) (gconstpointer) book;
  __m128d low = _mm_loadh_pd (_mm_load_sd (vector + name[0]), vector + name[1]);
  __m128d high = _mm_loadh_pd (_mm_load_sd (vector + name[2]), vector + name[3]);

  return _mm256_castpd_si256 (_mm256_set_m128d (high, low));
}

static ALWAYS_INLINE __m128i
fours_of (const gint8 *book, const guint16 *name)
{
  const int *vector = (const int *) (gconstpointer) book;
  __m128i v = _mm_cvtsi32_si128 (vector[name[0]]);

  v = _mm_insert_epi32 (v, vector[name[1]], 1);
  v = _mm_insert_epi32 (v, vector[name[2]], 2);
  return _mm_insert_epi32 (v, vector[name[3]], 3);
}

/* @zero + v, or @zero - v where the sign is set */
static ALWAYS_INLINE __m256i
signed_eights (const gint8 *book, const LlmNames *n, guint b, char zero)
{
  return PLUS_OR_MINUS (zero, eights_of (book, n->name + 4 * b), n->sign + 4 * b);
}

static ALWAYS_INLINE __m256i
signed_fours (const gint8 *book, const LlmNames *n, guint b, char zero)
{
  __m256i v = _mm256_set_m128i (fours_of (book, n->name + 8 * b + 4), fours_of (book, n->name + 8 * b));

  return PLUS_OR_MINUS (zero, v, n->sign + 4 * b);
}

/* Sixteen names from their lower bytes and, in other words, bits above */
static ALWAYS_INLINE void
store_names (guint16 *to, const guint8 *low, __m256i upper, short mask)
{
  __m256i v = _mm256_cvtepu8_epi16 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) low));

  store_32 ((guint8 *) to, _mm256_or_si256 (v, _mm256_and_si256 (upper, _mm256_set1_epi16 (mask))));
}

/* The eighth bit makes the number of bits that are set even. */
static ALWAYS_INLINE void
store_even_signs (guint8 *to, __m256i seven)
{
  const __m256i odd = _mm256_broadcastsi128_si256 (_mm_setr_epi8 (0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
  __m256i both = _mm256_xor_si256 (seven, _mm256_srli_epi16 (seven, 4));

  store_32 (to, _mm256_or_si256 (seven, _mm256_shuffle_epi8 (odd, _mm256_and_si256 (both, _mm256_set1_epi8 (15)))));
}

/* Of words of 4 x 7 bits */
static ALWAYS_INLINE void
store_word_signs (guint8 *to, __m256i w)
{
  __m256i first = _mm256_and_si256 (w, _mm256_set1_epi32 (0x7f)), second = _mm256_and_si256 (_mm256_slli_epi32 (w, 1), _mm256_set1_epi32 (0x7f00));
  __m256i third = _mm256_and_si256 (_mm256_slli_epi32 (w, 2), _mm256_set1_epi32 (0x7f0000));
  __m256i fourth = _mm256_and_si256 (_mm256_slli_epi32 (w, 3), _mm256_set1_epi32 (0x7f000000));

  store_even_signs (to, _mm256_or_si256 (_mm256_or_si256 (first, second), _mm256_or_si256 (third, fourth)));
}

/* d (s + 1/2), s on top of eight words */
static ALWAYS_INLINE __m256
word_scales (__m256i w, float d)
{
  return _mm256_fmadd_ps (_mm256_cvtepi32_ps (_mm256_srli_epi32 (w, 28)), _mm256_set1_ps (d), _mm256_set1_ps (d / 2));
}

/* The same of 16 half bytes, the lower one of a byte first; around 64 */
static ALWAYS_INLINE LlmScales
half_byte_scales (const guint8 *from, float d)
{
  __m128i v = _mm_loadl_epi64 ((const __m128i *) (gconstpointer) from), mask = _mm_set1_epi8 (15);
  __m128i s = _mm_unpacklo_epi8 (_mm_and_si128 (v, mask), _mm_and_si128 (_mm_srli_epi16 (v, 4), mask));
  __m256 first = _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (s)), second = _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (_mm_srli_si128 (s, 8)));

  return scales_by_16 (_mm256_fmadd_ps (first, _mm256_set1_ps (d), _mm256_set1_ps (d / 2)),
                       _mm256_fmadd_ps (second, _mm256_set1_ps (d), _mm256_set1_ps (d / 2)), 64);
}

/* ---- vectors of 8 with signs: 64 +- (8, 25, 43) ---- */

#define iq2_xxs_book LLM_CODEBOOK_IQ2_XXS
#define iq2_xs_book LLM_CODEBOOK_IQ2_XS
#define iq2_s_book LLM_CODEBOOK_IQ2_S

/* Of each 8 bytes, those from @first on */
static ALWAYS_INLINE __m256i
iq2_xxs_words (const guint8 *w, const gboolean second)
{
  __m256 a = _mm256_castsi256_ps (load_32 (w + 2)), b = _mm256_castsi256_ps (load_32 (w + 34));

  return _mm256_permute4x64_epi64 (_mm256_castps_si256 (second ? _mm256_shuffle_ps (a, b, 0xdd) : _mm256_shuffle_ps (a, b, 0x88)), 0xd8);
}

static ALWAYS_INLINE LlmScales
iq2_xxs_scales (const guint8 *w)
{
  return scales_around (word_scales (iq2_xxs_words (w, TRUE), half_at (w) / 4), 64);
}

static ALWAYS_INLINE void
iq2_xxs_names (const guint8 *w, LlmNames *n)
{
  __m256i names = iq2_xxs_words (w, FALSE);

  store_32 ((guint8 *) n->name, _mm256_cvtepu8_epi16 (_mm256_castsi256_si128 (names)));
  store_32 ((guint8 *) (n->name + 16), _mm256_cvtepu8_epi16 (_mm256_extracti128_si256 (names, 1)));
  store_word_signs (n->sign, iq2_xxs_words (w, TRUE));
}

static ALWAYS_INLINE __m256i
iq2_xxs_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return signed_eights (book, n, b, 64);
}

static ALWAYS_INLINE LlmScales
iq2_xs_scales (const guint8 *w)
{
  return half_byte_scales (w + 66, half_at (w) / 4);
}

static ALWAYS_INLINE void
iq2_xs_names (const guint8 *w, LlmNames *n)
{
  __m256i a = load_32 (w + 2), b = load_32 (w + 34), mask = _mm256_set1_epi16 (511);

  store_32 ((guint8 *) n->name, _mm256_and_si256 (a, mask));
  store_32 ((guint8 *) (n->name + 16), _mm256_and_si256 (b, mask));
  store_even_signs (n->sign, _mm256_permute4x64_epi64 (_mm256_packus_epi16 (_mm256_srli_epi16 (a, 9), _mm256_srli_epi16 (b, 9)), 0xd8));
}

static ALWAYS_INLINE __m256i
iq2_xs_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return signed_eights (book, n, b, 64);
}

static ALWAYS_INLINE LlmScales
iq2_s_scales (const guint8 *w)
{
  return half_byte_scales (w + 74, half_at (w) / 4);
}

static ALWAYS_INLINE void
iq2_s_names (const guint8 *w, LlmNames *n)
{
  const __m256i byte = _mm256_setr_epi8 (0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1, 2, -1, 2, -1, 2, -1, 2, -1, 3, -1, 3, -1, 3, -1, 3, -1);
  const __m256i shift = _mm256_set1_epi64x (0x0004001000400100); /* 2 bits each to bits 8 and 9 */

  for (int i = 0; i < 2; i++)
    store_names (n->name + 16 * i, w + 2 + 16 * i,
                 _mm256_mullo_epi16 (_mm256_shuffle_epi8 (_mm256_set1_epi32 ((int) word_at (w + 66 + 4 * i)), byte), shift), 0x300);
  store_32 (n->sign, load_32 (w + 34));
}

static ALWAYS_INLINE __m256i
iq2_s_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return signed_eights (book, n, b, 64);
}

/* ---- vectors of 4 with signs ---- */

#define iq3_xxs_book LLM_CODEBOOK_IQ3_XXS
#define iq3_s_book LLM_CODEBOOK_IQ3_S

static ALWAYS_INLINE LlmScales
iq3_xxs_scales (const guint8 *w)
{
  return scales_around (word_scales (load_32 (w + 66), half_at (w) / 2), 64);
}

static ALWAYS_INLINE void
iq3_xxs_names (const guint8 *w, LlmNames *n)
{
  for (int i = 0; i < 4; i++)
    store_names (n->name + 16 * i, w + 2 + 16 * i, _mm256_setzero_si256 (), 0);
  store_word_signs (n->sign, load_32 (w + 66));
}

/* 64 +- (4, 12 ... 62) */
static ALWAYS_INLINE __m256i
iq3_xxs_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return signed_fours (book, n, b, 64);
}

static ALWAYS_INLINE LlmScales
iq3_s_scales (const guint8 *w)
{
  const __m256i shift = _mm256_setr_epi32 (0, 4, 8, 12, 16, 20, 24, 28);
  __m256i s = _mm256_and_si256 (_mm256_srlv_epi32 (_mm256_set1_epi32 ((int) word_at (w + 106)), shift), _mm256_set1_epi32 (15));
  __m256 d = _mm256_set1_ps (half_at (w));

  return scales_around (_mm256_fmadd_ps (_mm256_cvtepi32_ps (s), _mm256_add_ps (d, d), d), 16);
}

static ALWAYS_INLINE void
iq3_s_names (const guint8 *w, LlmNames *n)
{
  const __m256i byte = _mm256_setr_epi8 (0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1);
  const __m256i shift = _mm256_broadcastsi128_si256 (_mm_setr_epi16 (256, 128, 64, 32, 16, 8, 4, 2)); /* each bit to bit 8 */

  for (int i = 0; i < 4; i++)
    store_names (n->name + 16 * i, w + 2 + 16 * i,
                 _mm256_mullo_epi16 (_mm256_shuffle_epi8 (_mm256_set1_epi16 ((short) (w[66 + 2 * i] | w[67 + 2 * i] << 8)), byte), shift), 0x100);
  store_32 (n->sign, load_32 (w + 74));
}

/* 16 +- (1, 3 ... 15) */
static ALWAYS_INLINE __m256i
iq3_s_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return signed_fours (book, n, b, 16);
}

/* ---- vectors of 8 of -1, 0, 1, shifted by 1/8 ---- */

#define iq1_s_book LLM_CODEBOOK_IQ1
#define iq1_m_book LLM_CODEBOOK_IQ1

/* d (2 s + 1) ((v + 1) - (1 -+ 1/8)) */
static ALWAYS_INLINE LlmScales
iq1_s_scales (const guint8 *w)
{
  __m256i word = _mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (w + 34)));
  __m256 d = _mm256_set1_ps (half_at (w)), s = _mm256_cvtepi32_ps (_mm256_and_si256 (_mm256_srli_epi32 (word, 12), _mm256_set1_epi32 (7)));
  __m256 scale = _mm256_fmadd_ps (s, _mm256_add_ps (d, d), d), shift = _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_srli_epi32 (word, 15), 31));

  shift = _mm256_xor_ps (shift, _mm256_set1_ps (0.125f));
  return (LlmScales) { { scale }, { _mm256_mul_ps (scale, _mm256_sub_ps (_mm256_set1_ps (1), shift)) }, TRUE };
}

/* 4 x 3 bits of a word, to the top of four */
static ALWAYS_INLINE __m256i
threes_of (__m256i four_times)
{
  return _mm256_mullo_epi16 (four_times, _mm256_set1_epi64x (0x0010008004002000));
}

static ALWAYS_INLINE void
iq1_s_names (const guint8 *w, LlmNames *n)
{
  const __m256i word = _mm256_setr_epi8 (0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);

  for (int i = 0; i < 2; i++)
    {
      __m128i four = _mm_loadl_epi64 ((const __m128i *) (gconstpointer) (w + 34 + 8 * i));

      store_names (n->name + 16 * i, w + 2 + 16 * i, _mm256_srli_epi16 (threes_of (_mm256_shuffle_epi8 (_mm256_broadcastsi128_si256 (four), word)), 5), 0x700);
    }
}

static ALWAYS_INLINE __m256i
iq1_s_codes (const gint8 *book, const LlmNames *n, guint b)
{
  return _mm256_add_epi8 (eights_of (book, n->name + 4 * b), _mm256_set1_epi8 (1));
}

/* d (2 s + 1) / 8 (8 v +- 1), around 16 */
static ALWAYS_INLINE LlmScales
iq1_m_scales (const guint8 *w)
{
  const __m256i word = _mm256_setr_epi8 (0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
  __m128i four = _mm_loadl_epi64 ((const __m128i *) (gconstpointer) (w + 48));
  __m256i s = _mm256_srli_epi16 (threes_of (_mm256_shuffle_epi8 (_mm256_broadcastsi128_si256 (four), word)), 13);
  guint32 a = word_at (w + 48), b = word_at (w + 52);
  guint16 bits = (guint16) ((a >> 12 & 15) | (a >> 24 & 0xf0) | (b >> 4 & 0xf00) | (b >> 16 & 0xf000));
  __m256 d = _mm256_set1_ps (_cvtsh_ss (bits) / 8), twice = _mm256_add_ps (d, d);
  __m256 first = _mm256_cvtepi32_ps (_mm256_cvtepu16_epi32 (_mm256_castsi256_si128 (s)));
  __m256 second = _mm256_cvtepi32_ps (_mm256_cvtepu16_epi32 (_mm256_extracti128_si256 (s, 1)));

  return scales_by_16 (_mm256_fmadd_ps (first, twice, d), _mm256_fmadd_ps (second, twice, d), 16);
}

/* Signs are bytes here: 8 +- 1 for each vector. */
static ALWAYS_INLINE void
iq1_m_names (const guint8 *w, LlmNames *n)
{
  __m128i both = _mm_loadu_si128 ((const __m128i *) (gconstpointer) (w + 32)), mask = _mm_set1_epi8 (15);
  __m128i low = _mm_and_si128 (both, mask), high = _mm_and_si128 (_mm_srli_epi16 (both, 4), mask);
  __m128i half[2] = { _mm_unpacklo_epi8 (low, high), _mm_unpackhi_epi8 (low, high) };
  __m256i all = _mm256_set_m128i (half[1], half[0]), minus = _mm256_cmpgt_epi8 (all, _mm256_set1_epi8 (7));

  for (int i = 0; i < 2; i++)
    store_names (n->name + 16 * i, w + 16 * i, _mm256_slli_epi16 (_mm256_cvtepu8_epi16 (half[i]), 8), 0x700);
  store_32 (n->sign, _mm256_add_epi8 (_mm256_set1_epi8 (9), _mm256_add_epi8 (minus, minus)));
}

static ALWAYS_INLINE __m256i
iq1_m_codes (const gint8 *book, const LlmNames *n, guint b)
{
  const __m256i byte = _mm256_setr_epi8 (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  __m256i v = _mm256_add_epi8 (eights_of (book, n->name + 4 * b), _mm256_set1_epi8 (1));

  return _mm256_add_epi8 (_mm256_slli_epi16 (v, 3), _mm256_shuffle_epi8 (_mm256_set1_epi32 ((int) word_at (n->sign + 4 * b)), byte));
}
