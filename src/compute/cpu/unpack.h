/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms in which numbers reach the products of quantised weights.
 *
 * Every type is unpacked in one way only, 256 columns at a time, to bytes with a scale and an offset for each 16 columns;
 * inputs are rounded to 8 bits, in blocks of 32.  Two kernels multiply them: gemv.h, a weight row at a time with what was
 * unpacked still in registers, for few input rows; and gemm-*.h, whose lanes are input rows, for many.
 */
#pragma once

#include <glib.h>

#include "format/dtype.h"

#define LLM_CHUNK 256    /* columns unpacked at a time; a multiple of every block size */
#define LLM_LANES 16     /* input rows side by side */
#define LLM_GEMV_ROWS 6  /* input rows up to which weights stay in registers: 7 are cheaper as 8 lanes */

/* 256 columns of a weight row: w[i] = scale[i / 16] q[i] - offset[i / 16].  What is past the row's end is 0. */
typedef struct {
  guint8 q[LLM_CHUNK]; /* 0..255, or where the type is `wide`, -128..127 */
  float scale[LLM_CHUNK / 16];
  float offset[LLM_CHUNK / 16];
} LlmUnpacked;

/* 256 columns of an input row: x[i] = d[i / 32] q[i], rounded to nearest. */
typedef struct {
  gint8 q[LLM_CHUNK]; /* -127..127 */
  float d[LLM_CHUNK / 32];
  float sum[LLM_CHUNK / 16];    /* of x, by 16 columns */
  float sum_32[LLM_CHUNK / 32]; /* by 32 */
  gint16 count[LLM_CHUNK / 16]; /* sums of q */
} LlmQ8Chunk;

/* The same of 16 rows. */
typedef struct {
  gint8 q[LLM_CHUNK / 4][LLM_LANES][4];
  float d[LLM_CHUNK / 32][LLM_LANES];
  gint32 minus_count[LLM_CHUNK / 16][LLM_LANES];
} LlmQ8Lanes;

/* y[r][first + n] = w row n . x[r], n < @n_w, r < @n_x <= LLM_GEMV_ROWS; @k columns, a multiple of 32. */
typedef void (*LlmGemv) (const guint8 *w, gsize w_stride, guint n_w, const LlmQ8Chunk *const *x, guint n_x, guint k, float *const *y, gsize first);
/* @n_cols columns from @w, while as many from @next are fetched, an address that may lie past the end. */
typedef void (*LlmUnpackRow) (const guint8 *w, LlmUnpacked *out, gsize out_stride, guint n_cols, const guint8 *next);
/* acc[n * acc_stride + r] += w row n . x row r, for @n_w rows, a multiple of 8, and @n_x rows, written in whole groups of 16.
 * Chunk c of weight row n is w[c * w_stride + n], of input tile t x[t * x_stride + c]; @n_blocks blocks of 32 columns. */
typedef void (*LlmGemm) (const LlmUnpacked *w, gsize w_stride, guint n_w, const LlmQ8Lanes *x, gsize x_stride, guint n_x, guint n_blocks, float *acc,
                         gsize acc_stride);

/* How an instruction set multiplies a type. */
typedef struct {
  guint32 dtype;
  gboolean wide;
  LlmGemv gemv;
  LlmUnpackRow unpack;
  LlmGemm gemm;
} LlmCodedType;

/* The lane'th of the rows of a tile, from its chunks. Any thread, each lane by one. */
static inline void
llm_cpu_to_lanes (const LlmQ8Chunk *row, guint n_chunks, LlmQ8Lanes *tile, guint lane)
{
  for (; n_chunks > 0; n_chunks--, row++, tile++)
    {
      for (guint g = 0; g < LLM_CHUNK / 4; g++)
        __builtin_memcpy (tile->q[g][lane], row->q + 4 * g, 4);
      for (guint b = 0; b < LLM_CHUNK / 32; b++)
        tile->d[b][lane] = row->d[b];
      for (guint g = 0; g < LLM_CHUNK / 16; g++)
        tile->minus_count[g][lane] = -row->count[g];
    }
}
