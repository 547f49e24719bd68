/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attention of some pairs with some keys, on one thread.
 *
 * A pair is a row and one of its query heads; the pairs of a run of rows of one slot whose heads
 * read the same key head share the keys and values that are loaded.  Keys are taken in groups of
 * LLM_GROUP by position: a group has a softmax of its own, and groups are merged in order (online
 * softmax, Milakov & Gimelshein 2018).  So a row has the same bits however its groups are shared out.
 */
#pragma once

#include "compute/cpu/run-op.h"

#define LLM_GROUP 128
#define LLM_MAX_PAIRS 64
#define LLM_SCRATCH (64 * 1024) /* floats on the stack of a thread: 9 pairs of the widest heads, and a segment */

/* What a pair has seen so far: the largest score, the sum of exp (score - max), the values so weighted. */
typedef struct {
  float max, sum;
} LlmSeen;

typedef struct {
  LlmCpuJob *job;
  const LlmKvKernels *kernels;
  guint kv_head, n_heads, per_head;      /* key heads from kv_head on, query heads of each */
  guint first_row, first_pair, n;        /* pairs of each key head: see row_of(), head_of() */
  gsize q_stride, v_stride;
  guint from[LLM_MAX_PAIRS], end[LLM_MAX_PAIRS]; /* [n] keys in sight */
  guint last;                            /* where the keys of the piece end */
  LlmSeen seen[LLM_MAX_PAIRS], part[LLM_MAX_PAIRS]; /* [n_heads, n] all groups; the last one */
  float *q, *all, *values, *score, *floats; /* (in scratch) [n_heads, n] of q_stride, of v_stride twice, of the scores; a segment */
} LlmBlock;

/* Columns of a head with the padding that the kernels want. */
#define LLM_PAD(n) (((n) + 15u) & ~15u)

/* How many pairs fit into the scratch memory, of all key heads of a block together. */
guint llm_block_max_pairs (const LlmKvLayout *kv);
/* @n pairs from @first_pair on of the run that begins at @first_row, of each of @n_heads key heads: nothing seen yet.
 * @scratch: LLM_SCRATCH floats, lent. */
void llm_block_init (LlmBlock *b, LlmCpuJob *job, guint kv_head, guint n_heads, guint first_row, guint first_pair, guint n, float *scratch);
/* The keys of the group that begins at position @group: b->values and b->part of every pair, a sum of 0 for one that
 * sees none. FALSE: no pair sees any, and nothing is written. */
gboolean llm_block_group (LlmBlock *b, guint group);
/* Fetches what llm_block_group() reads first; worth it where nothing else does meanwhile. */
void llm_block_prefetch (const LlmBlock *b, guint group);
/* Adds a group's @part and @values ([pairs, v_stride]) to what has been seen. */
void llm_block_merge (LlmBlock *b, const LlmSeen *part, const float *values);
/* y = values / sum of all that has been seen; a sink is one more score that has no value. */
void llm_block_finish (LlmBlock *b);

/* Of pair @at of all, which is key head * n + pair. */
static inline guint
llm_block_row (const LlmBlock *b, guint at)
{
  return b->first_row + (b->first_pair + at % b->n) / b->per_head;
}

static inline guint
llm_block_head (const LlmBlock *b, guint at)
{
  return (b->kv_head + at / b->n) * b->per_head + (b->first_pair + at % b->n) % b->per_head;
}
