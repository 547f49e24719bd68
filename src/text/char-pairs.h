/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which two characters stand next to each other inside some token.  Where two do not,
 * no merge can cross, and the text may be cut: the words of most texts merge on their
 * own, which is faster and takes less memory than all of it at once.
 *
 * A set of hashes: it may say yes where no is right, never the other way.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define LLM_CHAR_PAIRS_BITS (1u << 20)

typedef struct {
  guint64 *bits; /* (owned) NULL: empty */
} LlmCharPairs;

/* FALSE: out of memory. */
gboolean llm_char_pairs_init (LlmCharPairs *self);
void llm_char_pairs_clear (LlmCharPairs *self);
/* All pairs of the token @bytes[0..n), which need not be UTF-8. */
void llm_char_pairs_add (LlmCharPairs *self, const char *bytes, gsize n);
/* The length of the part of @text[0..n), n > 0, valid UTF-8, that merges on its own. */
gsize llm_char_pairs_next (const LlmCharPairs *self, const char *text, gsize n);

G_END_DECLS
