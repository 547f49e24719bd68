/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tokens that a text begins with: special tokens, which must be found anywhere in it,
 * and the pieces of WordPiece and unigram vocabularies.
 *
 * A sorted list of ids, walked byte by byte like a trie by narrowing a range.
 * Memory is one word per token whatever the texts are; a byte that begins no
 * token costs one look-up, so a text is scanned in linear time (tokens are at
 * most LLM_TOKEN_MAX_BYTES long).
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *arena;      /* (borrowed) as in LlmPieceIndex */
  const guint32 *offsets; /* (borrowed) */
  gint32 *ids;            /* [n_ids] (owned) sorted by their bytes */
  guint32 n_ids;
  GArray *adding;         /* (owned) gint32, before they are sorted */
  guint32 first[257];     /* ids beginning with byte b: [first[b], first[b + 1]) */
} LlmPrefixSet;

/* The tokens that begin a text, shortest first. */
typedef struct {
  const LlmPrefixSet *set;
  const char *p;
  gsize n, depth;
  guint32 lo, hi; /* the tokens that begin with p[0..depth) */
} LlmPrefixWalk;

void llm_prefix_set_init (LlmPrefixSet *self, const char *arena, const guint32 *offsets);
void llm_prefix_set_clear (LlmPrefixSet *self);
/* Ids with an empty text are left out. */
void llm_prefix_set_add (LlmPrefixSet *self, gint32 id);
/* After the last add, before the first match. */
void llm_prefix_set_sort (LlmPrefixSet *self);
/* Whether the ids are those of tokens (0 to @n_tokens), sorted, and `first` is right: what comes from a file. */
gboolean llm_prefix_set_is_sound (const LlmPrefixSet *self, guint32 n_tokens);
/* The length of the longest token that @p[0..n) begins with (0: none) and its id. */
gsize llm_prefix_set_match (const LlmPrefixSet *self, const char *p, gsize n, gint32 *id);

void llm_prefix_walk_init (LlmPrefixWalk *walk, const LlmPrefixSet *self, const char *p, gsize n);
/* The length of the next longer token and its id (of equal texts the lowest); 0 after the last. */
gsize llm_prefix_walk_next (LlmPrefixWalk *walk, gint32 *id);

G_END_DECLS
