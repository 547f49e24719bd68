/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kernel multiplies which type, and the blocking of what comes through caches.  Types that are neither plain floats
 * nor coded (unpack.h) are decoded to floats, a few weight rows and columns at a time so that they stay in the L1 cache.
 */
#include "compute/cpu/kernels.h"

#include <string.h>

const LlmCodedType *
llm_cpu_coded (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype)
{
  return kernels->coded != NULL ? kernels->coded (dtype->id) : NULL;
}

/* ---- through bytes, many input rows ---- */

#define PANEL_CHUNKS 128 /* of LlmUnpacked, 384 bytes each: with many input rows in the L2 cache, with few in the L1 cache */
#define PANEL_ROWS 64
#define INPUT_ROWS 256   /* that a panel is unpacked for */
#define FEW_ROWS 32

/* A panel of weight rows, as many chunks of columns as fit, times up to INPUT_ROWS rows. */
static void
add_panel (const LlmCodedType *coded, const guint8 *w, gsize w_stride, guint n_w, guint n_cols, gsize chunk_bytes, const LlmQ8Lanes *x, gsize x_stride,
           guint n_x, float *acc, gsize acc_stride)
{
  LlmUnpacked panel[PANEL_CHUNKS];
  guint rows = (n_w + 7) & ~7u, depth = PANEL_CHUNKS / rows;

  for (guint at = 0; at < n_cols; at += depth * LLM_CHUNK)
    {
      guint cols = MIN (depth * LLM_CHUNK, n_cols - at);

      for (guint n = 0; n < n_w; n++)
        coded->unpack (w + n * w_stride + at / LLM_CHUNK * chunk_bytes, panel + n, rows, cols);
      for (guint n = n_w; n < rows; n++)
        for (guint c = 0; c < (cols + LLM_CHUNK - 1) / LLM_CHUNK; c++)
          memset (&panel[c * rows + n], 0, sizeof *panel);
      coded->gemm (panel, rows, rows, x + at / LLM_CHUNK, x_stride, n_x, cols / 32, acc, acc_stride);
    }
}

static void
by_panels (const LlmCpuKernels *kernels, const LlmCodedType *coded, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w,
           const LlmCpuInput *x, guint n_x, guint k, float *const *y, gsize first)
{
  float acc[PANEL_ROWS * INPUT_ROWS];
  guint panel = n_x <= FEW_ROWS ? 8 : PANEL_ROWS;
  gsize chunk_bytes = (gsize) LLM_CHUNK / dtype->block_elems * dtype->block_bytes;

  for (guint n = 0; n < n_w; n += panel)
    for (guint r = 0; r < n_x; r += INPUT_ROWS)
      {
        guint rows = MIN (panel, n_w - n), count = MIN (INPUT_ROWS, n_x - r);
        gsize stride = (count + 15) & ~15u;

        memset (acc, 0, ((rows + 7) & ~7u) * stride * sizeof (float));
        add_panel (coded, w + n * w_stride, w_stride, rows, k, chunk_bytes, x->lanes + r / LLM_LANES * x->lanes_stride, x->lanes_stride, count, acc, stride);
        kernels->store_lanes (acc, stride, rows, count, y + r, first + n);
      }
}

/* ---- through floats ---- */

#define TILE_ROWS 4
#define TILE_COLS 1024 /* a multiple of every block size and vector width */
#define TILE_INPUTS 16

/* y += tile . x, the input rows a few at a time */
static void
add_tile (LlmFloatProduct product, const guint8 *tile, guint n_w, const float *const *x, guint n_x, guint at, guint n_cols, float *const *y, gsize first)
{
  float part[TILE_INPUTS][TILE_ROWS], *out[TILE_INPUTS];
  const float *in[TILE_INPUTS];

  for (guint r = 0; r < n_x; r += TILE_INPUTS)
    {
      guint n = MIN (TILE_INPUTS, n_x - r);

      for (guint j = 0; j < n; j++)
        {
          in[j] = x[r + j] + at;
          out[j] = part[j];
        }
      product (tile, TILE_COLS * sizeof (float), n_w, in, n, n_cols, out, 0);
      for (guint j = 0; j < n; j++)
        for (guint i = 0; i < n_w; i++)
          y[r + j][first + i] += part[j][i];
    }
}

static void
by_tiles (LlmFloatProduct product, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k,
          float *const *y, gsize first)
{
  float tile[TILE_ROWS][TILE_COLS];

  for (guint n = 0; n < n_w; n += TILE_ROWS)
    {
      guint rows = MIN (TILE_ROWS, n_w - n);

      for (guint r = 0; r < n_x; r++)
        for (guint i = 0; i < rows; i++)
          y[r][first + n + i] = 0;
      for (guint at = 0; at < k; at += TILE_COLS)
        {
          guint cols = MIN (TILE_COLS, k - at);

          for (guint i = 0; i < rows; i++)
            dtype->decode (w + (n + i) * w_stride + (gsize) at / dtype->block_elems * dtype->block_bytes, tile[i], cols);
          add_tile (product, (const guint8 *) tile, rows, x, n_x, at, cols, y, first + n);
        }
    }
}

static LlmFloatProduct
float_product (const LlmCpuKernels *kernels, guint32 dtype)
{
  switch (dtype)
    {
    case LLM_DTYPE_F32:
      return kernels->f32;
    case LLM_DTYPE_F16:
      return kernels->f16;
    case LLM_DTYPE_BF16:
      return kernels->bf16;
    default:
      return NULL;
    }
}

void
llm_cpu_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x, guint n_x, guint k,
                 float *const *y, gsize first)
{
  const LlmCodedType *coded = llm_cpu_coded (kernels, dtype);
  LlmFloatProduct product = float_product (kernels, dtype->id);

  if (kernels->definition != NULL)
    kernels->definition (dtype, w, w_stride, n_w, x->x, n_x, k, y, first);
  else if (coded != NULL && n_x <= LLM_GEMV_ROWS)
    coded->gemv (w, w_stride, n_w, x->q8, n_x, k, y, first);
  else if (coded != NULL && llm_cpu_by_tiles (kernels, n_x))
    llm_cpu_tiles_product (kernels, dtype, w, w_stride, n_w, x, n_x, k, y, first);
  else if (coded != NULL)
    by_panels (kernels, coded, dtype, w, w_stride, n_w, x, n_x, k, y, first);
  else if (product != NULL)
    product (w, w_stride, n_w, x->x, n_x, k, y, first);
  else
    by_tiles (kernels->f32, dtype, w, w_stride, n_w, x->x, n_x, k, y, first);
}
