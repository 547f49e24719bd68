/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The regular expression that most byte-level vocabularies were trained with, from
 * GPT-2 to o200k: contractions, words, numbers, the rest, white space.  One matcher;
 * a family is a row that says which characters go together.
 *
 * A match costs time in proportion to its length, so a text is cut in linear time.
 */
#pragma once

#include "text/char-class.h"

G_BEGIN_DECLS

typedef enum {
  LLM_CONTRACTION_NONE,
  LLM_CONTRACTION_LOWER,  /* 's 't 're 've 'm 'll 'd are words */
  LLM_CONTRACTION_ANY,    /* in any case */
  LLM_CONTRACTION_SUFFIX, /* in any case, and part of the word before them */
} LlmContraction;

typedef enum {
  LLM_NEWLINE_PLAIN, /* white space like any other */
  LLM_NEWLINE_RUNS,  /* \s*[\r\n]+ */
  LLM_NEWLINE_EACH,  /* [\r\n] */
} LlmNewline;

typedef struct {
  guint letters;     /* what words are of; 0: upper* lower+ | upper+ lower* (o200k) */
  guint lead;        /* one character of these may stand before a word; 0: a blank may, before numbers too (GPT-2) */
  guint other;       /* runs of these, a blank before them */
  guint max_digits;  /* of N in a word; 0: numbers are no words */
  LlmContraction contraction;
  LlmNewline newline;
  const char *tail;  /* characters that go with a run of @other before them; at most one where @one_tail */
  gboolean one_tail;
  gboolean ascii_words; /* an ASCII punctuation mark goes with ASCII letters after it (DeepSeek 3) */
  gboolean joined;      /* words with single blanks between them are one (EXAONE MoE) */
  gboolean han;         /* runs of Han are words of their own (Kimi K2) */
  gboolean powers;      /* white space in pieces of 512, 256, ... (Jais 2) */
} LlmWordRule;

/* The end of the word at @at; @at itself where none begins.  @no_newline: the white space
 * before this offset is known to have no newline; 0 at first. */
gsize llm_word_rule_match (const LlmWordRule *rule, LlmSpan span, gsize at, gsize *no_newline);

G_END_DECLS
