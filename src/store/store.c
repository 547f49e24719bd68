/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index of the store in memory and the calls around it.
 *
 * Invariant: a blob is deleted only when no manifest names it and no import that has not
 * been committed or discarded yet stands on it (`pending`): two imports of the same bytes
 * may be under way at once.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store/ingest.h"
#include "store/manifest.h"

#define PROGRESS_INTERVAL_US (G_USEC_PER_SEC / 10)

struct _LlmStore {
  char *blobs_dir;
  char *models_dir;
  char *tmp_dir;
  int lock_fd;
  GHashTable *models;  /* name -> LlmStoreModel (owned) */
  GHashTable *pending; /* digest -> count of ingested blobs not yet committed or discarded */
  guint damaged;
};

/* ---- opening ---- */

static gboolean
make_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0755) == 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot make the store folder %s: %s", path, g_strerror (errno));
  return FALSE;
}

static gboolean
lock_folder (LlmStore *self, const char *state_dir, GError **error)
{
  self->lock_fd = open (state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->lock_fd >= 0 && flock (self->lock_fd, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  g_set_error (error, LLM_ERROR, LLM_ERROR_BUSY, "another local-llmd uses the store %s; stop it, or choose another --state-dir", state_dir);
  return FALSE;
}

static void
empty_tmp (LlmStore *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->tmp_dir, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->tmp_dir, name, NULL);
      g_unlink (path);
    }
}

static void
load_manifest (LlmStore *self, const char *path, const char *relative)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strndup (relative, strlen (relative) - strlen (".json"));
  g_autofree char *checked = NULL;
  char *slash = strrchr (name, '/');
  LlmStoreModel *model = NULL;

  if (slash != NULL)
    {
      *slash = ':';
      checked = llm_store_normalize_name (name, NULL);
    }
  if (checked != NULL)
    model = llm_manifest_load (path, checked, self->blobs_dir, &error);
  if (model == NULL)
    {
      self->damaged++;
      g_warning ("left out: %s", error != NULL ? error->message : path);
      return;
    }
  g_hash_table_replace (self->models, g_strdup (model->name), model);
}

/* Iterative: folders still to be looked at, as paths relative to models_dir. */
static void
load_manifests (LlmStore *self)
{
  g_autoptr (GPtrArray) todo = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (todo, g_strdup (""));
  while (todo->len > 0)
    {
      g_autofree char *folder = g_ptr_array_steal_index (todo, todo->len - 1);
      g_autofree char *full = g_build_filename (self->models_dir, folder, NULL);
      g_autoptr (GDir) dir = g_dir_open (full, 0, NULL);
      const char *entry;

      while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *relative = folder[0] != '\0' ? g_build_filename (folder, entry, NULL) : g_strdup (entry);
          g_autofree char *path = g_build_filename (self->models_dir, relative, NULL);
          struct stat st;

          if (entry[0] == '.' || lstat (path, &st) < 0)
            continue;
          if (S_ISDIR (st.st_mode))
            g_ptr_array_add (todo, g_steal_pointer (&relative));
          else if (S_ISREG (st.st_mode) && g_str_has_suffix (entry, ".json"))
            load_manifest (self, path, relative);
        }
    }
}

LlmStore *
llm_store_open (const char *state_dir, GError **error)
{
  g_autoptr (LlmStore) self = g_new0 (LlmStore, 1);

  self->lock_fd = -1;
  self->models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) llm_store_model_unref);
  self->pending = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->blobs_dir = g_build_filename (state_dir, "blobs", NULL);
  self->models_dir = g_build_filename (state_dir, "models", NULL);
  self->tmp_dir = g_build_filename (state_dir, "tmp", NULL);
  if (!make_folder (self->blobs_dir, error) || !make_folder (self->models_dir, error) || !make_folder (self->tmp_dir, error)
      || !lock_folder (self, state_dir, error))
    return NULL;
  empty_tmp (self);
  load_manifests (self);
  return g_steal_pointer (&self);
}

void
llm_store_free (LlmStore *self)
{
  g_hash_table_unref (self->models);
  g_hash_table_unref (self->pending);
  g_free (self->blobs_dir);
  g_free (self->models_dir);
  g_free (self->tmp_dir);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  g_free (self);
}

/* ---- reading ---- */

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(LlmStoreModel *const *) a)->name, (*(LlmStoreModel *const *) b)->name);
}

GPtrArray *
llm_store_list (LlmStore *self)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_model_unref);
  GHashTableIter iter;
  gpointer model;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    g_ptr_array_add (list, llm_store_model_ref (model));
  g_ptr_array_sort (list, by_name);
  return list;
}

/* @in_blobs: only models whose bytes are in blobs/; a bundled file may hold the same ones. */
static LlmStoreModel *
find_digest (LlmStore *self, const char *digest, gboolean in_blobs)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      LlmStoreModel *model = value;

      if (strcmp (model->digest, digest) == 0 && !(in_blobs && model->bundled))
        return model;
    }
  return NULL;
}

LlmStoreModel *
llm_store_find (LlmStore *self, const char *name_or_digest)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name_or_digest);

  return model != NULL ? model : find_digest (self, name_or_digest, FALSE);
}

GVariant *
llm_store_statistics (LlmStore *self)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GHashTableIter iter;
  gpointer model;
  guint64 bytes = 0;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    bytes += ((LlmStoreModel *) model)->size;
  g_variant_dict_insert (&dict, "models", "u", g_hash_table_size (self->models));
  g_variant_dict_insert (&dict, "bytes", "t", bytes);
  g_variant_dict_insert (&dict, "damaged-manifests", "u", self->damaged);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* ---- ingesting ---- */

typedef struct {
  int fd;
  char *blobs_dir, *tmp_dir, *path;
  LlmStoreProgress progress;
  gpointer progress_data;
  gint64 last_report;
  GTask *task; /* (borrowed) the task whose data this is */
} Ingest;

static void
ingest_free (Ingest *ingest)
{
  if (ingest->fd >= 0)
    close (ingest->fd);
  g_free (ingest->blobs_dir);
  g_free (ingest->tmp_dir);
  g_free (ingest->path);
  g_free (ingest);
}

typedef struct {
  GTask *task; /* (owned): the callback cannot come after the task's */
  guint64 done, total;
} Report;

static gboolean
deliver_report (gpointer user_data)
{
  Report *report = user_data;
  Ingest *ingest = g_task_get_task_data (report->task);

  ingest->progress (report->done, report->total, ingest->progress_data);
  return G_SOURCE_REMOVE;
}

static void
report_free (gpointer user_data)
{
  Report *report = user_data;

  g_object_unref (report->task);
  g_free (report);
}

static void
report_progress (guint64 done, guint64 total, gpointer user_data)
{
  Ingest *ingest = user_data;
  gint64 now = g_get_monotonic_time ();
  g_autoptr (GSource) source = NULL;
  Report *report;

  if (done < total && now - ingest->last_report < PROGRESS_INTERVAL_US)
    return;
  ingest->last_report = now;
  report = g_new (Report, 1);
  *report = (Report) { g_object_ref (ingest->task), done, total };
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, deliver_report, report, report_free);
  g_source_attach (source, g_task_get_context (ingest->task));
}

static void
ingest_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Ingest *ingest = task_data;
  GError *error = NULL;
  LlmStoreBlob *blob = ingest->path != NULL
                         ? llm_ingest_bundled (ingest->path, cancellable, &error)
                         : llm_ingest_copy (ingest->fd, ingest->blobs_dir, ingest->tmp_dir,
                                            ingest->progress != NULL ? report_progress : NULL, ingest, cancellable, &error);

  if (blob != NULL)
    g_task_return_pointer (task, blob, (GDestroyNotify) llm_store_blob_free);
  else
    g_task_return_error (task, error);
}

static void
pend (LlmStore *self, const char *digest, int by)
{
  int count = GPOINTER_TO_INT (g_hash_table_lookup (self->pending, digest)) + by;

  if (count > 0)
    g_hash_table_replace (self->pending, g_strdup (digest), GINT_TO_POINTER (count));
  else
    g_hash_table_remove (self->pending, digest);
}

void
llm_store_ingest_async (LlmStore *self, int fd, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Ingest *ingest = g_new0 (Ingest, 1);

  g_task_set_source_tag (task, llm_store_ingest_async);
  ingest->fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  ingest->blobs_dir = g_strdup (self->blobs_dir);
  ingest->tmp_dir = g_strdup (self->tmp_dir);
  ingest->progress = progress;
  ingest->progress_data = progress_data;
  ingest->task = task;
  g_task_set_task_data (task, ingest, (GDestroyNotify) ingest_free);
  g_task_run_in_thread (task, ingest_thread);
}

LlmStoreBlob *
llm_store_ingest_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  LlmStoreBlob *blob = g_task_propagate_pointer (G_TASK (result), error);

  if (blob != NULL)
    pend (self, blob->digest, 1);
  return blob;
}

void
llm_store_hash_bundled_async (LlmStore *self, const char *path, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Ingest *ingest = g_new0 (Ingest, 1);

  g_task_set_source_tag (task, llm_store_hash_bundled_async);
  ingest->fd = -1;
  ingest->path = g_strdup (path);
  ingest->task = task;
  g_task_set_task_data (task, ingest, (GDestroyNotify) ingest_free);
  g_task_run_in_thread (task, ingest_thread);
}

LlmStoreBlob *
llm_store_hash_bundled_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

gboolean
llm_store_has_bundled (LlmStore *self, const char *name, const char *path)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  g_autofree char *canonical = g_canonicalize_filename (path, NULL);
  struct stat st;

  return model != NULL && model->bundled && strcmp (model->path, canonical) == 0 && stat (canonical, &st) == 0
         && (guint64) st.st_size == model->size && st.st_mtime < model->imported;
}

/* ---- changing ---- */

static void
unlink_unless_named (LlmStore *self, const char *digest)
{
  g_autofree char *path = g_build_filename (self->blobs_dir, digest, NULL);

  if (!g_hash_table_contains (self->pending, digest) && find_digest (self, digest, TRUE) == NULL)
    g_unlink (path);
}

LlmStoreModel *
llm_store_commit (LlmStore *self, const char *name, const LlmStoreBlob *blob, GVariant *info, GError **error)
{
  g_autoptr (LlmStoreModel) model = llm_manifest_new (name, blob, g_get_real_time () / G_USEC_PER_SEC, info);
  g_autofree char *path = llm_manifest_path (self->models_dir, name);
  LlmStoreModel *old = g_hash_table_lookup (self->models, name);
  g_autofree char *old_digest = old != NULL && !old->bundled ? g_strdup (old->digest) : NULL;

  if (!g_file_test (blob->path, G_FILE_TEST_EXISTS))
    { /* another import of the same bytes was discarded in the instant between */
      g_set_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "the model's file is gone from the store; import it again");
      return NULL;
    }
  if (!llm_manifest_save (model, path, error))
    return NULL;
  if (!blob->bundled)
    pend (self, blob->digest, -1);
  g_hash_table_replace (self->models, g_strdup (name), llm_store_model_ref (model));
  if (old_digest != NULL)
    unlink_unless_named (self, old_digest);
  return g_hash_table_lookup (self->models, name);
}

gboolean
llm_store_delete (LlmStore *self, const char *name, GError **error)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  g_autofree char *path = NULL;
  g_autofree char *digest = NULL;

  if (model == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no model %s in the store", name);
      return FALSE;
    }
  if (model->bundled)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s came with the system's packages; remove it there", name);
      return FALSE;
    }
  path = llm_manifest_path (self->models_dir, name);
  if (g_unlink (path) < 0 && errno != ENOENT)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot delete %s: %s", name, g_strerror (errno));
      return FALSE;
    }
  digest = g_strdup (model->digest);
  g_hash_table_remove (self->models, name);
  unlink_unless_named (self, digest);
  return TRUE;
}

void
llm_store_discard (LlmStore *self, const LlmStoreBlob *blob)
{
  if (blob->bundled)
    return;
  pend (self, blob->digest, -1);
  unlink_unless_named (self, blob->digest);
}
