/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of a caller's file -> a blob of ours: copied and hashed in one pass.
 *
 * Plain blocking functions for a GTask thread.  The caller's file may shrink, grow or
 * change while we read it: what counts is the bytes we wrote, and they are hashed as we
 * write them.  A failure or cancellation leaves no file behind.
 */
#pragma once

#include "store/pending.h"
#include "store/store.h"

G_BEGIN_DECLS

/* @fd readable regular file or memfd, else G_DBUS_ERROR_INVALID_ARGS.  Never blocks on a pipe: the kind is checked first. */
gboolean llm_ingest_check_fd (int fd, guint64 *size, GError **error);

typedef struct {
  char *blobs_dir, *tmp_dir;
  LlmPending *pending;
  guint64 keep_free; /* bytes of the disk that are to stay free */
} LlmIngestPlace;

/* Copies what stands in @fd, from its beginning, to a pending blob by way of tmp_dir, and adds that to @blobs; it is there, too,
 * when making it durable has failed, and is to be discarded. */
gboolean llm_ingest_copy (int fd, const LlmIngestPlace *place, GPtrArray *blobs, LlmStoreProgress progress, gpointer progress_data,
                          GCancellable *cancellable, GError **error);

/* Hashes what stands in @fd and adds it to @blobs as a file in place: InvalidArgs when others than root could change it. */
gboolean llm_ingest_refer (int fd, GPtrArray *blobs, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error);

/* The digest of the @size bytes of @fd. (transfer full) */
char *llm_ingest_hash (int fd, guint64 size, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error);

/* Only hashes the file at @path, which stays where it is. */
LlmStoreBlob *llm_ingest_bundled (const char *path, GCancellable *cancellable, GError **error);

G_END_DECLS
