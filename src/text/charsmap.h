/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SentencePiece's precompiled normalization: a trie of byte strings (a double array as
 * darts-clone writes it) and what replaces each.
 *
 * It comes from a model file: every step of a walk is checked against its bounds.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint32 *units;     /* (owned) */
  gsize n_units;
  char *replacements; /* (owned) each ends with a NUL, and so does the last */
  gsize n_replacements;
} LlmCharsmap;

/* @bytes: tokenizer.ggml.precompiled_charsmap; none: nothing is replaced.
 * LLM_ERROR_INVALID_MODEL: it is cut short. */
gboolean llm_charsmap_init (LlmCharsmap *self, const guint8 *bytes, gsize n, GError **error);
void llm_charsmap_clear (LlmCharsmap *self);
/* The length of the longest string in the map that @p[0..n) begins with, 0 for none, and its replacement (lent). */
gsize llm_charsmap_match (const LlmCharsmap *self, const char *p, gsize n, const char **replacement);

G_END_DECLS
