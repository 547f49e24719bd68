/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vectors of gemm-vnni.h, eight lanes; DOT_256 (sum, unsigned, signed) comes from the instruction set. */
#define GEMM_LANES 8
#define GEMM(name) gemm_256_##name
/* vector @r of the inputs: half a tile */
#define GEMM_INPUT(x, stride, r, half, member) ((gconstpointer) ((const guint8 *) &(x)[((r) + (half)) / 2 * (stride)].member + ((r) + (half)) % 2 * 32))
#define LI __m256i
#define LF __m256
#define LI_DOT(s, u, i) DOT_256 (s, u, i)
#define LI_LOAD(p) _mm256_loadu_si256 ((const __m256i *) (gconstpointer) (p))
#define LI_WORD(p) _mm256_set1_epi32 ((int) word_at (p))
#define LI_ADD(a, b) _mm256_add_epi32 (a, b)
#define LI_SHIFT(v, n) _mm256_sll_epi32 (v, _mm_cvtsi32_si128 (n))
#define LI_ZERO _mm256_setzero_si256 ()
#define LF_FROM(v) _mm256_cvtepi32_ps (v)
#define LF_LOAD(p) _mm256_loadu_ps ((const float *) (p))
#define LF_STORE(p, v) _mm256_storeu_ps (p, v)
#define LF_MUL(a, b) _mm256_mul_ps (a, b)
#define LF_FMA(a, b, c) _mm256_fmadd_ps (a, b, c)
#define LF_SET1(f) _mm256_set1_ps (f)
#include "compute/cpu/gemm-vnni.h"
