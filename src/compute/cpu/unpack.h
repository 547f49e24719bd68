/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One form for the weights of many types: bytes, with a scale and an offset for each 16 columns.
 * A type is unpacked into it a tile at a time, in the L1 cache; one kernel multiplies the form.
 */
#pragma once

#include <glib.h>

/* 32 columns: w[i] = scale q[i] - offset.  Scale and offset stand as the kernel reads them: lanes 0-3 for columns 0-15,
 * 4-7 for 16-31; the four lanes of an offset are quarters of it. */
typedef struct {
  guint8 q[32]; /* 0..127 where pairs of products with -127..127 are summed in 16 bits (AVX2), else 0..255 */
  float scale[8];
  float offset[8];
} LlmUnpackedBlock;

/* @n columns, a multiple of the type's block, from @blocks. */
typedef void (*LlmUnpack) (const guint8 *blocks, LlmUnpackedBlock *out, guint n);
