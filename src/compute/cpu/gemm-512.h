/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vectors of gemm-vnni.h, sixteen lanes. */
#define GEMM_LANES 16
#define GEMM(name) gemm_512_##name
#define GEMM_INPUT(x, stride, r, half, member) ((gconstpointer) &(x)[(r) * (stride)].member)
#define LI __m512i
#define LF __m512
#define LI_DOT(s, u, i) _mm512_dpbusd_epi32 (s, u, i)
#define LI_LOAD(p) _mm512_loadu_si512 (p)
#define LI_WORD(p) _mm512_set1_epi32 ((int) word_at (p))
#define LI_ADD(a, b) _mm512_add_epi32 (a, b)
#define LI_SHIFT(v, n) _mm512_sll_epi32 (v, _mm_cvtsi32_si128 (n))
#define LI_ZERO _mm512_setzero_si512 ()
#define LF_FROM(v) _mm512_cvtepi32_ps (v)
#define LF_LOAD(p) _mm512_loadu_ps (p)
#define LF_STORE(p, v) _mm512_storeu_ps (p, v)
#define LF_MUL(a, b) _mm512_mul_ps (a, b)
#define LF_FMA(a, b, c) _mm512_fmadd_ps (a, b, c)
#define LF_SET1(f) _mm512_set1_ps (f)
#include "compute/cpu/gemm-vnni.h"
