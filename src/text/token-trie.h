/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tokens of a vocabulary as a trie over their bytes: what a grammar walks to find which tokens may come next.
 *
 * Flat, so that it can be used where it lies in a mapped file: nodes in depth-first order, each with the number of nodes below it, so that
 * a whole branch is skipped by one addition.  Whatever the bytes of a damaged trie are, no call reads outside of it or fails to end; token
 * ids may be wrong then, and are less than the size of the vocabulary all the same.
 */
#pragma once

#include "text/vocab.h"

G_BEGIN_DECLS

#define LLM_TOKEN_TRIE_VERSION 1
#define LLM_TOKEN_TRIE_ROOT 0u

typedef struct {
  const guint32 *nodes; /* (lent) pairs: byte << 24 | nodes of the branch, itself included; token + 1 or 0 */
  guint32 n_nodes, n_tokens;
  const guint32 *same;  /* (lent) pairs: token, the lowest token of the same bytes; sorted by the second */
  guint32 n_same;
} LlmTokenTrie;

/* Of the tokens that stand for text: not control tokens, nor those without bytes. LLM_ERROR_NOT_SUPPORTED: it has 2^24 nodes or more. (transfer full) */
GBytes *llm_token_trie_make (const LlmVocab *vocab, GError **error);
/* FALSE: @data cannot be a trie of a vocabulary of @n_tokens. Constant time. */
gboolean llm_token_trie_open (LlmTokenTrie *self, gconstpointer data, gsize size, guint n_tokens);

/* The children of @node are enumerated by first and next; 0 after the last. */
guint32 llm_token_trie_first (const LlmTokenTrie *self, guint32 node);
guint32 llm_token_trie_next (const LlmTokenTrie *self, guint32 parent, guint32 child);
guint8 llm_token_trie_byte (const LlmTokenTrie *self, guint32 node);
/* The lowest token that ends at @node, or LLM_TOKEN_NONE. */
gint32 llm_token_trie_token (const LlmTokenTrie *self, guint32 node);
/* The child of @node by @byte, 0: none. */
guint32 llm_token_trie_child (const LlmTokenTrie *self, guint32 node, guint8 byte);
/* Further tokens of the same bytes as @token, as a range of self->same (in pairs). */
guint32 llm_token_trie_same (const LlmTokenTrie *self, gint32 token, guint32 *n);

G_END_DECLS
