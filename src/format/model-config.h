/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metadata -> validated hyperparameters: the one place where "llama.block_count"
 * and its kin are derived and checked.  After llm_model_config_new() every number
 * is within limits.h, divides what it must divide, and agrees with the tensors'
 * shapes where the family file relies on it.
 */
#pragma once

#include "format/gguf.h"

G_BEGIN_DECLS

typedef enum {
  LLM_ARCH_LLAMA, /* Mistral, Mixtral and SmolLM too */
  LLM_ARCH_QWEN2,
  LLM_ARCH_QWEN3, /* qwen3moe too */
  LLM_ARCH_GEMMA, /* 1, 2 and 3 */
  LLM_ARCH_PHI3,
  LLM_ARCH_GPT_OSS,
  LLM_ARCH_GRANITE,
  LLM_ARCH_SMOLLM3,
  LLM_ARCH_BERT,  /* nomic-bert too */
} LlmArch;

typedef enum {
  LLM_ROPE_INTERLEAVED, /* pairs (2i, 2i+1): llama */
  LLM_ROPE_HALVES,      /* pairs (i, i + dim/2): qwen2 ("NEOX") */
  LLM_ROPE_NONE,        /* positions are embedded: bert */
} LlmRopeStyle;

/* As a file says it, <architecture>.pooling_type. */
typedef enum {
  LLM_POOLING_NONE = 0, /* not said */
  LLM_POOLING_MEAN = 1,
  LLM_POOLING_CLS = 2,  /* the first row */
  LLM_POOLING_LAST = 3,
} LlmPooling;

typedef struct {
  LlmArch arch;
  char *arch_name;      /* general.architecture */
  char *name;           /* general.name, may be NULL */
  char *license;        /* general.license, may be NULL */
  char *chat_template;  /* tokenizer.chat_template, may be NULL */
  guint n_layers;
  guint d_model;        /* embedding_length */
  guint d_ff;           /* feed_forward_length */
  guint n_heads;
  guint n_kv_heads;     /* divides n_heads */
  guint head_dim_k;     /* attention.key_length or d_model / n_heads */
  guint head_dim_v;
  guint n_vocab;        /* rows of token_embd.weight */
  guint n_token_types;  /* rows of token_types.weight; 0: it has none */
  guint context_length; /* trained */
  double norm_eps;      /* of RMS or layer norms, whichever the family has */
  gboolean causal;      /* FALSE: an encoder, every token sees all others; it generates nothing */
  LlmPooling pooling;

  guint n_experts;      /* 0: dense */
  guint n_experts_used; /* of each token, 1 to n_experts */
  guint d_ff_expert;

  guint window;         /* keys in reach of a windowed layer, its own included; 0: no layer is windowed */
  guint window_period;  /* every window_period-th layer is not windowed; 0: all are */
  double attention_scale;
  double attention_cap; /* of the scores (Gemma 2); 0: none */
  double logit_cap;     /* 0: none */
  double embedding_scale, residual_scale, logit_scale; /* factors; 1 in most families */

  LlmRopeStyle rope_style;
  guint rope_dim;       /* <= head_dim_k, even */
  double rope_base;
  double rope_base_windowed; /* of windowed layers, which are never scaled when it differs */
  double rope_scale;    /* positions are divided by it; 1 = none */
  double rope_magnitude; /* of queries and keys; 1 in most */
  guint rope_original_context; /* before it was stretched; the trained context when not said */
  gboolean rope_yarn;   /* scaled by YaRN: */
  double yarn_beta_fast, yarn_beta_slow;

  guint64 n_parameters; /* sum over all tensors */
  char *quantization;   /* dominant type by bytes, e.g. "Q4_0" */
} LlmModelConfig;

/* LLM_ERROR_NOT_SUPPORTED: another architecture (names it and those we know), an
 * unsupported rope scaling or tensor type; LLM_ERROR_INVALID_MODEL: a hyperparameter
 * that is absent, out of range, NaN, or disagrees with a tensor. */
LlmModelConfig *llm_model_config_new (const LlmGguf *gguf, GError **error);
/* Whether @layer sees a window only. */
gboolean llm_model_config_is_windowed (const LlmModelConfig *self, guint layer);
void llm_model_config_free (LlmModelConfig *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmModelConfig, llm_model_config_free)

G_END_DECLS
