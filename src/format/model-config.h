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
  LLM_ARCH_LLAMA,
  LLM_ARCH_QWEN2,
} LlmArch;

typedef enum {
  LLM_ROPE_INTERLEAVED, /* pairs (2i, 2i+1): llama */
  LLM_ROPE_HALVES,      /* pairs (i, i + dim/2): qwen2 ("NEOX") */
} LlmRopeStyle;

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
  guint context_length; /* trained */
  double rms_eps;
  LlmRopeStyle rope_style;
  guint rope_dim;       /* <= head_dim_k, even */
  double rope_base;
  double rope_scale;    /* linear scaling: positions are divided by it; 1 = none */
  guint64 n_parameters; /* sum over all tensors */
  char *quantization;   /* dominant type by bytes, e.g. "Q4_0" */
} LlmModelConfig;

/* LLM_ERROR_NOT_SUPPORTED: another architecture (names it and those we know), an
 * unsupported rope scaling or tensor type; LLM_ERROR_INVALID_MODEL: a hyperparameter
 * that is absent, out of range, NaN, or disagrees with a tensor. */
LlmModelConfig *llm_model_config_new (const LlmGguf *gguf, GError **error);
void llm_model_config_free (LlmModelConfig *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmModelConfig, llm_model_config_free)

G_END_DECLS
