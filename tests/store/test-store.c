/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Models on disk: nothing half-done has a final name, nothing that is named disappears. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/store-fixture.h"

static void
test_round_trip (Fixture *f, gconstpointer data)
{
  LlmStoreModel *model;
  struct stat st;
  char text[6] = { 0 };
  g_autoptr (GUnixFDList) fds = NULL;
  const char *path;
  int fd;

  add (f, "hello:1", "hello");
  fixture_reopen (f);
  model = llm_store_find (f->store, "hello:1");
  g_assert_nonnull (model);
  g_assert_cmpstr (model->digest, ==, "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  g_assert_true (llm_store_find (f->store, model->digest) == model);
  g_assert_cmpstr (model->source, ==, "import");
  g_assert_cmpuint (model->blobs->len, ==, 1);
  path = blob_path (model, 0);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0444);
  fds = llm_store_model_open (model, NULL);
  g_assert_cmpint (g_unix_fd_list_get_length (fds), ==, 1);
  fd = g_unix_fd_list_peek_fds (fds, NULL)[0];
  g_assert_cmpint (read (fd, text, 5), ==, 5);
  g_assert_cmpstr (text, ==, "hello");
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
}

static void
test_shared_blob (Fixture *f, gconstpointer data)
{
  add (f, "a:1", "same");
  add (f, "b:1", "same");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_true (llm_store_delete (f->store, "a:1", NULL));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_true (llm_store_delete (f->store, "b:1", NULL));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

/* Each user's own, as often as it is there under a name. */
static void
test_bytes_of_a_user (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (llm_store_bytes_of (f->store, fixture_origin.uid), ==, 0);
  add (f, "a:1", "12345");
  add (f, "b:1", "123");
  g_assert_cmpuint (llm_store_bytes_of (f->store, fixture_origin.uid), ==, 8);
  g_assert_cmpuint (llm_store_bytes_of (f->store, fixture_origin.uid + 1), ==, 0);
  fixture_reopen (f);
  g_assert_true (llm_store_delete (f->store, "a:1", NULL));
  g_assert_cmpuint (llm_store_bytes_of (f->store, fixture_origin.uid), ==, 3);
}

static void
test_replace (Fixture *f, gconstpointer data)
{
  add (f, "a:1", "one");
  add (f, "a:1", "two");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  add (f, "a:1", "two"); /* the same again */
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
}

static void
test_discard (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) one = ingest (f, file_with ("x"), NULL, NULL), two = ingest (f, file_with ("x"), NULL, NULL);

  llm_store_discard (f->store, one);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1); /* the other import stands on it */
  llm_store_discard (f->store, two);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (ingest (f, file_with ("x"), cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

static void
test_wrong_fds (Fixture *f, gconstpointer data)
{
  int fds[2];

  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GError) error = NULL;
      int fd;

      g_assert_cmpint (pipe (fds), ==, 0);
      close (fds[1]);
      fd = i == 0 ? fds[0] : i == 1 ? open ("/dev/zero", O_RDONLY) : i == 2 ? open ("/", O_RDONLY) : open (f->folder, O_PATH);
      if (i != 0)
        close (fds[0]);
      g_assert_null (ingest (f, fd, NULL, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
    }
}

static void
test_one_broker (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *pid = g_strdup_printf ("process %d ", (int) getpid ()), *holder = g_build_filename (f->folder, "holder", NULL);

  g_assert_null (llm_store_open (f->folder, "on another bus", &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, pid));
  g_assert_nonnull (strstr (error->message, f->folder));
  g_assert_nonnull (strstr (error->message, " in a test, since "));
  g_assert_true (g_file_set_contents (holder, "nonsense", -1, NULL)); /* for people only: the lock is another thing */
  g_assert_null (llm_store_open (f->folder, "on another bus", NULL));
  fixture_reopen (f);
}

static void
write_manifest (Fixture *f, const char *text, gsize len)
{
  g_autofree char *folder = g_build_filename (f->folder, "models", "bad", NULL), *path = g_build_filename (folder, "1.json", NULL);

  g_mkdir_with_parents (folder, 0755);
  g_assert_true (g_file_set_contents (path, text, (gssize) len, NULL));
}

/* A damaged manifest is left out and counted; the others stay. */
static void
test_damaged_manifests (Fixture *f, gconstpointer data)
{
  g_autofree char *deep = g_strnfill (100000, '['), *large = g_strnfill (LLM_MANIFEST_MAX_BYTES + 1, ' ');
  const char *const texts[] = { "", "{", "null", "{}", "{\"format\": \"local-llm-manifest/1\"}", deep, large, "\xff\xfe" };

  add (f, "good:1", "x");
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) statistics = NULL;
      guint damaged = 0;

      llm_store_free (f->store);
      write_manifest (f, texts[i], strlen (texts[i]));
      g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "left out: *");
      f->store = llm_store_open (f->folder, "in a test", NULL);
      g_test_assert_expected_messages ();
      g_assert_nonnull (llm_store_find (f->store, "good:1"));
      g_assert_null (llm_store_find (f->store, "bad:1"));
      statistics = llm_store_statistics (f->store);
      g_assert_true (g_variant_lookup (statistics, "damaged-manifests", "u", &damaged));
      g_assert_cmpuint (damaged, ==, 1);
    }
}

static void
test_missing_blob (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, short_error = NULL;
  LlmStoreModel *model;

  add (f, "a:1", "hello");
  model = llm_store_find (f->store, "a:1");
  g_assert_true (llm_store_model_is_whole (model));
  g_chmod (blob_path (model, 0), 0644);
  g_assert_cmpint (truncate (blob_path (model, 0), 2), ==, 0);
  g_assert_false (llm_store_model_is_whole (model));
  g_assert_null (llm_store_model_open (model, &short_error));
  g_assert_error (short_error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
  g_unlink (blob_path (model, 0));
  g_assert_false (llm_store_model_is_whole (model));
  g_assert_null (llm_store_model_open (model, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
}

static void
test_names (void)
{
  static const char *const good[][2] = { { "a", "a:latest" }, { "a:b", "a:b" }, { "org/a.b_c-d:1.0", "org/a.b_c-d:1.0" } };
  static const char *const bad[] = { "", ":", "a:", ":b", "a:b:c", "/a", "a/", "a//b", ".a", "a/.b", "../a", "a b", "a\nb", "\xc3\xa4", "a:.b" };
  g_autofree char *longest = g_strnfill (LLM_MAX_MODEL_NAME_BYTES - 2, 'a'), *at = g_strconcat (longest, ":b", NULL), *over = g_strconcat (longest, ":bb", NULL);
  g_autofree char *same = llm_store_normalize_name (at, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autofree char *name = llm_store_normalize_name (good[i][0], NULL);
      g_assert_cmpstr (name, ==, good[i][1]);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (llm_store_normalize_name (bad[i], &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
    }
  g_assert_cmpstr (same, ==, at);
  g_assert_null (llm_store_normalize_name (over, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("round-trip", test_round_trip);
  ADD ("shared-blob", test_shared_blob);
  ADD ("bytes-of-a-user", test_bytes_of_a_user);
  ADD ("replace", test_replace);
  ADD ("discard", test_discard);
  ADD ("cancelled", test_cancelled);
  ADD ("wrong-fds", test_wrong_fds);
  ADD ("one-broker", test_one_broker);
  ADD ("damaged-manifests", test_damaged_manifests);
  ADD ("missing-blob", test_missing_blob);
  g_test_add_func ("/store/names", test_names);
  return g_test_run ();
}
