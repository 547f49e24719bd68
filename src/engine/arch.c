/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which family writes the plan, and how it finds its weights.
 */
#include "engine/arch.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"

static gboolean
find (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows, guint64 n_experts, gboolean required, LlmWeight *weight)
{
  const char *mark = strstr (name, "%u");
  g_autofree char *full = mark != NULL ? g_strdup_printf ("%.*s%u%s", (int) (mark - name), name, layer, mark + 2) : g_strdup (name);

  if (b->error != NULL)
    return FALSE;
  if (llm_weights_find (b->weights, full, n_cols, n_rows, n_experts, weight, &b->error))
    return TRUE;
  if (required && b->error == NULL)
    g_set_error (&b->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the tensor %s is missing", full);
  if (b->error != NULL)
    llm_plan_fail (b->plan, b->error); /* no op may look for the weight */
  return FALSE;
}

LlmWeightId
llm_arch_weight (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows)
{
  LlmWeight weight;

  return find (b, name, layer, n_cols, n_rows, 1, TRUE, &weight) ? llm_plan_weight (b->plan, &weight) : LLM_NONE;
}

LlmWeightId
llm_arch_optional (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows)
{
  LlmWeight weight;

  return find (b, name, layer, n_cols, n_rows, 1, FALSE, &weight) ? llm_plan_weight (b->plan, &weight) : LLM_NONE;
}

LlmWeightId
llm_arch_part (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows, guint64 first, guint64 n)
{
  guint64 row_bytes;
  LlmWeight weight;

  if (!find (b, name, layer, n_cols, n_rows, 1, TRUE, &weight))
    return LLM_NONE;
  row_bytes = weight.n_bytes / n_rows;
  weight.data = (const guint8 *) weight.data + first * row_bytes;
  weight.n_bytes = n * row_bytes;
  weight.n_rows = n;
  return llm_plan_weight (b->plan, &weight);
}

LlmWeightId
llm_arch_experts (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows)
{
  LlmWeight weight;

  return find (b, name, layer, n_cols, n_rows, b->config->n_experts, TRUE, &weight) ? llm_plan_weight (b->plan, &weight) : LLM_NONE;
}

LlmWeightId
llm_arch_expert_biases (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols)
{
  LlmWeight weight;

  if (!find (b, name, layer, n_cols, b->config->n_experts, 1, FALSE, &weight))
    return LLM_NONE;
  weight.n_cols *= weight.n_rows;
  weight.n_rows = 1;
  return llm_plan_weight (b->plan, &weight);
}

LlmKvLayout
llm_arch_kv_layout (const LlmModelConfig *config, LlmDtype kv_type)
{
  return (LlmKvLayout) { config->n_layers, config->n_kv_heads, config->head_dim_k, config->head_dim_v, LLM_KV_PAGE_TOKENS, kv_type };
}

static LlmValueId
write_family (LlmArchBuilder *b)
{
  switch (b->config->arch)
    {
    case LLM_ARCH_QWEN2:
    case LLM_ARCH_QWEN3:
      return llm_arch_qwen (b);
    case LLM_ARCH_GEMMA:
      return llm_arch_gemma (b);
    case LLM_ARCH_PHI3:
      return llm_arch_phi3 (b);
    case LLM_ARCH_GPT_OSS:
      return llm_arch_gpt_oss (b);
    case LLM_ARCH_GRANITE:
      return llm_arch_granite (b);
    case LLM_ARCH_BERT:
      return llm_arch_bert (b);
    default:
      return llm_arch_llama (b);
    }
}

LlmPlan *
llm_arch_plan_new (const LlmModelConfig *config, LlmWeights *weights, const LlmArchOptions *options, GError **error)
{
  LlmKvLayout kv = llm_arch_kv_layout (config, options->kv_type);
  g_autoptr (LlmPlan) plan = NULL;
  LlmArchBuilder b;
  LlmValueId out;

  if (!config->causal && !options->hidden)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "a model of the architecture %s makes embeddings, no text", config->arch_name);
      return NULL;
    }
  plan = llm_plan_new (&kv);
  b = (LlmArchBuilder) { plan, weights, config, options, NULL };
  out = write_family (&b);
  if (b.error != NULL)
    {
      g_propagate_error (error, b.error);
      return NULL;
    }
  return llm_plan_finish (plan, out, error) ? g_steal_pointer (&plan) : NULL;
}
