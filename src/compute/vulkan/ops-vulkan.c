/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is pushed with each op, and how many workgroups it takes: the host's side of the shaders.
 */
#include "base/limits.h"
#include "compute/vulkan/vk.h"

/* What the shaders know; they leave out nothing of an op. */
G_STATIC_ASSERT (LLM_N_ACTS == ACT_SWIGLU_CLAMPED + 1 && LLM_ACT_SILU == ACT_SILU && LLM_ACT_GELU == ACT_GELU && LLM_ACT_GELU_TANH == ACT_GELU_TANH);
G_STATIC_ASSERT (LLM_N_EMBEDS == EMBED_FIRST + 1 && LLM_EMBED_TOKEN == EMBED_TOKEN && LLM_EMBED_POSITION == EMBED_POSITION);
G_STATIC_ASSERT (LLM_MODEL_MAX_HEAD_DIM <= GROUP * MAX_DIMS && LLM_MODEL_MAX_EXPERTS <= MAX_EXPERTS);
G_STATIC_ASSERT (sizeof (struct LlmParams) <= 128); /* what every device can push */

guint32
llm_vk_op_dtype (const LlmPlan *plan, const LlmOp *op)
{
  switch (op->kind)
    {
    case LLM_OP_EMBED:
    case LLM_OP_MATMUL:
    case LLM_OP_EXPERT_MATMUL:
      return llm_plan_weight_at (plan, op->w)->dtype->id;
    case LLM_OP_KV_WRITE:
    case LLM_OP_ATTENTION:
      return llm_plan_kv_layout (plan)->dtype;
    default:
      return 0;
    }
}

static guint
width_of (const LlmPlan *plan, LlmValueId v)
{
  return v != LLM_NONE ? llm_plan_value (plan, v)->width : 0;
}

static void
set_op_params (const LlmOp *op, struct LlmParams *p)
{
  switch (op->kind)
    {
    case LLM_OP_EMBED:
      p->mode = op->p.embed.source;
      p->scale = op->p.embed.scale;
      break;
    case LLM_OP_RMS_NORM:
    case LLM_OP_LAYER_NORM:
      p->scale = op->p.norm.eps;
      break;
    case LLM_OP_ROPE:
      p->n_heads = op->p.rope.n_heads;
      p->head_dim = op->p.rope.head_dim;
      p->rope_dim = op->p.rope.dim;
      p->mode = op->p.rope.interleaved;
      break;
    case LLM_OP_ATTENTION:
      p->n_heads = op->p.attention.n_heads;
      p->scale = op->p.attention.scale;
      p->window = op->p.attention.window;
      p->cap = op->p.attention.cap;
      break;
    case LLM_OP_GLU:
      p->mode = op->p.glu.act;
      break;
    case LLM_OP_SCALE:
      p->scale = op->p.scale.scale;
      p->cap = op->p.scale.cap;
      break;
    case LLM_OP_ROUTE:
      p->n_used = op->p.route.n_used;
      p->mode = op->p.route.normalise;
      p->scale = op->p.route.scale;
      break;
    case LLM_OP_EXPERT_MATMUL:
    case LLM_OP_EXPERT_MIX:
      p->n_used = op->p.expert.n_used;
      p->n_experts = op->p.expert.n_experts;
      break;
    default:
      break;
    }
}

struct LlmParams
llm_vk_op_params (const LlmPlan *plan, const LlmOp *op, guint max_rows)
{
  const LlmKvLayout *kv = llm_plan_kv_layout (plan);
  struct LlmParams p = { 0 };

  if (op->w != LLM_NONE)
    {
      p.n_cols = (guint32) llm_plan_weight_at (plan, op->w)->n_cols;
      p.n_rows = (guint32) llm_plan_weight_at (plan, op->w)->n_rows;
    }
  p.x_width = width_of (plan, op->x);
  p.y_width = width_of (plan, op->y);
  p.z_width = width_of (plan, op->z);
  p.has_z = op->z != LLM_NONE;
  p.out_rows = op->x != LLM_NONE && llm_plan_value (plan, op->x)->rows == LLM_ROWS_OUT;
  p.max_rows = max_rows;
  p.n_kv_heads = kv->n_kv_heads;
  p.head_dim = kv->head_dim_k;
  p.head_dim_v = kv->head_dim_v;
  p.page_tokens = kv->page_tokens;
  set_op_params (op, &p);
  return p;
}

static guint32
groups (guint64 n, guint per_group)
{
  return (guint32) ((n + per_group - 1) / per_group);
}

gboolean
llm_vk_op_is_product (const LlmOp *op)
{
  return op->kind == LLM_OP_MATMUL || op->kind == LLM_OP_EXPERT_MATMUL;
}

VkDispatchIndirectCommand
llm_vk_op_groups (const LlmPlan *plan, const LlmOp *op, guint tile, const LlmBatch *batch)
{
  guint tile_w = llm_vk_tiles[tile], tile_x = GROUP / tile_w;
  LlmValueId shape = op->y != LLM_NONE ? op->y : op->x;
  guint32 rows = llm_plan_value (plan, shape)->rows == LLM_ROWS_OUT ? batch->n_out : batch->n_rows, width = width_of (plan, shape);

  switch (op->kind)
    {
    case LLM_OP_EMBED:
      return (VkDispatchIndirectCommand) { groups (width, GROUP * (llm_plan_weight_at (plan, op->w)->dtype->block_elems > 1 ? BLOCK_RUN : 1)), rows, 1 };
    case LLM_OP_MATMUL:
      return (VkDispatchIndirectCommand) { groups (width, tile_w), groups (rows, tile_x), 1 };
    case LLM_OP_EXPERT_MATMUL:
      return (VkDispatchIndirectCommand) { groups (width / op->p.expert.n_used, tile_w), groups ((guint64) rows * op->p.expert.n_used, tile_x), 1 };
    case LLM_OP_RMS_NORM:
      return (VkDispatchIndirectCommand) { width / (guint32) llm_plan_weight_at (plan, op->w)->n_cols, rows, 1 };
    case LLM_OP_LAYER_NORM:
    case LLM_OP_ROUTE:
      return (VkDispatchIndirectCommand) { 1, rows, 1 };
    case LLM_OP_ATTENTION:
      return (VkDispatchIndirectCommand) { op->p.attention.n_heads, rows, 1 };
    case LLM_OP_ROPE:
      return (VkDispatchIndirectCommand) { groups ((guint64) op->p.rope.n_heads * op->p.rope.dim / 2, GROUP), rows, 1 };
    case LLM_OP_KV_WRITE:
      return (VkDispatchIndirectCommand) { groups (MAX (width_of (plan, op->x), width_of (plan, op->z)), GROUP), rows, 1 };
    default:
      return (VkDispatchIndirectCommand) { groups (width, GROUP), rows, 1 };
    }
}
