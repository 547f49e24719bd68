/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AVX2 + FMA + F16C: 8 floats; 8-bit products through vpmaddubsw, whose pairs must stay below 2^15:
 * |w| <= 128 and |x| <= 127 do. */
#include "compute/cpu/bits-256.h"
#include "compute/cpu/vectors-256.h"

static inline __m256i
widened_pairs (__m256i unsigned_bytes, __m256i signed_bytes)
{
  return _mm256_madd_epi16 (_mm256_maddubs_epi16 (unsigned_bytes, signed_bytes), _mm256_set1_epi16 (1));
}

#define DOT_UNSIGNED(q, x) widened_pairs (q, x)
#define DOT_WIDE(q, x) widened_pairs (_mm256_abs_epi8 (q), _mm256_sign_epi8 (x, q))
#define PANEL_CODES(q) (q)
#define PANEL_ZERO 0

#include "compute/cpu/codes.h"
#include "compute/cpu/gemm-pairs.h"

GEMM_PAIRS (nibbles, 32, 8, FALSE)
GEMM_PAIRS (five_bits, 32, 4, FALSE)
GEMM_PAIRS (seven_bits, 32, 1, FALSE)
GEMM_PAIRS (bytes, 32, 1, TRUE)
GEMM_PAIRS (few_bits_16, 16, 4, FALSE)
GEMM_PAIRS (six_bits_16, 16, 2, FALSE)
GEMM_PAIRS (seven_bits_16, 16, 1, FALSE)

#define GEMM_OF(type) gemm_of_##type
#define gemm_of_q4_0 gemm_nibbles
#define gemm_of_q4_1 gemm_nibbles
#define gemm_of_q4_k gemm_nibbles
#define gemm_of_q5_0 gemm_five_bits
#define gemm_of_q5_1 gemm_five_bits
#define gemm_of_q5_k gemm_five_bits
#define gemm_of_mxfp4 gemm_five_bits
#define gemm_of_q8_0 gemm_bytes
#define gemm_of_iq4_nl gemm_bytes
#define gemm_of_iq4_xs gemm_bytes
#define gemm_of_q2_k gemm_few_bits_16
#define gemm_of_q3_k gemm_few_bits_16
#define gemm_of_q6_k gemm_six_bits_16
#define gemm_of_tq1_0 gemm_nibbles
#define gemm_of_tq2_0 gemm_nibbles
#define gemm_of_iq1_s gemm_nibbles
#define gemm_of_iq3_s gemm_five_bits
#define gemm_of_iq2_xxs gemm_seven_bits
#define gemm_of_iq3_xxs gemm_seven_bits
#define gemm_of_iq1_m gemm_few_bits_16
#define gemm_of_iq2_xs gemm_seven_bits_16
#define gemm_of_iq2_s gemm_seven_bits_16

#include "compute/cpu/product-kernels.h"
#include "compute/cpu/attention-kernels.h"
#include "compute/cpu/row-kernels.h"

static gboolean
usable (void)
{
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma") && llm_cpu_has_f16c ();
}

const LlmCpuKernels llm_cpu_avx2 = { .name = "avx2", .usable = usable, .noise = 0.08, PRODUCT_KERNELS, ATTENTION_KERNELS, ROW_KERNELS };
