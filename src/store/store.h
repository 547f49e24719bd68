/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Models on disk: content-addressed blobs and the manifests that name them.
 *
 *   blobs/sha256-<hex>        0444; the final name only after hash and fsync
 *   models/<name>/<tag>.json  blobs or files in place, size, source, version, what Inspect found; or
 *                             the name of the model that this is an alias of
 *   tmp/                      files under way, and a mark for every blob that no manifest names yet
 *                             or any more; emptied at start
 *   quarantine/               blobs that are not what their name says, until they are imported again or
 *                             their last model goes; empty files for those that are not ours
 *   holder                    who has it open
 *
 * A model is one blob, or the parts of a split model in their order; models may share blobs. The digest
 * of a split model is the SHA-256 of the lines "sha256-<hex>\n" of its parts.
 *
 * One broker per store (flock on the folder).  An LlmStore belongs to one thread (the main loop);
 * what takes time runs on a GTask thread and touches only files.  The bytes of a
 * model are never looked at here, only hashed.
 */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

typedef struct _LlmStore LlmStore;

/* A file of a model. */
typedef struct {
  char *digest;      /* "sha256-<64 hex>" */
  guint64 size;      /* bytes */
  char *path;        /* absolute, in blobs/ or, in place, where it is */
  gboolean in_place; /* not ours */
  gint64 mtime;      /* ns since 1970, of a file in place when it was hashed; 0: not known */
} LlmStoreBlob;
void llm_store_blob_free (LlmStoreBlob *blob); /* memory only */

/* What a model's files do not say. Strings are lent. */
typedef struct {
  const char *source;  /* "import", "bundled", or what the importer says: "huggingface:org/model" */
  const char *version; /* "" not known */
  guint32 uid;         /* who brought it */
} LlmStoreOrigin;

/* One manifest. Immutable, reference-counted. */
typedef struct {
  char *name;      /* "name:tag", tag "latest" when none was given */
  char *digest;    /* "sha256-<64 hex>" */
  guint64 size;    /* bytes of all files */
  GPtrArray *blobs;/* LlmStoreBlob (owned), the parts in order */
  gboolean bundled;/* in a folder only the administrator can change; never deleted */
  gboolean pinned; /* never collected */
  char *source, *version;
  guint32 uid;
  gint64 imported; /* seconds since 1970 */
  GVariant *info;  /* a{sv}, what Inspect found (org.local.LLM.Engine.xml) */
} LlmStoreModel;

LlmStoreModel *llm_store_model_ref (LlmStoreModel *self);
void llm_store_model_unref (LlmStoreModel *self);
/* Read-only fds of the parts in order; LLM_ERROR_MODEL_NOT_FOUND when a file is gone,
 * LLM_ERROR_INTEGRITY_FAILED when its size is not the manifest's. (transfer full) */
GUnixFDList *llm_store_model_open (const LlmStoreModel *self, GError **error);
/* Whether all files are there with their sizes. */
gboolean llm_store_model_is_whole (const LlmStoreModel *self);

/* "name" or "name:tag" -> "name:tag"; letters, digits, '.', '_', '-', and '/' between parts; no part begins with
 * '.' ; at most LLM_MAX_MODEL_NAME_BYTES. G_DBUS_ERROR_INVALID_ARGS says what would be right. (transfer full) */
char *llm_store_normalize_name (const char *name, GError **error);

/* Opens or creates the folder. @who: "on the session bus", for another broker that wants it: LLM_ERROR_BUSY says which process has
 * it, that, and since when. Damaged manifests are left out with a warning and counted. Blocks (reads small files). */
LlmStore *llm_store_open (const char *state_dir, const char *who, GError **error);
void llm_store_free (LlmStore *self);

/* Bytes of the disk that an import leaves free; 0 at first. */
void llm_store_set_keep_free (LlmStore *self, guint64 bytes);

/* All models, by name. (element-type LlmStoreModel) (transfer container) */
GPtrArray *llm_store_list (LlmStore *self);
gboolean llm_store_has_model (LlmStore *self, const char *name); /* not as an alias */
/* By normalised name, alias or digest; NULL if there is none. (transfer none) */
LlmStoreModel *llm_store_find (LlmStore *self, const char *name_or_digest);

typedef void (*LlmStoreProgress) (guint64 done, guint64 total, gpointer user_data);

/* Copies @fds (regular files or memfds opened for reading: else InvalidArgs; from their beginnings) into blobs/, one after the
 * other, hashing as it goes; space is reserved first (DiskFull); a file that shrinks or grows meanwhile is IntegrityFailed.
 * A copy replaces a blob of the same digest, which may have been damaged. @progress: over the bytes of all; main loop, at most
 * 10 times a second. An error or cancelling leaves nothing behind. @in_place: they are hashed and used where they are, which InvalidArgs refuses when
 * anybody but root could change them (trusted.h); the same is asked whenever they are opened. */
void llm_store_ingest_async (LlmStore *self, GUnixFDList *fds, gboolean in_place, LlmStoreProgress progress, gpointer progress_data,
                             GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* What is to be committed or discarded. (element-type LlmStoreBlob) (transfer full) */
GPtrArray *llm_store_ingest_finish (LlmStore *self, GAsyncResult *result, GError **error);

/* The same for bundled files: hashed, not copied. */
void llm_store_hash_bundled_async (LlmStore *self, const char *const *paths, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
GPtrArray *llm_store_hash_bundled_finish (LlmStore *self, GAsyncResult *result, GError **error);
/* Whether the manifest @name already stands for the bundled files @paths as they are now (size and mtime). */
gboolean llm_store_has_bundled (LlmStore *self, const char *name, const char *const *paths);

/* Writes the manifest on a thread, durably; finish puts it in its place and in that of one of the same name, unless @cancellable
 * was cancelled by then. @blobs: the parts in order (element-type LlmStoreBlob), copied; after finish they are pending no longer,
 * also when it fails. */
void llm_store_commit_async (LlmStore *self, const char *name, GPtrArray *blobs, GVariant *info, const LlmStoreOrigin *origin,
                             GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* (transfer none) */
LlmStoreModel *llm_store_commit_finish (LlmStore *self, GAsyncResult *result, GError **error);
/* Makes the name @name, or that it is gone, durable, on a thread; what the disk may say is a warning, for the model is there. @callback:
 * nullable, when that is done. */
void llm_store_sync_async (LlmStore *self, const char *name, GAsyncReadyCallback callback, gpointer user_data);

/* Hashes the files of @model again on a thread; LLM_ERROR_INTEGRITY_FAILED when they are not what was imported: such a file leaves
 * blobs/ for quarantine/, or, in place, is remembered there, and is served no more (llm_store_check()) until the same bytes are
 * imported again.  G_DBUS_ERROR_IO_ERROR: the disk does not say. @progress as for ingest. */
void llm_store_verify_async (LlmStore *self, LlmStoreModel *model, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_store_verify_finish (LlmStore *self, GAsyncResult *result, GError **error);
/* LLM_ERROR_INTEGRITY_FAILED when a file of @model is in quarantine. */
gboolean llm_store_check (LlmStore *self, const LlmStoreModel *model, GError **error);
/* Whether somebody has changed, or only touched, a file of @model since it was imported or verified: the time of its last change
 * says so. Blocks (looks at local files). */
gboolean llm_store_model_is_touched (const LlmStoreModel *self);

/* Writes on a thread that garbage collection leaves the model @name alone, or may take it. ModelNotFound; Busy when it was replaced
 * or changed meanwhile. */
void llm_store_set_pinned_async (LlmStore *self, const char *name, gboolean pinned, GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_store_set_pinned_finish (LlmStore *self, GAsyncResult *result, GError **error);

/* Gives the model @target another name too, or takes it from another model; on a thread. Both normalised. InvalidArgs: it is a model's own;
 * ModelNotFound; QuotaExceeded above LLM_STORE_MAX_ALIASES. */
void llm_store_set_alias_async (LlmStore *self, const char *alias, const char *target, GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_store_set_alias_finish (LlmStore *self, GAsyncResult *result, GError **error);
gboolean llm_store_remove_alias (LlmStore *self, const char *alias, GError **error); /* ModelNotFound */
/* Of the model @target, sorted. (transfer full) */
char **llm_store_aliases (LlmStore *self, const char *target);

/* Removes the manifest and those of its blobs that no other names; leased ones later.  ModelNotFound; NotSupported for a bundled one. */
gboolean llm_store_delete (LlmStore *self, const char *name, GError **error);
/* Removes the manifests of bundled models whose files were uninstalled. Blocks (looks at local files). */
void llm_store_drop_uninstalled (LlmStore *self);
/* Removes those blobs that no manifest names (a failed import). */
void llm_store_discard (LlmStore *self, GPtrArray *blobs);

/* Keeps the files of @model while somebody reads them or may have to again: what is deleted or replaced meanwhile loses its name at
 * once and its files with the last lease. */
typedef struct _LlmStoreLease LlmStoreLease;
LlmStoreLease *llm_store_lease (LlmStore *self, LlmStoreModel *model);
void llm_store_lease_free (LlmStoreLease *lease);
/* Whether the blob @digest may not be deleted: a manifest names it, it is leased, or an import stands on it. */
gboolean llm_store_holds_blob (LlmStore *self, const char *digest);

/* Bytes in the store of the models that user @uid brought, files in place not counted. */
guint64 llm_store_bytes_of (LlmStore *self, guint32 uid);
/* a{sv}: models u, bytes t (shared ones once), copied-bytes t (of them in blobs/), damaged-manifests u, damaged-blobs u (in quarantine). (transfer full) */
GVariant *llm_store_statistics (LlmStore *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStore, llm_store_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStoreModel, llm_store_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStoreLease, llm_store_lease_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmStoreBlob, llm_store_blob_free)

G_END_DECLS
