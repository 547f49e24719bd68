/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compile cache's folders as entries of a plan, and what a plan says of them carried out.  Blocking, for a thread.
 *
 * Only folders named v<version>-<build id> are looked at; nothing is ever followed out of them.  A file that is not the one that was looked at
 * any more stays.  Being killed at any moment leaves the rest for the next time.
 */
#pragma once

#include "store/gc-plan.h"

G_BEGIN_DECLS

/* Adds what is in @cache_dir. @costs: kind -> double *, the microseconds that making one takes, nullable. Temporaries younger than @grace
 * are held, and those whose writer holds their lock. */
void llm_gc_scan (const char *cache_dir, gint64 now, gint64 grace, GHashTable *costs, GPtrArray *entries);
/* Adds the files of @blobs_dir. @held: set of digests. */
void llm_gc_scan_blobs (const char *blobs_dir, GHashTable *held, GPtrArray *entries);
/* Unlinks one file of @cache_dir. FALSE: it is still there, or was gone already. */
gboolean llm_gc_unlink (const char *cache_dir, const LlmGcEntry *entry);
/* Removes the folders in which nothing is left, but for @current's. */
void llm_gc_prune (const char *cache_dir, const char *current);
/* Bytes of the disk that are free for us; G_MAXUINT64 when it will not say. */
guint64 llm_gc_free_bytes (const char *folder);

G_END_DECLS
