/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements of -1, 0 and 1: blocks of 256, y = d (q - 1), d (f16) at the end.
 */
#include "format/dtype-private.h"

/* Digit @k, the highest first, of a number below 3^5 that is stored as a fraction: byte = ceil (number 256 / 243).
 * Multiplied by 3^k modulo 256, the digit stands before the point. */
static int
trit (guint8 byte, int k)
{
  static const guint8 power[] = { 1, 3, 9, 27, 81 };

  return (guint8) (byte * power[k]) * 3 >> 8;
}

/* @n_digits digits of @n_bytes bytes: all first digits, then all second ones ... */
static float *
trits (const guint8 *bytes, int n_bytes, int n_digits, float d, float *y)
{
  for (int k = 0; k < n_digits; k++)
    for (int i = 0; i < n_bytes; i++)
      *y++ = d * (float) (trit (bytes[i], k) - 1);
  return y;
}

/* 32 bytes of 5 elements, 16 of 5, 4 of 4 */
static void
tq1_0 (const guint8 *block, float *y)
{
  float d = llm_load_half (block + 52);

  y = trits (block, 32, 5, d, y);
  y = trits (block + 32, 16, 5, d, y);
  trits (block + 48, 4, 4, d, y);
}

/* 64 bytes of 2-bit codes: each 32 hold 128 elements, bits 2s and 2s+1 those of elements 32 s ...  The code 3 makes 2 d. */
static void
tq2_0 (const guint8 *block, float *y)
{
  float d = llm_load_half (block + 64);

  for (int group = 0; group < 8; group++)
    for (int i = 0; i < 32; i++)
      *y++ = d * (float) ((block[group / 4 * 32 + i] >> group % 4 * 2 & 3) - 1);
}

LLM_DECODE_ROW (tq1_0, 256, 54)
LLM_DECODE_ROW (tq2_0, 256, 66)
