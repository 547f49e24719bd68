/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes -> token id, for every prefix length a tokenizer may ask for.
 *
 * Open addressing over the vocabulary's own byte arena; the hash has a random seed, so that
 * a model file cannot be built to collide.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *arena;      /* (borrowed) */
  const guint32 *offsets; /* (borrowed) piece i is arena[offsets[i] .. offsets[i + 1]) */
  guint64 *slots;         /* (owned) high half: hash, low half: id + 1; 0 = free */
  guint64 seed;
  guint32 mask;
  guint32 max_len;        /* bytes of the longest piece in it */
} LlmPieceIndex;

/* A random number of this process; no system call. */
guint64 llm_hash_seed (void);

/* FALSE: out of memory. @n: pieces that will be added at most. */
gboolean llm_piece_index_init (LlmPieceIndex *self, const char *arena, const guint32 *offsets, guint32 n);
void llm_piece_index_clear (LlmPieceIndex *self);
/* Of equal pieces the first one added stays; empty ones are not added. */
void llm_piece_index_add (LlmPieceIndex *self, gint32 id);
/* The id, or -1. */
gint32 llm_piece_index_find (const LlmPieceIndex *self, const char *bytes, gsize len);

G_END_DECLS
