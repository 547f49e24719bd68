/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds special tokens in text: leftmost, then longest.
 *
 * A sorted list of ids, walked byte by byte like a trie by narrowing a range.
 * Memory is one word per token whatever the texts are; a byte that begins no
 * special token costs one look-up, so a text is scanned in linear time (texts
 * are at most LLM_SPECIAL_MAX_BYTES long).
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *arena;      /* (borrowed) as in LlmPieceIndex */
  const guint32 *offsets; /* (borrowed) */
  GArray *ids;            /* (owned) gint32, sorted by their bytes */
  guint32 first[257];     /* ids beginning with byte b: [first[b], first[b + 1]) */
} LlmSpecialSet;

void llm_special_set_init (LlmSpecialSet *self, const char *arena, const guint32 *offsets);
void llm_special_set_clear (LlmSpecialSet *self);
/* Ids with an empty text are left out. */
void llm_special_set_add (LlmSpecialSet *self, gint32 id);
/* After the last add, before the first match. */
void llm_special_set_sort (LlmSpecialSet *self);
/* The length of the longest special token that @p[0..n) begins with (0: none) and its id. */
gsize llm_special_set_match (const LlmSpecialSet *self, const char *p, gsize n, gint32 *id);

G_END_DECLS
