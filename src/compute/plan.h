/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan: the forward pass of one model, written once by its family file as a
 * straight line of ops, checked once, compiled by each device into an executable.
 *
 * Build with the calls below in order, then llm_plan_finish().  A call whose
 * shapes do not fit records the first error (with the op's index and name and both
 * shapes) and returns LLM_NONE; llm_plan_finish() reports it, so a family file
 * reads like the paper, without error checks.  After finish a plan is immutable
 * and any thread may read it.
 */
#pragma once

#include <gio/gio.h>

#include "compute/ops.h"

G_BEGIN_DECLS

/* The KV cache of one model: per layer, K and V of n_pages pages.
 * K page: [page_tokens, n_kv_heads * head_dim_k], V page: [page_tokens, n_kv_heads * head_dim_v]. */
typedef struct {
  guint n_layers;
  guint n_kv_heads;
  guint head_dim_k;
  guint head_dim_v;
  guint page_tokens;
  LlmDtype dtype;   /* LLM_DTYPE_F32 or LLM_DTYPE_F16 */
} LlmKvLayout;

/* Bytes of one page over all layers, K and V. FALSE when it wraps. */
gboolean llm_kv_layout_page_bytes (const LlmKvLayout *layout, guint64 *bytes);
/* Bytes of one head's @dim keys or values: F32, F16, or Q8_0 where @dim is whole blocks of 32; 0: no such cache. */
guint64 llm_kv_head_bytes (LlmDtype dtype, guint dim);

typedef struct _LlmPlan LlmPlan;

LlmPlan *llm_plan_new (const LlmKvLayout *kv);
void llm_plan_free (LlmPlan *self);

/* The weight is lent; its name, data and dtype must outlive the plan. */
LlmWeightId llm_plan_weight (LlmPlan *self, const LlmWeight *weight);
/* As if a call had failed with @error: a weight that the file has not. */
void llm_plan_fail (LlmPlan *self, const GError *error);

/* Ops, in the notation of ops.h.  Weights and values are those of this plan. */
LlmValueId llm_plan_embed (LlmPlan *self, LlmWeightId w);                              /* [rows, cols(w)], of the tokens */
LlmValueId llm_plan_embed_from (LlmPlan *self, LlmWeightId w, LlmEmbedSource source, float scale);
LlmValueId llm_plan_rms_norm (LlmPlan *self, LlmValueId x, LlmWeightId g, float eps);  /* as x */
LlmValueId llm_plan_layer_norm (LlmPlan *self, LlmValueId x, LlmWeightId g, LlmWeightId bias_or_none, float eps); /* as x */
LlmValueId llm_plan_matmul (LlmPlan *self, LlmWeightId w, LlmValueId x,
                            LlmWeightId bias_or_none, LlmValueId residual_or_none);    /* [rows, rows(w)] */
void llm_plan_rope (LlmPlan *self, LlmValueId x, LlmWeightId factors_or_none, const LlmRopeParams *p); /* in place */
void llm_plan_kv_write (LlmPlan *self, guint layer, LlmValueId k, LlmValueId v);
LlmValueId llm_plan_attention (LlmPlan *self, LlmValueId q, const LlmAttentionParams *p); /* [rows, n_heads * head_dim_v] */
LlmValueId llm_plan_attention_with_sinks (LlmPlan *self, LlmValueId q, LlmWeightId sinks, const LlmAttentionParams *p); /* sinks: F32 [1, n_heads] */
LlmValueId llm_plan_glu (LlmPlan *self, LlmActivation act, LlmValueId gate, LlmValueId up_or_none);
LlmValueId llm_plan_add (LlmPlan *self, LlmValueId x, LlmValueId z);
LlmValueId llm_plan_scale (LlmPlan *self, LlmValueId x, float scale, float cap_or_0);   /* as x */
LlmValueId llm_plan_route (LlmPlan *self, LlmValueId x, const LlmRouteParams *p);        /* [rows, 2 n_used] */
LlmValueId llm_plan_expert_matmul (LlmPlan *self, LlmWeightId w, LlmValueId x, LlmValueId route,
                                   LlmWeightId bias_or_none, const LlmExpertParams *p);  /* [rows, n_used * rows(w) / n_experts] */
LlmValueId llm_plan_expert_mix (LlmPlan *self, LlmValueId x, LlmValueId route, const LlmExpertParams *p); /* [rows, width(x) / n_used] */
LlmValueId llm_plan_select_rows (LlmPlan *self, LlmValueId x);                         /* [out rows, width] */

/* Seals the plan: @logits [out rows, n_vocab] is what a run returns.  Assigns
 * every value an activation buffer by liveness (values whose lives do not overlap
 * share one; what is done element by element writes over an x that nobody reads after it).  LLM_ERROR_INVALID_MODEL: the first shape error. */
gboolean llm_plan_finish (LlmPlan *self, LlmValueId logits, GError **error);

const LlmKvLayout *llm_plan_kv_layout (const LlmPlan *self);
guint llm_plan_n_ops (const LlmPlan *self);
const LlmOp *llm_plan_op (const LlmPlan *self, guint i);
guint llm_plan_n_weights (const LlmPlan *self);
const LlmWeight *llm_plan_weight_at (const LlmPlan *self, LlmWeightId w);
guint llm_plan_n_values (const LlmPlan *self);
const LlmValue *llm_plan_value (const LlmPlan *self, LlmValueId v);
LlmValueId llm_plan_logits (const LlmPlan *self);
/* Activation buffers: width (floats per row) of each; an OUT value never shares
 * a buffer with a BATCH value. */
guint llm_plan_n_buffers (const LlmPlan *self);
guint llm_plan_buffer_width (const LlmPlan *self, guint buffer);
LlmRowSet llm_plan_buffer_rows (const LlmPlan *self, guint buffer);

LlmOpCost llm_plan_op_cost (const LlmPlan *self, guint op, guint n_rows, guint n_out, double kv_len);

/* One op a line: index, name, operands, shapes, weight names and types. (transfer full) */
char *llm_plan_to_string (const LlmPlan *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmPlan, llm_plan_free)

G_END_DECLS
