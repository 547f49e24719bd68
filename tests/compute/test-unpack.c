/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weights in the form of unpack.h are those that the type's own definition decodes, for every instruction set and type.
 */
#include <math.h>

#include "compute/cpu/kernels.h"
#include "compute/isa-emulator.h"
#include "format/random-blocks.h"

#define N_COLS 1024

static const char *const isas[] = { "avx512-vnni", "avx-vnni", "avx2" };

static void
test_type (gconstpointer data)
{
  const LlmDtypeInfo *dtype = llm_dtype_info ((guint) GPOINTER_TO_UINT (data) & 0xff);
  const LlmCodedType *coded = llm_cpu_kernels_find (isas[GPOINTER_TO_UINT (data) >> 8], NULL)->coded (dtype->id);
  static const float scales[] = { 65504, -65504, 6e-8f, 0 }; /* of halves: the largest, the least of the denormals, none */
  g_autoptr (GRand) rand = g_rand_new_with_seed (dtype->id);
  g_autofree guint8 *blocks = g_malloc (N_COLS / dtype->block_elems * dtype->block_bytes);
  g_autofree float *expected = g_new (float, N_COLS);

  for (guint round = 0; round < 40; round++)
    {
      guint n = round % 2 == 0 ? N_COLS : N_COLS - dtype->block_elems; /* a last chunk that is not whole */
      g_autofree LlmUnpacked *unpacked = g_new0 (LlmUnpacked, 2 * N_COLS / LLM_CHUNK);

      for (guint b = 0; b < N_COLS / dtype->block_elems; b++)
        {
          llm_test_random_block (rand, dtype, 1, blocks + b * dtype->block_bytes);
          if (round >= 32)
            llm_test_set_scale (dtype, blocks + b * dtype->block_bytes, scales[(round + b) % 4], scales[(round + b) / 4 % 4]);
        }
      dtype->decode (blocks, expected, N_COLS);
      coded->unpack (blocks, unpacked, 2, n, blocks);
      for (guint i = 0; i < n; i++)
        {
          const LlmUnpacked *chunk = &unpacked[i / LLM_CHUNK * 2];
          guint at = i % LLM_CHUNK;
          int q = coded->wide ? (gint8) chunk->q[at] : chunk->q[at];
          double scaled = (double) chunk->scale[at / 16] * q, offset = (double) chunk->offset[at / 16];

          g_assert_cmpfloat_with_epsilon (scaled - offset, (double) expected[i], 1e-30 + 2e-7 * (fabs (scaled) + fabs (offset)));
        }
    }
}

int
main (int argc, char **argv)
{
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  llm_test_isa_emulate ();
  for (guint isa = 0; isa < G_N_ELEMENTS (isas); isa++)
    {
      const LlmCpuKernels *kernels = llm_cpu_kernels_find (isas[isa], NULL);

      for (guint id = 0; id < 64 && kernels != NULL; id++)
        if (llm_dtype_info (id) != NULL && kernels->coded (id) != NULL)
          {
            g_autofree char *name = g_strdup_printf ("/unpack/%s/%s", isas[isa], llm_dtype_info (id)->name);

            g_test_add_data_func (name, GUINT_TO_POINTER (id | isa << 8), test_type);
            n++;
          }
    }
  if (n == 0)
    {
      g_print ("1..0 # SKIP this CPU has no instruction set that unpacks\n");
      return 0;
    }
  return g_test_run ();
}
