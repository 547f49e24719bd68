/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The conversions against definitions written another way; the block types on hand-made blocks
 * (the vectors of others are in tests/material/test-quants.c).
 */
#include <math.h>
#include <string.h>

#include "format/dtype.h"
#include "format/gguf-builder.h"

/* The value of a finite half, from the definition. */
static double
half_value (guint16 h)
{
  int exponent = (h >> 10) & 31, mantissa = h & 1023;
  double v = exponent == 0 ? ldexp (mantissa, -24) : ldexp (1024 + mantissa, exponent - 25);

  return (h & 0x8000) != 0 ? -v : v;
}

static void
test_every_half (void)
{
  for (guint h = 0; h < 65536; h++)
    {
      float f = llm_half_to_float ((guint16) h);

      if ((h & 0x7c00) != 0x7c00)
        g_assert_true ((double) f == half_value ((guint16) h) && (signbit (f) != 0) == (h >> 15 != 0));
      else if ((h & 1023) == 0)
        g_assert_true (isinf (f) && (f < 0) == (h >> 15 != 0));
      else
        g_assert_true (isnan (f));
      if (!isnan (f))
        g_assert_cmphex (llm_float_to_half (f), ==, h);
      else
        g_assert_true (isnan (llm_half_to_float (llm_float_to_half (f))));
    }
}

/* Between two neighbours the nearer one; in the middle the even one. */
static void
test_rounding (void)
{
  for (guint16 h = 0; h < 0x7bff; h++)
    {
      double low = half_value (h), high = half_value ((guint16) (h + 1));
      float middle = (float) ((low + high) / 2);

      g_assert_true ((double) middle == (low + high) / 2); /* a float holds it exactly */
      g_assert_cmphex (llm_float_to_half (middle), ==, (h & 1) != 0 ? h + 1 : h);
      g_assert_cmphex (llm_float_to_half (nextafterf (middle, 0)), ==, h);
      g_assert_cmphex (llm_float_to_half (nextafterf (middle, INFINITY)), ==, h + 1);
      g_assert_cmphex (llm_float_to_half (-middle), ==, 0x8000 | ((h & 1) != 0 ? h + 1 : h));
    }
}

static void
test_extremes (void)
{
  g_assert_cmphex (llm_float_to_half (65504), ==, 0x7bff);
  g_assert_cmphex (llm_float_to_half (65519.996f), ==, 0x7bff);
  g_assert_cmphex (llm_float_to_half (65520), ==, 0x7c00);
  g_assert_cmphex (llm_float_to_half (3.4e38f), ==, 0x7c00);
  g_assert_cmphex (llm_float_to_half (-3.4e38f), ==, 0xfc00);
  g_assert_cmphex (llm_float_to_half (1e-30f), ==, 0);
  g_assert_cmphex (llm_float_to_half (-1e-40f), ==, 0x8000);
  g_assert_cmphex (llm_float_to_half (-0.0f), ==, 0x8000);
}

static void
test_table (void)
{
  for (guint32 id = 0; id < 256; id++)
    {
      const LlmDtypeInfo *info = llm_dtype_info (id);

      if (info == NULL)
        continue;
      g_assert_cmpuint (info->id, ==, id);
      g_assert_cmpuint (info->block_elems, >, 0);
      g_assert_cmpuint (info->block_bytes, >, 0);
    }
  g_assert_null (llm_dtype_info (4)); /* once Q4_2, withdrawn */
  g_assert_null (llm_dtype_info (G_MAXUINT32));
  for (gsize i = 0; i < 4; i++)
    g_assert_nonnull (llm_dtype_info (((const guint32[]) { LLM_DTYPE_F32, LLM_DTYPE_F16, LLM_DTYPE_Q4_0, LLM_DTYPE_Q8_0 })[i])->decode);
}

static void
test_row_bytes (void)
{
  const LlmDtypeInfo *q4_0 = llm_dtype_info (LLM_DTYPE_Q4_0), *f32 = llm_dtype_info (LLM_DTYPE_F32);
  guint64 bytes = 77;

  g_assert_true (llm_dtype_row_bytes (q4_0, 64, &bytes));
  g_assert_cmpuint (bytes, ==, 36);
  g_assert_false (llm_dtype_row_bytes (q4_0, 33, &bytes));
  g_assert_false (llm_dtype_row_bytes (f32, G_MAXUINT64 / 4 + 1, &bytes));
  g_assert_cmpuint (bytes, ==, 36); /* untouched */
  g_assert_true (llm_dtype_row_bytes (f32, G_MAXUINT64 / 4, &bytes));
  g_assert_cmpuint (bytes, ==, G_MAXUINT64 - 3);
}

/* Every nibble and every byte, with the scale 0.5, at an odd address. */
static void
test_blocks (void)
{
  guint8 raw[35];
  float out[32];

  for (int base = 0; base < 256; base++)
    {
      raw[1] = 0x00;
      raw[2] = 0x38;
      for (int i = 0; i < 32; i++)
        raw[3 + i] = (guint8) (base + i);
      llm_dtype_info (LLM_DTYPE_Q8_0)->decode (raw + 1, out, 32);
      for (int i = 0; i < 32; i++)
        g_assert_cmpfloat (out[i], ==, 0.5f * (float) (gint8) (base + i));
      llm_dtype_info (LLM_DTYPE_Q4_0)->decode (raw + 1, out, 32);
      for (int i = 0; i < 16; i++)
        {
          g_assert_cmpfloat (out[i], ==, 0.5f * (float) (((base + i) & 15) - 8));
          g_assert_cmpfloat (out[i + 16], ==, 0.5f * (float) (((base + i) >> 4 & 15) - 8));
        }
    }
}

static void
test_floats (void)
{
  static const float values[] = { 0, -1.5f, 3.25f, 65504 };
  guint8 raw[17];
  float out[4];
  guint16 half;

  memcpy (raw + 1, values, 16);
  llm_dtype_info (LLM_DTYPE_F32)->decode (raw + 1, out, 4);
  g_assert_cmpmem (out, 16, values, 16);
  for (int i = 0; i < 4; i++)
    {
      half = GUINT16_TO_LE (llm_float_to_half (values[i]));
      memcpy (raw + 1 + 2 * i, &half, 2);
    }
  llm_dtype_info (LLM_DTYPE_F16)->decode (raw + 1, out, 4);
  g_assert_cmpmem (out, 16, values, 16);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dtype/half/every", test_every_half);
  g_test_add_func ("/dtype/half/rounding", test_rounding);
  g_test_add_func ("/dtype/half/extremes", test_extremes);
  g_test_add_func ("/dtype/table", test_table);
  g_test_add_func ("/dtype/row-bytes", test_row_bytes);
  g_test_add_func ("/dtype/blocks", test_blocks);
  g_test_add_func ("/dtype/floats", test_floats);
  return g_test_run ();
}
