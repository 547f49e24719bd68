/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of the file that was imported is nothing to the store: it has a copy of its own,
 * and the digest is that of the copy.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/store-fixture.h"

#define N_BYTES (8 * LLM_MIB)

typedef struct {
  char *path;
  int fd;
  gint stop; /* atomic */
  guint64 shrink_to;
} Source;

static void
source_init (Source *source, char fill)
{
  g_autofree char *bytes = g_strnfill (N_BYTES, fill);

  *source = (Source) { .shrink_to = N_BYTES };
  source->fd = g_file_open_tmp ("llm-source-XXXXXX", &source->path, NULL);
  g_assert_true (g_file_set_contents (source->path, bytes, N_BYTES, NULL));
  close (source->fd);
  source->fd = open (source->path, O_RDWR);
}

static void
source_clear (Source *source)
{
  g_unlink (source->path);
  close (source->fd);
  g_free (source->path);
}

/* The blob is what its name says, and nobody can write to it by way of the source. */
static void
check_blob (const char *path, const char *digest, const Source *source)
{
  g_autofree char *text = NULL, *sum = NULL, *expected = NULL;
  struct stat blob, other;
  gsize n;

  g_assert_true (g_file_get_contents (path, &text, &n, NULL));
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, n);
  expected = g_strconcat ("sha256-", sum, NULL);
  g_assert_cmpstr (digest, ==, expected);
  g_assert_cmpint (stat (path, &blob), ==, 0);
  g_assert_cmpint (fstat (source->fd, &other), ==, 0);
  g_assert_cmpint (blob.st_mode & 0777, ==, 0444);
  g_assert_cmpint (blob.st_nlink, ==, 1);
  g_assert_false (blob.st_dev == other.st_dev && blob.st_ino == other.st_ino);
}

static void
test_changed_afterwards (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) blobs = NULL;
  const LlmStoreModel *model;
  Source source;

  source_init (&source, 'a');
  blobs = ingest (f, open (source.path, O_RDONLY), NULL, &error);
  g_assert_no_error (error);
  model = commit (f, "m:1", blobs, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (pwrite (source.fd, "overwritten", 11, 1000), ==, 11);
  check_blob (blob_path (model, 0), model->digest, &source);
  g_assert_cmpint (ftruncate (source.fd, 5), ==, 0);
  check_blob (blob_path (model, 0), model->digest, &source);
  g_unlink (source.path);
  check_blob (blob_path (model, 0), model->digest, &source);
  g_assert_true (llm_store_model_is_whole (model));
  source_clear (&source);
}

static gpointer
overwrite (gpointer data)
{
  Source *source = data;

  for (guint i = 0; !g_atomic_int_get (&source->stop); i++)
    {
      g_autofree char *bytes = g_strnfill (LLM_MIB, (char) ('b' + i % 20));

      g_assert_cmpint (pwrite (source->fd, bytes, LLM_MIB, (off_t) (i % (N_BYTES / LLM_MIB) * LLM_MIB)), ==, (gssize) LLM_MIB);
    }
  return NULL;
}

static gpointer
resize (gpointer data)
{
  Source *source = data;

  for (guint i = 0; !g_atomic_int_get (&source->stop); i++)
    g_assert_cmpint (ftruncate (source->fd, i % 2 == 0 ? (off_t) source->shrink_to : (off_t) N_BYTES), ==, 0);
  return NULL;
}

/* Whatever was read while it changed: the digest is that of the copy, or it is refused. */
static void
check_while (Fixture *f, GThreadFunc change, guint64 shrink_to)
{
  for (guint i = 0; i < 5; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) blobs = NULL;
      GThread *thread;
      Source source;

      source_init (&source, 'a');
      source.shrink_to = shrink_to;
      thread = g_thread_new ("change", change, &source);
      blobs = ingest (f, open (source.path, O_RDONLY), NULL, &error);
      g_atomic_int_set (&source.stop, TRUE);
      g_thread_join (thread);
      if (blobs == NULL)
        g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
      else
        {
          const LlmStoreBlob *blob = blobs->pdata[0];
          struct stat st;

          check_blob (blob->path, blob->digest, &source);
          g_assert_cmpint (stat (blob->path, &st), ==, 0);
          g_assert_cmpuint ((guint64) st.st_size, ==, blob->size);
          llm_store_discard (f->store, blobs);
        }
      g_assert_cmpuint (count_files (f, "blobs") + count_files (f, "tmp"), ==, 0);
      source_clear (&source);
    }
}

static void
test_overwritten_meanwhile (Fixture *f, gconstpointer data)
{
  check_while (f, overwrite, N_BYTES);
}

static void
test_truncated_meanwhile (Fixture *f, gconstpointer data)
{
  check_while (f, resize, 0);
  check_while (f, resize, N_BYTES / 2 + 1);
  check_while (f, resize, N_BYTES + 4096);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("changed-afterwards", test_changed_afterwards);
  ADD ("overwritten-meanwhile", test_overwritten_meanwhile);
  ADD ("truncated-meanwhile", test_truncated_meanwhile);
  return g_test_run ();
}
