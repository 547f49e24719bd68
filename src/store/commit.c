/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs become a model.  The manifest is written and synced on a thread, in tmp/; moving it to
 * its place and into the index is one step of the main loop, so that nobody sees one without the
 * other, however many commits and deletions are under way; its folder is synced afterwards, on a thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/manifest.h"
#include "store/store-private.h"

typedef struct {
  LlmStoreModel *model; /* (owned) as it is to be */
  char *tmp_dir;
  char *tmp;            /* (owned) the written manifest; NULL: there is none */
  GError *error;
} Commit;

static void
drop_written (Commit *commit)
{
  if (commit->tmp != NULL)
    g_unlink (commit->tmp);
  g_clear_pointer (&commit->tmp, g_free);
}

static void
commit_free (gpointer data)
{
  Commit *commit = data;

  drop_written (commit);
  llm_store_model_unref (commit->model);
  g_clear_error (&commit->error);
  g_free (commit->tmp_dir);
  g_free (commit);
}

static void
write_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Commit *commit = task_data;

  if (llm_store_model_is_whole (commit->model))
    commit->tmp = llm_manifest_write (commit->model, commit->tmp_dir, &commit->error);
  else
    g_set_error (&commit->error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "a file of the model is gone from the store or damaged there; import it again");
  g_task_return_boolean (task, TRUE);
}

void
llm_store_commit_async (LlmStore *self, const char *name, GPtrArray *blobs, GVariant *info, const LlmStoreOrigin *origin, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
  const LlmStoreModel *old = g_hash_table_lookup (self->models, name); /* its pin is the name's */
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Commit *commit = g_new0 (Commit, 1);

  g_task_set_source_tag (task, llm_store_commit_async);
  g_task_set_check_cancellable (task, FALSE); /* finish() looks */
  commit->model = llm_manifest_new (name, blobs, g_get_real_time () / G_USEC_PER_SEC, info, origin, old != NULL && old->pinned);
  commit->tmp_dir = g_strdup (self->tmp_dir);
  g_task_set_task_data (task, commit, commit_free);
  g_task_run_in_thread (task, write_thread);
}

typedef struct {
  char *models_dir, *folder; /* of the manifest, below models_dir */
} Sync;

static void
sync_free (gpointer data)
{
  Sync *sync = data;

  g_free (sync->models_dir);
  g_free (sync->folder);
  g_free (sync);
}

/* Its folder, and those above, which may be new. */
static void
sync_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Sync *sync = task_data;

  for (;;)
    {
      int fd = open (sync->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

      if (fd < 0 ? errno != ENOENT : fsync (fd) < 0) /* gone: its models were deleted meanwhile */
        g_warning ("%s is not made durable: %s", sync->folder, g_strerror (errno));
      if (fd >= 0)
        close (fd);
      if (strlen (sync->folder) <= strlen (sync->models_dir))
        break;
      *strrchr (sync->folder, '/') = '\0';
    }
  g_task_return_boolean (task, TRUE);
}

void
llm_store_sync_async (LlmStore *self, const char *name, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autofree char *path = llm_manifest_path (self->models_dir, name);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  Sync *sync = g_new0 (Sync, 1);

  *sync = (Sync) { g_strdup (self->models_dir), g_path_get_dirname (path) };
  g_task_set_task_data (task, sync, sync_free);
  g_task_run_in_thread (task, sync_thread);
}

LlmStoreModel *
llm_store_commit_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  Commit *commit = g_task_get_task_data (G_TASK (result));
  LlmStoreModel *model = NULL;

  g_task_propagate_boolean (G_TASK (result), NULL);
  if (commit->error != NULL)
    g_propagate_error (error, g_steal_pointer (&commit->error));
  else if (!g_cancellable_set_error_if_cancelled (g_task_get_cancellable (G_TASK (result)), error))
    model = llm_store_add (self, commit->model, commit->tmp, error);
  if (model == NULL)
    {
      drop_written (commit);
      llm_store_discard (self, commit->model->blobs);
      return NULL;
    }
  g_clear_pointer (&commit->tmp, g_free);
  return model;
}
