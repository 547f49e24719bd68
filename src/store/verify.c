/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the files still what was imported?  Hashed on a thread, all of them even when one is damaged; what
 * follows is decided on the main loop, where an import may have put whole bytes in their place meanwhile.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store/disk.h"
#include "store/ingest.h"
#include "store/manifest.h"
#include "store/progress.h"
#include "store/store-private.h"

typedef struct {
  LlmStoreModel *model; /* (owned) */
  LlmStoreLease *lease;
  LlmProgress progress;
  GArray *damaged;      /* Damaged */
} Verify;

typedef struct {
  guint part;
  dev_t dev;
  ino_t ino;
} Damaged;

static void
verify_free (gpointer data)
{
  Verify *verify = data;

  g_clear_pointer (&verify->lease, llm_store_lease_free);
  llm_store_model_unref (verify->model);
  g_array_unref (verify->damaged);
  g_free (verify);
}

/* The file that was opened, whether it is whole: FALSE with an error when nobody can tell. */
static gboolean
look_at (Verify *verify, guint part, int fd, GCancellable *cancellable, GError **error)
{
  const LlmStoreBlob *blob = verify->model->blobs->pdata[part];
  g_autofree char *digest = NULL;
  g_autoptr (GError) reading = NULL;
  struct stat st;

  if (fstat (fd, &st) < 0)
    return llm_disk_fail (error, errno, "cannot look at the model's file");
  if (S_ISREG (st.st_mode) && (guint64) st.st_size == blob->size)
    digest = llm_ingest_hash (fd, blob->size, llm_progress_report, &verify->progress, cancellable, &reading);
  if (reading != NULL && !g_error_matches (reading, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED)) /* that: its size has just changed */
    {
      g_propagate_error (error, g_steal_pointer (&reading));
      return FALSE;
    }
  if (g_strcmp0 (digest, blob->digest) != 0)
    {
      const Damaged damaged = { part, st.st_dev, st.st_ino };

      g_array_append_val (verify->damaged, damaged);
    }
  else if (!blob->in_place && llm_disk_mtime (&st) != LLM_DISK_BLOB_MTIME)
    llm_disk_stamp (fd); /* touched, restored, or of an older version of ours */
  return TRUE;
}

static gboolean
verify_all (Verify *verify, GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < verify->model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = verify->model->blobs->pdata[i];
      int fd = llm_manifest_open_blob (verify->model, blob, error);
      gboolean ok;

      if (fd < 0)
        return FALSE;
      ok = look_at (verify, i, fd, cancellable, error);
      close (fd);
      if (!ok)
        return FALSE;
      verify->progress.before += blob->size;
    }
  return TRUE;
}

static void
verify_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  GError *error = NULL;

  if (verify_all (task_data, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
llm_store_verify_async (LlmStore *self, LlmStoreModel *model, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Verify *verify = g_new0 (Verify, 1);

  verify->model = llm_store_model_ref (model);
  verify->lease = llm_store_lease (self, model);
  verify->progress = (LlmProgress) { task, progress, progress_data, 0, model->size, 0 };
  verify->damaged = g_array_new (FALSE, FALSE, sizeof (Damaged));
  g_task_set_source_tag (task, llm_store_verify_async);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, verify, verify_free);
  g_task_run_in_thread (task, verify_thread);
}

/* Not when the file of that name is another one by now. */
static void
quarantine (LlmStore *self, const LlmStoreBlob *blob, const Damaged *damaged)
{
  struct stat st;

  if ((blob->in_place ? stat (blob->path, &st) : lstat (blob->path, &st)) == 0 && st.st_dev == damaged->dev && st.st_ino == damaged->ino
      && llm_store_names_digest (self, blob->digest))
    llm_store_quarantine (self, blob);
}

gboolean
llm_store_verify_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  Verify *verify = g_task_get_task_data (G_TASK (result));
  gboolean ok = g_task_propagate_boolean (G_TASK (result), error);

  for (guint i = 0; i < verify->damaged->len; i++)
    {
      const Damaged *damaged = &g_array_index (verify->damaged, Damaged, i);

      quarantine (self, verify->model->blobs->pdata[damaged->part], damaged);
      if (ok)
        ok = llm_error_fail (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "file %u of %u of %s does not have the bytes that were imported; import the model again",
                             damaged->part + 1, verify->model->blobs->len, verify->model->name);
    }
  g_clear_pointer (&verify->lease, llm_store_lease_free); /* on the main loop, while the store is there */
  return ok;
}
