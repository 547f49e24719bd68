/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block types on hand-made blocks: which bit of which byte reaches which element.  Every
 * expectation follows from the comment above the type's function; the vectors of others are in
 * tests/material/test-quants.c.
 */
#include <math.h>
#include <string.h>

#include "format/random-blocks.h"

/* A block of zeros with the scale 1, but for @set. */
static const struct {
  LlmDtype id;
  float minimum;
  struct { guint8 at, value; } set[3]; /* until { 0, 0 } */
  guint element;
  float expected;
} probes[] = {
  { LLM_DTYPE_Q4_0, 0, { { 2, 0x2f } }, 0, 7 },
  { LLM_DTYPE_Q4_0, 0, { { 17, 0x2f } }, 31, -6 },
  { LLM_DTYPE_Q4_1, 0, { { 4, 0x21 } }, 0, 1 },
  { LLM_DTYPE_Q4_1, 0, { { 4, 0x21 } }, 16, 2 },
  { LLM_DTYPE_Q4_1, 3, { { 19, 0xf0 } }, 31, 18 },
  { LLM_DTYPE_Q5_0, 0, { { 2, 0x01 } }, 0, 0 },
  { LLM_DTYPE_Q5_0, 0, { { 5, 0x80 } }, 31, 0 },
  { LLM_DTYPE_Q5_0, 0, { { 6, 0x0f } }, 0, -1 },
  { LLM_DTYPE_Q5_1, 0.5, { { 7, 0x80 } }, 31, 16.5 },
  { LLM_DTYPE_Q5_1, 0.5, { { 23, 0xf0 } }, 31, 15.5 },
  { LLM_DTYPE_Q8_0, 0, { { 33, 0x80 } }, 31, -128 },
  { LLM_DTYPE_Q2_K, 1, { { 0, 0x03 }, { 16, 0x02 } }, 0, 6 },
  { LLM_DTYPE_Q2_K, 1, { { 15, 0x05 }, { 79, 0xc0 } }, 255, 15 },
  { LLM_DTYPE_Q2_K, 1, { { 1, 0x20 } }, 16, -2 },
  { LLM_DTYPE_Q3_K, 0, { { 0, 0x02 } }, 0, 128 },
  { LLM_DTYPE_Q3_K, 0, { { 0, 0x02 } }, 32, 0 },
  { LLM_DTYPE_Q3_K, 0, { { 96, 0x0f }, { 104, 0x03 } }, 0, -124 },
  { LLM_DTYPE_Q3_K, 0, { { 103, 0xf0 }, { 107, 0xc0 } }, 255, -124 },
  { LLM_DTYPE_Q3_K, 0, { { 31, 0x80 }, { 95, 0xc0 } }, 255, -96 },
  { LLM_DTYPE_Q4_K, 1, { { 4, 63 }, { 16, 0x0f } }, 0, 945 },
  { LLM_DTYPE_Q4_K, 1, { { 15, 0x0f }, { 7, 0xc0 }, { 143, 0xf0 } }, 255, 945 },
  { LLM_DTYPE_Q4_K, 1, { { 15, 0xf0 }, { 11, 0xc0 } }, 255, -63 },
  { LLM_DTYPE_Q4_K, 1, { { 9, 0x11 } }, 32, -17 },
  { LLM_DTYPE_Q5_K, 1, { { 4, 1 }, { 16, 0x01 } }, 0, 16 },
  { LLM_DTYPE_Q5_K, 1, { { 15, 0x01 }, { 47, 0x80 }, { 175, 0xf0 } }, 255, 31 },
  { LLM_DTYPE_Q6_K, 0, { { 192, 0xff } }, 0, 32 },
  { LLM_DTYPE_Q6_K, 0, { { 207, 1 }, { 191, 0xc0 }, { 127, 0xf0 } }, 255, 31 },
  { LLM_DTYPE_Q6_K, 0, { { 194, 1 }, { 128, 0x04 } }, 32, -16 },
  { LLM_DTYPE_IQ4_NL, 0, { { 17, 0xf0 } }, 31, 113 },
  { LLM_DTYPE_IQ4_NL, 0, { { 17, 0xf0 } }, 30, -127 },
  { LLM_DTYPE_IQ4_XS, 0, { { 4, 0x0f }, { 2, 0x03 }, { 8, 0x0f } }, 0, 31 * 113 },
  { LLM_DTYPE_IQ4_XS, 0, { { 7, 0xf0 }, { 3, 0xc0 }, { 135, 0xf0 } }, 255, 31 * 113 },
  { LLM_DTYPE_IQ4_XS, 0, { { 4, 0x10 } }, 32, 31 * 127 },
  { LLM_DTYPE_MXFP4, 0, { { 1, 0x07 } }, 0, 12 },
  { LLM_DTYPE_MXFP4, 0, { { 16, 0xf0 } }, 31, -12 },
  { LLM_DTYPE_MXFP4, 0, { { 0, 1 }, { 1, 0x01 } }, 0, 0x1p-127f },
  { LLM_DTYPE_MXFP4, 0, { { 0, 2 }, { 1, 0x03 } }, 0, 0x3p-126f },
  { LLM_DTYPE_TQ1_0, 0, { { 0, 0xff } }, 0, 1 },
  { LLM_DTYPE_TQ1_0, 0, { { 0, 0xff } }, 128, 1 },
  { LLM_DTYPE_TQ1_0, 0, { { 33, 0xff } }, 161, 1 },
  { LLM_DTYPE_TQ1_0, 0, { { 51, 0x80 } }, 255, 0 }, /* digits 1, 1, 1, 1 */
  { LLM_DTYPE_TQ1_0, 0, { { 32, 0x02 } }, 224, 0 }, /* 1 / 243: 0, 0, 0, 0, 1 */
  { LLM_DTYPE_TQ2_0, 0, { { 0, 0x01 } }, 0, 0 },
  { LLM_DTYPE_TQ2_0, 0, { { 63, 0xc0 } }, 255, 2 },
  { LLM_DTYPE_IQ2_XXS, 0, { { 2, 1 } }, 0, 5.375 },
  { LLM_DTYPE_IQ2_XXS, 0, { { 9, 0x10 } }, 31, 3 },
  { LLM_DTYPE_IQ2_XXS, 0, { { 6, 0x80 } }, 8, -1 },
  { LLM_DTYPE_IQ2_XXS, 0, { { 6, 0x80 } }, 15, -1 },
  { LLM_DTYPE_IQ2_XXS, 0, { { 65, 0x0c } }, 31, 1 }, /* two signs in it: no eighth */
  { LLM_DTYPE_IQ2_XS, 0, { { 3, 0x02 } }, 0, -1 },
  { LLM_DTYPE_IQ2_XS, 0, { { 3, 0x02 } }, 7, -1 },
  { LLM_DTYPE_IQ2_XS, 0, { { 64, 0xff }, { 65, 0x01 } }, 255, 5.375 },
  { LLM_DTYPE_IQ2_XS, 0, { { 66, 0x10 } }, 16, 3 },
  { LLM_DTYPE_IQ2_S, 0, { { 34, 0x80 } }, 7, -1 },
  { LLM_DTYPE_IQ2_S, 0, { { 34, 0x80 } }, 0, 1 },
  { LLM_DTYPE_IQ2_S, 0, { { 33, 0xff }, { 73, 0xc0 } }, 255, 5.375 },
  { LLM_DTYPE_IQ2_S, 0, { { 81, 0x10 } }, 240, 3 },
  { LLM_DTYPE_IQ3_XXS, 0, { { 3, 1 } }, 4, 5 },
  { LLM_DTYPE_IQ3_XXS, 0, { { 97, 0x10 } }, 224, 3 },
  { LLM_DTYPE_IQ3_XXS, 0, { { 66, 1 } }, 7, -1 },
  { LLM_DTYPE_IQ3_S, 0, { { 2, 0xff }, { 66, 1 } }, 2, 15 },
  { LLM_DTYPE_IQ3_S, 0, { { 106, 0x10 } }, 32, 3 },
  { LLM_DTYPE_IQ3_S, 0, { { 74, 0x10 } }, 4, -1 },
  { LLM_DTYPE_IQ1_S, 0, { { 35, 0x80 } }, 0, -1.125 },
  { LLM_DTYPE_IQ1_S, 0, { { 49, 0x70 } }, 255, -13.125 },
  { LLM_DTYPE_IQ1_S, 0, { { 33, 0xff }, { 48, 0x00 }, { 49, 0x0e } }, 255, 1.125 },
  { LLM_DTYPE_IQ1_M, 0, { { 0, 0xff }, { 32, 0x07 } }, 0, 1.125 },
  { LLM_DTYPE_IQ1_M, 0, { { 32, 0x08 } }, 0, -1.125 },
  { LLM_DTYPE_IQ1_M, 0, { { 47, 0x80 } }, 255, -1.125 },
  { LLM_DTYPE_IQ1_M, 0, { { 48, 0x38 } }, 16, -13.125 },
};

static void
test_probe (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  const LlmDtypeInfo *info = llm_dtype_info (probes[i].id);
  g_autofree guint8 *raw = g_malloc0 (info->block_bytes + 1);
  g_autofree float *out = g_new (float, info->block_elems);

  llm_test_set_scale (info, raw + 1, 1, probes[i].minimum);
  for (guint k = 0; k < G_N_ELEMENTS (probes[i].set); k++)
    if (probes[i].set[k].value != 0)
      raw[1 + probes[i].set[k].at] = probes[i].set[k].value;
  info->decode (raw + 1, out, info->block_elems);
  g_assert_cmpfloat (out[probes[i].element], ==, probes[i].expected);
}

/* FNV-1a over the bits of 64 random blocks; GRand is the same everywhere.  The figures are those of this code on the day
 * that it agreed with every vector of the material, random bits included; a failure prints the new one. */
static const struct {
  LlmDtype id;
  guint32 digest;
} digests[] = {
  { LLM_DTYPE_Q4_0, 0xd89785c5 },
  { LLM_DTYPE_Q4_1, 0xb4079c7d },
  { LLM_DTYPE_Q5_0, 0x623b95c5 },
  { LLM_DTYPE_Q5_1, 0x801ca2d5 },
  { LLM_DTYPE_Q8_0, 0xd3a7c0c5 },
  { LLM_DTYPE_Q2_K, 0x8ebbb505 },
  { LLM_DTYPE_Q3_K, 0xc64f6a85 },
  { LLM_DTYPE_Q4_K, 0x090578a6 },
  { LLM_DTYPE_Q5_K, 0xa464fefd },
  { LLM_DTYPE_Q6_K, 0xd695f5a5 },
  { LLM_DTYPE_IQ1_S, 0xb0e733a5 },
  { LLM_DTYPE_IQ1_M, 0xa075dbc5 },
  { LLM_DTYPE_IQ2_XXS, 0xe9127c01 },
  { LLM_DTYPE_IQ2_XS, 0xdba5f261 },
  { LLM_DTYPE_IQ2_S, 0x9ee28f59 },
  { LLM_DTYPE_IQ3_XXS, 0xe25c1f6d },
  { LLM_DTYPE_IQ3_S, 0x49df3645 },
  { LLM_DTYPE_IQ4_NL, 0x1208b1c5 },
  { LLM_DTYPE_IQ4_XS, 0xdecfe19b },
  { LLM_DTYPE_TQ1_0, 0x013d1dc5 },
  { LLM_DTYPE_TQ2_0, 0xe61afdc5 },
  { LLM_DTYPE_MXFP4, 0x7a463dc5 },
};

static void
test_digest (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  const LlmDtypeInfo *info = llm_dtype_info (digests[i].id);
  g_autoptr (GRand) rand = g_rand_new_with_seed (info->id);
  g_autofree guint8 *block = g_malloc (info->block_bytes);
  g_autofree float *out = g_new (float, info->block_elems);
  guint32 digest = 2166136261u;

  for (guint b = 0; b < 64; b++)
    {
      llm_test_random_block (rand, info, 1, block);
      info->decode (block, out, info->block_elems);
      for (guint k = 0; k < info->block_elems; k++)
        {
          guint32 bits;

          memcpy (&bits, &out[k], sizeof bits);
          digest = (digest ^ bits) * 16777619u;
        }
    }
  g_assert_cmphex (digest, ==, digests[i].digest);
}

/* Scales of NaN, infinity and anything else; for the sanitizers.  Rows are blocks side by side. */
static void
test_any_bits (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint32 id = 0; id < 256; id++)
    {
      const LlmDtypeInfo *info = llm_dtype_info (id);
      guint n = 200;

      if (info == NULL || info->decode == NULL)
        continue;
      for (guint round = 0; round < 3; round++)
        {
          g_autofree guint8 *raw = g_malloc (n * info->block_bytes);
          g_autofree float *row = g_new (float, n * info->block_elems), *one = g_new (float, info->block_elems);

          for (guint i = 0; i < n * info->block_bytes; i++)
            raw[i] = round == 0 ? (guint8) g_rand_int_range (rand, 0, 256) : round == 1 ? 0 : 0xff;
          info->decode (raw, row, n * info->block_elems);
          for (guint b = 0; b < n; b++)
            {
              info->decode (raw + b * info->block_bytes, one, info->block_elems);
              g_assert_cmpmem (row + b * info->block_elems, info->block_elems * sizeof (float), one, info->block_elems * sizeof (float));
            }
        }
    }
}

/* Integers, F64 and GGML's activations are no weights. */
static void
test_refused (void)
{
  static const guint32 refused[] = { 9, 15, 24, 25, 26, 27, 28 };
  g_autofree char *names = llm_dtype_names ();
  g_auto (GStrv) list = g_strsplit (names, ", ", -1);

  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      const LlmDtypeInfo *info = llm_dtype_info (refused[i]);

      g_assert_nonnull (info);
      g_assert_null (info->decode);
      g_assert_false (g_strv_contains ((const char *const *) list, info->name));
    }
  g_assert_cmpuint (g_strv_length (list), ==, 25);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (probes); i++)
    {
      g_autofree char *path = g_strdup_printf ("/dtype-blocks/probe/%s/%u", llm_dtype_info (probes[i].id)->name, i);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_probe);
    }
  for (guint i = 0; i < G_N_ELEMENTS (digests); i++)
    {
      g_autofree char *path = g_strdup_printf ("/dtype-blocks/digest/%s", llm_dtype_info (digests[i].id)->name);

      g_test_add_data_func (path, GUINT_TO_POINTER (i), test_digest);
    }
  g_test_add_func ("/dtype-blocks/any-bits", test_any_bits);
  g_test_add_func ("/dtype-blocks/refused", test_refused);
  return g_test_run ();
}
