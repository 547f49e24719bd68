/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code book types: blocks of 256 in 8 groups of 32; codes name vectors of 8 or 4 magnitudes, and
 * bits beside them give signs (IQ2, IQ3) or a shift of all values by 1/8 (IQ1).
 */
#include "format/codebook.h"
#include "format/dtype-private.h"

/* Seven sign bits stand for eight: their number is even. */
static guint
even_signs (guint seven)
{
  return seven | (guint) __builtin_parity (seven) << 7;
}

/* y = +-scale v, bit i of @signs set: minus; without a branch, as no processor foresees them */
static void
signed_vector (const gint8 *v, guint n, guint signs, float scale, float *y)
{
  for (guint i = 0; i < n; i++)
    y[i] = scale * (float) (v[i] * (1 - 2 * (int) (signs >> i & 1)));
}

static void
shifted_vector (const gint8 *v, float shift, float scale, float *y)
{
  for (guint i = 0; i < 8; i++)
    y[i] = scale * ((float) v[i] + shift);
}

/* y = d (1/2 + s) / 4 v; d, then per group: four 8-bit codes, and a word of 4 x 7 sign bits and s on top */
static void
iq2_xxs (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ2_XXS)->values;
  float d = llm_load_half (block);

  for (guint group = 0; group < 8; group++)
    {
      const guint8 *code = block + 2 + 8 * group;
      guint32 rest = llm_load_u32 (code + 4);
      float scale = d * (0.5f + (float) (rest >> 28)) * 0.25f;

      for (guint k = 0; k < 4; k++, y += 8)
        signed_vector (book + 8 * code[k], 8, even_signs (rest >> 7 * k & 127), scale, y);
    }
}

/* y = d (1/2 + s) / 4 v; d, 32 words of a 9-bit code and 7 sign bits, 8 bytes of two s for 16 elements each */
static void
iq2_xs (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ2_XS)->values;
  float d = llm_load_half (block);

  for (guint k = 0; k < 32; k++, y += 8)
    {
      guint word = llm_load_u16 (block + 2 + 2 * k), s = block[66 + k / 4] >> k / 2 % 2 * 4 & 15;

      signed_vector (book + 8 * (word & 511), 8, even_signs (word >> 9), d * (0.5f + (float) s) * 0.25f, y);
    }
}

/* The same with 10-bit codes and all eight signs: d, 32 low bytes of codes, 32 bytes of signs, 8 bytes with the upper two
 * bits of four codes each, 8 bytes of s */
static void
iq2_s (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ2_S)->values;
  float d = llm_load_half (block);

  for (guint k = 0; k < 32; k++, y += 8)
    {
      guint code = block[2 + k] | (block[66 + k / 4] >> k % 4 * 2 & 3u) << 8, s = block[74 + k / 4] >> k / 2 % 2 * 4 & 15;

      signed_vector (book + 8 * code, 8, block[34 + k], d * (0.5f + (float) s) * 0.25f, y);
    }
}

/* y = d (1/2 + s) / 2 v, vectors of 4; d, 64 8-bit codes, per group a word of 4 x 7 sign bits and s on top */
static void
iq3_xxs (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ3_XXS)->values;
  float d = llm_load_half (block);

  for (guint k = 0; k < 32; k++, y += 8)
    {
      guint32 rest = llm_load_u32 (block + 66 + k / 4 * 4);
      guint signs = even_signs (rest >> k % 4 * 7 & 127);
      float scale = d * (0.5f + (float) (rest >> 28)) * 0.5f;

      signed_vector (book + 4 * block[2 + 2 * k], 4, signs, scale, y);
      signed_vector (book + 4 * block[3 + 2 * k], 4, signs >> 4, scale, y + 4);
    }
}

/* y = d (1 + 2 s) v, vectors of 4; d, 64 low bytes of codes, 8 bytes of ninth bits, 32 bytes of signs, 4 bytes of two s */
static void
iq3_s (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ3_S)->values;
  float d = llm_load_half (block);

  for (guint k = 0; k < 64; k++, y += 4)
    {
      guint code = block[2 + k] | (block[66 + k / 8] >> k % 8 & 1u) << 8, s = block[106 + k / 16] >> k / 8 % 2 * 4 & 15;

      signed_vector (book + 4 * code, 4, block[74 + k / 2] >> k % 2 * 4, d * (float) (1 + 2 * s), y);
    }
}

/* y = d (2 s + 1) (v +- 1/8); d, 32 low bytes of codes, per group a word: 4 x 3 upper bits of codes, 3 of s, the shift's sign */
static void
iq1_s (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ1)->values;
  float d = llm_load_half (block);

  for (guint k = 0; k < 32; k++, y += 8)
    {
      guint word = llm_load_u16 (block + 34 + k / 4 * 2), code = block[2 + k] | (word >> k % 4 * 3 & 7) << 8;

      shifted_vector (book + 8 * code, word >> 15 != 0 ? -0.125f : 0.125f, d * (float) (2 * (word >> 12 & 7) + 1), y);
    }
}

/* The same with an s for 16 elements and a shift for 8: 32 low bytes of codes, 32 half bytes of 3 upper bits and the
 * shift's sign, 4 words of 4 x 3 bits of s.  The tops of these words make d, the lowest bits first. */
static void
iq1_m (const guint8 *block, float *y)
{
  const gint8 *book = llm_codebook_get (LLM_CODEBOOK_IQ1)->values;
  guint bits = 0;
  float d;

  for (guint i = 0; i < 4; i++)
    bits |= (guint) llm_load_u16 (block + 48 + 2 * i) >> 12 << 4 * i;
  d = llm_half_to_float ((guint16) bits);
  for (guint k = 0; k < 32; k++, y += 8)
    {
      guint upper = block[32 + k / 2] >> k % 2 * 4 & 15u, code = block[k] | (upper & 7) << 8;
      guint s = llm_load_u16 (block + 48 + k / 8 * 2) >> k / 2 % 4 * 3 & 7u;

      shifted_vector (book + 8 * code, upper >= 8 ? -0.125f : 0.125f, d * (float) (2 * s + 1), y);
    }
}

LLM_DECODE_ROW (iq1_s, 256, 50)
LLM_DECODE_ROW (iq1_m, 256, 56)
LLM_DECODE_ROW (iq2_xxs, 256, 66)
LLM_DECODE_ROW (iq2_xs, 256, 74)
LLM_DECODE_ROW (iq2_s, 256, 82)
LLM_DECODE_ROW (iq3_xxs, 256, 98)
LLM_DECODE_ROW (iq3_s, 256, 110)
