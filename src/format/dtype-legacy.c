/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks of 32 with one scale d (f16) and, where the name ends in 1, one offset m (f16).
 * Nibbles: byte i holds the low bits of y[i] in its low half, those of y[i + 16] in its high half;
 * the fifth bits stand in one 32-bit word, bit i for y[i].
 */
#include "format/dtype-private.h"

/* y = d (q - 8); d, 16 bytes */
static void
q4_0 (const guint8 *block, float *y)
{
  float d = llm_load_half (block);
  const guint8 *q = block + 2;

  for (int i = 0; i < 16; i++)
    {
      y[i] = d * (float) ((q[i] & 15) - 8);
      y[i + 16] = d * (float) ((q[i] >> 4) - 8);
    }
}

/* y = d q + m; d, m, 16 bytes */
static void
q4_1 (const guint8 *block, float *y)
{
  float d = llm_load_half (block), m = llm_load_half (block + 2);
  const guint8 *q = block + 4;

  for (int i = 0; i < 16; i++)
    {
      y[i] = d * (float) (q[i] & 15) + m;
      y[i + 16] = d * (float) (q[i] >> 4) + m;
    }
}

static void
five_bits (const guint8 *q, guint32 fifth, int code[32])
{
  for (int i = 0; i < 16; i++)
    {
      code[i] = (int) ((q[i] & 15u) | (fifth >> i & 1) << 4);
      code[i + 16] = (int) (((guint) q[i] >> 4) | (fifth >> (i + 16) & 1) << 4);
    }
}

/* y = d (q - 16); d, fifth bits, 16 bytes */
static void
q5_0 (const guint8 *block, float *y)
{
  float d = llm_load_half (block);
  int q[32];

  five_bits (block + 6, llm_load_u32 (block + 2), q);
  for (int i = 0; i < 32; i++)
    y[i] = d * (float) (q[i] - 16);
}

/* y = d q + m; d, m, fifth bits, 16 bytes */
static void
q5_1 (const guint8 *block, float *y)
{
  float d = llm_load_half (block), m = llm_load_half (block + 2);
  int q[32];

  five_bits (block + 8, llm_load_u32 (block + 4), q);
  for (int i = 0; i < 32; i++)
    y[i] = d * (float) q[i] + m;
}

/* y = d q; d, 32 signed bytes */
static void
q8_0 (const guint8 *block, float *y)
{
  float d = llm_load_half (block);

  for (int i = 0; i < 32; i++)
    y[i] = d * (float) (gint8) block[2 + i];
}

LLM_DECODE_ROW (q4_0, 32, 18)
LLM_DECODE_ROW (q4_1, 32, 20)
LLM_DECODE_ROW (q5_0, 32, 22)
LLM_DECODE_ROW (q5_1, 32, 24)
LLM_DECODE_ROW (q8_0, 32, 34)
