/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Qwen 2 (Yang et al. 2024) has biases on queries, keys and values; Qwen 3 (Yang et al. 2025) norms of the query
 * and key heads instead, dense or with experts.  The rest is Llama's.
 */
#include "engine/arch.h"

LlmValueId
llm_arch_qwen (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;
  const LlmAttentionStyle style = { .biases = c->arch == LLM_ARCH_QWEN2, .qk_norms = c->arch == LLM_ARCH_QWEN3, .factors = LLM_NONE };
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      LlmValueId a = llm_arch_attention (b, l, llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x), &style);

      llm_arch_select (b, l, &a, &x);
      x = llm_arch_attention_output (b, l, a, x);
      x = llm_arch_feed_forward (b, l, LLM_ACT_SILU, llm_arch_rms_norm (b, "blk.%u.ffn_norm.weight", l, x), x);
    }
  return llm_arch_head (b, x);
}
