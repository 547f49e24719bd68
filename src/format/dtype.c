/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One row per type that GGML has defined; the numbers are those of ggml.h.  A type
 * without `decode` can be measured (a file with it is valid) but not run: integers, F64, and
 * the two that GGML only uses for activations.
 */
#include "format/dtype-private.h"

#include <string.h>

#include "base/checked.h"

float
llm_half_to_float (guint16 h)
{
  guint32 sign = (guint32) (h & 0x8000) << 16;
  guint32 exponent = (h >> 10) & 0x1f;
  guint32 mantissa = h & 0x3ff;
  guint32 bits;
  float f;

  if (exponent == 0x1f)
    bits = sign | 0x7f800000u | mantissa << 13;
  else if (exponent != 0)
    bits = sign | (exponent + 112) << 23 | mantissa << 13;
  else if (mantissa == 0)
    bits = sign;
  else
    { /* subnormal: value = mantissa * 2^-24 */
      guint shift = (guint) __builtin_clz (mantissa) - 21;

      bits = sign | (113 - shift) << 23 | ((mantissa << shift) & 0x3ff) << 13;
    }
  memcpy (&f, &bits, sizeof f);
  return f;
}

guint16
llm_float_to_half (float f)
{
  guint32 bits, sign, mantissa, half, rest, middle;
  gint32 exponent;
  guint shift;

  memcpy (&bits, &f, sizeof bits);
  sign = (bits >> 16) & 0x8000;
  exponent = (gint32) ((bits >> 23) & 0xff) - 127 + 15;
  mantissa = bits & 0x7fffff;
  if (((bits >> 23) & 0xff) == 0xff)
    return (guint16) (sign | 0x7c00 | (mantissa != 0 ? 0x200 | mantissa >> 13 : 0));
  if (exponent >= 0x1f)
    return (guint16) (sign | 0x7c00);
  if (exponent < -10)
    return (guint16) sign;
  shift = 13;
  if (exponent <= 0)
    {
      mantissa |= 0x800000;
      shift = (guint) (14 - exponent);
      exponent = 0;
    }
  half = ((guint32) exponent << 10) + (mantissa >> shift);
  rest = mantissa & ((1u << shift) - 1);
  middle = 1u << (shift - 1);
  if (rest > middle || (rest == middle && (half & 1) != 0))
    half++; /* may carry into the exponent, up to infinity: that is right */
  return (guint16) (sign | half);
}

static const LlmDtypeInfo dtypes[] = {
  { 0, "F32", 1, 4, llm_decode_f32 },
  { 1, "F16", 1, 2, llm_decode_f16 },
  { 2, "Q4_0", 32, 18, llm_decode_q4_0 },
  { 3, "Q4_1", 32, 20, llm_decode_q4_1 },
  { 6, "Q5_0", 32, 22, llm_decode_q5_0 },
  { 7, "Q5_1", 32, 24, llm_decode_q5_1 },
  { 8, "Q8_0", 32, 34, llm_decode_q8_0 },
  { 9, "Q8_1", 32, 36, NULL },
  { 10, "Q2_K", 256, 84, llm_decode_q2_k },
  { 11, "Q3_K", 256, 110, llm_decode_q3_k },
  { 12, "Q4_K", 256, 144, llm_decode_q4_k },
  { 13, "Q5_K", 256, 176, llm_decode_q5_k },
  { 14, "Q6_K", 256, 210, llm_decode_q6_k },
  { 15, "Q8_K", 256, 292, NULL },
  { 16, "IQ2_XXS", 256, 66, llm_decode_iq2_xxs },
  { 17, "IQ2_XS", 256, 74, llm_decode_iq2_xs },
  { 18, "IQ3_XXS", 256, 98, llm_decode_iq3_xxs },
  { 19, "IQ1_S", 256, 50, llm_decode_iq1_s },
  { 20, "IQ4_NL", 32, 18, llm_decode_iq4_nl },
  { 21, "IQ3_S", 256, 110, llm_decode_iq3_s },
  { 22, "IQ2_S", 256, 82, llm_decode_iq2_s },
  { 23, "IQ4_XS", 256, 136, llm_decode_iq4_xs },
  { 24, "I8", 1, 1, NULL },
  { 25, "I16", 1, 2, NULL },
  { 26, "I32", 1, 4, NULL },
  { 27, "I64", 1, 8, NULL },
  { 28, "F64", 1, 8, NULL },
  { 29, "IQ1_M", 256, 56, llm_decode_iq1_m },
  { 30, "BF16", 1, 2, llm_decode_bf16 },
  { 34, "TQ1_0", 256, 54, llm_decode_tq1_0 },
  { 35, "TQ2_0", 256, 66, llm_decode_tq2_0 },
  { 39, "MXFP4", 32, 17, llm_decode_mxfp4 },
};

const LlmDtypeInfo *
llm_dtype_info (guint32 id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (dtypes[i].id == id)
      return &dtypes[i];
  return NULL;
}

gboolean
llm_dtype_row_bytes (const LlmDtypeInfo *info, guint64 n, guint64 *bytes)
{
  return n % info->block_elems == 0 && llm_mul_u64 (n / info->block_elems, info->block_bytes, bytes);
}

char *
llm_dtype_names (void)
{
  GString *names = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (dtypes); i++)
    if (dtypes[i].decode != NULL)
      g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", dtypes[i].name);
  return g_string_free (names, FALSE);
}
