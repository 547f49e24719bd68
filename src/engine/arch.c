/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/arch.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"

static LlmWeightId
find (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows, gboolean required)
{
  const char *mark = strstr (name, "%u");
  g_autofree char *full = mark != NULL ? g_strdup_printf ("%.*s%u%s", (int) (mark - name), name, layer, mark + 2) : g_strdup (name);
  LlmWeight weight;

  if (b->error != NULL)
    return LLM_NONE;
  if (llm_weights_find (b->weights, full, n_cols, n_rows, &weight, &b->error))
    return llm_plan_weight (b->plan, &weight);
  if (required && b->error == NULL)
    g_set_error (&b->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the tensor %s is missing", full);
  if (b->error != NULL)
    llm_plan_fail (b->plan, b->error); /* no op may look for the weight */
  return LLM_NONE;
}

LlmWeightId
llm_arch_weight (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows)
{
  return find (b, name, layer, n_cols, n_rows, TRUE);
}

LlmWeightId
llm_arch_optional (LlmArchBuilder *b, const char *name, guint layer, guint64 n_cols, guint64 n_rows)
{
  return find (b, name, layer, n_cols, n_rows, FALSE);
}

LlmWeightId
llm_arch_output (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;
  LlmWeightId output = llm_arch_optional (b, "output.weight", 0, c->d_model, c->n_vocab);

  return output != LLM_NONE ? output : llm_arch_weight (b, "token_embd.weight", 0, c->d_model, c->n_vocab);
}

LlmRopeParams
llm_arch_rope (const LlmArchBuilder *b, guint n_heads)
{
  const LlmModelConfig *c = b->config;

  return (LlmRopeParams) {
    .n_heads = n_heads, .head_dim = c->head_dim_k, .dim = c->rope_dim, .interleaved = c->rope_style == LLM_ROPE_INTERLEAVED,
    .base = (float) c->rope_base, .scale = (float) c->rope_scale,
  };
}

LlmKvLayout
llm_arch_kv_layout (const LlmModelConfig *config, LlmDtype kv_type)
{
  return (LlmKvLayout) { config->n_layers, config->n_kv_heads, config->head_dim_k, config->head_dim_v, LLM_KV_PAGE_TOKENS, kv_type };
}

LlmPlan *
llm_arch_plan_new (const LlmModelConfig *config, const LlmWeights *weights, LlmDtype kv_type, GError **error)
{
  LlmKvLayout kv = llm_arch_kv_layout (config, kv_type);
  g_autoptr (LlmPlan) plan = llm_plan_new (&kv);
  LlmArchBuilder b = { plan, weights, config, NULL };
  LlmValueId logits = config->arch == LLM_ARCH_QWEN2 ? llm_arch_qwen2 (&b) : llm_arch_llama (&b);

  if (b.error != NULL)
    {
      g_propagate_error (error, b.error);
      return NULL;
    }
  return llm_plan_finish (plan, logits, error) ? g_steal_pointer (&plan) : NULL;
}
