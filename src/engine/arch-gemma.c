/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gemma (Gemma Team 2024): the embedding times sqrt (d_model), GeGLU, the output tied.  Gemma 2 norms what attention
 * and feed-forward give before it is added, caps scores and logits, and sees a window in every other layer; Gemma 3
 * (2025) norms query and key heads instead of capping, with five windowed layers to each full one.  A file's gains
 * have the one of (1 + g) in them already.
 */
#include "engine/arch.h"

LlmValueId
llm_arch_gemma (LlmArchBuilder *b)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const gboolean post_norms = c->window_period > 1, gemma3 = c->window_period > 2;
  const LlmAttentionStyle style = { .qk_norms = gemma3, .factors = LLM_NONE };
  LlmValueId x = llm_arch_embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      LlmValueId a = llm_arch_attention (b, l, llm_arch_rms_norm (b, "blk.%u.attn_norm.weight", l, x), &style), h;

      llm_arch_select (b, l, &a, &x);
      a = llm_arch_attention_output (b, l, a, post_norms ? LLM_NONE : x);
      x = post_norms ? llm_plan_add (p, x, llm_arch_rms_norm (b, "blk.%u.post_attention_norm.weight", l, a)) : a;

      h = llm_arch_rms_norm (b, "blk.%u.ffn_norm.weight", l, x);
      h = llm_arch_feed_forward (b, l, LLM_ACT_GELU_TANH, h, post_norms ? LLM_NONE : x);
      x = post_norms ? llm_plan_add (p, x, llm_arch_rms_norm (b, "blk.%u.post_ffw_norm.weight", l, h)) : h;
    }
  return llm_arch_head (b, x);
}
