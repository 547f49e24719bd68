/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weights in the form of unpack.h are those that the type's own definition decodes, for every instruction set and type.
 */
#include <math.h>

#include "compute/cpu/kernels.h"
#include "format/random-blocks.h"

#define N_COLS 1024

static void
test_type (gconstpointer data)
{
  const LlmDtypeInfo *dtype = llm_dtype_info ((guint) GPOINTER_TO_UINT (data) & 0xff);
  const LlmCpuKernels *kernels = llm_cpu_kernels_find (GPOINTER_TO_UINT (data) >> 8 != 0 ? "avx2" : "avx512-vnni", NULL);
  guint8 most = g_str_equal (kernels->name, "avx2") ? 127 : 255;
  g_autoptr (GRand) rand = g_rand_new_with_seed (dtype->id);
  g_autofree guint8 *blocks = g_malloc (N_COLS / dtype->block_elems * dtype->block_bytes);
  g_autofree float *expected = g_new (float, N_COLS);
  g_autofree LlmUnpackedBlock *unpacked = g_new (LlmUnpackedBlock, N_COLS / 32);

  for (guint round = 0; round < 20; round++)
    {
      for (guint b = 0; b < N_COLS / dtype->block_elems; b++)
        llm_test_random_block (rand, dtype, 1, blocks + b * dtype->block_bytes);
      dtype->decode (blocks, expected, N_COLS);
      kernels->find_unpack (dtype->id) (blocks, unpacked, N_COLS);
      for (guint i = 0; i < N_COLS; i++)
        {
          const LlmUnpackedBlock *block = &unpacked[i / 32];
          double scaled = (double) block->scale[i % 32 / 4] * block->q[i % 32], offset = 0;

          for (guint lane = 0; lane < 4; lane++) /* the columns' half */
            {
              offset += (double) block->offset[i % 32 / 16 * 4 + lane];
              g_assert_cmpfloat (block->scale[i % 32 / 16 * 4 + lane], ==, block->scale[i % 32 / 4]);
            }
          g_assert_cmpuint (block->q[i % 32], <=, most);
          g_assert_cmpfloat_with_epsilon (scaled - offset, (double) expected[i], 1e-30 + 2e-7 * (fabs (scaled) + fabs (offset)));
        }
    }
}

int
main (int argc, char **argv)
{
  static const char *const isas[] = { "avx512-vnni", "avx2" };
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  for (guint isa = 0; isa < G_N_ELEMENTS (isas); isa++)
    {
      const LlmCpuKernels *kernels = llm_cpu_kernels_find (isas[isa], NULL);

      for (guint id = 0; id < 64 && kernels != NULL; id++)
        if (llm_dtype_info (id) != NULL && kernels->find_unpack (id) != NULL)
          {
            g_autofree char *name = g_strdup_printf ("/unpack/%s/%s", isas[isa], llm_dtype_info (id)->name);

            g_test_add_data_func (name, GUINT_TO_POINTER (id | isa << 8), test_type);
            n++;
          }
    }
  if (n == 0)
    {
      g_print ("1..0 # SKIP this CPU has no instruction set that unpacks\n");
      return 77;
    }
  return g_test_run ();
}
