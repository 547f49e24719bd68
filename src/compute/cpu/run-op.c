/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every op as pieces for the pool.  A piece touches its own part of the output only.
 */
#include "compute/cpu/run-op.h"

#define WEIGHT_TILE 32 /* weight rows of one matmul piece: they stay in the L1/L2 cache while the input rows pass */

static float *
rows_of (LlmCpuExecutable *self, LlmValueId v)
{
  return v != LLM_NONE ? self->buffer[llm_plan_value (self->parent.plan, v)->buffer] : NULL;
}

static guint
width_of (LlmCpuExecutable *self, LlmValueId v)
{
  return v != LLM_NONE ? llm_plan_value (self->parent.plan, v)->width : 0;
}

/* ---- matmul ---- */

static void
quantise_piece (gpointer data, guint r)
{
  LlmCpuJob *job = data;

  job->self->device->kernels->quantise (job->x + (gsize) r * job->x_width, job->self->q8 + (gsize) r * (job->x_width / 32), job->x_width);
}

/* The input rows of a product in the form that its kernel reads; quantised once per value. */
static void
prepare_input (LlmCpuJob *job)
{
  LlmCpuExecutable *self = job->self;

  if (!llm_cpu_matmul_row (self->device->kernels, job->w->dtype)->quantised || self->q8_of == job->op->x)
    return;
  llm_pool_run (self->device->pool, quantise_piece, job, job->n_rows);
  self->q8_of = job->op->x;
}

static void
matmul_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  const LlmMatmulRow *row = llm_cpu_matmul_row (job->self->device->kernels, job->w->dtype);
  guint first = piece * WEIGHT_TILE;
  guint n = MIN (WEIGHT_TILE, (guint) job->w->n_rows - first);
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  const guint8 *x = row->quantised ? (const guint8 *) job->self->q8 : (const guint8 *) job->x;
  gsize x_stride = row->quantised ? job->x_width / 32 * sizeof (LlmQ8Block) : job->x_width * sizeof (float);

  llm_cpu_product (job->self->device->kernels, job->w->dtype, (const guint8 *) job->w->data + first * row_bytes, row_bytes, n, x, x_stride, job->n_rows,
                   job->x_width, job->y + first, job->y_width);
  for (guint r = 0; r < job->n_rows && (job->b != NULL || job->z != NULL); r++)
    for (guint i = first; i < first + n; i++)
      {
        float *y = &job->y[(gsize) r * job->y_width + i];

        if (job->b != NULL)
          *y += llm_cpu_f32_at (job->b->data, i);
        if (job->z != NULL)
          *y += job->z[(gsize) r * job->y_width + i];
      }
}

void
llm_cpu_run_matmul (LlmCpuJob *job)
{
  prepare_input (job);
  llm_pool_run (job->self->device->pool, matmul_piece, job, ((guint) job->w->n_rows + WEIGHT_TILE - 1) / WEIGHT_TILE);
}

/* One row, one of its experts, one tile of that expert's weight rows. */
static void
expert_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  const LlmMatmulRow *row = llm_cpu_matmul_row (job->self->device->kernels, job->w->dtype);
  guint k = job->op->p.expert.n_used, n_out = job->y_width / k, n_in = (guint) job->w->n_cols;
  guint tiles = (n_out + WEIGHT_TILE - 1) / WEIGHT_TILE, first = piece % tiles * WEIGHT_TILE, n = MIN (WEIGHT_TILE, n_out - first);
  guint j = piece / tiles % k, r = piece / tiles / k;
  gsize at = (gsize) job->z[(gsize) r * job->z_width + j] * n_out + first, row_bytes = job->w->n_bytes / job->w->n_rows;
  gsize column = (gsize) r * job->x_width + (job->x_width > n_in ? (gsize) j * n_in : 0);
  const guint8 *x = row->quantised ? (const guint8 *) (job->self->q8 + column / 32) : (const guint8 *) (job->x + column);
  float *y = job->y + (gsize) r * job->y_width + (gsize) j * n_out + first;

  llm_cpu_product (job->self->device->kernels, job->w->dtype, (const guint8 *) job->w->data + at * row_bytes, row_bytes, n, x, 0, 1, n_in, y, job->y_width);
  for (guint i = 0; i < n && job->b != NULL; i++)
    y[i] += llm_cpu_f32_at (job->b->data, at + i);
}

void
llm_cpu_run_expert_matmul (LlmCpuJob *job)
{
  guint k = job->op->p.expert.n_used, n_out = job->y_width / k;

  prepare_input (job);
  llm_pool_run (job->self->device->pool, expert_piece, job, job->n_rows * k * ((n_out + WEIGHT_TILE - 1) / WEIGHT_TILE));
}

/* ---- all ---- */

void
llm_cpu_run_op (LlmCpuExecutable *self, guint i)
{
  static const LlmPoolFunc by_row[LLM_N_OPS] = {
    [LLM_OP_EMBED] = llm_cpu_embed_row, [LLM_OP_RMS_NORM] = llm_cpu_rms_norm_row, [LLM_OP_LAYER_NORM] = llm_cpu_layer_norm_row,
    [LLM_OP_KV_WRITE] = llm_cpu_kv_write_row, [LLM_OP_SELECT_ROWS] = llm_cpu_select_row, [LLM_OP_ROUTE] = llm_cpu_route_row,
    [LLM_OP_EXPERT_MIX] = llm_cpu_expert_mix_row,
  };
  const LlmPlan *plan = self->parent.plan;
  const LlmOp *op = llm_plan_op (plan, i);
  LlmValueId shape = op->y != LLM_NONE ? op->y : op->x;
  LlmCpuJob job = {
    .self = self, .op = op,
    .n_rows = llm_plan_value (plan, shape)->rows == LLM_ROWS_OUT ? self->batch->n_out : self->batch->n_rows,
    .x = rows_of (self, op->x), .z = rows_of (self, op->z), .y = rows_of (self, op->y),
    .x_width = width_of (self, op->x), .z_width = width_of (self, op->z), .y_width = width_of (self, op->y),
    .w = op->w != LLM_NONE ? llm_plan_weight_at (plan, op->w) : NULL, .b = op->b != LLM_NONE ? llm_plan_weight_at (plan, op->b) : NULL,
  };

  if (job.n_rows == 0)
    return;
  if (op->kind == LLM_OP_MATMUL)
    llm_cpu_run_matmul (&job);
  else if (op->kind == LLM_OP_EXPERT_MATMUL)
    llm_cpu_run_expert_matmul (&job);
  else if (op->kind == LLM_OP_ROPE)
    llm_cpu_run_rope (&job, i);
  else if (op->kind == LLM_OP_ATTENTION)
    llm_cpu_run_attention (&job);
  else if (by_row[op->kind] == NULL)
    llm_cpu_run_elements (&job);
  else
    llm_cpu_run_rows (&job, by_row[op->kind], MAX (job.x_width, job.y_width));
}
