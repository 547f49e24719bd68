/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The families: one file each, one function that writes the forward pass; and the pieces that
 * they share.
 */
#pragma once

#include "engine/weights.h"
#include "format/model-config.h"

G_BEGIN_DECLS

typedef struct {
  LlmDtype kv_type;
  guint context_window; /* tokens; 0: the trained context */
  gboolean hidden;      /* the plan ends with the last layer's normalised rows [out, d_model], not with logits */
} LlmArchOptions;

/* What a family file writes with. The first weight that is missing or of a wrong shape is kept in
 * `error`; the calls go on with LLM_NONE. */
typedef struct {
  LlmPlan *plan;
  LlmWeights *weights;
  const LlmModelConfig *config;
  const LlmArchOptions *options;
  GError *error;
} LlmArchBuilder;

/* ---- weights: "%u" in @name stands for @layer ---- */

LlmWeightId llm_arch_weight (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows);
/* The same, LLM_NONE when the file has none. */
LlmWeightId llm_arch_optional (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows);
/* Rows [@first, @first + @n) of one [@n_rows, @n_cols]; @n_rows columns of a vector when @n_cols is 0. */
LlmWeightId llm_arch_part (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows, guint64 first, guint64 n);
/* The matrices of all experts, [n_experts * @n_rows, @n_cols]. */
LlmWeightId llm_arch_experts (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows);
/* Their biases, [1, n_experts * @n_cols], or LLM_NONE. */
LlmWeightId llm_arch_expert_biases (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols);

/* ---- pieces ---- */

/* Tokens -> [rows, d_model], by embedding_scale. */
LlmValueId llm_arch_embed (LlmArchBuilder *b);
LlmValueId llm_arch_rms_norm (LlmArchBuilder *b, const char *name, guint layer, LlmValueId x);
/* The rotary embedding of @layer, for @n_heads heads. */
LlmRopeParams llm_arch_rope (const LlmArchBuilder *b, guint layer, guint n_heads);

typedef struct {
  gboolean biases;      /* of queries, keys and values: the file must have them, else it may */
  gboolean qk_norms;    /* RMS norms of each head of the queries and keys, before the rotation */
  gboolean no_rope;     /* this layer knows no positions */
  gboolean sinks;
  LlmWeightId factors;  /* of the rotation, or LLM_NONE */
} LlmAttentionStyle;

/* Grouped-query attention of @layer over the normalised rows @h: [rows, n_heads * head_dim_v], before
 * the output projection. */
LlmValueId llm_arch_attention (LlmArchBuilder *b, guint layer, LlmValueId h, const LlmAttentionStyle *style);
/* After the attention of the last layer only the rows that are wanted go on: both of @a and @x. */
void llm_arch_select (LlmArchBuilder *b, guint layer, LlmValueId *a, LlmValueId *x);
/* The output projection, + @residual or LLM_NONE. */
LlmValueId llm_arch_attention_output (LlmArchBuilder *b, guint layer, LlmValueId a, LlmValueId residual);
/* down (act (gate h) * up h), + @residual or LLM_NONE; of experts in models that have them. */
LlmValueId llm_arch_feed_forward (LlmArchBuilder *b, guint layer, LlmActivation act, LlmValueId h, LlmValueId residual);
LlmValueId llm_arch_moe (LlmArchBuilder *b, guint layer, LlmActivation act, LlmValueId h);
/* The final norm and the logits [out, n_vocab], by output.weight or the embedding when they are tied (Press & Wolf
 * 2017), scaled and capped; or the normalised rows alone. */
LlmValueId llm_arch_head (LlmArchBuilder *b, LlmValueId x);

/* ---- families ---- */

LlmValueId llm_arch_llama (LlmArchBuilder *b);
LlmValueId llm_arch_qwen (LlmArchBuilder *b);
LlmValueId llm_arch_gemma (LlmArchBuilder *b);
LlmValueId llm_arch_phi3 (LlmArchBuilder *b);
LlmValueId llm_arch_gpt_oss (LlmArchBuilder *b);
LlmValueId llm_arch_granite (LlmArchBuilder *b);
LlmValueId llm_arch_bert (LlmArchBuilder *b);

/* The KV cache that @config asks for. */
LlmKvLayout llm_arch_kv_layout (const LlmModelConfig *config, LlmDtype kv_type);
/* The sealed plan of the model. @weights and @config must outlive it. InvalidModel; NotSupported for logits of an encoder. */
LlmPlan *llm_arch_plan_new (const LlmModelConfig *config, LlmWeights *weights, const LlmArchOptions *options, GError **error);

G_END_DECLS
