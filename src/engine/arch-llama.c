/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Llama (Touvron et al. 2023) and Mistral (Jiang et al. 2023): pre-norm, RoPE, grouped-query
 * attention (Ainslie et al. 2023), SwiGLU (Shazeer 2020).
 */
#include <math.h>

#include "engine/arch.h"

/* Attention biases: the file must have them, or may. */
static LlmWeightId
bias (LlmArchBuilder *b, const char *name, guint layer, guint n, gboolean required)
{
  return required ? llm_arch_weight (b, name, layer, n, 1) : llm_arch_optional (b, name, layer, n, 1);
}

LlmValueId
llm_arch_llama (LlmArchBuilder *b)
{
  return llm_arch_llama_like (b, FALSE);
}

LlmValueId
llm_arch_llama_like (LlmArchBuilder *b, gboolean biases)
{
  LlmPlan *p = b->plan;
  const LlmModelConfig *c = b->config;
  const guint d = c->d_model, n_q = c->n_heads * c->head_dim_k, n_k = c->n_kv_heads * c->head_dim_k, n_v = c->n_kv_heads * c->head_dim_v;
  const float eps = (float) c->rms_eps;
  const LlmRopeParams rope_q = llm_arch_rope (b, c->n_heads), rope_k = llm_arch_rope (b, c->n_kv_heads);
  const LlmWeightId factors = llm_arch_optional (b, "rope_freqs.weight", 0, c->rope_dim / 2, 1);

  LlmValueId x = llm_plan_embed (p, llm_arch_weight (b, "token_embd.weight", 0, d, c->n_vocab)); /* [rows, d] */

  for (guint l = 0; l < c->n_layers; l++)
    {
      const LlmAttentionParams attention = { l, c->n_heads, 1 / sqrtf ((float) c->head_dim_k) };
      LlmValueId h = llm_plan_rms_norm (p, x, llm_arch_weight (b, "blk.%u.attn_norm.weight", l, d, 1), eps);                        /* [rows, d] */
      LlmValueId q = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_q.weight", l, d, n_q), h,                                 /* [rows, n_q] */
                                      bias (b, "blk.%u.attn_q.bias", l, n_q, biases), LLM_NONE);
      LlmValueId k = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_k.weight", l, d, n_k), h,                                 /* [rows, n_k] */
                                      bias (b, "blk.%u.attn_k.bias", l, n_k, biases), LLM_NONE);
      LlmValueId v = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_v.weight", l, d, n_v), h,                                 /* [rows, n_v] */
                                      bias (b, "blk.%u.attn_v.bias", l, n_v, biases), LLM_NONE);

      llm_plan_rope (p, q, factors, &rope_q);
      llm_plan_rope (p, k, factors, &rope_k);
      llm_plan_kv_write (p, l, k, v);

      LlmValueId a = llm_plan_attention (p, q, &attention);                                                                         /* [rows, n_heads * head_dim_v] */
      if (l == c->n_layers - 1)
        { /* from here on only the rows whose logits are wanted */
          a = llm_plan_select_rows (p, a);
          x = llm_plan_select_rows (p, x);
        }
      x = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.attn_output.weight", l, c->n_heads * c->head_dim_v, d), a, LLM_NONE, x); /* [rows, d] */

      h = llm_plan_rms_norm (p, x, llm_arch_weight (b, "blk.%u.ffn_norm.weight", l, d, 1), eps);                                    /* [rows, d] */
      LlmValueId gate = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_gate.weight", l, d, c->d_ff), h, LLM_NONE, LLM_NONE);  /* [rows, d_ff] */
      LlmValueId up = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_up.weight", l, d, c->d_ff), h, LLM_NONE, LLM_NONE);      /* [rows, d_ff] */
      x = llm_plan_matmul (p, llm_arch_weight (b, "blk.%u.ffn_down.weight", l, c->d_ff, d), llm_plan_glu (p, LLM_ACT_SILU, gate, up),
                           LLM_NONE, x);                                                                                            /* [rows, d] */
    }
  x = llm_plan_rms_norm (p, x, llm_arch_weight (b, "output_norm.weight", 0, d, 1), eps);
  return llm_plan_matmul (p, llm_arch_output (b), x, LLM_NONE, LLM_NONE);                                                           /* [out, n_vocab] */
}
