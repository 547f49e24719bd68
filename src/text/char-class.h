/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pre-tokenizers ask of a character: its Unicode category, one bit each, so
 * that the sets of a regular expression are masks.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

enum {
  LLM_CLASS_UPPER = 1 << 0,    /* Lu */
  LLM_CLASS_LOWER = 1 << 1,    /* Ll */
  LLM_CLASS_TITLE = 1 << 2,    /* Lt */
  LLM_CLASS_MODIFIER = 1 << 3, /* Lm */
  LLM_CLASS_CASELESS = 1 << 4, /* Lo */
  LLM_CLASS_MARK = 1 << 5,     /* M */
  LLM_CLASS_DIGIT = 1 << 6,    /* Nd */
  LLM_CLASS_FIGURE = 1 << 7,   /* Nl, No */
  LLM_CLASS_PUNCT = 1 << 8,    /* P */
  LLM_CLASS_SYMBOL = 1 << 9,   /* S */
  LLM_CLASS_SPACE = 1 << 10,   /* White_Space, but for CR and LF */
  LLM_CLASS_NEWLINE = 1 << 11, /* CR, LF */
  LLM_CLASS_REST = 1 << 12,    /* C */
  LLM_CLASS_HAN = 1 << 13,     /* never from llm_char_class(): a rule that tells Han apart sets it */

  LLM_CLASS_L = LLM_CLASS_UPPER | LLM_CLASS_LOWER | LLM_CLASS_TITLE | LLM_CLASS_MODIFIER | LLM_CLASS_CASELESS,
  LLM_CLASS_N = LLM_CLASS_DIGIT | LLM_CLASS_FIGURE,
  LLM_CLASS_WHITE = LLM_CLASS_SPACE | LLM_CLASS_NEWLINE,
  LLM_CLASS_ALL = (1 << 13) - 1,
};

/* Exactly one bit. */
guint llm_char_class (gunichar c);

/* A piece of text that ends at @n, whatever comes after it in memory; valid UTF-8. */
typedef struct {
  const char *text;
  gsize n;
} LlmSpan;

/* The character at @at, its class and the offset after it; 0 and class 0 at the end. */
gunichar llm_span_look (LlmSpan span, gsize at, guint *klass, gsize *after);

/* The offset of the first character from @at on that is not of @classes. */
gsize llm_span_skip (LlmSpan span, gsize at, guint classes);

G_END_DECLS
