/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compiled shaders, by LlmOpKind; included by pipelines.c alone. */
#pragma once

#include "compute/ops.h"

static const guint32 embed_words[] = {
#include "embed.inc"
};
static const guint32 rms_norm_words[] = {
#include "rms-norm.inc"
};
static const guint32 matmul_words[] = {
#include "matmul.inc"
};
static const guint32 rope_words[] = {
#include "rope.inc"
};
static const guint32 kv_write_words[] = {
#include "kv-write.inc"
};
static const guint32 attention_words[] = {
#include "attention.inc"
};
static const guint32 glu_words[] = {
#include "glu.inc"
};
static const guint32 add_words[] = {
#include "add.inc"
};
static const guint32 select_rows_words[] = {
#include "select-rows.inc"
};

static const struct {
  const guint32 *words;
  gsize size; /* bytes */
} llm_shaders[LLM_N_OPS] = {
  [LLM_OP_EMBED] = { embed_words, sizeof embed_words },
  [LLM_OP_RMS_NORM] = { rms_norm_words, sizeof rms_norm_words },
  [LLM_OP_MATMUL] = { matmul_words, sizeof matmul_words },
  [LLM_OP_ROPE] = { rope_words, sizeof rope_words },
  [LLM_OP_KV_WRITE] = { kv_write_words, sizeof kv_write_words },
  [LLM_OP_ATTENTION] = { attention_words, sizeof attention_words },
  [LLM_OP_GLU] = { glu_words, sizeof glu_words },
  [LLM_OP_ADD] = { add_words, sizeof add_words },
  [LLM_OP_SELECT_ROWS] = { select_rows_words, sizeof select_rows_words },
};
