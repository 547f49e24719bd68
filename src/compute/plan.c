/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building and sealing a plan.  After the first error every call returns LLM_NONE and
 * changes nothing, so that finish() can tell it with the op where it happened.
 */
#include "compute/plan.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"
#include "compute/ops-check.h"

typedef struct {
  guint width;
  LlmRowSet rows;
  guint free_after; /* while assigning: op index after which it is free */
} Buffer;

struct _LlmPlan {
  LlmKvLayout kv;
  GArray *ops;     /* LlmOp */
  GArray *weights; /* LlmWeight */
  GArray *values;  /* LlmValue */
  GArray *buffers; /* Buffer */
  GError *error;   /* the first one */
  LlmValueId logits;
};

guint64
llm_kv_head_bytes (LlmDtype dtype, guint dim)
{
  guint64 bytes = 0;

  if (dtype != LLM_DTYPE_F32 && dtype != LLM_DTYPE_F16 && dtype != LLM_DTYPE_Q8_0)
    return 0;
  return llm_dtype_row_bytes (llm_dtype_info (dtype), dim, &bytes) ? bytes : 0;
}

gboolean
llm_kv_layout_page_bytes (const LlmKvLayout *layout, guint64 *bytes)
{
  guint64 n = llm_kv_head_bytes (layout->dtype, layout->head_dim_k) + llm_kv_head_bytes (layout->dtype, layout->head_dim_v);

  return llm_mul_u64 (n, layout->n_kv_heads, &n) && llm_mul_u64 (n, layout->page_tokens, &n) && llm_mul_u64 (n, layout->n_layers, bytes);
}

static gboolean
layout_is_usable (const LlmKvLayout *kv)
{
  guint64 bytes;

  return llm_kv_layout_page_bytes (kv, &bytes) && llm_kv_head_bytes (kv->dtype, kv->head_dim_k) > 0 && llm_kv_head_bytes (kv->dtype, kv->head_dim_v) > 0
         && bytes > 0 && MAX (kv->head_dim_k, kv->head_dim_v) <= LLM_MODEL_MAX_HEAD_DIM;
}

LlmPlan *
llm_plan_new (const LlmKvLayout *kv)
{
  LlmPlan *self = g_new0 (LlmPlan, 1);

  self->kv = *kv;
  if (kv->dtype == LLM_DTYPE_Q8_0 && (kv->head_dim_k % 32 != 0 || kv->head_dim_v % 32 != 0))
    g_set_error (&self->error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED,
                 "a KV cache of type q8_0 needs heads of whole blocks of 32; this model's have %u and %u columns: take f16", kv->head_dim_k, kv->head_dim_v);
  else if (!layout_is_usable (kv))
    g_set_error (&self->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                 "KV cache: %u layers of %u heads of %u and %u, pages of %u tokens; all must be above 0, heads at most " G_STRINGIFY (LLM_MODEL_MAX_HEAD_DIM) ", and the type F32, F16 or Q8_0", kv->n_layers,
                 kv->n_kv_heads, kv->head_dim_k, kv->head_dim_v, kv->page_tokens);
  self->ops = g_array_new (FALSE, TRUE, sizeof (LlmOp));
  self->weights = g_array_new (FALSE, TRUE, sizeof (LlmWeight));
  self->values = g_array_new (FALSE, TRUE, sizeof (LlmValue));
  self->buffers = g_array_new (FALSE, TRUE, sizeof (Buffer));
  self->logits = LLM_NONE;
  return self;
}

void
llm_plan_free (LlmPlan *self)
{
  g_array_unref (self->ops);
  g_array_unref (self->weights);
  g_array_unref (self->values);
  g_array_unref (self->buffers);
  g_clear_error (&self->error);
  g_free (self);
}

LlmWeightId
llm_plan_weight (LlmPlan *self, const LlmWeight *weight)
{
  guint64 row_bytes, n_bytes;

  if (self->error != NULL)
    return LLM_NONE;
  if (weight->n_rows == 0 || weight->n_rows > G_MAXINT32 || weight->n_cols == 0 || weight->n_cols > G_MAXINT32
      || !llm_dtype_row_bytes (weight->dtype, weight->n_cols, &row_bytes) || !llm_mul_u64 (row_bytes, weight->n_rows, &n_bytes)
      || n_bytes != weight->n_bytes || weight->dtype->decode == NULL)
    {
      g_set_error (&self->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                   "weight %s: %s [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "] does not make %" G_GUINT64_FORMAT " bytes of a type that can run",
                   weight->name, weight->dtype->name, weight->n_rows, weight->n_cols, weight->n_bytes);
      return LLM_NONE;
    }
  for (guint i = 0; i < self->weights->len; i++) /* a tied one is there already */
    if (llm_plan_weight_at (self, i)->data == weight->data && llm_plan_weight_at (self, i)->dtype == weight->dtype
        && llm_plan_weight_at (self, i)->n_rows == weight->n_rows)
      return i;
  g_array_append_val (self->weights, *weight);
  return self->weights->len - 1;
}

void
llm_plan_fail (LlmPlan *self, const GError *error)
{
  if (self->error == NULL)
    self->error = g_error_copy (error);
}

/* Checks @op, appends it, and returns its output. */
static LlmValueId
append (LlmPlan *self, LlmOp op)
{
  LlmValue y = { .buffer = LLM_NONE };
  g_autofree char *wrong = NULL;

  if (self->error != NULL)
    return LLM_NONE;
  wrong = llm_op_check (self, &op, &y.rows, &y.width);
  if (wrong == NULL && y.width == 0 && op.kind != LLM_OP_ROPE && op.kind != LLM_OP_KV_WRITE)
    wrong = g_strdup ("the output has no columns");
  if (wrong != NULL)
    {
      g_set_error (&self->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "op %u (%s): %s", self->ops->len, llm_op_name (op.kind), wrong);
      return LLM_NONE;
    }
  if (op.kind == LLM_OP_ROPE)
    op.y = op.x;
  else if (op.kind != LLM_OP_KV_WRITE)
    {
      op.y = self->values->len;
      g_array_append_val (self->values, y);
    }
  g_array_append_val (self->ops, op);
  return op.y;
}

#define OP(...) ((LlmOp) { .x = LLM_NONE, .z = LLM_NONE, .y = LLM_NONE, .w = LLM_NONE, .b = LLM_NONE, __VA_ARGS__ })
#pragma GCC diagnostic ignored "-Woverride-init"

LlmValueId
llm_plan_embed (LlmPlan *self, LlmWeightId w)
{
  return llm_plan_embed_from (self, w, LLM_EMBED_TOKEN, 1);
}

LlmValueId
llm_plan_embed_from (LlmPlan *self, LlmWeightId w, LlmEmbedSource source, float scale)
{
  return append (self, OP (.kind = LLM_OP_EMBED, .w = w, .p.embed = { source, scale != 0 ? scale : 1 }));
}

LlmValueId
llm_plan_rms_norm (LlmPlan *self, LlmValueId x, LlmWeightId g, float eps)
{
  return append (self, OP (.kind = LLM_OP_RMS_NORM, .x = x, .w = g, .p.norm = { eps }));
}

LlmValueId
llm_plan_layer_norm (LlmPlan *self, LlmValueId x, LlmWeightId g, LlmWeightId bias_or_none, float eps)
{
  return append (self, OP (.kind = LLM_OP_LAYER_NORM, .x = x, .w = g, .b = bias_or_none, .p.norm = { eps }));
}

LlmValueId
llm_plan_matmul (LlmPlan *self, LlmWeightId w, LlmValueId x, LlmWeightId bias_or_none, LlmValueId residual_or_none)
{
  return append (self, OP (.kind = LLM_OP_MATMUL, .x = x, .z = residual_or_none, .w = w, .b = bias_or_none));
}

void
llm_plan_rope (LlmPlan *self, LlmValueId x, LlmWeightId factors_or_none, const LlmRopeParams *p)
{
  LlmOp op = OP (.kind = LLM_OP_ROPE, .x = x, .w = factors_or_none, .p.rope = *p);

  if (p->magnitude == 0)
    op.p.rope.magnitude = 1;
  append (self, op);
}

void
llm_plan_kv_write (LlmPlan *self, guint layer, LlmValueId k, LlmValueId v)
{
  append (self, OP (.kind = LLM_OP_KV_WRITE, .x = k, .z = v, .p.kv_write = { layer }));
}

LlmValueId
llm_plan_attention (LlmPlan *self, LlmValueId q, const LlmAttentionParams *p)
{
  return llm_plan_attention_with_sinks (self, q, LLM_NONE, p);
}

LlmValueId
llm_plan_attention_with_sinks (LlmPlan *self, LlmValueId q, LlmWeightId sinks, const LlmAttentionParams *p)
{
  return append (self, OP (.kind = LLM_OP_ATTENTION, .x = q, .w = sinks, .p.attention = *p));
}

LlmValueId
llm_plan_glu (LlmPlan *self, LlmActivation act, LlmValueId gate, LlmValueId up_or_none)
{
  return append (self, OP (.kind = LLM_OP_GLU, .x = gate, .z = up_or_none, .p.glu = { act }));
}

LlmValueId
llm_plan_add (LlmPlan *self, LlmValueId x, LlmValueId z)
{
  return append (self, OP (.kind = LLM_OP_ADD, .x = x, .z = z));
}

LlmValueId
llm_plan_scale (LlmPlan *self, LlmValueId x, float scale, float cap_or_0)
{
  return append (self, OP (.kind = LLM_OP_SCALE, .x = x, .p.scale = { scale, cap_or_0 }));
}

LlmValueId
llm_plan_route (LlmPlan *self, LlmValueId x, const LlmRouteParams *p)
{
  LlmOp op = OP (.kind = LLM_OP_ROUTE, .x = x, .p.route = *p);

  if (p->scale == 0)
    op.p.route.scale = 1;
  return append (self, op);
}

LlmValueId
llm_plan_expert_matmul (LlmPlan *self, LlmWeightId w, LlmValueId x, LlmValueId route, LlmWeightId bias_or_none, const LlmExpertParams *p)
{
  return append (self, OP (.kind = LLM_OP_EXPERT_MATMUL, .x = x, .z = route, .w = w, .b = bias_or_none, .p.expert = *p));
}

LlmValueId
llm_plan_expert_mix (LlmPlan *self, LlmValueId x, LlmValueId route, const LlmExpertParams *p)
{
  return append (self, OP (.kind = LLM_OP_EXPERT_MIX, .x = x, .z = route, .p.expert = *p));
}

LlmValueId
llm_plan_select_rows (LlmPlan *self, LlmValueId x)
{
  return append (self, OP (.kind = LLM_OP_SELECT_ROWS, .x = x));
}

/* ---- sealing ---- */

/* The last op that reads each value; the logits are read after the last op. */
static guint *
last_uses (const LlmPlan *self)
{
  guint *last = g_new0 (guint, MAX (self->values->len, 1));

  for (guint i = 0; i < self->ops->len; i++)
    {
      const LlmOp *op = llm_plan_op (self, i);

      if (op->x != LLM_NONE)
        last[op->x] = i;
      if (op->z != LLM_NONE)
        last[op->z] = i;
      if (op->y != LLM_NONE)
        last[op->y] = MAX (last[op->y], i);
    }
  last[self->logits] = self->ops->len;
  return last;
}

/* Whether a buffer of width @a is a better place than one of @b for a value of width @width: the narrowest that is wide
 * enough, else the widest, to be widened. */
static gboolean
fits_better (guint a, guint b, guint width)
{
  return (a >= width) != (b >= width) ? a >= width : a >= width ? a < b : a > b;
}

/* A buffer of @value's row set that is free at @op, else a new one. */
static guint
take_buffer (LlmPlan *self, const LlmValue *value, guint op)
{
  guint best = LLM_NONE;

  for (guint i = 0; i < self->buffers->len; i++)
    {
      const Buffer *b = &g_array_index (self->buffers, Buffer, i);

      if (b->rows == value->rows && b->free_after < op
          && (best == LLM_NONE || fits_better (b->width, g_array_index (self->buffers, Buffer, best).width, value->width)))
        best = i;
    }
  if (best == LLM_NONE)
    {
      Buffer fresh = { 0, value->rows, 0 };

      g_array_append_val (self->buffers, fresh);
      best = self->buffers->len - 1;
    }
  return best;
}

/* Whether op @i may write over its x: element by element, and nobody reads x after it. */
static gboolean
is_in_place (const LlmPlan *self, guint i, const guint *last)
{
  const LlmOp *op = llm_plan_op (self, i);

  return (op->kind == LLM_OP_GLU || op->kind == LLM_OP_ADD || op->kind == LLM_OP_SCALE) && last[op->x] == i
         && llm_plan_value (self, op->x)->width == llm_plan_value (self, op->y)->width;
}

static void
assign_buffers (LlmPlan *self)
{
  g_autofree guint *last = last_uses (self);

  for (guint i = 0; i < self->ops->len; i++)
    {
      const LlmOp *op = llm_plan_op (self, i);
      LlmValue *y;
      Buffer *b;

      if (op->y == LLM_NONE || op->kind == LLM_OP_ROPE)
        continue;
      y = &g_array_index (self->values, LlmValue, op->y);
      /* inputs of this op are still held: free_after >= i */
      y->buffer = is_in_place (self, i, last) ? llm_plan_value (self, op->x)->buffer : take_buffer (self, y, i);
      b = &g_array_index (self->buffers, Buffer, y->buffer);
      b->width = MAX (b->width, y->width);
      b->free_after = last[op->y];
    }
}

gboolean
llm_plan_finish (LlmPlan *self, LlmValueId logits, GError **error)
{
  if (self->error == NULL && (logits == LLM_NONE || llm_plan_value (self, logits)->rows != LLM_ROWS_OUT))
    g_set_error (&self->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the logits must be of the selected rows");
  if (self->error != NULL)
    {
      g_propagate_error (error, g_error_copy (self->error));
      return FALSE;
    }
  self->logits = logits;
  assign_buffers (self);
  return TRUE;
}

/* ---- reading ---- */

const LlmKvLayout *
llm_plan_kv_layout (const LlmPlan *self)
{
  return &self->kv;
}

guint
llm_plan_n_ops (const LlmPlan *self)
{
  return self->ops->len;
}

const LlmOp *
llm_plan_op (const LlmPlan *self, guint i)
{
  return &g_array_index (self->ops, LlmOp, i);
}

guint
llm_plan_n_weights (const LlmPlan *self)
{
  return self->weights->len;
}

const LlmWeight *
llm_plan_weight_at (const LlmPlan *self, LlmWeightId w)
{
  return &g_array_index (self->weights, LlmWeight, w);
}

guint
llm_plan_n_values (const LlmPlan *self)
{
  return self->values->len;
}

const LlmValue *
llm_plan_value (const LlmPlan *self, LlmValueId v)
{
  return &g_array_index (self->values, LlmValue, v);
}

LlmValueId
llm_plan_logits (const LlmPlan *self)
{
  return self->logits;
}

guint
llm_plan_n_buffers (const LlmPlan *self)
{
  return self->buffers->len;
}

guint
llm_plan_buffer_width (const LlmPlan *self, guint buffer)
{
  return g_array_index (self->buffers, Buffer, buffer).width;
}

LlmRowSet
llm_plan_buffer_rows (const LlmPlan *self, guint buffer)
{
  return g_array_index (self->buffers, Buffer, buffer).rows;
}
