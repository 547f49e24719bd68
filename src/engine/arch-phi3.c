/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Phi 3 and 4 (Abdin et al. 2024): Llama's layers with queries, keys and values in one matrix, gate and up in
 * another; long contexts by LongRoPE (Ding et al. 2024), one factor a pair, of two sets.
 */
#include "engine/arch.h"

/* The set of factors is the long one when the window is longer than the context of the first training. */
static LlmWeightId
factors (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;
  guint window = b->options->context_window > 0 ? b->options->context_window : c->context_length;

  return llm_arch_optional (b, window > c->rope_original_context ? "rope_factors_long.weight" : "rope_factors_short.weight", 0, c->rope_dim / 2, 1);
}

LlmValueId
llm_arch_phi3 (LlmArchBuilder *b)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const guint d = c->d_model, ff = c->d_ff, n_q = c->n_heads * c->head_dim_k, n_k = c->n_kv_heads * c->head_dim_k, n_v = c->n_kv_heads * c->head_dim_v;
  const LlmWeightId by = factors (b);
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      const LlmRopeParams rope_q = llm_arch_rope (b, l, c->n_heads), rope_k = llm_arch_rope (b, l, c->n_kv_heads);
      const LlmAttentionParams attention = { l, c->n_heads, (float) c->attention_scale, llm_model_config_is_windowed (c, l) ? c->window : 0 };
      const char *qkv = "blk.%u.attn_qkv.weight", *gate_up = "blk.%u.ffn_up.weight";
      LlmValueId h = llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x);
      LlmValueId q = llm_plan_matmul (p, llm_arch_part (b, qkv, l, d, n_q + n_k + n_v, 0, n_q), h, LLM_NONE, LLM_NONE);
      LlmValueId k = llm_plan_matmul (p, llm_arch_part (b, qkv, l, d, n_q + n_k + n_v, n_q, n_k), h, LLM_NONE, LLM_NONE);
      LlmValueId v = llm_plan_matmul (p, llm_arch_part (b, qkv, l, d, n_q + n_k + n_v, n_q + n_k, n_v), h, LLM_NONE, LLM_NONE);
      LlmValueId a, gate, up;

      llm_plan_rope (p, q, by, &rope_q);
      llm_plan_rope (p, k, by, &rope_k);
      llm_plan_kv_write (p, l, k, v);
      a = llm_plan_attention (p, q, &attention);
      llm_arch_select (b, l, &a, &x);
      x = llm_arch_attention_output (b, l, a, x);

      h = llm_arch_rms_norm (b, "blk.%u.ffn_norm.weight", l, x);
      gate = llm_plan_matmul (p, llm_arch_part (b, gate_up, l, d, 2 * ff, 0, ff), h, LLM_NONE, LLM_NONE);
      up = llm_plan_matmul (p, llm_arch_part (b, gate_up, l, d, 2 * ff, ff, ff), h, LLM_NONE, LLM_NONE);
      x = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_down.weight", l, ff, d), llm_plan_glu (p, LLM_ACT_SILU, gate, up), LLM_NONE, x);
    }
  return llm_arch_head (b, x);
}
