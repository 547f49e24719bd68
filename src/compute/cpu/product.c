/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kernel multiplies which type.  A type without one of its own is decoded, a few weight rows and
 * columns at a time so that the floats stay in the L1 cache, and goes through the float32 kernel.
 *
 * The pieces of a sum follow the columns alone: a row's result does not depend on the rows beside it.
 */
#include "compute/cpu/kernels.h"

#define TILE_ROWS 4
#define TILE_COLS 1024 /* a multiple of every block size and vector width */
#define INPUT_ROWS 16

const LlmMatmulRow *
llm_cpu_matmul_row (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype)
{
  static const LlmMatmulRow none;

  switch (dtype->id)
    {
    case LLM_DTYPE_F32:
      return &kernels->f32;
    case LLM_DTYPE_F16:
      return &kernels->f16;
    case LLM_DTYPE_Q8_0:
      return &kernels->q8_0;
    case LLM_DTYPE_Q4_0:
      return &kernels->q4_0;
    default:
      return &none;
    }
}

/* y += tile . x, the input rows a few at a time */
static void
add_tile (const LlmCpuKernels *kernels, const float (*tile)[TILE_COLS], guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint n_cols, float *y,
          gsize y_stride)
{
  float part[INPUT_ROWS][TILE_ROWS];

  for (guint r = 0; r < n_x; r += INPUT_ROWS)
    {
      guint n = MIN (INPUT_ROWS, n_x - r);

      kernels->f32.run ((const guint8 *) tile, sizeof tile[0], n_w, x + r * x_stride, x_stride, n, n_cols, part[0], TILE_ROWS);
      for (guint j = 0; j < n; j++)
        for (guint i = 0; i < n_w; i++)
          y[(r + j) * y_stride + i] += part[j][i];
    }
}

static void
decoded (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x,
         guint k, float *y, gsize y_stride)
{
  float tile[TILE_ROWS][TILE_COLS];

  for (guint n = 0; n < n_w; n += TILE_ROWS)
    {
      guint rows = MIN (TILE_ROWS, n_w - n);

      for (guint r = 0; r < n_x; r++)
        for (guint i = 0; i < rows; i++)
          y[r * y_stride + n + i] = 0;
      for (guint at = 0; at < k; at += TILE_COLS)
        {
          guint cols = MIN (TILE_COLS, k - at);

          for (guint i = 0; i < rows; i++)
            dtype->decode (w + (n + i) * w_stride + (gsize) at / dtype->block_elems * dtype->block_bytes, tile[i], cols);
          add_tile (kernels, tile, rows, x + (gsize) at * sizeof (float), x_stride, n_x, cols, y + n, y_stride);
        }
    }
}

void
llm_cpu_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride,
                 guint n_x, guint k, float *y, gsize y_stride)
{
  const LlmMatmulRow *row = llm_cpu_matmul_row (kernels, dtype);

  if (kernels->definition != NULL)
    kernels->definition (dtype, w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
  else if (row->run != NULL)
    row->run (w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
  else
    decoded (kernels, dtype, w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
}
