/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every op as pieces for the pool.  A piece touches its own part of the output only.
 */
#include "compute/cpu/run-op.h"

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
  if (op->kind == LLM_OP_MATMUL || op->kind == LLM_OP_EXPERT_MATMUL)
    llm_cpu_run_matmul (&job);
  else if (op->kind == LLM_OP_ROPE)
    llm_cpu_run_rope (&job, i);
  else if (op->kind == LLM_OP_ATTENTION)
    llm_cpu_run_attention (&job);
  else if (by_row[op->kind] == NULL)
    llm_cpu_run_elements (&job);
  else
    llm_cpu_run_rows (&job, by_row[op->kind], MAX (job.x_width, job.y_width));
}
