/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sets of characters that pre-tokenizers cut out as runs, next to the Unicode
 * categories: ranges that the authors of a vocabulary once wrote down.
 */
#pragma once

#include "text/char-class.h"

G_BEGIN_DECLS

/* The number of the run that @c (of class @klass) belongs to, 0: none.  Neighbours with
 * the same number are one run. */
typedef guint (*LlmRunSet) (gunichar c, guint klass);

guint llm_run_of_newlines (gunichar c, guint klass);      /* CR, LF */
guint llm_run_of_line_feeds (gunichar c, guint klass);
guint llm_run_of_numbers (gunichar c, guint klass);       /* N */
guint llm_run_of_digits (gunichar c, guint klass);        /* 0 to 9 */
guint llm_run_of_letters (gunichar c, guint klass);       /* L */
guint llm_run_of_punctuation (gunichar c, guint klass);   /* P */
guint llm_run_of_any_punctuation (gunichar c, guint klass); /* P and all of ASCII's */
guint llm_run_of_most_punctuation (gunichar c, guint klass); /* the same without the grave accent */
guint llm_run_of_white_space (gunichar c, guint klass);
guint llm_run_of_visibles (gunichar c, guint klass);      /* no white space */
guint llm_run_of_phrases (gunichar c, guint klass);       /* BLOOM: no white space, no stop, comma, bracket, bar */
guint llm_run_of_cased (gunichar c, guint klass);         /* DeepSeek: letters of scripts with case */
guint llm_run_of_marks (gunichar c, guint klass);         /* DeepSeek: ASCII from colon to tilde, full-width forms */
guint llm_run_of_wide (gunichar c, guint klass);          /* DeepSeek: U+0800 to Hangul */
guint llm_run_of_cjk (gunichar c, guint klass);           /* DeepSeek 3: Han and kana */
guint llm_run_of_asian (gunichar c, guint klass);         /* AFMoE */
guint llm_run_of_east_asian (gunichar c, guint klass);    /* Youtu: Hangul, punctuation, bopomofo, Han and kana apart */

G_END_DECLS
