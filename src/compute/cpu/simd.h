/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the SIMD kernels of every instruction set share: single elements, sums over lanes.
 * Included by files that are compiled for one instruction set only.
 */
#pragma once

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "compute/cpu/kernels.h"

/* What is small and takes constants is unrolled, or else sums stand in memory.  Sanitizers check each access: for them the
 * same code stays small, or gcc works on it for minutes. */
#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SMALL_CODE
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SMALL_CODE
#endif
#ifdef SMALL_CODE
#define ALWAYS_INLINE inline
#define UNROLL
#define UNROLL_8
#else
#define ALWAYS_INLINE inline __attribute__ ((always_inline))
#define UNROLL _Pragma ("GCC unroll 4")
#define UNROLL_8 _Pragma ("GCC unroll 8")
#endif

static inline float
sum_f256 (__m256 v)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (v), _mm256_extractf128_ps (v, 1));

  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  s = _mm_add_ss (s, _mm_movehdup_ps (s));
  return _mm_cvtss_f32 (s);
}

static inline double
sum_d256 (__m256d v)
{
  __m128d s = _mm_add_pd (_mm256_castpd256_pd128 (v), _mm256_extractf128_pd (v, 1));

  return _mm_cvtsd_f64 (_mm_add_sd (s, _mm_unpackhi_pd (s, s)));
}

static inline float
half_at (const guint8 *p)
{
  guint16 h;

  memcpy (&h, p, sizeof h);
  return _cvtsh_ss (h);
}

static inline float
bf16_at (const guint8 *p)
{
  guint32 bits = (guint32) p[0] << 16 | (guint32) p[1] << 24;
  float f;

  memcpy (&f, &bits, sizeof f);
  return f;
}

static inline float
float_at (const guint8 *p)
{
  float f;

  memcpy (&f, p, sizeof f);
  return f;
}
