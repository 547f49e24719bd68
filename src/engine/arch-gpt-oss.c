/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpt-oss (OpenAI 2025): biases everywhere, a sink for each head (Xiao et al. 2023), a window in every other layer,
 * experts with a clamped SwiGLU, positions stretched by YaRN.
 */
#include "engine/arch.h"

LlmValueId
llm_arch_gpt_oss (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;
  const LlmAttentionStyle style = { .biases = TRUE, .sinks = TRUE, .factors = LLM_NONE };
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      LlmValueId a = llm_arch_attention (b, l, llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x), &style);

      llm_arch_select (b, l, &a, &x);
      x = llm_arch_attention_output (b, l, a, x);
      x = llm_arch_feed_forward (b, l, LLM_ACT_SWIGLU_CLAMPED, llm_arch_rms_norm (b, "blk.%u.post_attention_norm.weight", l, x), x);
    }
  return llm_arch_head (b, x);
}
