/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts text into the words that byte-level BPE merges within.
 *
 * The published regular expressions, written out by hand: one pass, no
 * backtracking beyond one run of white space.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  LLM_PRE_LLAMA3, /* numbers in groups of three */
  LLM_PRE_QWEN2,  /* numbers digit by digit */
} LlmPretokenizer;

/* What the name in tokenizer.ggml.pre implies. */
typedef struct {
  const char *name;
  LlmPretokenizer pre;
  gboolean ignore_merges; /* a word that is a token is that token, whatever the merges say */
  gboolean add_bos;
  gboolean clean_spaces;
} LlmPretokenizerInfo;

/* NULL: unknown. */
const LlmPretokenizerInfo *llm_pretokenizer_find (const char *name, gsize len);

/* The length in bytes of the first word of @text[0..n), n > 0, valid UTF-8. */
gsize llm_pretokenize_next (LlmPretokenizer pre, const char *text, gsize n);

G_END_DECLS
