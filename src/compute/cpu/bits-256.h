/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bit for each of 32 bytes, with AVX2.
 */
#pragma once

#include <string.h>

#include "compute/cpu/simd.h"

/* 255 for each bit of four bytes that is set */
static ALWAYS_INLINE __m256i
mask_of_bits (const guint8 *from)
{
  const __m256i byte = _mm256_setr_epi8 (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x ((gint64) 0x8040201008040201u);
  gint32 word;

  memcpy (&word, from, sizeof word);
  return _mm256_cmpeq_epi8 (_mm256_and_si256 (_mm256_shuffle_epi8 (_mm256_set1_epi32 (word), byte), bit), bit);
}

static ALWAYS_INLINE __m256i
plus_or_minus (char zero, __m256i v, __m256i minus)
{
  return _mm256_sub_epi8 (_mm256_xor_si256 (v, minus), _mm256_sub_epi8 (minus, _mm256_set1_epi8 (zero)));
}

#define WHERE_SET(from, v) _mm256_and_si256 (mask_of_bits (from), v)
#define PLUS_OR_MINUS(zero, v, from) plus_or_minus (zero, v, mask_of_bits (from))
