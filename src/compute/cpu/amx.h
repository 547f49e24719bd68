/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AMX: products of 16 x 32 by 32 x 16 bfloat16 numbers in one instruction.  Weights of every type become rows of bf16
 * in the cache, so that no scale is left in the inner loop and one kernel serves them all.
 *
 * The matrix of weights is the left operand (A), the input rows the right one (B), in the order in which the hardware
 * wants it: pairs of columns, 16 input rows side by side ("lanes").
 *
 * Everything but llm_cpu_amx_usable() may be called only where that, or a test's emulation, says yes.  Any thread.
 */
#pragma once

#include "compute/cpu/kernels.h"

G_BEGIN_DECLS

#define LLM_AMX_ROWS 16 /* of a tile: weight rows, or input rows */
#define LLM_AMX_COLS 32 /* of a tile's columns k */

/* Whether CPU, kernel and this process's permission allow it, and a small product came out right. The permission is
 * asked for once a process, before it locks itself in; the answer stays. */
gboolean llm_cpu_amx_usable (void);
/* A small product against plain C. */
gboolean llm_cpu_amx_right (void);

/* One tile of lanes: @lanes[n_cols / 2][16][2] of columns @first.. of the @n_rows <= 16 rows of floats @x, rounded to nearest
 * even; absent rows are zeros. @n_cols is a multiple of 32. */
void llm_cpu_amx_pack (const float *const *x, guint n_rows, guint first, guint n_cols, guint16 *lanes);

/* acc[n][r] = sum over k of w[n][k] x[r][k], more of it where @add says so, r < 16 @n_tiles, n < @n_w, a multiple of 16; @k a multiple of 32.
 * @w: bf16 rows, @w_stride elements apart; an odd multiple of 32 spreads them best over the sets of the L1 cache.
 * @x: @n_tiles tiles of lanes as above, @x_tile elements apart: at least 16 k, more for columns of longer rows.
 * @acc: rows of 16 @n_tiles floats, @acc_stride floats apart.
 * A sum's order follows k alone: pairs of columns in turn, within each 32; denormals are zeros.
 * Best from the caches: w in L1 or L2, x in L2 (k = 512, n_w = 32, n_tiles = 32: 32 KiB, 512 KiB, 64 KiB of acc). */
void llm_cpu_amx_panel (const guint16 *w, gsize w_stride, guint n_w, const guint16 *x, gsize x_tile, guint n_tiles, guint k, float *acc, gsize acc_stride,
                        gboolean add);

/* The first @n columns, a multiple of 32, of a weight row as bf16. Their codes are unsigned. */
void llm_cpu_amx_convert (const LlmUnpacked *columns, guint n, guint16 *w);

/* y[r][first + n] = acc[n][r], n < @n_w, r < @n_x; whole tiles of @acc are read. */
void llm_cpu_amx_store (const float *acc, gsize acc_stride, guint n_w, guint n_x, float *const *y, gsize first);

/* All of these, for product-tiles.c. */
extern const LlmCpuTiles llm_cpu_amx_tiles;

G_END_DECLS
