/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of a vocabulary as one block of bytes that can be used where it lies, in a mapped file: sorting a quarter of a
 * million tokens and their merges takes much longer than reading them.
 */
#pragma once

#include "text/vocab.h"

G_BEGIN_DECLS

#define LLM_VOCAB_TABLES_VERSION 1

/* (transfer full) */
GBytes *llm_vocab_tables_save (const LlmVocab *vocab);
/* Whether @data could be what save() wrote for some vocabulary: nothing of it leads out of it. Linear. */
gboolean llm_vocab_tables_are_sound (gconstpointer data, gsize size);
/* The vocabulary of sound tables, aligned to 8 bytes; it frees @lender, whose they are, in the end. */
LlmVocab *llm_vocab_tables_open (gconstpointer data, gsize size, gpointer lender, GDestroyNotify lender_free);

G_END_DECLS
