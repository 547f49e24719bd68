/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying and hashing on a GTask thread.  The thread touches files and the shared counts of
 * pending.h only; what it has published when it fails, finish() discards.
 */
#include <fcntl.h>

#include "store/ingest.h"
#include "store/progress.h"
#include "store/store-private.h"

typedef struct {
  gboolean in_place;
  GUnixFDList *fds; /* or */
  char **paths;     /* bundled */
  LlmIngestPlace place;
  LlmProgress progress;
} Ingest;

static void
ingest_free (Ingest *ingest)
{
  g_clear_object (&ingest->fds);
  g_strfreev (ingest->paths);
  g_free (ingest->place.blobs_dir);
  g_free (ingest->place.tmp_dir);
  llm_pending_unref (ingest->place.pending);
  g_free (ingest);
}

static Ingest *
ingest_new (LlmStore *self, GTask *task)
{
  Ingest *ingest = g_new0 (Ingest, 1);

  ingest->place = (LlmIngestPlace) { g_strdup (self->blobs_dir), g_strdup (self->tmp_dir), llm_pending_ref (self->pending), self->keep_free };
  ingest->progress.task = task;
  g_task_set_task_data (task, ingest, (GDestroyNotify) ingest_free);
  g_task_set_check_cancellable (task, FALSE); /* a result that comes too late has to be discarded, not dropped */
  return ingest;
}

/* ---- the work ---- */

typedef struct {
  GPtrArray *blobs; /* LlmStoreBlob (owned): those that are there, also after an error */
  GError *error;
} Outcome;

static void
outcome_free (gpointer data)
{
  Outcome *outcome = data;

  g_ptr_array_unref (outcome->blobs);
  g_clear_error (&outcome->error);
  g_free (outcome);
}

static void
copy_all (Ingest *ingest, GCancellable *cancellable, Outcome *outcome)
{
  int n;
  const int *fds = g_unix_fd_list_peek_fds (ingest->fds, &n);
  guint64 size;

  for (int i = 0; i < n; i++)
    {
      if (!llm_ingest_check_fd (fds[i], &size, &outcome->error))
        return;
      ingest->progress.total += size;
    }
  for (int i = 0; i < n; i++)
    {
      gboolean ok = ingest->in_place ? llm_ingest_refer (fds[i], outcome->blobs, llm_progress_report, &ingest->progress, cancellable, &outcome->error)
                                     : llm_ingest_copy (fds[i], &ingest->place, outcome->blobs, llm_progress_report, &ingest->progress, cancellable, &outcome->error);

      if (!ok)
        return;
      ingest->progress.before += ((LlmStoreBlob *) outcome->blobs->pdata[i])->size;
    }
}

static void
hash_all (Ingest *ingest, GCancellable *cancellable, Outcome *outcome)
{
  for (guint i = 0; ingest->paths[i] != NULL; i++)
    {
      LlmStoreBlob *blob = llm_ingest_bundled (ingest->paths[i], cancellable, &outcome->error);

      if (blob == NULL)
        return;
      g_ptr_array_add (outcome->blobs, blob);
    }
}

static void
ingest_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Ingest *ingest = task_data;
  Outcome *outcome = g_new0 (Outcome, 1);

  outcome->blobs = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_blob_free);
  if (ingest->paths != NULL)
    hash_all (ingest, cancellable, outcome);
  else
    copy_all (ingest, cancellable, outcome);
  g_task_return_pointer (task, outcome, outcome_free);
}

static GPtrArray *
finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  Outcome *outcome = g_task_propagate_pointer (G_TASK (result), NULL);
  GPtrArray *blobs = NULL;

  if (outcome->error == NULL)
    blobs = g_ptr_array_ref (outcome->blobs);
  else
    {
      llm_store_discard (self, outcome->blobs);
      g_propagate_error (error, g_steal_pointer (&outcome->error));
    }
  outcome_free (outcome);
  return blobs;
}

void
llm_store_ingest_async (LlmStore *self, GUnixFDList *fds, gboolean in_place, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Ingest *ingest = ingest_new (self, task);

  g_task_set_source_tag (task, llm_store_ingest_async);
  ingest->fds = g_object_ref (fds);
  ingest->in_place = in_place;
  ingest->progress.callback = progress;
  ingest->progress.user_data = progress_data;
  g_task_run_in_thread (task, ingest_thread);
}

GPtrArray *
llm_store_ingest_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  return finish (self, result, error);
}

void
llm_store_hash_bundled_async (LlmStore *self, const char *const *paths, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Ingest *ingest = ingest_new (self, task);

  g_task_set_source_tag (task, llm_store_hash_bundled_async);
  ingest->paths = g_strdupv ((char **) paths);
  g_task_run_in_thread (task, ingest_thread);
}

GPtrArray *
llm_store_hash_bundled_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  return finish (self, result, error);
}
