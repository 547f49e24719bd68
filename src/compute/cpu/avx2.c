/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AVX2 + FMA + F16C: 8 floats; 8-bit products through vpmaddubsw, whose pairs must stay below 2^15:
 * |w| <= 128 and |x| <= 127 do. */
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
#define DOT_Q8(w, x, start) dot_q8 (w, x)
#define DOT_Q4(w, x, start) _mm256_add_epi32 (start, pairs (w, x))
#define DOT_U8(w, x) pairs (w, x)

static inline __m256i
pairs (__m256i unsigned_bytes, __m256i signed_bytes)
{
  return _mm256_madd_epi16 (_mm256_maddubs_epi16 (unsigned_bytes, signed_bytes), _mm256_set1_epi16 (1));
}

/* |w| . (x with w's sign) */
static inline __m256i
dot_q8 (__m256i w, __m256i x)
{
  return pairs (_mm256_abs_epi8 (w), _mm256_sign_epi8 (x, w));
}

#include "compute/cpu/simd-kernels.h"
#include "compute/cpu/attention-kernels.h"
#include "compute/cpu/row-kernels.h"

static gboolean
usable (void)
{
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma") && llm_cpu_has_f16c ();
}

const LlmCpuKernels llm_cpu_avx2 = SIMD_KERNELS ("avx2");
