/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block types into the form of unpack.h, with AVX2 and what comes after it.  Layouts: format/dtype-*.c.
 */
#include <immintrin.h>
#include <string.h>

#include "compute/cpu/unpack.h"
#include "format/dtype.h"

#define EIGHT(b) _Pragma ("GCC unroll 8") for (int b = 0; b < 8; b++) /* shifts become constants */

static inline float
half_of (const guint8 *p)
{
  guint16 h;

  memcpy (&h, p, sizeof h);
  return _cvtsh_ss (h);
}

/* Columns 16 @half to 16 @half + 15 */
static inline void
set_scale (LlmUnpackedBlock *block, int half, float scale, float offset)
{
  _mm_storeu_ps (block->scale + 4 * half, _mm_set1_ps (scale));
  _mm_storeu_ps (block->offset + 4 * half, _mm_set1_ps (offset / 4));
}

static inline void
set_scales (LlmUnpackedBlock *block, float scale, float offset)
{
  set_scale (block, 0, scale, offset);
  set_scale (block, 1, scale, offset);
}

/* ---- blocks of 32 ---- */

static inline __m256i
load_32 (const guint8 *p)
{
  return _mm256_loadu_si256 ((const __m256i *) (gconstpointer) p);
}

static inline void
store_32 (guint8 *p, __m256i v)
{
  _mm256_storeu_si256 ((__m256i *) (gpointer) p, v);
}

/* Bits @shift to @shift + n - 1 of each byte, @mask = 2^n - 1 */
static inline __m256i
bits_of (__m256i v, int shift, char mask)
{
  return _mm256_and_si256 (_mm256_srl_epi16 (v, _mm_cvtsi32_si128 (shift)), _mm256_set1_epi8 (mask));
}

/* The low halves of 16 bytes, then the high ones */
static inline __m256i
nibbles (const guint8 *from)
{
  __m128i packed = _mm_loadu_si128 ((const __m128i *) (gconstpointer) from);

  return _mm256_and_si256 (_mm256_set_m128i (_mm_srli_epi16 (packed, 4), packed), _mm256_set1_epi8 (15));
}

/* 16 for each bit of four bytes that is set */
static inline __m256i
fifth_bits (const guint8 *from)
{
  const __m256i byte = _mm256_setr_epi8 (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x ((gint64) 0x8040201008040201u);
  gint32 word;

  memcpy (&word, from, sizeof word);
  return _mm256_and_si256 (_mm256_cmpeq_epi8 (_mm256_and_si256 (_mm256_shuffle_epi8 (_mm256_set1_epi32 (word), byte), bit), bit), _mm256_set1_epi8 (16));
}

/* 16 bytes whose halves name one of 16 levels, here shifted to begin at 0 */
static inline void
level_codes (const guint8 *from, __m128i levels, guint8 *q)
{
  __m128i packed = _mm_loadu_si128 ((const __m128i *) (gconstpointer) from), mask = _mm_set1_epi8 (15);

  _mm_storeu_si128 ((__m128i *) (gpointer) q, _mm_shuffle_epi8 (levels, _mm_and_si128 (packed, mask)));
  _mm_storeu_si128 ((__m128i *) (gpointer) (q + 16), _mm_shuffle_epi8 (levels, _mm_and_si128 (_mm_srli_epi16 (packed, 4), mask)));
}

/* E2M1 doubled, + 12 */
static inline __m128i
levels_e2m1 (void)
{
  return _mm_setr_epi8 (12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
}

#ifdef UNPACK_WIDE
/* the uneven levels of IQ4, + 127 */
static inline __m128i
levels_iq4 (void)
{
  return _mm_setr_epi8 (0, 23, 44, 62, 78, 92, 105, 117, (char) 128, (char) 140, (char) 152, (char) 165, (char) 180, (char) 196, (char) 216, (char) 240);
}

static inline void
iq4_nl (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from);

  level_codes (from + 2, levels_iq4 (), out->q);
  set_scales (out, d, 127 * d);
}

static inline void
iq4_xs (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from);
  guint16 upper;

  memcpy (&upper, from + 2, sizeof upper);
  EIGHT (b)
    {
      int scale = (from[4 + b / 2] >> b % 2 * 4 & 15) | (upper >> 2 * b & 3) << 4;

      level_codes (from + 8 + 16 * b, levels_iq4 (), out[b].q);
      set_scales (&out[b], d * (float) (scale - 32), 127 * d * (float) (scale - 32));
    }
}
#endif

static inline void
q4_1 (const guint8 *from, LlmUnpackedBlock *out)
{
  store_32 (out->q, nibbles (from + 4));
  set_scales (out, half_of (from), -half_of (from + 2));
}

static inline void
q5_0 (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from);

  store_32 (out->q, _mm256_or_si256 (nibbles (from + 6), fifth_bits (from + 2)));
  set_scales (out, d, 16 * d);
}

static inline void
q5_1 (const guint8 *from, LlmUnpackedBlock *out)
{
  store_32 (out->q, _mm256_or_si256 (nibbles (from + 8), fifth_bits (from + 4)));
  set_scales (out, half_of (from), -half_of (from + 2));
}

static inline void
mxfp4 (const guint8 *from, LlmUnpackedBlock *out)
{
  guint32 bits = from[0] < 2 ? 0x200000u << from[0] : (guint32) (from[0] - 1) << 23;
  float half_scale;

  memcpy (&half_scale, &bits, sizeof bits);
  level_codes (from + 1, levels_e2m1 (), out->q);
  set_scales (out, half_scale, 12 * half_scale);
}

/* ---- blocks of 256 ---- */

static inline void
q2_k (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from + 80), dmin = half_of (from + 82);

  EIGHT (b)
    {
      store_32 (out[b].q, bits_of (load_32 (from + 16 + b / 4 * 32), b % 4 * 2, 3));
      for (int half = 0; half < 2; half++)
        set_scale (&out[b], half, d * (float) (from[2 * b + half] & 15), dmin * (float) (from[2 * b + half] >> 4));
    }
}

static inline void
q3_k (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from + 108);
  const guint8 *packed = from + 96;
  __m256i third = load_32 (from);

  EIGHT (b)
    {
      store_32 (out[b].q, _mm256_or_si256 (bits_of (load_32 (from + 32 + b / 4 * 32), b % 4 * 2, 3), _mm256_slli_epi16 (bits_of (third, b, 1), 2)));
      for (int half = 0; half < 2; half++)
        {
          int group = 2 * b + half, low = packed[group % 8] >> group / 8 * 4 & 15, high = packed[8 + group % 4] >> group / 4 * 2 & 3;
          float scale = d * (float) ((low | high << 4) - 32);

          set_scale (&out[b], half, scale, 4 * scale);
        }
    }
}

static inline void
k_group (const guint8 *packed, int group, float d, float dmin, LlmUnpackedBlock *out)
{
  int scale, minimum;

  if (group < 4)
    {
      scale = packed[group] & 63;
      minimum = packed[group + 4] & 63;
    }
  else
    {
      scale = (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
      minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
  set_scales (out, d * (float) scale, dmin * (float) minimum);
}

static inline void
q4_k (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from), dmin = half_of (from + 2);

  EIGHT (b)
    {
      store_32 (out[b].q, bits_of (load_32 (from + 16 + b / 2 * 32), b % 2 * 4, 15));
      k_group (from + 4, b, d, dmin, &out[b]);
    }
}

static inline void
q5_k (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from), dmin = half_of (from + 2);
  __m256i fifth = load_32 (from + 16);

  EIGHT (b)
    {
      store_32 (out[b].q, _mm256_or_si256 (bits_of (load_32 (from + 48 + b / 2 * 32), b % 2 * 4, 15), _mm256_slli_epi16 (bits_of (fifth, b, 1), 4)));
      k_group (from + 4, b, d, dmin, &out[b]);
    }
}

static inline void
q6_k (const guint8 *from, LlmUnpackedBlock *out)
{
  float d = half_of (from + 208);

  EIGHT (b)
    {
      __m256i low = load_32 (from + b / 4 * 64 + b % 2 * 32), upper = load_32 (from + 128 + b / 4 * 32);

      store_32 (out[b].q, _mm256_or_si256 (bits_of (low, b % 4 / 2 * 4, 15), _mm256_slli_epi16 (bits_of (upper, b % 4 * 2, 3), 4)));
      for (int half = 0; half < 2; half++)
        {
          float scale = d * (float) (gint8) from[192 + 2 * b + half];

          set_scale (&out[b], half, scale, 32 * scale);
        }
    }
}

#define UNPACK_ROW(type, elems, bytes)                                                                                                     \
  static void unpack_##type (const guint8 *from, LlmUnpackedBlock *out, guint n)                                                           \
  {                                                                                                                                        \
    for (guint i = 0; i < n; i += (elems), from += (bytes), out += (elems) / 32)                                                           \
      type (from, out);                                                                                                                    \
  }

#ifdef UNPACK_WIDE
UNPACK_ROW (iq4_nl, 32, 18)
UNPACK_ROW (iq4_xs, 256, 136)
#endif
UNPACK_ROW (q4_1, 32, 20)
UNPACK_ROW (q5_0, 32, 22)
UNPACK_ROW (q5_1, 32, 24)
UNPACK_ROW (mxfp4, 32, 17)
UNPACK_ROW (q2_k, 256, 84)
UNPACK_ROW (q3_k, 256, 110)
UNPACK_ROW (q4_k, 256, 144)
UNPACK_ROW (q5_k, 256, 176)
UNPACK_ROW (q6_k, 256, 210)

static LlmUnpack
find_unpack (LlmDtype dtype)
{
  switch ((guint) dtype)
    {
#ifdef UNPACK_WIDE
    case LLM_DTYPE_IQ4_NL:
      return unpack_iq4_nl;
    case LLM_DTYPE_IQ4_XS:
      return unpack_iq4_xs;
#endif
    case LLM_DTYPE_Q4_1:
      return unpack_q4_1;
    case LLM_DTYPE_Q5_0:
      return unpack_q5_0;
    case LLM_DTYPE_Q5_1:
      return unpack_q5_1;
    case LLM_DTYPE_MXFP4:
      return unpack_mxfp4;
    case LLM_DTYPE_Q2_K:
      return unpack_q2_k;
    case LLM_DTYPE_Q3_K:
      return unpack_q3_k;
    case LLM_DTYPE_Q4_K:
      return unpack_q4_k;
    case LLM_DTYPE_Q5_K:
      return unpack_q5_k;
    case LLM_DTYPE_Q6_K:
      return unpack_q6_k;
    default:
      return NULL;
    }
}
