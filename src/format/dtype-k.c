/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The K types: blocks of 256 in groups of 16 or 32, a small integer scale (and minimum) per
 * group under one f16 scale (and minimum) for all.
 */
#include "format/dtype-private.h"

/* y = d scale q - dmin minimum; groups of 16, scale and minimum the low and high half of a byte.
 * 16 group bytes, 64 bytes of 2-bit codes, d, dmin.  Codes: each 32 bytes hold 128 elements, bits 2s and 2s+1 those of
 * elements 32 s ... */
static void
q2_k (const guint8 *block, float *y)
{
  float d = llm_load_half (block + 80), dmin = llm_load_half (block + 82);

  for (int group = 0; group < 16; group++)
    {
      float scale = d * (float) (block[group] & 15), minimum = dmin * (float) (block[group] >> 4);
      const guint8 *q = block + 16 + group / 8 * 32 + group % 2 * 16;
      int shift = group / 2 % 4 * 2;

      for (int i = 0; i < 16; i++)
        *y++ = scale * (float) (q[i] >> shift & 3) - minimum;
    }
}

/* The six bits of Q3_K's scale of @group: low four in the halves of 8 bytes, upper two in 4 more. */
static int
q3_k_scale (const guint8 *packed, int group)
{
  int low = packed[group % 8] >> group / 8 * 4 & 15, high = packed[8 + group % 4] >> group / 4 * 2 & 3;

  return (low | high << 4) - 32;
}

/* y = d scale (q - 4); groups of 16, scale in -32..31, q in 0..7.
 * 32 bytes of third bits (bit k of byte i: element 32 k + i), 64 bytes of 2-bit codes as in Q2_K, 12 bytes of scales, d */
static void
q3_k (const guint8 *block, float *y)
{
  float d = llm_load_half (block + 108);

  for (int group = 0; group < 16; group++)
    {
      float scale = d * (float) q3_k_scale (block + 96, group);
      const guint8 *third = block + group % 2 * 16, *q = block + 32 + group / 8 * 32 + group % 2 * 16;
      int shift = group / 2 % 4 * 2;

      for (int i = 0; i < 16; i++)
        *y++ = scale * (float) ((q[i] >> shift & 3) + (third[i] >> group / 2 & 1) * 4 - 4);
    }
}

/* Six bits each for 8 groups in 12 bytes: those of groups 0-3 stand whole in bytes 0-3 (scales) and 4-7 (minima);
 * those of groups 4-7 have their low four bits in bytes 8-11 and the upper two atop of bytes 0-7. */
static void
q4_k_group (const guint8 *packed, int group, int *scale, int *minimum)
{
  if (group < 4)
    {
      *scale = packed[group] & 63;
      *minimum = packed[group + 4] & 63;
    }
  else
    {
      *scale = (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
      *minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
}

/* y = d scale q - dmin minimum; groups of 32.
 * d, dmin, 12 bytes of scales and minima, 128 bytes: each 32 hold one group in the low halves and the next in the high ones */
static void
q4_k (const guint8 *block, float *y)
{
  float d = llm_load_half (block), dmin = llm_load_half (block + 2);

  for (int group = 0; group < 8; group++)
    {
      const guint8 *q = block + 16 + group / 2 * 32;
      int s, m;
      float scale, minimum;

      q4_k_group (block + 4, group, &s, &m);
      scale = d * (float) s;
      minimum = dmin * (float) m;
      for (int i = 0; i < 32; i++)
        *y++ = scale * (float) (q[i] >> group % 2 * 4 & 15) - minimum;
    }
}

/* Q4_K with a fifth bit: d, dmin, 12 bytes, 32 bytes of fifth bits (bit g of byte i: element i of group g), 128 bytes */
static void
q5_k (const guint8 *block, float *y)
{
  float d = llm_load_half (block), dmin = llm_load_half (block + 2);

  for (int group = 0; group < 8; group++)
    {
      const guint8 *fifth = block + 16, *q = block + 48 + group / 2 * 32;
      int s, m;
      float scale, minimum;

      q4_k_group (block + 4, group, &s, &m);
      scale = d * (float) s;
      minimum = dmin * (float) m;
      for (int i = 0; i < 32; i++)
        *y++ = scale * (float) ((q[i] >> group % 2 * 4 & 15) | (fifth[i] >> group & 1) << 4) - minimum;
    }
}

/* y = d scale (q - 32); groups of 16, q of six bits.
 * 128 bytes of low four bits, 64 bytes of upper two, 16 signed scales, d.  Per half of 128 elements: 64 low bytes, the low
 * halves elements 0-63 and the high ones 64-127; 32 upper bytes, two bits for each 32 elements. */
static void
q6_k (const guint8 *block, float *y)
{
  float d = llm_load_half (block + 208);

  for (int group = 0; group < 16; group++)
    {
      int half = group / 8, at = group % 8;
      const guint8 *low = block + half * 64 + at % 4 * 16, *upper = block + 128 + half * 32 + at % 2 * 16;
      float scale = d * (float) (gint8) block[192 + group];

      for (int i = 0; i < 16; i++)
        *y++ = scale * (float) (((low[i] >> at / 4 * 4 & 15) | (upper[i] >> at / 2 * 2 & 3) << 4) - 32);
    }
}

LLM_DECODE_ROW (q2_k, 256, 84)
LLM_DECODE_ROW (q3_k, 256, 110)
LLM_DECODE_ROW (q4_k, 256, 144)
LLM_DECODE_ROW (q5_k, 256, 176)
LLM_DECODE_ROW (q6_k, 256, 210)
