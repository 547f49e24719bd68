/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The merge loop that BPE and SentencePiece share: a linked list of symbols and a
 * heap of neighbours that may merge, best first, leftmost among equals.  n log n.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const char *start;
  guint32 len;       /* 0: merged into its left neighbour */
  gint32 id;         /* or LLM_TOKEN_NONE */
  gint32 prev, next; /* or -1 */
} LlmSymbol;

/* Whether @left and @right merge: the token they become and how urgently (larger first). */
typedef gboolean (*LlmMergeFunc) (gconstpointer vocab, const LlmSymbol *left, const LlmSymbol *right, gint32 *id, double *urgency);

typedef struct {
  GArray *symbols; /* LlmSymbol */
  GArray *heap;
} LlmMerger;

void llm_merger_init (LlmMerger *self);
void llm_merger_clear (LlmMerger *self);
/* Empties the list for the next word. */
void llm_merger_reset (LlmMerger *self);
void llm_merger_add (LlmMerger *self, const char *start, guint32 len, gint32 id);
/* Merges until nothing merges any more; what is left has len > 0, in order. */
void llm_merger_run (LlmMerger *self, LlmMergeFunc merge, gconstpointer vocab);

G_END_DECLS
