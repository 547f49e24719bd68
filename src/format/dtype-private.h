/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every type is defined by a function of ONE block, with its formula and layout above it;
 * LLM_DECODE_ROW makes it the function of a row that the table in dtype.c names.
 *
 * All fields are little-endian and of any alignment.  Products of a scale with a code are exact in
 * float32; where two terms are summed, each is rounded first and the sum once more.
 */
#pragma once

#include "format/dtype.h"

#define LLM_DECODE_ROW(type, elems, bytes)                                                                                                 \
  void llm_decode_##type (const void *blocks, float *out, gsize n)                                                                         \
  {                                                                                                                                        \
    const guint8 *p = blocks;                                                                                                              \
                                                                                                                                           \
    for (gsize i = 0; i < n / (elems); i++)                                                                                                \
      type (p + i * (bytes), out + i * (elems));                                                                                           \
  }

static inline guint16
llm_load_u16 (const guint8 *p)
{
  return (guint16) (p[0] | p[1] << 8);
}

static inline guint32
llm_load_u32 (const guint8 *p)
{
  return (guint32) p[0] | (guint32) p[1] << 8 | (guint32) p[2] << 16 | (guint32) p[3] << 24;
}

static inline float
llm_load_half (const guint8 *p)
{
  return llm_half_to_float (llm_load_u16 (p));
}

/* dtype-plain.c */
void llm_decode_f32 (const void *blocks, float *out, gsize n);
void llm_decode_f16 (const void *blocks, float *out, gsize n);
void llm_decode_bf16 (const void *blocks, float *out, gsize n);
/* dtype-legacy.c */
void llm_decode_q4_0 (const void *blocks, float *out, gsize n);
void llm_decode_q4_1 (const void *blocks, float *out, gsize n);
void llm_decode_q5_0 (const void *blocks, float *out, gsize n);
void llm_decode_q5_1 (const void *blocks, float *out, gsize n);
void llm_decode_q8_0 (const void *blocks, float *out, gsize n);
/* dtype-k.c */
void llm_decode_q2_k (const void *blocks, float *out, gsize n);
void llm_decode_q3_k (const void *blocks, float *out, gsize n);
void llm_decode_q4_k (const void *blocks, float *out, gsize n);
void llm_decode_q5_k (const void *blocks, float *out, gsize n);
void llm_decode_q6_k (const void *blocks, float *out, gsize n);
/* dtype-levels.c */
void llm_decode_iq4_nl (const void *blocks, float *out, gsize n);
void llm_decode_iq4_xs (const void *blocks, float *out, gsize n);
void llm_decode_mxfp4 (const void *blocks, float *out, gsize n);
/* dtype-iq.c */
void llm_decode_iq1_s (const void *blocks, float *out, gsize n);
void llm_decode_iq1_m (const void *blocks, float *out, gsize n);
void llm_decode_iq2_xxs (const void *blocks, float *out, gsize n);
void llm_decode_iq2_xs (const void *blocks, float *out, gsize n);
void llm_decode_iq2_s (const void *blocks, float *out, gsize n);
void llm_decode_iq3_xxs (const void *blocks, float *out, gsize n);
void llm_decode_iq3_s (const void *blocks, float *out, gsize n);
/* dtype-ternary.c */
void llm_decode_tq1_0 (const void *blocks, float *out, gsize n);
void llm_decode_tq2_0 (const void *blocks, float *out, gsize n);
