/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Models on disk: content-addressed blobs and the manifests that name them.
 *
 *   blobs/sha256-<hex>        0444; the final name only after hash and fsync
 *   models/<name>/<tag>.json  blob or bundled file, size, source, what Inspect found
 *   tmp/                      files under way; emptied at start
 *
 * One broker per store (flock on the folder).  An LlmStore belongs to one thread (the main loop);
 * what takes time runs on a GTask thread and touches only files.  The bytes of a
 * model are never looked at here, only hashed.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmStore LlmStore;

/* One manifest. Immutable, reference-counted. */
typedef struct {
  char *name;      /* "name:tag", tag "latest" when none was given */
  char *digest;    /* "sha256-<64 hex>" */
  guint64 size;    /* bytes */
  char *path;      /* absolute path of the blob or bundled file */
  gboolean bundled;/* in a folder only the administrator can change; never deleted */
  char *source;    /* "import" | "bundled" */
  gint64 imported; /* seconds since 1970 */
  GVariant *info;  /* a{sv}, what Inspect found (org.local.LLM.Engine.xml) */
} LlmStoreModel;

LlmStoreModel *llm_store_model_ref (LlmStoreModel *self);
void llm_store_model_unref (LlmStoreModel *self);
/* A read-only fd of the weights; LLM_ERROR_MODEL_NOT_FOUND when the file is gone,
 * LLM_ERROR_INTEGRITY_FAILED when its size is not the manifest's. */
int llm_store_model_open (const LlmStoreModel *self, GError **error);

/* "name" or "name:tag" -> "name:tag"; letters, digits, '.', '_', '-', and '/' between parts; no part begins with
 * '.' ; at most LLM_MAX_MODEL_NAME_BYTES. G_DBUS_ERROR_INVALID_ARGS says what would be right. (transfer full) */
char *llm_store_normalize_name (const char *name, GError **error);

/* Opens or creates the folder. LLM_ERROR_BUSY: another broker has it. Damaged manifests are
 * left out with a warning and counted. Blocks (reads small files). */
LlmStore *llm_store_open (const char *state_dir, GError **error);
void llm_store_free (LlmStore *self);

/* All models, by name. (element-type LlmStoreModel) (transfer container) */
GPtrArray *llm_store_list (LlmStore *self);
/* By normalised name or by digest; NULL if there is none. (transfer none) */
LlmStoreModel *llm_store_find (LlmStore *self, const char *name_or_digest);

/* A file in the store that no manifest names yet. */
typedef struct {
  char *digest;
  guint64 size;
  char *path;
  gboolean bundled; /* @path is a bundled file, used in place */
} LlmStoreBlob;
void llm_store_blob_free (LlmStoreBlob *blob); /* memory only */

typedef void (*LlmStoreProgress) (guint64 done, guint64 total, gpointer user_data);

/* Copies @fd (a regular file or memfd opened for reading: else InvalidArgs, from its beginning; duplicated at once) into
 * blobs/, hashing as it goes; space is reserved first (DiskFull); a file that shrinks or grows
 * meanwhile is IntegrityFailed. @progress: main loop, at most 10 times a second. Cancelling leaves nothing behind. */
void llm_store_ingest_async (LlmStore *self, int fd, LlmStoreProgress progress, gpointer progress_data,
                             GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
LlmStoreBlob *llm_store_ingest_finish (LlmStore *self, GAsyncResult *result, GError **error);

/* The same for a bundled file: hashed, not copied. */
void llm_store_hash_bundled_async (LlmStore *self, const char *path, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
LlmStoreBlob *llm_store_hash_bundled_finish (LlmStore *self, GAsyncResult *result, GError **error);
/* Whether the manifest @name already stands for the bundled file @path as it is now (size and mtime). */
gboolean llm_store_has_bundled (LlmStore *self, const char *name, const char *path);

/* Writes the manifest, atomically and durably; replaces one of the same name. (transfer none) */
LlmStoreModel *llm_store_commit (LlmStore *self, const char *name, const LlmStoreBlob *blob, GVariant *info, GError **error);
/* Removes the manifest and, if no other names it, the blob.  ModelNotFound; NotSupported for a bundled one. */
gboolean llm_store_delete (LlmStore *self, const char *name, GError **error);
/* Removes a blob that no manifest names (a failed import). */
void llm_store_discard (LlmStore *self, const LlmStoreBlob *blob);

/* a{sv}: models u, bytes t, damaged-manifests u. (transfer full) */
GVariant *llm_store_statistics (LlmStore *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStore, llm_store_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStoreModel, llm_store_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStoreBlob, llm_store_blob_free)

G_END_DECLS
