/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far a GTask thread is, told to the task's context at most ten times a second.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef struct {
  GTask *task; /* (borrowed) */
  LlmStoreProgress callback; /* NULL: nobody asks */
  gpointer user_data;
  guint64 before, total; /* bytes of the files before this one, and of all */
  gint64 last;
} LlmProgress;

/* An LlmStoreProgress for the thread: @done of the present file; @user_data is the LlmProgress, which the task's data holds. */
void llm_progress_report (guint64 done, guint64 size, gpointer user_data);

G_END_DECLS
