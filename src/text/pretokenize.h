/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts text into the words that byte-level BPE merges within.
 *
 * A pre-tokenizer is a list of stages; each cuts the pieces of the one before it:
 * what it matches is a piece, and so is what lies between two matches.  All is
 * done in one pass over the text, in linear time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmPretokenizer LlmPretokenizer;

/* What the name in tokenizer.ggml.pre implies. */
typedef struct {
  const char *name;
  const LlmPretokenizer *pre;
  gboolean ignore_merges; /* a word that is a token is that token, whatever the merges say */
  gboolean add_bos;
  gboolean clean_spaces;  /* see LlmVocab */
  gboolean spm_spaces;    /* not byte-level: tokens are UTF-8, a space is written U+2581 (Gemma 4) */
} LlmPretokenizerInfo;

/* NULL: unknown.  @name need not be terminated. */
const LlmPretokenizerInfo *llm_pretokenizer_find (const char *name, gsize len);
/* The @i-th of all, NULL after the last. */
const LlmPretokenizerInfo *llm_pretokenizer_nth (guint i);

#define LLM_PRETOKENIZER_MAX_STAGES 6

/* What a stage knows already and need not look at again. */
typedef struct {
  gsize no_match; /* a run that ends here was looked through in vain */
  gsize digits;   /* of a run that has been counted, still to come */
  gsize ready;    /* the end of a match found behind a piece that matched nothing, or 0 */
} LlmStageMemo;

/* The words of one text. */
typedef struct {
  const LlmPretokenizer *pre;
  const char *text; /* (borrowed) */
  gsize at;         /* of the next word */
  gsize ends[LLM_PRETOKENIZER_MAX_STAGES + 1]; /* of the piece at @at, per stage; the first is the text's */
  LlmStageMemo memos[LLM_PRETOKENIZER_MAX_STAGES];
} LlmWords;

/* @text: valid UTF-8, lent until the last llm_words_next(). */
void llm_words_init (LlmWords *self, const LlmPretokenizer *pre, const char *text, gsize n);
/* The length in bytes of the next word, 0 after the last one.  The words together are the text. */
gsize llm_words_next (LlmWords *self);

G_END_DECLS
