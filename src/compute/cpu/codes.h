/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How 256 columns of each block type are taken apart, with AVX2 and what comes after it: TYPE_scales() what does not depend on the
 * column, TYPE_codes() the codes of 32 columns, in order.  Layouts: format/dtype-*.c.  Code books: codes-books.h.
 *
 * The file that includes this has defined, for a bit for each of 32 bytes: WHERE_SET(from, v), v or 0 where it is not set;
 * PLUS_OR_MINUS(zero, v, from), zero - v where it is set, else zero + v.
 */
#pragma once

#include "compute/cpu/simd.h"
#include "compute/cpu/unpack.h"

/* Of 8 groups of 32 columns, or of 16 groups of 16: w = scale q - offset. */
typedef struct {
  __m256 scale[2], offset[2];
  gboolean has_offset;
} LlmScales;

static ALWAYS_INLINE guint32
word_at (const guint8 *p)
{
  guint32 word;

  memcpy (&word, p, sizeof word);
  return word;
}

static ALWAYS_INLINE __m256i
load_32 (const guint8 *p)
{
  return _mm256_loadu_si256 ((const __m256i *) (gconstpointer) p);
}

static ALWAYS_INLINE void
store_32 (guint8 *p, __m256i v)
{
  _mm256_storeu_si256 ((__m256i *) (gpointer) p, v);
}

/* @zero: the code that stands for 0 */
static ALWAYS_INLINE LlmScales
scales_around (__m256 scale, const float zero)
{
  return (LlmScales) { { scale }, { _mm256_mul_ps (scale, _mm256_set1_ps (zero)) }, zero != 0 };
}

static ALWAYS_INLINE LlmScales
scales_by_16 (__m256 first, __m256 second, const float zero)
{
  __m256 z = _mm256_set1_ps (zero);

  return (LlmScales) { { first, second }, { _mm256_mul_ps (first, z), _mm256_mul_ps (second, z) }, zero != 0 };
}

/* Eight bytes to floats */
static ALWAYS_INLINE __m256
floats_of (guint32 low, guint32 high)
{
  return _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (_mm_set_epi32 (0, 0, (int) high, (int) low)));
}

/* The halves that begin eight blocks */
static ALWAYS_INLINE __m256
eight_halves (const guint8 *w, const gsize stride)
{
  __m128i v = _mm_setzero_si128 ();
  guint16 h[8];

  for (int i = 0; i < 8; i++)
    memcpy (&h[i], w + i * stride, sizeof h[i]);
  v = _mm_cvtsi32_si128 (h[0]);
  v = _mm_insert_epi16 (v, h[1], 1);
  v = _mm_insert_epi16 (v, h[2], 2);
  v = _mm_insert_epi16 (v, h[3], 3);
  v = _mm_insert_epi16 (v, h[4], 4);
  v = _mm_insert_epi16 (v, h[5], 5);
  v = _mm_insert_epi16 (v, h[6], 6);
  v = _mm_insert_epi16 (v, h[7], 7);
  return _mm256_cvtph_ps (v);
}

/* Of each byte, the bits of @mask after a shift to the right, or to the left where @shift is negative; none comes from a neighbour. */
static ALWAYS_INLINE __m256i
bits_at (__m256i v, int shift, char mask)
{
  v = shift < 0 ? _mm256_sll_epi16 (v, _mm_cvtsi32_si128 (-shift)) : _mm256_srl_epi16 (v, _mm_cvtsi32_si128 (shift));
  return _mm256_and_si256 (v, _mm256_set1_epi8 (mask));
}

/* The low halves of 16 bytes, then the high ones */
static ALWAYS_INLINE __m256i
nibbles (const guint8 *from)
{
  __m256i twice = _mm256_broadcastsi128_si256 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) from));

  return _mm256_and_si256 (_mm256_srlv_epi64 (twice, _mm256_setr_epi64x (0, 0, 4, 4)), _mm256_set1_epi8 (15));
}

/* 16 for each bit of four bytes that is set */
static ALWAYS_INLINE __m256i
fifth_bits (const guint8 *from)
{
  return WHERE_SET (from, _mm256_set1_epi8 (16));
}

/* One of 16 levels for each nibble */
static ALWAYS_INLINE __m256i
levels (const guint8 *from, __m128i table)
{
  return _mm256_shuffle_epi8 (_mm256_broadcastsi128_si256 (table), nibbles (from));
}

/* ---- blocks of 32 ---- */

static ALWAYS_INLINE LlmScales
q4_0_scales (const guint8 *w)
{
  return scales_around (eight_halves (w, 18), 8);
}

static ALWAYS_INLINE __m256i
q4_0_codes (const guint8 *w, guint b)
{
  return nibbles (w + 18 * b + 2);
}

static ALWAYS_INLINE LlmScales
q4_1_scales (const guint8 *w)
{
  return (LlmScales) { { eight_halves (w, 20) }, { _mm256_sub_ps (_mm256_setzero_ps (), eight_halves (w + 2, 20)) }, TRUE };
}

static ALWAYS_INLINE __m256i
q4_1_codes (const guint8 *w, guint b)
{
  return nibbles (w + 20 * b + 4);
}

static ALWAYS_INLINE LlmScales
q5_0_scales (const guint8 *w)
{
  return scales_around (eight_halves (w, 22), 16);
}

static ALWAYS_INLINE __m256i
q5_0_codes (const guint8 *w, guint b)
{
  return _mm256_or_si256 (nibbles (w + 22 * b + 6), fifth_bits (w + 22 * b + 2));
}

static ALWAYS_INLINE LlmScales
q5_1_scales (const guint8 *w)
{
  return (LlmScales) { { eight_halves (w, 24) }, { _mm256_sub_ps (_mm256_setzero_ps (), eight_halves (w + 2, 24)) }, TRUE };
}

static ALWAYS_INLINE __m256i
q5_1_codes (const guint8 *w, guint b)
{
  return _mm256_or_si256 (nibbles (w + 24 * b + 8), fifth_bits (w + 24 * b + 4));
}

static ALWAYS_INLINE LlmScales
q8_0_scales (const guint8 *w)
{
  return scales_around (eight_halves (w, 34), 0);
}

static ALWAYS_INLINE __m256i
q8_0_codes (const guint8 *w, guint b)
{
  return load_32 (w + 34 * b + 2);
}

static ALWAYS_INLINE LlmScales
iq4_nl_scales (const guint8 *w)
{
  return scales_around (eight_halves (w, 18), 0);
}

static ALWAYS_INLINE __m128i
levels_iq4 (void)
{
  return _mm_setr_epi8 (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

static ALWAYS_INLINE __m256i
iq4_nl_codes (const guint8 *w, guint b)
{
  return levels (w + 18 * b + 2, levels_iq4 ());
}

/* Half of the scale 2^(e - 127), for levels that are doubled; the least two are denormal. */
static ALWAYS_INLINE LlmScales
mxfp4_scales (const guint8 *w)
{
  guint8 e[8];
  __m256i v;
  __m256i normal, denormal;

  for (int i = 0; i < 8; i++)
    e[i] = w[17 * i];
  v = _mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) (gconstpointer) e));
  normal = _mm256_slli_epi32 (_mm256_sub_epi32 (v, _mm256_set1_epi32 (1)), 23);
  denormal = _mm256_sllv_epi32 (_mm256_set1_epi32 (0x200000), v);
  return scales_around (_mm256_castsi256_ps (_mm256_blendv_epi8 (denormal, normal, _mm256_cmpgt_epi32 (v, _mm256_set1_epi32 (1)))), 16);
}

/* E2M1 doubled, + 16 */
static ALWAYS_INLINE __m256i
mxfp4_codes (const guint8 *w, guint b)
{
  return levels (w + 17 * b + 1, _mm_setr_epi8 (16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4));
}

/* ---- blocks of 256 ---- */

static ALWAYS_INLINE LlmScales
q2_k_scales (const guint8 *w)
{
  __m128i both = _mm_loadu_si128 ((const __m128i *) (gconstpointer) w), mask = _mm_set1_epi8 (15);
  __m128i scale = _mm_and_si128 (both, mask), offset = _mm_and_si128 (_mm_srli_epi16 (both, 4), mask);
  __m256 d = _mm256_set1_ps (half_at (w + 80)), dmin = _mm256_set1_ps (half_at (w + 82));

  return (LlmScales) {
    { _mm256_mul_ps (d, _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (scale))),
      _mm256_mul_ps (d, _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (_mm_srli_si128 (scale, 8)))) },
    { _mm256_mul_ps (dmin, _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (offset))),
      _mm256_mul_ps (dmin, _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (_mm_srli_si128 (offset, 8)))) },
    TRUE,
  };
}

static ALWAYS_INLINE __m256i
q2_k_codes (const guint8 *w, guint b)
{
  return bits_at (load_32 (w + 16 + b / 4 * 32), (int) b % 4 * 2, 3);
}

static ALWAYS_INLINE LlmScales
q3_k_scales (const guint8 *w)
{
  const guint32 low = 0x0f0f0f0f, high = 0x03030303;
  guint32 p = word_at (w + 96), q = word_at (w + 100), h = word_at (w + 104);
  __m256 d = _mm256_set1_ps (half_at (w + 108)), middle = _mm256_set1_ps (32);
  __m256 first = floats_of ((p & low) | (h & high) << 4, (q & low) | (h >> 2 & high) << 4);
  __m256 second = floats_of ((p >> 4 & low) | (h >> 4 & high) << 4, (q >> 4 & low) | (h >> 6 & high) << 4);

  return scales_by_16 (_mm256_mul_ps (d, _mm256_sub_ps (first, middle)), _mm256_mul_ps (d, _mm256_sub_ps (second, middle)), 4);
}

static ALWAYS_INLINE __m256i
q3_k_codes (const guint8 *w, guint b)
{
  return _mm256_or_si256 (bits_at (load_32 (w + 32 + b / 4 * 32), (int) b % 4 * 2, 3), bits_at (load_32 (w), (int) b - 2, 4));
}

/* 6 bits each for eight scales and minima: the upper two bits of the last four stand above the first four */
static ALWAYS_INLINE LlmScales
k_scales (const guint8 *w)
{
  const guint32 low = 0x0f0f0f0f, six = 0x3f3f3f3f, two = 0x03030303;
  guint32 a = word_at (w + 4), b = word_at (w + 8), c = word_at (w + 12);
  __m256 d = _mm256_set1_ps (half_at (w)), dmin = _mm256_set1_ps (half_at (w + 2));

  return (LlmScales) {
    { _mm256_mul_ps (d, floats_of (a & six, (c & low) | (a >> 6 & two) << 4)) },
    { _mm256_mul_ps (dmin, floats_of (b & six, (c >> 4 & low) | (b >> 6 & two) << 4)) },
    TRUE,
  };
}

static ALWAYS_INLINE LlmScales
q4_k_scales (const guint8 *w)
{
  return k_scales (w);
}

static ALWAYS_INLINE __m256i
q4_k_codes (const guint8 *w, guint b)
{
  return bits_at (load_32 (w + 16 + b / 2 * 32), (int) b % 2 * 4, 15);
}

static ALWAYS_INLINE LlmScales
q5_k_scales (const guint8 *w)
{
  return k_scales (w);
}

static ALWAYS_INLINE __m256i
q5_k_codes (const guint8 *w, guint b)
{
  return _mm256_or_si256 (bits_at (load_32 (w + 48 + b / 2 * 32), (int) b % 2 * 4, 15), bits_at (load_32 (w + 16), (int) b - 4, 16));
}

static ALWAYS_INLINE LlmScales
q6_k_scales (const guint8 *w)
{
  __m128i scale = _mm_loadu_si128 ((const __m128i *) (gconstpointer) (w + 192));
  __m256 d = _mm256_set1_ps (half_at (w + 208));

  return scales_by_16 (_mm256_mul_ps (d, _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (scale))),
                       _mm256_mul_ps (d, _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_srli_si128 (scale, 8)))), 32);
}

static ALWAYS_INLINE __m256i
q6_k_codes (const guint8 *w, guint b)
{
  __m256i low = load_32 (w + b / 4 * 64 + b % 2 * 32), upper = load_32 (w + 128 + b / 4 * 32);

  return _mm256_or_si256 (bits_at (low, (int) b % 4 / 2 * 4, 15), bits_at (upper, (int) b % 4 * 2 - 4, 48));
}

static ALWAYS_INLINE LlmScales
iq4_xs_scales (const guint8 *w)
{
  const guint32 low = word_at (w + 4);
  const __m256i shift = _mm256_setr_epi32 (0, 4, 8, 12, 16, 20, 24, 28), pair = _mm256_setr_epi32 (0, 2, 4, 6, 8, 10, 12, 14);
  guint16 upper;
  __m256i scale;

  memcpy (&upper, w + 2, sizeof upper);
  scale = _mm256_and_si256 (_mm256_srlv_epi32 (_mm256_set1_epi32 ((int) low), shift), _mm256_set1_epi32 (15));
  scale = _mm256_or_si256 (scale, _mm256_slli_epi32 (_mm256_and_si256 (_mm256_srlv_epi32 (_mm256_set1_epi32 (upper), pair), _mm256_set1_epi32 (3)), 4));
  scale = _mm256_sub_epi32 (scale, _mm256_set1_epi32 (32));
  return scales_around (_mm256_mul_ps (_mm256_set1_ps (half_at (w)), _mm256_cvtepi32_ps (scale)), 0);
}

static ALWAYS_INLINE __m256i
iq4_xs_codes (const guint8 *w, guint b)
{
  return levels (w + 8 + 16 * b, levels_iq4 ());
}

/* ---- -1, 0 and 1 ---- */

static ALWAYS_INLINE LlmScales
tq2_0_scales (const guint8 *w)
{
  return scales_around (_mm256_set1_ps (half_at (w + 64)), 1);
}

static ALWAYS_INLINE __m256i
tq2_0_codes (const guint8 *w, guint b)
{
  return bits_at (load_32 (w + b / 4 * 32), (int) b % 4 * 2, 3);
}

static ALWAYS_INLINE LlmScales
tq1_0_scales (const guint8 *w)
{
  return scales_around (_mm256_set1_ps (half_at (w + 52)), 1);
}

/* Modulo 256, so that the next digit stands before the point */
static ALWAYS_INLINE __m256i
thrice (__m256i v)
{
  return _mm256_add_epi8 (v, _mm256_add_epi8 (v, v));
}

/* 3 v / 256: 0 up to 85, 2 from 171 on */
static ALWAYS_INLINE __m256i
trits_of (__m256i v)
{
  __m256i shifted = _mm256_xor_si256 (v, _mm256_set1_epi8 (-128));

  return _mm256_sub_epi8 (_mm256_sub_epi8 (_mm256_setzero_si256 (), _mm256_cmpgt_epi8 (shifted, _mm256_set1_epi8 (85 - 128))),
                          _mm256_cmpgt_epi8 (shifted, _mm256_set1_epi8 (170 - 128)));
}

/* Digits 0 to 4 of 32 bytes, then two by two those of 16; the fifth of these stands before the four of 4 bytes. */
static ALWAYS_INLINE __m256i
tq1_0_codes (const guint8 *w, guint b)
{
  __m256i v = b < 5 ? load_32 (w) : _mm256_broadcastsi128_si256 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (w + 32)));

  if (b < 5)
    {
      for (guint i = 0; i < b; i++)
        v = thrice (v);
      return trits_of (v);
    }
  if (b < 7)
    {
      v = _mm256_blend_epi32 (v, thrice (v), 0xf0);
      return trits_of (b == 5 ? v : thrice (thrice (v)));
    }
  v = _mm256_blend_epi32 (v, _mm256_set1_epi32 ((int) word_at (w + 48)), 0xf0);
  v = _mm256_blend_epi32 (v, thrice (v), 0xef);
  v = _mm256_blend_epi32 (v, thrice (v), 0xcf);
  v = _mm256_blend_epi32 (v, thrice (v), 0x8f);
  return trits_of (_mm256_blend_epi32 (v, thrice (v), 0x0f));
}
