/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definitions: plain C, sums in double, the weights decoded by their own definition.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/scalar.h"

#define PIECE 256 /* elements decoded at a time; a multiple of every block size */

static void
matmul (const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y, gsize first)
{
  float piece[PIECE];

  for (guint n = 0; n < n_w; n++)
    for (guint r = 0; r < n_x; r++)
      {
        double sum = 0;

        for (guint at = 0; at < k; at += PIECE)
          {
            guint count = MIN (PIECE, k - at);

            dtype->decode (w + n * w_stride + (gsize) at / dtype->block_elems * dtype->block_bytes, piece, count);
            for (guint i = 0; i < count; i++)
              sum += (double) piece[i] * (double) x[r][at + i];
          }
        y[r][first + n] = (float) sum;
      }
}

static gboolean
usable (void)
{
  return TRUE;
}

const LlmCpuKernels llm_cpu_scalar = {
  .name = "scalar",
  .usable = usable,
  .definition = matmul,
  LLM_SCALAR_ROWS,
  .noise = 0,
};
