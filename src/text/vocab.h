/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model's vocabulary: tokens, merges, special ids, and the tokenizer they imply.
 *
 * Immutable after llm_vocab_new() and reference-counted; any thread may use it.
 * Special tokens are ids: they are found in text only where the caller says
 * LLM_TOKENIZE_PARSE_SPECIAL, never in a user's text.
 */
#pragma once

#include "format/gguf.h"

G_BEGIN_DECLS

typedef struct _LlmVocab LlmVocab;

#define LLM_TOKEN_NONE (-1)

typedef enum {
  LLM_TOKENIZE_NONE = 0,
  LLM_TOKENIZE_ADD_SPECIAL = 1 << 0,   /* BOS, EOS, separator as the model says */
  LLM_TOKENIZE_PARSE_SPECIAL = 1 << 1, /* special-token text becomes its id */
} LlmTokenizeFlags;

/* A piece of a rendered prompt: either text, or one token that is an id already. */
typedef struct {
  const char *text; /* (lent) need not be terminated */
  gsize len;
  gint32 token;     /* LLM_TOKEN_NONE: this part is text */
} LlmTextPart;

/* LLM_ERROR_NOT_SUPPORTED: tokenizer.ggml.model or .pre that we do not know (named);
 * LLM_ERROR_INVALID_MODEL: broken tables. */
LlmVocab *llm_vocab_new (const LlmGguf *gguf, GError **error);
LlmVocab *llm_vocab_ref (LlmVocab *self);
void llm_vocab_unref (LlmVocab *self);

guint llm_vocab_size (const LlmVocab *self);
gint32 llm_vocab_bos (const LlmVocab *self); /* or LLM_TOKEN_NONE */
gint32 llm_vocab_eos (const LlmVocab *self);
gboolean llm_vocab_add_bos (const LlmVocab *self);
gboolean llm_vocab_add_eos (const LlmVocab *self);
/* End of generation: EOS, EOT, <|im_end|>, <|eot_id|> and their kin. */
gboolean llm_vocab_is_eog (const LlmVocab *self, gint32 id);
/* Control or user-defined special token. */
gboolean llm_vocab_is_special (const LlmVocab *self, gint32 id);
/* The id of a special token by its text ("<|im_start|>"), or LLM_TOKEN_NONE. */
gint32 llm_vocab_find_special (const LlmVocab *self, const char *text);
/* The bytes of one token (special ones: their text), lent. FALSE: id out of range. */
gboolean llm_vocab_piece (const LlmVocab *self, gint32 id, LlmStr *bytes);

/* Appends the ids of @text (valid UTF-8, else LLM_ERROR_INVALID_MESSAGE with the byte
 * offset; at most LLM_TEXT_MAX_BYTES, and twice that once a unigram vocabulary has
 * normalized it, else G_DBUS_ERROR_LIMITS_EXCEEDED) to @ids (GArray of gint32).
 * n log n where tokens merge, else linear. */
gboolean llm_tokenize (const LlmVocab *self, const char *text, gsize len, LlmTokenizeFlags flags, GArray *ids, GError **error);

/* The same for a prompt in parts: text parts are tokenized without PARSE_SPECIAL
 * exactly as the fragments between special tokens would be. */
gboolean llm_tokenize_parts (const LlmVocab *self, const LlmTextPart *parts, guint n_parts, LlmTokenizeFlags flags, GArray *ids, GError **error);

typedef enum {
  LLM_DETOK_NONE = 0,
  LLM_DETOK_SHOW_SPECIAL = 1 << 0, /* special tokens as their text, else left out */
} LlmDetokFlags;

/* ids -> bytes (not necessarily UTF-8), appended to @out; the one space that
 * add_space_prefix put in front is taken away, and so are spaces before punctuation
 * where the vocabulary's own tokenizer does that.  An id out of range:
 * G_DBUS_ERROR_INVALID_ARGS naming index and id. */
gboolean llm_detokenize (const LlmVocab *self, const gint32 *ids, gsize n, LlmDetokFlags flags, GString *out, GError **error);

/* Streaming: push ids one by one, get whole UTF-8.  Bytes of an unfinished
 * character are held back; invalid sequences become U+FFFD. */
typedef struct _LlmDetok LlmDetok;
LlmDetok *llm_detok_new (LlmVocab *vocab, LlmDetokFlags flags, gboolean strip_leading_space);
void llm_detok_free (LlmDetok *self);
void llm_detok_push (LlmDetok *self, gint32 id, GString *out);
/* What is still held back, as U+FFFD, at the end of the text. */
void llm_detok_finish (LlmDetok *self, GString *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmVocab, llm_vocab_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmDetok, llm_detok_free)

G_END_DECLS
