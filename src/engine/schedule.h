/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which rows the next batch computes: a pure function of who waits for what.
 *
 * Iteration-level scheduling (Orca, Yu et al. 2022): every step is planned anew.  Decodes have
 * one row each; what rows are left prefill prompts in chunks, oldest request first.
 * When pages run out the youngest request gives its own back and is computed again later
 * (paused ones first); the oldest chooses before all others, so it always moves.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One request, in order of arrival. */
typedef struct {
  guint n_known;    /* tokens it has: prompt and generated */
  guint n_computed; /* of these, in the KV cache; < n_known */
  guint n_pages;    /* pages it holds */
  guint n_own;      /* of these, how many nobody else holds: what it can give back */
  gboolean running; /* has been admitted */
  gboolean paused;
} LlmScheduleItem;

typedef struct {
  guint max_rows;
  guint max_running;
  guint page_tokens;
  guint free_pages;
} LlmScheduleLimits;

typedef struct {
  guint n_rows;     /* rows to compute now; 0: none */
  guint n_pages;    /* new pages it takes for them */
  gboolean admit;   /* was not running */
  gboolean preempt; /* gives all its pages back and waits again */
} LlmScheduleStep;

/* Fills @steps [n]. Returns the rows of the batch. */
guint llm_schedule (const LlmScheduleItem *items, guint n, const LlmScheduleLimits *limits, LlmScheduleStep *steps);

G_END_DECLS
