/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The families: one file each, one function that writes the forward pass.
 */
#pragma once

#include "engine/weights.h"
#include "format/model-config.h"

G_BEGIN_DECLS

/* What a family file writes with. The first weight that is missing or of a wrong shape is kept in
 * `error`; the calls go on with LLM_NONE. */
typedef struct {
  LlmPlan *plan;
  const LlmWeights *weights;
  const LlmModelConfig *config;
  GError *error;
} LlmArchBuilder;

/* Weight @name [n_rows, n_cols]; "%u" in it stands for @layer. */
LlmWeightId llm_arch_weight (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows);
/* The same, LLM_NONE when the file has none. */
LlmWeightId llm_arch_optional (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows);
/* output.weight, or the embedding when they are tied (Press & Wolf 2017). */
LlmWeightId llm_arch_output (LlmArchBuilder *b);
LlmRopeParams llm_arch_rope (const LlmArchBuilder *b, guint n_heads);

LlmValueId llm_arch_llama (LlmArchBuilder *b);
/* The same for its relatives; @biases: on queries, keys and values. */
LlmValueId llm_arch_llama_like (LlmArchBuilder *b, gboolean biases);
LlmValueId llm_arch_qwen2 (LlmArchBuilder *b);

/* The KV cache that @config asks for. */
LlmKvLayout llm_arch_kv_layout (const LlmModelConfig *config, LlmDtype kv_type);
/* The sealed plan of the model. @weights and @config must outlive it. InvalidModel. */
LlmPlan *llm_arch_plan_new (const LlmModelConfig *config, const LlmWeights *weights, LlmDtype kv_type, GError **error);

G_END_DECLS
