/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 8 floats and 4 doubles, with AVX2 and FMA. */
#pragma once

#include <immintrin.h>

#define VF __m256
#define VF_LANES 8
#define VF_ZERO _mm256_setzero_ps ()
#define VF_LOAD(p) _mm256_loadu_ps ((const float *) (gconstpointer) (p))
#define VF_LOAD_HALF(p) _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (p)))
#define VF_LOAD_BF16(p) _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const __m128i *) (gconstpointer) (p))), 16))
#define VF_FMA(a, b, c) _mm256_fmadd_ps (a, b, c)
#define VF_SET1(f) _mm256_set1_ps (f)
#define VF_STORE(p, v) _mm256_storeu_ps (p, v)
#define VF_SUM(v) sum_f256 (v)
#define VF_MIN(a, b) _mm256_min_ps (a, b)
#define VF_MAX(a, b) _mm256_max_ps (a, b)
#define VF_ROUND(v) _mm256_round_ps (v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define VF_POWER2(v, n) _mm256_castsi256_ps (_mm256_add_epi32 (_mm256_castps_si256 (v), _mm256_slli_epi32 (_mm256_cvtps_epi32 (n), 23)))
#define VF_ZERO_IF_LESS(a, b, v) _mm256_and_ps (v, _mm256_cmp_ps (a, b, _CMP_NLT_UQ))
#define VF_IF_LESS(a, b, yes, no) _mm256_blendv_ps (no, yes, _mm256_cmp_ps (a, b, _CMP_LT_OQ))
#define VF_EACH_EVEN(v) _mm256_moveldup_ps (v)
#define VF_EACH_ODD(v) _mm256_movehdup_ps (v)
#define VF_SWAP_PAIRS(v) _mm256_permute_ps (v, 0xb1)
#define VF_FMADDSUB(a, b, c) _mm256_fmaddsub_ps (a, b, c)
#define VF_EVENS(a, b) _mm256_castpd_ps (_mm256_permute4x64_pd (_mm256_castps_pd (_mm256_shuffle_ps (a, b, 0x88)), 0xd8))
#define VF_ODDS(a, b) _mm256_castpd_ps (_mm256_permute4x64_pd (_mm256_castps_pd (_mm256_shuffle_ps (a, b, 0xdd)), 0xd8))
#define VD __m256d
#define VD_LANES 4
#define VD_SET1(d) _mm256_set1_pd (d)
#define VD_LOAD(p) _mm256_cvtps_pd (_mm_loadu_ps (p))
#define VD_FMA(a, b, c) _mm256_fmadd_pd (a, b, c)
#define VD_SUM(v) sum_d256 (v)
