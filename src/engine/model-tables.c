/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See model-tables.h. */
#include "engine/model-tables.h"

#include "base/error.h"
#include "text/vocab-tables.h"

static GBytes *
make_vocabulary (gpointer user_data, GError **error)
{
  g_autoptr (LlmVocab) vocab = llm_vocab_new (user_data, error);
  GBytes *tables = vocab != NULL ? llm_vocab_tables_save (vocab) : NULL;

  if (vocab != NULL && tables == NULL)
    g_set_error_literal (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the model's vocabulary");
  return tables;
}

static gboolean
check_vocabulary (gconstpointer payload, gsize size, gpointer user_data)
{
  return llm_vocab_tables_are_sound (payload, size);
}

static GBytes *
make_trie (gpointer user_data, GError **error)
{
  return llm_token_trie_make (user_data, error);
}

static gboolean
check_trie (gconstpointer payload, gsize size, gpointer user_data)
{
  LlmTokenTrie trie;

  return llm_token_trie_open (&trie, payload, size, llm_vocab_size (user_data));
}

static const LlmCacheKind vocabulary = { "vocabulary", LLM_VOCAB_TABLES_VERSION, make_vocabulary, check_vocabulary };
static const LlmCacheKind token_trie = { "token-trie", LLM_TOKEN_TRIE_VERSION, make_trie, check_trie };

static LlmCacheKey *
key_of (const LlmCacheKind *kind, const char *digest)
{
  LlmCacheKey *key = llm_cache_kind_key (kind, NULL);

  llm_cache_key_add (key, "model", digest);
  return key;
}

LlmVocab *
llm_model_tables_vocab (LlmCache *cache, const char *digest, const LlmGguf *gguf, GError **error)
{
  g_autoptr (LlmCacheKey) key = key_of (&vocabulary, digest);
  LlmArtifact *artifact;
  gconstpointer tables;
  gsize size;

  if (cache == NULL)
    return llm_vocab_new (gguf, error);
  artifact = llm_cache_get (cache, &vocabulary, key, (gpointer) gguf, error);
  if (artifact == NULL)
    return NULL;
  tables = llm_artifact_data (artifact, &size);
  return llm_vocab_tables_open (tables, size, artifact, (GDestroyNotify) llm_artifact_unref);
}

LlmArtifact *
llm_model_tables_trie (LlmCache *cache, const char *digest, const LlmVocab *vocab, LlmTokenTrie *trie, GError **error)
{
  g_autoptr (LlmCacheKey) key = key_of (&token_trie, digest);
  g_autoptr (LlmArtifact) artifact = NULL;
  gconstpointer payload;
  gsize size;

  if (cache != NULL)
    artifact = llm_cache_get (cache, &token_trie, key, (gpointer) vocab, error);
  else
    {
      GBytes *made = llm_token_trie_make (vocab, error);

      artifact = made != NULL ? llm_artifact_new (made) : NULL;
    }
  if (artifact == NULL)
    return NULL;
  payload = llm_artifact_data (artifact, &size);
  if (!llm_token_trie_open (trie, payload, size, llm_vocab_size (vocab)))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the digest %s stands for two vocabularies", digest);
      return NULL;
    }
  return g_steal_pointer (&artifact);
}
