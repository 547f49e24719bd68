/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One op in work, as its pieces for the pool see it.
 */
#pragma once

#include <string.h>

#include "compute/cpu/device-cpu.h"

typedef struct {
  LlmCpuExecutable *self;
  const LlmOp *op;
  guint n_rows;
  const float *x, *z;
  float *y;
  guint x_width, z_width, y_width;
  const LlmWeight *w, *b;
  guint n_out, tile_rows, n_tiles; /* of products: columns of one expert's output; weight rows of a piece; pieces of a group */
} LlmCpuJob;

/* Vectors of a file may stand at any address. */
static inline float
llm_cpu_f32_at (const void *data, gsize i)
{
  float f;

  memcpy (&f, (const guint8 *) data + 4 * i, sizeof f);
  return f;
}

/* One row; llm_cpu_run_rows() makes pieces of several. */
void llm_cpu_embed_row (gpointer job, guint row);
void llm_cpu_rms_norm_row (gpointer job, guint row);
void llm_cpu_layer_norm_row (gpointer job, guint row);
void llm_cpu_select_row (gpointer job, guint row);
void llm_cpu_kv_write_row (gpointer job, guint row);
void llm_cpu_route_row (gpointer job, guint row);
void llm_cpu_expert_mix_row (gpointer job, guint row);

/* @func for every row, as many to a piece as make it worth its while; @row_elements: how much one row is. */
void llm_cpu_run_rows (LlmCpuJob *job, LlmPoolFunc func, guint row_elements);
void llm_cpu_run_elements (LlmCpuJob *job); /* GLU, ADD, SCALE */

/* The others share themselves out. */
void llm_cpu_run_rope (LlmCpuJob *job, guint op_index);
void llm_cpu_run_attention (LlmCpuJob *job);
void llm_cpu_run_matmul (LlmCpuJob *job);
