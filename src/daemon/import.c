/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files become a model: copied and hashed, inspected together in a throw-away engine, committed.
 * Bundled files take the same way without the copy.
 *
 * An import is copying, inspecting, or idle: it is idle only while its request is collecting, that
 * is, while more files of a split model are to come.  What it has copied is pending in the store
 * until it is committed or discarded.  The file descriptors it holds are charged to its user.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/part-name.h"
#include "daemon/authorizer.h"
#include "daemon/models.h"
#include "daemon/request.h"

struct _LlmImport {
  LlmBroker *broker;
  LlmRequest *request; /* NULL for bundled files */
  char *name, *source, *version;
  GPtrArray *blobs;    /* LlmStoreBlob (owned), in the order in which they were sent */
  GQueue waiting;      /* GUnixFDList (owned) that are to be copied */
  GUnixFDList *copying;
  LlmStoreModel *committed; /* (owned) while it is made durable */
  guint n_files;       /* that were sent */
  gboolean in_place, more, busy;
  guint64 copied;      /* bytes of `blobs` */
  guint64 charged;     /* bytes, to its user */
  guint patience;      /* timer, while it is idle */
};

/* ---- file descriptors ---- */

void
llm_import_release_fds (LlmBroker *broker, guint32 uid, GUnixFDList *fds)
{
  for (int i = 0; i < g_unix_fd_list_get_length (fds); i++)
    llm_callers_refund_fd (broker->callers, uid);
  g_object_unref (fds);
}

GUnixFDList *
llm_import_take_fds (LlmBroker *broker, guint32 uid, GDBusMessage *message, GVariant *handles, GError **error)
{
  GUnixFDList *sent = g_dbus_message_get_unix_fd_list (message), *taken = g_unix_fd_list_new ();
  gsize n = g_variant_n_children (handles);
  gboolean ok = n > 0 && n <= LLM_MAX_IMPORT_FDS;

  if (!ok)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%" G_GSIZE_FORMAT " files were sent; 1 to %d in a call are needed, more with append-to", n,
                 LLM_MAX_IMPORT_FDS);
  for (gsize i = 0; ok && i < n; i++)
    {
      gint32 handle, n_sent = sent != NULL ? g_unix_fd_list_get_length (sent) : 0;

      g_variant_get_child (handles, i, "h", &handle);
      if (handle < 0 || handle >= n_sent)
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "file descriptor %d does not come with the call", handle);
      ok = handle >= 0 && handle < n_sent && llm_callers_charge_fd (broker->callers, uid, error);
      if (ok && g_unix_fd_list_append (taken, g_unix_fd_list_peek_fds (sent, NULL)[handle], error) < 0)
        {
          llm_callers_refund_fd (broker->callers, uid);
          ok = FALSE;
        }
    }
  if (ok)
    return taken;
  llm_import_release_fds (broker, uid, taken);
  return NULL;
}

/* ---- the end ---- */

/* Calls that came while bundled models were being registered. */
static void
bundled_done (LlmBroker *broker)
{
  GDBusMethodInvocation *invocation;

  if (--broker->bundled_pending > 0)
    return;
  llm_models_sync (broker->models);
  llm_broker_notify (broker, "Health", g_variant_new_take_string (llm_broker_health (broker)));
  while ((invocation = g_queue_pop_head (&broker->waiting_calls)) != NULL)
    llm_manager_dispatch (broker, invocation);
}

static void
import_free (LlmImport *import)
{
  GUnixFDList *fds;

  g_clear_handle_id (&import->patience, g_source_remove);
  if (import->charged > 0)
    llm_callers_refund_disk (import->broker->callers, import->request->uid, import->charged);
  llm_store_discard (import->broker->store, import->blobs);
  while ((fds = g_queue_pop_head (&import->waiting)) != NULL)
    llm_import_release_fds (import->broker, import->request->uid, fds);
  if (import->request != NULL)
    import->request->import = NULL;
  g_clear_pointer (&import->request, llm_request_unref);
  g_ptr_array_unref (import->blobs);
  g_free (import->name);
  g_free (import->source);
  g_free (import->version);
  g_free (import);
}

/* @model: NULL on failure, else lent by the store. Takes @error. */
static void
finish (LlmImport *import, const LlmStoreModel *model, GError *error)
{
  LlmBroker *broker = import->broker;
  g_auto (GVariantDict) result = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *path = llm_models_path (import->name);

  import->busy = TRUE; /* so that the request's end leaves it to us */
  if (import->request == NULL)
    {
      if (error != NULL)
        g_warning ("the bundled model %s is left out: %s", import->name, error->message);
      g_clear_error (&error);
      import_free (import);
      bundled_done (broker);
      return;
    }
  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_DISK_FULL) && broker->collector != NULL)
    llm_collector_trigger (broker->collector, "an import found the disk full");
  if (error != NULL)
    llm_request_end (import->request, NULL, error);
  else
    {
      g_variant_dict_insert (&result, "name", "s", model->name);
      g_variant_dict_insert (&result, "digest", "s", model->digest);
      g_variant_dict_insert (&result, "object", "o", path);
      llm_request_end (import->request, g_variant_dict_end (&result), NULL);
    }
  import_free (import);
}

void
llm_import_request_ended (LlmImport *import)
{
  if (!import->busy)
    import_free (import);
}

static gboolean
is_over (const LlmImport *import)
{
  return import->request != NULL && import->request->state == LLM_STATE_DONE;
}

static GCancellable *
cancellable (const LlmImport *import)
{
  return import->request != NULL ? import->request->cancellable : NULL;
}

/* ---- inspecting ---- */

/* The blobs in the order of the parts, which only the engine knows. It is checked: the engine has read a stranger's file. */
static GPtrArray *
in_order (const LlmImport *import, GVariant *info, GError **error)
{
  g_autoptr (GVariant) parts = g_variant_lookup_value (info, "parts", G_VARIANT_TYPE ("au"));
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GPtrArray) ordered = g_ptr_array_new ();
  guint n = import->blobs->len;
  gboolean ok = parts != NULL ? g_variant_n_children (parts) == n : n == 1;

  for (guint i = 0; ok && i < n; i++)
    {
      guint32 file = 0;

      if (parts != NULL)
        g_variant_get_child (parts, i, "u", &file);
      ok = file < n && g_hash_table_add (seen, GUINT_TO_POINTER (file));
      if (ok)
        g_ptr_array_add (ordered, import->blobs->pdata[file]);
    }
  if (ok)
    return g_steal_pointer (&ordered);
  g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the inspection of the model's %u files did not say in which order they belong", n);
  return NULL;
}

static void
on_synced (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmImport *import = user_data;
  g_autoptr (LlmStoreModel) model = g_steal_pointer (&import->committed);

  finish (import, model, NULL);
}

static void
on_committed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmImport *import = user_data;
  GError *error = NULL;
  LlmStoreModel *model = llm_store_commit_finish (import->broker->store, result, &error);

  if (model == NULL)
    {
      finish (import, NULL, error);
      return;
    }
  if (import->request != NULL)
    {
      llm_request_progress (import->request, "inspect", import->copied, import->copied);
      llm_models_sync (import->broker->models); /* it can be asked for; that it is imported is said when that is durable */
    }
  import->committed = llm_store_model_ref (model);
  llm_store_sync_async (import->broker->store, import->name, on_synced, import);
}

static gboolean
commit (LlmImport *import, GVariant *info, GError **error)
{
  g_autoptr (GPtrArray) ordered = in_order (import, info, error);
  g_auto (GVariantDict) kept = G_VARIANT_DICT_INIT (info);
  LlmStoreOrigin origin = { import->source, import->version, import->request != NULL ? import->request->uid : 0 };

  if (ordered == NULL)
    return FALSE;
  g_variant_dict_remove (&kept, "parts");
  llm_store_commit_async (import->broker->store, import->name, ordered, g_variant_dict_end (&kept), &origin, cancellable (import), on_committed, import);
  g_ptr_array_set_size (import->blobs, 0); /* the store sees to them from here on */
  return TRUE;
}

static void
on_inspected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmImport *import = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = llm_engine_client_inspect_finish (NULL, result, &error);

  if (info == NULL || !commit (import, info, &error))
    finish (import, NULL, error);
}

static void
inspect (LlmImport *import)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GError *error = NULL;

  import->busy = TRUE;
  for (guint i = 0; i < import->blobs->len; i++)
    {
      const LlmStoreBlob *blob = import->blobs->pdata[i];
      int fd = open (blob->path, O_RDONLY | O_CLOEXEC);

      if (g_unix_fd_list_append (fds, fd, &error) < 0)
        {
          if (fd >= 0)
            close (fd);
          g_prefix_error (&error, "a file of the model cannot be opened in the store: ");
          finish (import, NULL, error);
          return;
        }
      close (fd);
    }
  if (import->request != NULL)
    llm_request_progress (import->request, "inspect", 0, import->copied);
  llm_engine_client_inspect_async (import->broker->engine, fds, cancellable (import), on_inspected, import);
}

/* ---- copying ---- */

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  LlmImport *import = user_data;

  llm_request_progress (import->request, "copy", import->copied + done, import->copied + total);
}

static void
add_blobs (LlmImport *import, GPtrArray *blobs)
{
  for (guint i = 0; i < blobs->len; i++)
    import->copied += ((LlmStoreBlob *) blobs->pdata[i])->size;
  g_ptr_array_extend_and_steal (import->blobs, blobs);
}

static void go_on (LlmImport *import);

static void
on_ingested (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmImport *import = user_data;
  GError *error = NULL;
  GPtrArray *blobs = llm_store_ingest_finish (import->broker->store, result, &error);

  llm_import_release_fds (import->broker, import->request->uid, g_steal_pointer (&import->copying));
  import->busy = FALSE;
  if (blobs != NULL)
    {
      add_blobs (import, blobs);
      go_on (import);
    }
  else
    finish (import, NULL, error);
}

/* Of the files that are copied next. */
static guint64
next_bytes (const LlmImport *import)
{
  guint64 bytes = 0;
  struct stat st;
  int n;
  const int *fds = g_unix_fd_list_peek_fds (g_queue_peek_head (&((LlmImport *) import)->waiting), &n);

  for (int i = 0; i < n; i++)
    if (fstat (fds[i], &st) == 0 && (st.st_size < 0 || !llm_add_u64 (bytes, (guint64) st.st_size, &bytes)))
      return G_MAXUINT64;
  return bytes;
}

/* Whether they stay within what models may have of the disk. */
static gboolean
is_within_limit (LlmImport *import, guint64 limit, GError **error)
{
  g_autoptr (GVariant) statistics = llm_store_statistics (import->broker->store);
  guint64 there = 0, more;

  g_variant_lookup (statistics, "copied-bytes", "t", &there);
  if (!llm_add_u64 (import->copied, next_bytes (import), &more))
    more = G_MAXUINT64;
  if (limit == 0 || import->in_place || (more <= limit && there <= limit - more))
    return TRUE;
  return llm_error_fail (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED, "the store has %" G_GUINT64_FORMAT " bytes of models and the setting model-bytes is %" G_GUINT64_FORMAT
                         "; these %" G_GUINT64_FORMAT " do not fit: delete a model, or raise it", there, limit, more);
}

/* And within its user's share. Administrators, and whoever has a service of their own, may fill the disk. */
static gboolean
charge_disk (LlmImport *import, GError **error)
{
  LlmBroker *broker = import->broker;
  guint32 uid = import->request->uid;
  guint64 bytes = next_bytes (import);

  if (import->in_place || llm_authorizer_decide (LLM_ACTION_MANAGE, broker->session, uid, getuid ()) == LLM_VERDICT_ALLOW)
    return TRUE;
  if (!llm_callers_charge_disk (broker->callers, uid, llm_store_bytes_of (broker->store, uid), bytes, error))
    return FALSE;
  import->charged += bytes;
  return TRUE;
}

static void
copy (LlmImport *import)
{
  LlmSettingsValues values;
  GError *error = NULL;

  llm_settings_read (import->broker->settings, &values);
  if (!is_within_limit (import, values.model_bytes, &error) || !charge_disk (import, &error))
    {
      finish (import, NULL, error);
      return;
    }
  import->busy = TRUE;
  import->copying = g_queue_pop_head (&import->waiting);
  llm_store_set_keep_free (import->broker->store, values.minimum_free);
  llm_store_ingest_async (import->broker->store, import->copying, import->in_place, on_progress, import, cancellable (import), on_ingested, import);
}

static gboolean
on_no_more_files (gpointer user_data)
{
  LlmImport *import = user_data;

  import->patience = 0;
  llm_request_cancel (import->request, "more files were announced and none came for a minute");
  return G_SOURCE_REMOVE;
}

static void
go_on (LlmImport *import)
{
  if (import->busy)
    return;
  g_clear_handle_id (&import->patience, g_source_remove);
  if (is_over (import))
    finish (import, NULL, g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the import was cancelled"));
  else if (!g_queue_is_empty (&import->waiting))
    copy (import);
  else if (!import->more)
    inspect (import);
  else
    import->patience = g_timeout_add (LLM_COLLECTING_TIMEOUT_MS, on_no_more_files, import);
}

static LlmImport *
import_new (LlmBroker *broker, LlmRequest *request, const char *name, const char *source, const char *version)
{
  LlmImport *import = g_new0 (LlmImport, 1);

  import->broker = broker;
  import->request = request;
  import->name = g_strdup (name);
  import->source = g_strdup (source);
  import->version = g_strdup (version);
  import->blobs = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_blob_free);
  g_queue_init (&import->waiting);
  return import;
}

static void
add_files (LlmImport *import, GUnixFDList *fds, gboolean more)
{
  import->n_files += (guint) g_unix_fd_list_get_length (fds);
  import->more = more;
  g_queue_push_tail (&import->waiting, fds);
  llm_request_set_state (import->request, more ? LLM_STATE_COLLECTING : LLM_STATE_WAITING, more ? "more files follow" : "all files are here");
  go_on (import);
}

void
llm_import_start (LlmRequest *request, GUnixFDList *fds, const char *name, const char *source, const char *version, gboolean in_place, gboolean more)
{
  request->import = import_new (request->broker, llm_request_ref (request), name, source, version);
  request->import->in_place = in_place;
  add_files (request->import, fds, more);
}

gboolean
llm_import_append (LlmRequest *request, GUnixFDList *fds, const char *name, gboolean more, GError **error)
{
  LlmImport *import = request->import;

  if (import == NULL || request->state != LLM_STATE_COLLECTING)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "append-to: %s takes no more files; only an Import that was called with \"more\" does",
                 request->path);
  else if (strcmp (name, import->name) != 0)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "append-to: %s imports %s, not %s", request->path, import->name, name);
  else if (import->n_files + (guint) g_unix_fd_list_get_length (fds) > LLM_MODEL_MAX_PARTS)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "%u files were sent; a model has at most %d parts",
                 import->n_files + (guint) g_unix_fd_list_get_length (fds), LLM_MODEL_MAX_PARTS);
  else
    {
      add_files (import, fds, more);
      return TRUE;
    }
  llm_import_release_fds (request->broker, request->uid, fds);
  return FALSE;
}

/* ---- bundled files ---- */

static void
on_hashed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmImport *import = user_data;
  GError *error = NULL;
  GPtrArray *blobs = llm_store_hash_bundled_finish (import->broker->store, result, &error);

  if (blobs != NULL)
    {
      add_blobs (import, blobs);
      inspect (import);
    }
  else
    finish (import, NULL, error);
}

/* "NAME.gguf", or all parts of a split model when @file is the first; NULL for anything else. */
static char **
bundled_paths (const char *dir, const char *file, char **name)
{
  g_autofree char *path = g_build_filename (dir, file, NULL), *stem = NULL;
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
  guint no, count;

  if (!g_str_has_suffix (file, ".gguf"))
    return NULL;
  if (!llm_part_name_parse (path, &stem, &no, &count))
    {
      stem = g_strndup (path, strlen (path) - strlen (".gguf"));
      g_strv_builder_add (paths, path);
    }
  else if (no == 1 && count <= LLM_MODEL_MAX_PARTS)
    for (guint i = 1; i <= count; i++)
      {
        g_autofree char *part = llm_part_name_format (stem, i, count);
        g_strv_builder_add (paths, part);
      }
  else
    return NULL;
  *name = g_path_get_basename (stem);
  return g_strv_builder_end (paths);
}

void
llm_import_bundled (LlmBroker *broker)
{
  g_autoptr (GDir) dir = g_dir_open (broker->models_dir, 0, NULL);
  const char *file;

  llm_store_drop_uninstalled (broker->store);
  while (dir != NULL && (file = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *stem = NULL;
      g_auto (GStrv) paths = bundled_paths (broker->models_dir, file, &stem);
      g_autofree char *name = paths != NULL ? llm_store_normalize_name (stem, NULL) : NULL;
      const LlmStoreModel *there = name != NULL ? llm_store_find (broker->store, name) : NULL;

      if (there != NULL && !there->bundled)
        continue; /* a user's own model of that name comes first */
      if (name == NULL || llm_store_has_bundled (broker->store, name, (const char *const *) paths))
        continue;
      broker->bundled_pending++;
      llm_store_hash_bundled_async (broker->store, (const char *const *) paths, NULL, on_hashed, import_new (broker, NULL, name, "bundled", ""));
    }
}
