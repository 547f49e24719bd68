/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store-fixture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

const LlmStoreOrigin fixture_origin = { "import", "1.2", 1000 };
static const LlmStoreOrigin bundled_origin = { "bundled", "", 0 };

void
fixture_set_up (Fixture *f, gconstpointer data)
{
  f->folder = g_dir_make_tmp ("llm-store-XXXXXX", NULL);
  f->store = llm_store_open (f->folder, "in a test", NULL);
  g_assert_nonnull (f->store);
}

void
fixture_reopen (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&f->store, llm_store_free);
  f->store = llm_store_open (f->folder, "in a test", &error);
  g_assert_no_error (error);
}

void
fixture_tear_down (Fixture *f, gconstpointer data)
{
  const char *argv[] = { "rm", "-rf", f->folder, NULL };

  g_clear_pointer (&f->store, llm_store_free);
  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free (f->folder);
}

int
file_with (const char *text)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("llm-file-XXXXXX", &path, NULL);

  g_assert_cmpint (write (fd, text, strlen (text)), ==, (gssize) strlen (text));
  g_unlink (path);
  return fd;
}

typedef struct {
  Fixture *f;
  GPtrArray *blobs;
  GError *error;
  gboolean done;
} Ingest;

static void
on_ingested (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Ingest *ingest = user_data;

  ingest->blobs = llm_store_ingest_finish (ingest->f->store, result, &ingest->error);
  ingest->done = TRUE;
}

/* Takes @fds. */
GPtrArray *
ingest_files (Fixture *f, const int *fds, guint n, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error)
{
  Ingest state = { f, NULL, NULL, FALSE };
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array (fds, (int) n);

  llm_store_ingest_async (f->store, list, FALSE, progress, progress_data, cancellable, on_ingested, &state);
  g_clear_object (&list); /* the store has its own reference */
  while (!state.done)
    g_main_context_iteration (NULL, TRUE);
  if (state.error != NULL)
    g_propagate_error (error, state.error);
  return state.blobs;
}

GPtrArray *
ingest (Fixture *f, int fd, GCancellable *cancellable, GError **error)
{
  return ingest_files (f, &fd, 1, NULL, NULL, cancellable, error);
}

static GVariant *
info (const Fixture *f)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "architecture", "s", "llama");
  if (f->license != NULL)
    g_variant_dict_insert (&dict, "license", "s", f->license);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

guint
count_files (Fixture *f, const char *sub)
{
  g_autofree char *path = g_build_filename (f->folder, sub, NULL);
  gboolean again;
  guint n;

  do
    {
      g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
      const char *name;

      again = FALSE;
      for (n = 0; (name = g_dir_read_name (dir)) != NULL; n++)
        again = again || g_str_has_prefix (name, "gone-"); /* a thread is about to delete it */
      if (again)
        g_usleep (1000);
    }
  while (again);
  return n;
}

typedef struct {
  Fixture *f;
  LlmStoreModel *model;
  GError **error;
  gboolean done;
} Committing;

static void
on_committed (GObject *source, GAsyncResult *result, gpointer data)
{
  Committing *state = data;

  state->model = llm_store_commit_finish (state->f->store, result, state->error);
  state->done = TRUE;
}

LlmStoreModel *
commit (Fixture *f, const char *name, GPtrArray *blobs, GCancellable *cancellable, GError **error)
{
  Committing state = { f, NULL, error, FALSE };
  g_autoptr (GVariant) what = info (f);

  llm_store_commit_async (f->store, name, blobs, what, blobs->len > 0 && ((LlmStoreBlob *) blobs->pdata[0])->in_place ? &bundled_origin : &fixture_origin, cancellable, on_committed, &state);
  while (!state.done)
    g_main_context_iteration (NULL, TRUE);
  return state.model;
}

LlmStoreModel *
add_parts (Fixture *f, const char *name, const char *const *texts)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) blobs = NULL;
  int fds[8];
  guint n = 0;
  LlmStoreModel *model;

  for (; texts[n] != NULL; n++)
    fds[n] = file_with (texts[n]);
  blobs = ingest_files (f, fds, n, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  model = commit (f, name, blobs, NULL, &error);
  g_assert_no_error (error);
  return model;
}

void
add (Fixture *f, const char *name, const char *text)
{
  const char *const texts[] = { text, NULL };

  g_assert_nonnull (add_parts (f, name, texts));
}

const char *
blob_path (const LlmStoreModel *model, guint i)
{
  return ((LlmStoreBlob *) model->blobs->pdata[i])->path;
}

