/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the instruction sets with vpdpbusd share: DOT_256 (sum, unsigned, signed) of the file that includes this is theirs.
 * Codes are unsigned there, so that signed ones are shifted by 128 in panels, and take their sign to the input in a dot product.
 */
#pragma once

#include "compute/cpu/codes.h"

#define DOT_UNSIGNED(q, x) DOT_256 (_mm256_setzero_si256 (), q, x)
#define DOT_WIDE(q, x) DOT_256 (_mm256_setzero_si256 (), _mm256_abs_epi8 (q), _mm256_sign_epi8 (x, q))
#define PANEL_CODES(q) _mm256_xor_si256 (q, _mm256_set1_epi8 ((char) 0x80))
#define PANEL_ZERO 128

#include "compute/cpu/gemm-256.h"

/* By columns that share a scale, and the code that stands for 0 as a power of two. */
#define GEMM_VNNI_CLASSES                                                                                                                  \
  GEMM_VNNI (by_32_zero_1, 32, 0)                                                                                                          \
  GEMM_VNNI (by_32_zero_8, 32, 3)                                                                                                          \
  GEMM_VNNI (by_32_zero_16, 32, 4)                                                                                                         \
  GEMM_VNNI (by_32_zero_64, 32, 6)                                                                                                         \
  GEMM_VNNI (by_32_zero_128, 32, 7)                                                                                                        \
  GEMM_VNNI (by_32_offset, 32, -1)                                                                                                         \
  GEMM_VNNI (by_16_zero_4, 16, 2)                                                                                                          \
  GEMM_VNNI (by_16_zero_16, 16, 4)                                                                                                         \
  GEMM_VNNI (by_16_zero_32, 16, 5)                                                                                                         \
  GEMM_VNNI (by_16_zero_64, 16, 6)                                                                                                         \
  GEMM_VNNI (by_16_offset, 16, -1)

#define GEMM_OF(type) gemm_of_##type
#define gemm_of_q4_0 gemm_by_32_zero_8
#define gemm_of_q5_0 gemm_by_32_zero_16
#define gemm_of_mxfp4 gemm_by_32_zero_16
#define gemm_of_q8_0 gemm_by_32_zero_128
#define gemm_of_iq4_nl gemm_by_32_zero_128
#define gemm_of_iq4_xs gemm_by_32_zero_128
#define gemm_of_q4_1 gemm_by_32_offset
#define gemm_of_q5_1 gemm_by_32_offset
#define gemm_of_q4_k gemm_by_32_offset
#define gemm_of_q5_k gemm_by_32_offset
#define gemm_of_q3_k gemm_by_16_zero_4
#define gemm_of_q6_k gemm_by_16_zero_32
#define gemm_of_q2_k gemm_by_16_offset
#define gemm_of_tq1_0 gemm_by_32_zero_1
#define gemm_of_tq2_0 gemm_by_32_zero_1
#define gemm_of_iq3_s gemm_by_32_zero_16
#define gemm_of_iq2_xxs gemm_by_32_zero_64
#define gemm_of_iq3_xxs gemm_by_32_zero_64
#define gemm_of_iq1_s gemm_by_32_offset
#define gemm_of_iq1_m gemm_by_16_zero_16
#define gemm_of_iq2_xs gemm_by_16_zero_64
#define gemm_of_iq2_s gemm_by_16_zero_64
