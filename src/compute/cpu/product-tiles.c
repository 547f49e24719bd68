/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Products of many input rows through tiles of bf16 (amx.h): the blocking around the panel.
 *
 * A piece of weight rows is unpacked to bf16 once for each block of columns, and stays in the L2 cache together with that
 * block of all the inputs and with the sums.  Inputs lie block after block, so that a block has every set of the cache.
 * A sum's order is that of the columns, whatever the pieces and the number of rows.
 */
#include <string.h>

#include "compute/cpu/kernels.h"

#define BLOCK_COLS 512             /* 512 KiB of 512 input rows */
#define BLOCK_STRIDE (512 + 32)    /* of weights: an odd multiple of 64 bytes */
#define PIECE_INPUTS 512

gboolean
llm_cpu_by_tiles (const LlmCpuKernels *kernels, LlmCpuRows rows, guint n_x)
{
  return kernels->tiles != NULL && n_x >= rows.tiles;
}

/* Where the inputs' block that begins with column @at lies, of @n_tiles tiles */
static gsize
block_at (guint n_tiles, guint at)
{
  return (gsize) n_tiles * LLM_LANES * at;
}

void
llm_cpu_tiles_pack (const LlmCpuKernels *kernels, const float *const *x, guint n_x, guint k, guint tile, guint16 *bf16)
{
  guint n_tiles = (n_x + LLM_LANES - 1) / LLM_LANES, first = tile * LLM_LANES;

  for (guint at = 0; at < k; at += BLOCK_COLS)
    {
      guint cols = MIN (BLOCK_COLS, k - at);

      kernels->tiles->pack (x + first, MIN (LLM_LANES, n_x - first), at, cols, bf16 + block_at (n_tiles, at) + (gsize) tile * LLM_LANES * cols);
    }
}

/* Columns @at.. of @n_w rows; whole tiles, the last of them filled up with zeros. */
static void
unpack_block (const LlmCpuKernels *kernels, const LlmCodedType *coded, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, guint at,
              guint cols, guint16 *to)
{
  gsize from = (gsize) at / dtype->block_elems * dtype->block_bytes;
  LlmUnpacked columns[BLOCK_COLS / LLM_CHUNK];

  for (guint n = 0; n < n_w; n++, to += BLOCK_STRIDE)
    {
      coded->unpack (w + n * w_stride + from, columns, 1, cols, w + n * w_stride + from + cols / dtype->block_elems * dtype->block_bytes);
      for (guint c = 0; c < cols; c += LLM_CHUNK)
        kernels->tiles->convert (&columns[c / LLM_CHUNK], MIN (LLM_CHUNK, cols - c), to + c);
    }
  for (guint n = n_w; n % LLM_LANES != 0; n++, to += BLOCK_STRIDE)
    memset (to, 0, cols * sizeof *to);
}

void
llm_cpu_tiles_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x, guint n_x,
                       guint k, float *const *y, gsize first)
{
  const LlmCodedType *coded = llm_cpu_coded (kernels, dtype);
  guint16 weights[LLM_TILES_ROWS * BLOCK_STRIDE] __attribute__ ((aligned (64)));
  float acc[LLM_TILES_ROWS * (PIECE_INPUTS + LLM_LANES)] __attribute__ ((aligned (64)));
  guint all_tiles = (n_x + LLM_LANES - 1) / LLM_LANES;

  for (guint n = 0; n < n_w; n += LLM_TILES_ROWS)
    for (guint r = 0; r < n_x; r += PIECE_INPUTS)
      {
        guint rows = MIN (LLM_TILES_ROWS, n_w - n), whole = (rows + LLM_LANES - 1) / LLM_LANES * LLM_LANES;
        guint count = MIN (PIECE_INPUTS, n_x - r), tiles = (count + LLM_LANES - 1) / LLM_LANES;
        gsize stride = (gsize) (tiles | 1) * LLM_LANES; /* odd, as above */

        for (guint at = 0; at < k; at += BLOCK_COLS)
          {
            guint cols = MIN (BLOCK_COLS, k - at);
            const guint16 *in = x->bf16 + block_at (all_tiles, at) + (gsize) r * cols;

            unpack_block (kernels, coded, dtype, w + n * w_stride, w_stride, rows, at, cols, weights);
            kernels->tiles->panel (weights, BLOCK_STRIDE, whole, in, (gsize) LLM_LANES * cols, tiles, cols, acc, stride, at > 0);
          }
        kernels->tiles->store (acc, stride, rows, count, y + r, first + n);
      }
}
