/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds stop strings in a text that comes in pieces, and holds back the tail that may
 * still become one.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  char **stops;  /* (lent, nullable) */
  gsize longest; /* bytes */
  GString *held; /* (owned) */
} LlmStop;

void llm_stop_init (LlmStop *self, char **stops);
void llm_stop_clear (LlmStop *self);
/* Adds @text; appends to @out what is safe to show. TRUE: a stop string has come; @out ends before it. */
gboolean llm_stop_push (LlmStop *self, const char *text, gsize len, GString *out);
/* The text ends: what was held back is text. */
void llm_stop_finish (LlmStop *self, GString *out);

G_END_DECLS
