/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vocabularies of a few tokens, made for a test.
 */
#pragma once

#include "format/gguf-builder.h"
#include "text/vocab.h"

G_BEGIN_DECLS

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

typedef struct {
  const char *text;
  gint32 type;
  float score;
} LlmTestToken;

/* What a vocabulary is made of; its other keys come from the caller's builder. */
typedef struct {
  const char *model, *pre; /* @pre NULL: no such key */
  const LlmTestToken *tokens;
  guint n_tokens;
  const char *const *merges; /* ends with NULL; NULL: no such key */
  gboolean bytes;            /* 256 tokens more, after the others: <0x00> ... */
  gboolean byte_level;       /* 256 tokens more, after the others: in GPT-2's alphabet */
} LlmTestVocab;

/* @builder: (transfer full) with more keys, or NULL. */
LlmVocab *llm_test_vocab_new (const LlmTestVocab *parts, LlmGgufBuilder *builder, GError **error);
/* The ids as "1 2 3"; the call must succeed. (transfer full) */
char *llm_test_ids (LlmVocab *vocab, const char *text, LlmTokenizeFlags flags);

/* Bytes and a few merges, with any pre-tokenizer; SentencePiece, WordPiece, unigram, Gemma 4: at work on ASCII and more. */
LlmVocab *llm_test_vocab_bpe (const char *pre);
LlmVocab *llm_test_vocab_spm (void);
LlmVocab *llm_test_vocab_wpm (void);
LlmVocab *llm_test_vocab_ugm (LlmGgufBuilder *builder);
LlmVocab *llm_test_vocab_gemma4 (void);

G_END_DECLS
