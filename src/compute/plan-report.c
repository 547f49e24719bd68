/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plan costs and how it reads.
 */
#include "compute/plan.h"

static guint64
value_bytes (const LlmPlan *self, LlmValueId v, guint n_rows, guint n_out)
{
  const LlmValue *value = v != LLM_NONE ? llm_plan_value (self, v) : NULL;

  return value != NULL ? 4 * (guint64) value->width * (value->rows == LLM_ROWS_OUT ? n_out : n_rows) : 0;
}

LlmOpCost
llm_plan_op_cost (const LlmPlan *self, guint i, guint n_rows, guint n_out, double kv_len)
{
  const LlmOp *op = llm_plan_op (self, i);
  const LlmKvLayout *kv = llm_plan_kv_layout (self);
  LlmOpCost cost = { 0 };
  const LlmWeight *w = op->w != LLM_NONE ? llm_plan_weight_at (self, op->w) : NULL;
  guint64 rows = op->x != LLM_NONE && llm_plan_value (self, op->x)->rows == LLM_ROWS_OUT ? n_out : n_rows;
  double kv_row = (double) (kv->n_kv_heads * (llm_kv_head_bytes (kv->dtype, kv->head_dim_k) + llm_kv_head_bytes (kv->dtype, kv->head_dim_v)));

  cost.bytes = value_bytes (self, op->x, n_rows, n_out) + value_bytes (self, op->z, n_rows, n_out) + value_bytes (self, op->y, n_rows, n_out);
  switch (op->kind)
    {
    case LLM_OP_EMBED:
      cost.bytes += rows * (w->n_bytes / w->n_rows);
      break;
    case LLM_OP_MATMUL:
      cost.bytes += rows > 0 ? w->n_bytes : 0;
      cost.flops = 2 * w->n_rows * w->n_cols * rows;
      break;
    case LLM_OP_EXPERT_MATMUL: /* each row reads its own experts */
      cost.bytes += w->n_bytes / op->p.expert.n_experts * MIN (op->p.expert.n_experts, rows * op->p.expert.n_used);
      cost.flops = 2 * (w->n_rows / op->p.expert.n_experts) * w->n_cols * op->p.expert.n_used * rows;
      break;
    case LLM_OP_KV_WRITE:
      cost.bytes += (guint64) (kv_row * (double) rows);
      break;
    case LLM_OP_ATTENTION:
      if (op->p.attention.window > 0)
        kv_len = MIN (kv_len, op->p.attention.window);
      cost.bytes += (guint64) (kv_row * kv_len * (double) rows);
      cost.flops = (guint64) (2.0 * op->p.attention.n_heads * (kv->head_dim_k + kv->head_dim_v) * kv_len * (double) rows);
      break;
    default:
      cost.flops = op->y != LLM_NONE ? (guint64) llm_plan_value (self, op->y)->width * rows : 0;
      break;
    }
  return cost;
}

static void
append_value (GString *s, const LlmPlan *self, const char *label, LlmValueId v)
{
  const LlmValue *value;

  if (v == LLM_NONE)
    return;
  value = llm_plan_value (self, v);
  g_string_append_printf (s, " %s=%%%u[%s, %u]@%u", label, v, value->rows == LLM_ROWS_OUT ? "out" : "rows", value->width, value->buffer);
}

static void
append_weight (GString *s, const LlmPlan *self, LlmWeightId w)
{
  const LlmWeight *weight;

  if (w == LLM_NONE)
    return;
  weight = llm_plan_weight_at (self, w);
  g_string_append_printf (s, " %s:%s[%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]", weight->name, weight->dtype->name, weight->n_rows, weight->n_cols);
}

char *
llm_plan_to_string (const LlmPlan *self)
{
  GString *s = g_string_new (NULL);

  for (guint i = 0; i < llm_plan_n_ops (self); i++)
    {
      const LlmOp *op = llm_plan_op (self, i);

      g_string_append_printf (s, "%4u %-11s", i, llm_op_name (op->kind));
      append_value (s, self, "y", op->y);
      append_value (s, self, "x", op->x);
      append_value (s, self, "z", op->z);
      append_weight (s, self, op->w);
      append_weight (s, self, op->b);
      g_string_append_c (s, '\n');
    }
  return g_string_free (s, FALSE);
}
