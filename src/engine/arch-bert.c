/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BERT (Devlin et al. 2019): an encoder, norms after the sums, positions embedded, GELU.  nomic-bert (Nussbaum et al.
 * 2024) rotates instead and has SwiGLU.  Every row sees all rows of its text; all rows come out.
 */
#include "engine/arch.h"

static LlmValueId
norm (LlmArchBuilder *b, const char *gain, const char *bias, guint layer, LlmValueId x)
{
  guint d = b->config->d_model;

  return llm_plan_layer_norm (b->plan, x, llm_arch_weight (b, gain, layer, d, 1), llm_arch_weight (b, bias, layer, d, 1), (float) b->config->norm_eps);
}

static LlmValueId
embed (LlmArchBuilder *b)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  LlmWeightId types = llm_arch_optional (b, "token_types.weight", 0, c->d_model, c->n_token_types);
  LlmValueId x = llm_arch_embed (b);

  if (types != LLM_NONE)
    x = llm_plan_add (p, x, llm_plan_embed_from (p, types, LLM_EMBED_FIRST, 1));
  if (c->rope_style == LLM_ROPE_NONE)
    x = llm_plan_add (p, x, llm_plan_embed_from (p, llm_arch_weight (b, "position_embd.weight", 0, c->d_model, c->context_length), LLM_EMBED_POSITION, 1));
  return norm (b, "token_embd_norm.weight", "token_embd_norm.bias", 0, x);
}

/* Queries, keys or values: part @i of a fused matrix, or a matrix of its own. */
static LlmValueId
project (LlmArchBuilder *b, guint layer, guint i, LlmValueId x)
{
  static const char *const weights[] = { "blk.%u.attn_q.weight", "blk.%u.attn_k.weight", "blk.%u.attn_v.weight" };
  static const char *const biases[] = { "blk.%u.attn_q.bias", "blk.%u.attn_k.bias", "blk.%u.attn_v.bias" };
  guint d = b->config->d_model;

  if (b->config->rope_style != LLM_ROPE_NONE)
    return llm_plan_matmul (b->plan, llm_arch_part (b, "blk.%u.attn_qkv.weight", layer, d, 3 * d, i * d, d), x, LLM_NONE, LLM_NONE);
  return llm_plan_matmul (b->plan, llm_arch_weight (b, weights[i], layer, d, d), x, llm_arch_weight (b, biases[i], layer, d, 1), LLM_NONE);
}

static LlmValueId
feed_forward (LlmArchBuilder *b, guint l, LlmValueId x)
{
  LlmPlan *p = b->plan;
  guint d = b->config->d_model, ff = b->config->d_ff;
  LlmValueId h;

  if (b->config->rope_style != LLM_ROPE_NONE)
    return llm_arch_feed_forward (b, l, LLM_ACT_SILU, x, x);
  h = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_up.weight", l, d, ff), x, llm_arch_weight (b, "blk.%u.ffn_up.bias", l, ff, 1), LLM_NONE);
  return llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_down.weight", l, ff, d), llm_plan_glu (p, LLM_ACT_GELU, h, LLM_NONE),
                          llm_arch_weight (b, "blk.%u.ffn_down.bias", l, d, 1), x);
}

LlmValueId
llm_arch_bert (LlmArchBuilder *b)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  LlmValueId x = embed (b); /* [rows, d_model] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      const LlmRopeParams rope = llm_arch_rope (b, l, c->n_heads);
      const LlmAttentionParams attention = { l, c->n_heads, (float) c->attention_scale };
      LlmValueId q = project (b, l, 0, x), k = project (b, l, 1, x), v = project (b, l, 2, x), a;

      if (c->rope_style != LLM_ROPE_NONE)
        {
          llm_plan_rope (p, q, LLM_NONE, &rope);
          llm_plan_rope (p, k, LLM_NONE, &rope);
        }
      llm_plan_kv_write (p, l, k, v);
      a = llm_plan_attention (p, q, &attention);
      llm_arch_select (b, l, &a, &x);
      x = norm (b, "blk.%u.attn_output_norm.weight", "blk.%u.attn_output_norm.bias", l, llm_arch_attention_output (b, l, a, x));
      x = norm (b, "blk.%u.layer_output_norm.weight", "blk.%u.layer_output_norm.bias", l, feed_forward (b, l, x));
    }
  return x;
}
