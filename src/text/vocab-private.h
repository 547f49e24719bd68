/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of a vocabulary and what its tokenizers share.
 */
#pragma once

#include <string.h>

#include "base/error.h"
#include "text/char-pairs.h"
#include "text/charsmap.h"
#include "text/piece-index.h"
#include "text/pretokenize.h"
#include "text/prefix-set.h"
#include "text/vocab.h"

typedef enum { LLM_VOCAB_SPM, LLM_VOCAB_BPE, LLM_VOCAB_WPM, LLM_VOCAB_UGM } LlmVocabKind;

/* tokenizer.ggml.token_type */
enum { LLM_TOKEN_NORMAL = 1, LLM_TOKEN_UNKNOWN, LLM_TOKEN_CONTROL, LLM_TOKEN_USER_DEFINED, LLM_TOKEN_UNUSED, LLM_TOKEN_BYTE,
       /* ours: a normal one whose text is not in the byte alphabet, so that no merge makes it */
       LLM_TOKEN_RAW };

enum { LLM_STRIP_LEFT = 1, LLM_STRIP_RIGHT = 2 };

/* What two neighbouring symbols merge into; open addressing, seeded. */
typedef struct {
  guint64 pair; /* left id << 32 | right id, plus 1; 0 = free */
  guint32 rank;
  gint32 id;
} LlmMerge;

struct _LlmVocab {
  gatomicrefcount refs;
  gpointer lender;        /* (owned, nullable) whose memory the tables are; else each is our own */
  GDestroyNotify lender_free;
  LlmVocabKind kind;
  guint n;
  char *arena;            /* the bytes of all tokens, one after the other */
  guint32 *offsets;       /* [n + 1] */
  guint8 *types;          /* [n] LLM_TOKEN_* */
  guint8 *eog;            /* [n] */
  float *scores;          /* [n], SPM, UGM */
  LlmMerge *merges;       /* BPE */
  guint32 merges_mask;
  const LlmPretokenizer *pre; /* BPE */
  gboolean ignore_merges; /* BPE: a word that is a token is that token */
  gboolean spm_spaces;    /* BPE of characters, spaces written as U+2581 (Gemma 4) */
  gint32 byte_token[256]; /* LLM_TOKEN_NONE where there is none */
  LlmPieceIndex index;    /* normal tokens */
  LlmCharPairs pairs;     /* of normal tokens; SPM, Gemma 4 */
  LlmPrefixSet control;  /* control and unknown tokens: only where PARSE_SPECIAL is asked for */
  LlmPrefixSet user;     /* user-defined tokens: vocabulary, found in every text */
  LlmPrefixSet pieces;    /* WPM, UGM: what words are made of */
  LlmCharsmap charsmap;   /* UGM */
  double unknown_score;   /* UGM: the least score of all */
  gint32 bos, eos, unk, sep;
  gboolean add_bos, add_eos, add_sep, add_space_prefix;
  gboolean lowercase, strip_accents; /* WPM */
  gboolean merge_spaces;  /* UGM: white space in a row is one space, none at the end */
  gboolean clean_spaces;  /* a whole text loses the spaces before punctuation (Hugging Face's clean_up_tokenization_spaces) */
  guint8 *strip;          /* [n], nullable, LLM_STRIP_*: special tokens that take the white space next to them along */
};

static inline LlmStr
llm_vocab_bytes (const LlmVocab *self, gint32 id)
{
  return (LlmStr) { self->arena + self->offsets[id], self->offsets[id + 1] - self->offsets[id] };
}

static inline gboolean
llm_str_is (LlmStr s, const char *text)
{
  return s.len == strlen (text) && memcmp (s.bytes, text, s.len) == 0;
}

/* Both FALSE, with the error set. */
#define llm_vocab_invalid(error, ...) llm_error_fail (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, __VA_ARGS__)
gboolean llm_vocab_out_of_memory (GError **error);
/* <|...|>: a user-defined token written like a control token is one; nobody types it into a text by right. */
gboolean llm_vocab_looks_like_control (LlmStr text);
/* Texts that are control tokens, also where a file says that they are normal ones. */
gboolean llm_vocab_is_control_text (LlmStr text);
/* Ids, flags and ends of generation; after the tables. */
gboolean llm_vocab_read_special (LlmVocab *self, const LlmGguf *gguf, GError **error);
/* What tokenizer.ggml.model and .pre say and imply: kind, default ids and flags. */
gboolean llm_vocab_read_kind (LlmVocab *self, const LlmGguf *gguf, GError **error);
/* Builds self->merges from tokenizer.ggml.merges. */
gboolean llm_bpe_load_merges (LlmVocab *self, const LlmGguf *gguf, GError **error);
/* @text: plain text without special tokens. Scratch is per call. */
void llm_bpe_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids);
/* The text with its prefix, U+2581 turned into a space. (transfer full) */
char *llm_spm_spaces (const char *text, gsize len, gboolean space_prefix, gsize *out_len);
/* A token's text to its bytes: U+2581 is a space.  @out has room for @n bytes. */
gsize llm_spm_decode (const char *text, gsize n, char *out);
void llm_spm_tokenize (const LlmVocab *self, const char *text, gsize len, gboolean space_prefix, GArray *ids);
void llm_wpm_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids);
/* FALSE: out of memory, or too long once it is normalized. */
gboolean llm_ugm_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids, GError **error);
