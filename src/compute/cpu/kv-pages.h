/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pages of the KV cache as the ops of the CPU device read them.
 */
#pragma once

#include "compute/cpu/run-op.h"

/* Where the keys (or values) of position @t of @slot begin: all heads of one token, the tokens of a
 * page kv->k_row (v_row) bytes apart. */
static inline guint8 *
llm_cpu_kv_row (const LlmCpuExecutable *self, guint layer, guint slot, guint t, gboolean values)
{
  const LlmCpuKv *kv = self->kv;
  guint page_tokens = kv->parent.layout.page_tokens;
  gsize page = self->batch->block_table[(gsize) slot * self->batch->block_table_stride + t / page_tokens];
  gsize token = page * page_tokens + t % page_tokens;

  return values ? kv->v_bytes + layer * kv->v_layer + token * kv->v_row : kv->bytes + layer * kv->k_layer + token * kv->k_row;
}

/* The keys that row @r sees: [first, end). */
static inline void
llm_cpu_keys_of_row (const LlmBatch *batch, const LlmAttentionParams *p, guint r, guint *first, guint *end)
{
  guint position = batch->position[r];

  *end = batch->n_keys != NULL ? batch->n_keys[r] : position + 1;
  *first = p->window > 0 && position >= p->window ? position + 1 - p->window : 0;
  *first = MIN (*first, *end);
}

/* The definition: one row and query head a piece. */
void llm_cpu_attention_definition (gpointer job, guint piece);
