/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/random-blocks.h"

#include <math.h>
#include <string.h>

/* Where the halves stand (-1: nowhere), and about how large an element is when the scale is 1. */
static const struct {
  LlmDtype id;
  int scale, minimum;
  float size;
} layouts[] = {
  { LLM_DTYPE_Q4_0, 0, -1, 5 }, { LLM_DTYPE_Q4_1, 0, 2, 9 }, { LLM_DTYPE_Q5_0, 0, -1, 9 }, { LLM_DTYPE_Q5_1, 0, 2, 18 },
  { LLM_DTYPE_Q8_0, 0, -1, 74 }, { LLM_DTYPE_Q2_K, 80, 82, 16 }, { LLM_DTYPE_Q3_K, 108, -1, 42 }, { LLM_DTYPE_Q4_K, 0, 2, 320 },
  { LLM_DTYPE_Q5_K, 0, 2, 660 }, { LLM_DTYPE_Q6_K, 208, -1, 1370 }, { LLM_DTYPE_IQ1_S, 0, -1, 7 }, { LLM_DTYPE_IQ1_M, -1, -1, 7 },
  { LLM_DTYPE_IQ2_XXS, 0, -1, 60 }, { LLM_DTYPE_IQ2_XS, 0, -1, 60 }, { LLM_DTYPE_IQ2_S, 0, -1, 60 }, { LLM_DTYPE_IQ3_XXS, 0, -1, 130 },
  { LLM_DTYPE_IQ3_S, 0, -1, 150 }, { LLM_DTYPE_IQ4_NL, 0, -1, 70 }, { LLM_DTYPE_IQ4_XS, 0, -1, 1300 }, { LLM_DTYPE_TQ1_0, 52, -1, 1 },
  { LLM_DTYPE_TQ2_0, 64, -1, 1 }, { LLM_DTYPE_MXFP4, -1, -1, 5 },
};

double
llm_test_normal (GRand *rand)
{
  double sum = -6;

  for (int i = 0; i < 12; i++)
    sum += g_rand_double (rand);
  return sum;
}

static guint
find (const LlmDtypeInfo *dtype)
{
  for (guint i = 0; i < G_N_ELEMENTS (layouts); i++)
    if (layouts[i].id == dtype->id)
      return i;
  g_error ("no layout of %s here", dtype->name);
}

static void
put_half (guint8 *block, int at, float f)
{
  guint16 h = GUINT16_TO_LE (llm_float_to_half (f));

  if (at >= 0)
    memcpy (block + at, &h, sizeof h);
}

void
llm_test_set_scale (const LlmDtypeInfo *dtype, guint8 *block, float scale, float minimum)
{
  guint i = find (dtype);
  guint16 h = llm_float_to_half (scale);
  int exponent;

  put_half (block, layouts[i].scale, scale);
  put_half (block, layouts[i].minimum, minimum);
  if (dtype->id == LLM_DTYPE_MXFP4)
    {
      frexpf (scale, &exponent);
      block[0] = (guint8) (127 + exponent);
    }
  for (guint k = 0; dtype->id == LLM_DTYPE_IQ1_M && k < 4; k++) /* in the tops of the last four words */
    block[49 + 2 * k] = (guint8) ((block[49 + 2 * k] & 15) | (h >> 4 * k & 15) << 4);
}

void
llm_test_random_block (GRand *rand, const LlmDtypeInfo *dtype, float size, guint8 *to)
{
  float f = size * (float) llm_test_normal (rand);
  guint32 bits;

  memcpy (&bits, &f, sizeof bits);
  if (dtype->id == LLM_DTYPE_F32)
    memcpy (to, &f, sizeof f);
  else if (dtype->id == LLM_DTYPE_F16)
    put_half (to, 0, f);
  else if (dtype->id == LLM_DTYPE_BF16)
    for (guint i = 0; i < 2; i++)
      to[i] = (guint8) (bits >> (16 + 8 * i));
  else
    {
      for (guint i = 0; i < dtype->block_bytes; i++)
        to[i] = (guint8) g_rand_int_range (rand, 0, 256); /* every code, -128 and 15 too */
      llm_test_set_scale (dtype, to, f / layouts[find (dtype)].size, size * (float) llm_test_normal (rand) / layouts[find (dtype)].size);
    }
}
