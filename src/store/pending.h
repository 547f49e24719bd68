/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs that imports under way stand on, counted by digest.
 *
 * Invariant: a blob in blobs/ that no manifest names has a mark in tmp/, made before the blob and
 * gone after it, so that whenever we are killed the next start removes it; and while an import stands
 * on it, it is counted here, so that another import's failure does not make it disappear.  Threads
 * that copy and the main loop share it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmPending LlmPending;

LlmPending *llm_pending_new (const char *blobs_dir, const char *tmp_dir);
LlmPending *llm_pending_ref (LlmPending *self);
void llm_pending_unref (LlmPending *self);

/* What is to become of a blob on which no import stands any more. */
typedef enum {
  LLM_BLOB_NAMED,    /* by a manifest: it stays */
  LLM_BLOB_LEASED,   /* it stays for now; its mark does too, so that the next start removes it should we be killed */
  LLM_BLOB_UNWANTED, /* it goes: out of blobs/ at once, its space is given back on a thread */
} LlmBlobFate;

/* Counts @digest and moves the finished file @tmp to its name, as one step; an older file of that name may be at @tmp then.
 * FALSE with errno set: neither. */
gboolean llm_pending_publish (LlmPending *self, const char *digest, const char *tmp);
/* The other end of publish(). */
void llm_pending_settle (LlmPending *self, const char *digest, LlmBlobFate fate);

/* Marks a blob whose last name is about to go; drop() afterwards says what is to become of it. Does nothing to one on which an
 * import stands: its settle() decides. */
void llm_pending_mark (LlmPending *self, const char *digest);
void llm_pending_drop (LlmPending *self, const char *digest, LlmBlobFate fate);
/* The file @path goes, its space on a thread. */
void llm_pending_remove_file (LlmPending *self, const char *path);
/* Until all space is given back. */
void llm_pending_wait (LlmPending *self);
/* Whether an import stands on it. */
gboolean llm_pending_has (LlmPending *self, const char *digest);

/* The digest that a file in tmp/ is the mark of, or NULL. */
const char *llm_pending_marked (const char *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmPending, llm_pending_unref)

G_END_DECLS
