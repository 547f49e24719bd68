/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker pool: a fixed set of threads that share out numbered pieces.
 *
 * llm_pool_run() returns when every piece has been done; the calling thread
 * works too.  Each thread begins with a run of neighbouring pieces of its own, and
 * takes those that are left of others' runs after it, one by one: a thread whose core
 * is busy with another program simply takes fewer.  One that loses its
 * core amid a piece holds up the others: it is left out for milliseconds then, longer
 * each time.  Waiting threads spin briefly, then sleep on a condition: an idle pool
 * costs no CPU.
 *
 * One caller at a time (the engine thread); pieces may run on any thread, in
 * any order, and must not depend on which.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmPool LlmPool;
typedef void (*LlmPoolFunc) (gpointer data, guint piece);

/* @n_threads counts the caller: 1 makes no thread at all.  0 = one per online CPU
 * that this process may use. */
LlmPool *llm_pool_new (guint n_threads);
void llm_pool_free (LlmPool *self);
guint llm_pool_n_threads (const LlmPool *self);
void llm_pool_run (LlmPool *self, LlmPoolFunc func, gpointer data, guint n_pieces);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmPool, llm_pool_free)

G_END_DECLS
