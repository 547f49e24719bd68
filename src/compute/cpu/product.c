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

#define PANEL_CHUNKS 128 /* of LlmUnpacked, 384 bytes each, in the L2 cache */
#define PANEL_ROWS 64
#define INPUT_ROWS 256   /* that a panel is unpacked for */
#define FEW_ROWS 32      /* up to which the memory counts: panels of two chunks, so that it is never idle */

/* What a panel of @rows weight rows and @depth chunks is made from. */
typedef struct {
  const LlmCodedType *coded;
  gsize w_stride, chunk_bytes;
  guint k, rows, depth;
} Panels;

/* The same chunks of the next panel: further on in the row, or in the rows below. */
static const guint8 *
next_of (const Panels *p, const guint8 *row, guint at)
{
  gsize next = (gsize) (at / LLM_CHUNK + p->depth) * p->chunk_bytes;

  return next < p->w_stride ? row + next : row + p->rows * p->w_stride + (next - p->w_stride);
}

/* A panel's weight rows times up to INPUT_ROWS rows. */
static void
add_panels (const Panels *p, const guint8 *w, guint n_w, const LlmQ8Lanes *x, gsize x_stride, guint n_x, float *acc, gsize acc_stride)
{
  LlmUnpacked panel[PANEL_CHUNKS];
  guint rows = (n_w + 7) & ~7u;

  for (guint at = 0; at < p->k; at += p->depth * LLM_CHUNK)
    {
      guint cols = MIN (p->depth * LLM_CHUNK, p->k - at);

      for (guint n = 0; n < n_w; n++)
        {
          const guint8 *row = w + n * p->w_stride;

          p->coded->unpack (row + at / LLM_CHUNK * p->chunk_bytes, panel + n, rows, cols, next_of (p, row, at));
        }
      for (guint n = n_w; n < rows; n++)
        for (guint c = 0; c < (cols + LLM_CHUNK - 1) / LLM_CHUNK; c++)
          memset (&panel[c * rows + n], 0, sizeof *panel);
      p->coded->gemm (panel, rows, rows, x + at / LLM_CHUNK, x_stride, n_x, cols / 32, acc, acc_stride);
    }
}

static void
by_panels (const LlmCpuKernels *kernels, const LlmCodedType *coded, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w,
           const LlmCpuInput *x, guint n_x, guint k, float *const *y, gsize first)
{
  float acc[PANEL_ROWS * INPUT_ROWS];
  gboolean few = n_x <= FEW_ROWS;
  Panels p = { coded, w_stride, (gsize) LLM_CHUNK / dtype->block_elems * dtype->block_bytes, k, few ? 8 : PANEL_ROWS, few ? 8 : PANEL_CHUNKS / PANEL_ROWS };

  for (guint n = 0; n < n_w; n += p.rows)
    for (guint r = 0; r < n_x; r += INPUT_ROWS)
      {
        guint rows = MIN (p.rows, n_w - n), count = MIN (INPUT_ROWS, n_x - r);
        gsize stride = (count + 15) & ~15u;

        memset (acc, 0, ((rows + 7) & ~7u) * stride * sizeof (float));
        add_panels (&p, w + n * w_stride, rows, x->lanes + r / LLM_LANES * x->lanes_stride, x->lanes_stride, count, acc, stride);
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
llm_cpu_product (const LlmCpuKernels *kernels, LlmCpuRows by, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x,
                 guint n_x, guint k, float *const *y, gsize first)
{
  const LlmCodedType *coded = llm_cpu_coded (kernels, dtype);
  LlmFloatProduct product = float_product (kernels, dtype->id);

  if (kernels->definition != NULL)
    kernels->definition (dtype, w, w_stride, n_w, x->x, n_x, k, y, first);
  else if (coded != NULL && n_x <= by.few)
    coded->gemv (w, w_stride, n_w, x->q8, n_x, k, y, first);
  else if (coded != NULL && llm_cpu_by_tiles (kernels, by, n_x))
    llm_cpu_tiles_product (kernels, dtype, w, w_stride, n_w, x, n_x, k, y, first);
  else if (coded != NULL)
    by_panels (kernels, coded, dtype, w, w_stride, n_w, x, n_x, k, y, first);
  else if (product != NULL)
    product (w, w_stride, n_w, x->x, n_x, k, y, first);
  else
    by_tiles (kernels->f32, dtype, w, w_stride, n_w, x->x, n_x, k, y, first);
}
