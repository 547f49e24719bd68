/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is worked out from a model's vocabulary, through the compile cache: it is made once for a model and a build of the engine.
 */
#pragma once

#include "cache/cache.h"
#include "format/gguf.h"
#include "text/token-trie.h"
#include "text/vocab.h"

G_BEGIN_DECLS

/* The vocabulary of the model @digest, whose metadata are @gguf. @cache: nullable. Errors as llm_vocab_new(). Any thread. (transfer full) */
LlmVocab *llm_model_tables_vocab (LlmCache *cache, const char *digest, const LlmGguf *gguf, GError **error);
/* Its trie, valid as long as the artifact is held. Any thread. (transfer full) */
LlmArtifact *llm_model_tables_trie (LlmCache *cache, const char *digest, const LlmVocab *vocab, LlmTokenTrie *trie, GError **error);

G_END_DECLS
