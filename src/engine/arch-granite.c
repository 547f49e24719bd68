/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Granite 3 (IBM 2024): Llama's layers, with factors on the embedding, on what is added to the residual, on the
 * scores, and a divisor of the logits (maximal update parametrisation, Yang et al. 2022).
 */
#include "engine/arch.h"

LlmValueId
llm_arch_granite (LlmArchBuilder *b)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const float residual = (float) c->residual_scale;
  const LlmAttentionStyle style = { .factors = LLM_NONE };
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      LlmValueId a = llm_arch_attention (b, l, llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x), &style), h;

      llm_arch_select (b, l, &a, &x);
      x = llm_plan_add (p, x, llm_plan_scale (p, llm_arch_attention_output (b, l, a, LLM_NONE), residual, 0));
      h = llm_arch_feed_forward (b, l, LLM_ACT_SILU, llm_arch_rms_norm (b, "blk.%u.ffn_norm.weight", l, x), LLM_NONE);
      x = llm_plan_add (p, x, llm_plan_scale (p, h, residual, 0));
    }
  return llm_arch_head (b, x);
}
