/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file becomes a model: copied and hashed, inspected in a throw-away engine, committed.
 * Bundled files take the same way without the copy.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/models.h"
#include "daemon/request.h"

typedef struct {
  LlmBroker *broker;
  LlmRequest *request; /* NULL for a bundled file */
  char *name;
  LlmStoreBlob *blob;
} Import;

static void
import_free (Import *import)
{
  g_clear_pointer (&import->request, llm_request_unref);
  g_clear_pointer (&import->blob, llm_store_blob_free);
  g_free (import->name);
  g_free (import);
}

static GCancellable *
cancellable (const Import *import)
{
  return import->request != NULL ? import->request->cancellable : NULL;
}

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

/* Takes @error. */
static void
finish (Import *import, GError *error)
{
  LlmBroker *broker = import->broker;
  g_auto (GVariantDict) result = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *path = llm_models_path (import->name);

  if (import->request == NULL)
    {
      if (error != NULL)
        g_warning ("the bundled model %s is left out: %s", import->name, error->message);
      g_clear_error (&error);
      import_free (import);
      bundled_done (broker);
      return;
    }
  if (error != NULL)
    llm_request_end (import->request, NULL, error);
  else
    {
      llm_models_sync (broker->models);
      g_variant_dict_insert (&result, "name", "s", import->name);
      g_variant_dict_insert (&result, "digest", "s", import->blob->digest);
      g_variant_dict_insert (&result, "object", "o", path);
      llm_request_end (import->request, g_variant_dict_end (&result), NULL);
    }
  import_free (import);
}

static void
on_inspected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Import *import = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = llm_engine_client_inspect_finish (NULL, result, &error);

  if (info == NULL || (import->request != NULL && import->request->state == LLM_STATE_DONE)
      || llm_store_commit (import->broker->store, import->name, import->blob, info, &error) == NULL)
    {
      llm_store_discard (import->broker->store, import->blob);
      if (error == NULL)
        error = g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the import was cancelled");
    }
  else if (import->request != NULL)
    llm_request_progress (import->request, "inspect", import->blob->size, import->blob->size);
  finish (import, error);
}

/* @blob: owned by the import from here on. */
static void
inspect (Import *import, LlmStoreBlob *blob)
{
  int fd = open (blob->path, O_RDONLY | O_CLOEXEC);

  import->blob = blob;
  if (import->request != NULL)
    llm_request_progress (import->request, "inspect", 0, blob->size);
  llm_engine_client_inspect_async (import->broker->engine, fd, cancellable (import), on_inspected, import);
  if (fd >= 0)
    close (fd);
}

static void
on_ingested (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Import *import = user_data;
  GError *error = NULL;
  LlmStoreBlob *blob = llm_store_ingest_finish (import->broker->store, result, &error);

  if (blob != NULL)
    inspect (import, blob);
  else
    finish (import, error);
}

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  Import *import = user_data;

  llm_request_progress (import->request, "copy", done, total);
}

void
llm_import_start (LlmRequest *request, int fd, const char *name)
{
  Import *import = g_new0 (Import, 1);

  *import = (Import) { request->broker, llm_request_ref (request), g_strdup (name), NULL };
  llm_store_ingest_async (request->broker->store, fd, on_progress, import, request->cancellable, on_ingested, import);
}

static void
on_hashed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Import *import = user_data;
  GError *error = NULL;
  LlmStoreBlob *blob = llm_store_hash_bundled_finish (import->broker->store, result, &error);

  if (blob != NULL)
    inspect (import, blob);
  else
    finish (import, error);
}

void
llm_import_bundled (LlmBroker *broker)
{
  g_autoptr (GDir) dir = g_dir_open (broker->models_dir, 0, NULL);
  const char *file;

  while (dir != NULL && (file = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (broker->models_dir, file, NULL);
      g_autofree char *stem = g_str_has_suffix (file, ".gguf") ? g_strndup (file, strlen (file) - strlen (".gguf")) : NULL;
      g_autofree char *name = stem != NULL ? llm_store_normalize_name (stem, NULL) : NULL;
      Import *import;

      if (name == NULL || llm_store_has_bundled (broker->store, name, path))
        continue;
      import = g_new0 (Import, 1);
      *import = (Import) { broker, NULL, g_steal_pointer (&name), NULL };
      broker->bundled_pending++;
      llm_store_hash_bundled_async (broker->store, path, NULL, on_hashed, import);
    }
}
