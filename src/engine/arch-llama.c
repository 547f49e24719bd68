/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Llama (Touvron et al. 2023), Mistral (Jiang et al. 2023), Mixtral (Jiang et al. 2024) and SmolLM: pre-norm, RoPE,
 * grouped-query attention (Ainslie et al. 2023), SwiGLU (Shazeer 2020).  SmolLM 3 rotates nothing in every
 * fourth layer (Yang et al. 2025).
 */
#include "engine/arch.h"

#define NO_ROPE_PERIOD 4

LlmValueId
llm_arch_llama (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;
  LlmAttentionStyle style = { .factors = llm_arch_optional (b, "rope_freqs.weight", 0, c->rope_dim / 2, 1) };
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      style.no_rope = c->arch == LLM_ARCH_SMOLLM3 && (l + 1) % NO_ROPE_PERIOD == 0;
      LlmValueId a = llm_arch_attention (b, l, llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x), &style);

      llm_arch_select (b, l, &a, &x);
      x = llm_arch_attention_output (b, l, a, x);
      x = llm_arch_feed_forward (b, l, LLM_ACT_SILU, llm_arch_rms_norm (b, "blk.%u.ffn_norm.weight", l, x), x);
    }
  return llm_arch_head (b, x);
}
