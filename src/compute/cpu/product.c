/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kernel multiplies which type.  A type without one of its own is unpacked to bytes with scales (unpack.h), or
 * else decoded to floats, a few weight rows and columns at a time so that they stay in the L1 cache.
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
  static const LlmMatmulRow decoded, unpacked = { NULL, TRUE };

  switch (dtype->id)
    {
    case LLM_DTYPE_F32:
      return &kernels->f32;
    case LLM_DTYPE_F16:
      return &kernels->f16;
    case LLM_DTYPE_BF16:
      return &kernels->bf16;
    case LLM_DTYPE_Q8_0:
      return &kernels->q8_0;
    case LLM_DTYPE_Q4_0:
      return &kernels->q4_0;
    default:
      return kernels->find_unpack != NULL && kernels->find_unpack (dtype->id) != NULL ? &unpacked : &decoded;
    }
}

/* A tile of weight rows that a kernel can read, and what a column of it and of the inputs takes. */
typedef struct {
  LlmMatmulKernel kernel;
  LlmUnpack unpack; /* NULL: decoded to floats */
  const LlmDtypeInfo *dtype;
  union {
    float decoded[TILE_ROWS][TILE_COLS];
    LlmUnpackedBlock unpacked[TILE_ROWS][TILE_COLS / 32];
  } rows;
} Tile;

static void
fill_row (Tile *tile, guint row, const guint8 *w, guint n_cols)
{
  if (tile->unpack != NULL)
    tile->unpack (w, tile->rows.unpacked[row], n_cols);
  else
    tile->dtype->decode (w, tile->rows.decoded[row], n_cols);
}

/* y += tile . x, the input rows a few at a time */
static void
add_tile (const Tile *tile, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint n_cols, float *y, gsize y_stride)
{
  gsize stride = tile->unpack != NULL ? sizeof tile->rows.unpacked[0] : sizeof tile->rows.decoded[0];
  float part[INPUT_ROWS][TILE_ROWS];

  for (guint r = 0; r < n_x; r += INPUT_ROWS)
    {
      guint n = MIN (INPUT_ROWS, n_x - r);

      tile->kernel ((const guint8 *) &tile->rows, stride, n_w, x + r * x_stride, x_stride, n, n_cols, part[0], TILE_ROWS);
      for (guint j = 0; j < n; j++)
        for (guint i = 0; i < n_w; i++)
          y[(r + j) * y_stride + i] += part[j][i];
    }
}

static void
by_tiles (Tile *tile, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y, gsize y_stride)
{
  const LlmDtypeInfo *dtype = tile->dtype;

  for (guint n = 0; n < n_w; n += TILE_ROWS)
    {
      guint rows = MIN (TILE_ROWS, n_w - n);

      for (guint r = 0; r < n_x; r++)
        for (guint i = 0; i < rows; i++)
          y[r * y_stride + n + i] = 0;
      for (guint at = 0; at < k; at += TILE_COLS)
        {
          guint cols = MIN (TILE_COLS, k - at);
          gsize x_at = tile->unpack != NULL ? at / 32 * sizeof (LlmQ8Block) : at * sizeof (float);

          for (guint i = 0; i < rows; i++)
            fill_row (tile, i, w + (n + i) * w_stride + (gsize) at / dtype->block_elems * dtype->block_bytes, cols);
          add_tile (tile, rows, x + x_at, x_stride, n_x, cols, y + n, y_stride);
        }
    }
}

void
llm_cpu_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride,
                 guint n_x, guint k, float *y, gsize y_stride)
{
  const LlmMatmulRow *row = llm_cpu_matmul_row (kernels, dtype);
  Tile tile;

  if (kernels->definition != NULL)
    kernels->definition (dtype, w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
  else if (row->run != NULL)
    row->run (w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
  else
    {
      tile.dtype = dtype;
      tile.unpack = kernels->find_unpack (dtype->id);
      tile.kernel = tile.unpack != NULL ? kernels->unpacked : kernels->f32.run;
      by_tiles (&tile, w, w_stride, n_w, x, x_stride, n_x, k, y, y_stride);
    }
}
