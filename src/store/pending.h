/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs that imports under way stand on, counted by digest.
 *
 * Invariant: a blob in blobs/ that no manifest names is counted here and has a mark in tmp/, so
 * that neither another import's failure nor a crash makes it disappear or stay for ever.  Threads
 * that copy and the main loop share it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmPending LlmPending;

LlmPending *llm_pending_new (const char *blobs_dir, const char *tmp_dir);
LlmPending *llm_pending_ref (LlmPending *self);
void llm_pending_unref (LlmPending *self);

/* Counts @digest and moves the finished file @tmp to its name, as one step; an older file of that name may be at @tmp then.
 * FALSE with errno set: neither. */
gboolean llm_pending_publish (LlmPending *self, const char *digest, const char *tmp);
/* The other end of publish(). */
void llm_pending_release (LlmPending *self, const char *digest);
/* Deletes the blob if it is not counted; the caller knows that no manifest names it. It is out of blobs/ at once, its space is
 * given back on a thread. */
void llm_pending_unlink (LlmPending *self, const char *digest);

/* The digest that a file in tmp/ is the mark of, or NULL. */
const char *llm_pending_marked (const char *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmPending, llm_pending_unref)

G_END_DECLS
