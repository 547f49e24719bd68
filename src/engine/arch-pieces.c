/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the decoders of most families have in common.
 */
#include <math.h>

#include "engine/arch.h"

LlmValueId
llm_arch_embed (LlmArchBuilder *b)
{
  const LlmModelConfig *c = b->config;

  return llm_plan_embed_from (b->plan, llm_arch_weight (b, "token_embd.weight", 0, c->d_model, c->n_vocab), LLM_EMBED_TOKEN, (float) c->embedding_scale);
}

LlmValueId
llm_arch_rms_norm (LlmArchBuilder *b, const char *name, guint layer, LlmValueId x)
{
  return llm_plan_rms_norm (b->plan, x, llm_arch_weight (b, name, layer, b->config->d_model, 1), (float) b->config->norm_eps);
}

LlmRopeParams
llm_arch_rope (const LlmArchBuilder *b, guint layer, guint n_heads)
{
  const LlmModelConfig *c = b->config;
  gboolean local = llm_model_config_is_windowed (c, layer) && c->rope_base_windowed != c->rope_base;

  return (LlmRopeParams) {
    .n_heads = n_heads, .head_dim = c->head_dim_k, .dim = c->rope_dim, .interleaved = c->rope_style == LLM_ROPE_INTERLEAVED,
    .base = (float) (local ? c->rope_base_windowed : c->rope_base), .scale = local ? 1 : (float) c->rope_scale, .magnitude = (float) c->rope_magnitude,
    .yarn_context = c->rope_yarn ? c->rope_original_context : 0, .beta_fast = (float) c->yarn_beta_fast, .beta_slow = (float) c->yarn_beta_slow,
  };
}

/* ---- attention ---- */

static LlmWeightId
bias (LlmArchBuilder *b, const char *name, guint layer, guint n, gboolean required)
{
  return required ? llm_arch_weight (b, name, layer, n, 1) : llm_arch_optional (b, name, layer, n, 1);
}

/* Over each head by itself, or over the row, as the gain is long. */
static LlmValueId
head_norm (LlmArchBuilder *b, const char *name, guint layer, LlmValueId x)
{
  return llm_plan_rms_norm (b->plan, x, llm_arch_weight (b, name, layer, b->config->head_dim_k, 1), (float) b->config->norm_eps);
}

LlmValueId
llm_arch_attention (LlmArchBuilder *b, guint l, LlmValueId h, const LlmAttentionStyle *style)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const guint d = c->d_model, n_q = c->n_heads * c->head_dim_k, n_k = c->n_kv_heads * c->head_dim_k, n_v = c->n_kv_heads * c->head_dim_v;
  const LlmRopeParams rope_q = llm_arch_rope (b, l, c->n_heads), rope_k = llm_arch_rope (b, l, c->n_kv_heads);
  const LlmAttentionParams attention = {
    l, c->n_heads, (float) c->attention_scale, llm_model_config_is_windowed (c, l) ? c->window : 0, (float) c->attention_cap,
  };
  LlmValueId q = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_q.weight", l, d, n_q), h, bias (b, "blk.%u.attn_q.bias", l, n_q, style->biases), LLM_NONE);
  LlmValueId k = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_k.weight", l, d, n_k), h, bias (b, "blk.%u.attn_k.bias", l, n_k, style->biases), LLM_NONE);
  LlmValueId v = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_v.weight", l, d, n_v), h, bias (b, "blk.%u.attn_v.bias", l, n_v, style->biases), LLM_NONE);

  if (style->qk_norms)
    {
      q = head_norm (b, "blk.%u.attn_q_norm.weight", l, q);
      k = head_norm (b, "blk.%u.attn_k_norm.weight", l, k);
    }
  if (!style->no_rope)
    {
      llm_plan_rope (p, q, style->factors, &rope_q);
      llm_plan_rope (p, k, style->factors, &rope_k);
    }
  llm_plan_kv_write (p, l, k, v);
  return llm_plan_attention_with_sinks (p, q, style->sinks ? llm_arch_weight (b, "blk.%u.attn_sinks.weight", l, c->n_heads, 1) : LLM_NONE, &attention);
}

void
llm_arch_select (LlmArchBuilder *b, guint layer, LlmValueId *a, LlmValueId *x)
{
  if (layer != b->config->n_layers - 1)
    return;
  *a = llm_plan_select_rows (b->plan, *a);
  *x = llm_plan_select_rows (b->plan, *x);
}

LlmValueId
llm_arch_attention_output (LlmArchBuilder *b, guint layer, LlmValueId a, LlmValueId residual)
{
  const LlmModelConfig *c = b->config;

  return llm_plan_matmul (b->plan, llm_arch_weight (b, "blk.%u.attn_output.weight", layer, c->n_heads * c->head_dim_v, c->d_model), a,
                          llm_arch_optional (b, "blk.%u.attn_output.bias", layer, c->d_model, 1), residual);
}

/* ---- feed-forward ---- */

/* Shazeer et al. 2017; gate, up and down of each expert as in a dense layer. */
LlmValueId
llm_arch_moe (LlmArchBuilder *b, guint l, LlmActivation act, LlmValueId h)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const guint d = c->d_model, ff = c->d_ff_expert;
  const LlmExpertParams experts = { c->n_experts, c->n_experts_used };
  const LlmRouteParams by = { c->n_experts_used, TRUE, 1 };
  LlmValueId route = llm_plan_route (p, llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_gate_inp.weight", l, d, c->n_experts), h,
                                                         llm_arch_optional (b, "blk.%u.ffn_gate_inp.bias", l, c->n_experts, 1), LLM_NONE), &by);
  LlmValueId gate = llm_plan_expert_matmul (p, llm_arch_experts (b, "blk.%u.ffn_gate_exps.weight", l, d, ff), h, route,
                                            llm_arch_expert_biases (b, "blk.%u.ffn_gate_exps.bias", l, ff), &experts);
  LlmValueId up = llm_plan_expert_matmul (p, llm_arch_experts (b, "blk.%u.ffn_up_exps.weight", l, d, ff), h, route,
                                          llm_arch_expert_biases (b, "blk.%u.ffn_up_exps.bias", l, ff), &experts);
  LlmValueId down = llm_plan_expert_matmul (p, llm_arch_experts (b, "blk.%u.ffn_down_exps.weight", l, ff, d), llm_plan_glu (p, act, gate, up), route,
                                            llm_arch_expert_biases (b, "blk.%u.ffn_down_exps.bias", l, d), &experts);

  return llm_plan_expert_mix (p, down, route, &experts);
}

LlmValueId
llm_arch_feed_forward (LlmArchBuilder *b, guint l, LlmActivation act, LlmValueId h, LlmValueId residual)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const guint d = c->d_model, ff = c->d_ff;
  LlmValueId gate, up;

  if (c->n_experts > 0)
    {
      LlmValueId y = llm_arch_moe (b, l, act, h);

      return residual != LLM_NONE ? llm_plan_add (p, residual, y) : y;
    }
  gate = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_gate.weight", l, d, ff), h, llm_arch_optional (b, "blk.%u.ffn_gate.bias", l, ff, 1), LLM_NONE);
  up = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_up.weight", l, d, ff), h, llm_arch_optional (b, "blk.%u.ffn_up.bias", l, ff, 1), LLM_NONE);
  return llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_down.weight", l, ff, d), llm_plan_glu (p, act, gate, up),
                          llm_arch_optional (b, "blk.%u.ffn_down.bias", l, d, 1), residual);
}

/* ---- the end ---- */

LlmValueId
llm_arch_head (LlmArchBuilder *b, LlmValueId x)
{
  const LlmModelConfig *c = b->config;
  LlmWeightId output;

  x = llm_arch_rms_norm (b, "output_norm.weight", 0, x);
  if (b->options->hidden)
    return x;
  output = llm_arch_optional (b, "output.weight", 0, c->d_model, c->n_vocab);
  if (output == LLM_NONE)
    output = llm_arch_weight (b, "token_embd.weight", 0, c->d_model, c->n_vocab);
  x = llm_plan_matmul (b->plan, output, x, LLM_NONE, LLM_NONE);
  return c->logit_scale != 1 || c->logit_cap > 0 ? llm_plan_scale (b->plan, x, (float) c->logit_scale, (float) c->logit_cap) : x;
}
