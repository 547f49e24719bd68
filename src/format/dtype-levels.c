/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Four bits that choose one of 16 uneven levels.  Groups of 32 in 16 bytes, the first 16 elements in
 * the low halves, the others in the high ones.
 */
#include <string.h>

#include "format/dtype-private.h"

static const gint8 levels_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
/* OCP Microscaling Formats 1.0: E2M1, doubled; minus zero counts as zero */
static const gint8 levels_e2m1[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static void
group_of_32 (const guint8 *q, const gint8 *levels, float scale, float *y)
{
  for (int i = 0; i < 16; i++)
    {
      y[i] = scale * (float) levels[q[i] & 15];
      y[i + 16] = scale * (float) levels[q[i] >> 4];
    }
}

/* y = d level[q]; d (f16), 16 bytes */
static void
iq4_nl (const guint8 *block, float *y)
{
  group_of_32 (block + 2, levels_iq4, llm_load_half (block), y);
}

/* y = d (scale - 32) level[q]; 8 groups with six-bit scales.
 * d, the upper two bits of all scales (16 bits), the low four (4 bytes), 128 bytes */
static void
iq4_xs (const guint8 *block, float *y)
{
  float d = llm_load_half (block);
  int upper = llm_load_u16 (block + 2);

  for (int group = 0; group < 8; group++)
    {
      int scale = (block[4 + group / 2] >> group % 2 * 4 & 15) | (upper >> 2 * group & 3) << 4;

      group_of_32 (block + 8 + 16 * group, levels_iq4, d * (float) (scale - 32), y + 32 * group);
    }
}

/* y = 2^(e - 127) level[q] / 2; e (8 bits), 16 bytes.  e = 0 and 1 make the scale subnormal. */
static void
mxfp4 (const guint8 *block, float *y)
{
  guint32 bits = block[0] < 2 ? 0x200000u << block[0] : (guint32) (block[0] - 1) << 23;
  float half_scale;

  memcpy (&half_scale, &bits, sizeof bits);
  group_of_32 (block + 1, levels_e2m1, half_scale, y);
}

LLM_DECODE_ROW (iq4_nl, 32, 18)
LLM_DECODE_ROW (iq4_xs, 256, 136)
LLM_DECODE_ROW (mxfp4, 32, 17)
