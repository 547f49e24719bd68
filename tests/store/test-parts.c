/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Models of several blobs: their order, their digest, who still needs a blob, and what a crash
 * leaves behind.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/store-fixture.h"

static const char *const abc[] = { "a", "b", "c", NULL }, *const xbz[] = { "x", "b", "z", NULL };

static void
check_abc (const LlmStoreModel *model)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *expected = NULL;
  g_autoptr (GUnixFDList) fds = llm_store_model_open (model, NULL);

  g_assert_cmpuint (model->blobs->len, ==, 3);
  g_assert_cmpuint (model->size, ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, abc[i], 1), *line = g_strdup_printf ("sha256-%s\n", digest);
      char c;

      g_checksum_update (checksum, (const guint8 *) line, (gssize) strlen (line));
      g_assert_cmpint (pread (g_unix_fd_list_peek_fds (fds, NULL)[i], &c, 1, 0), ==, 1);
      g_assert_cmpint (c, ==, abc[i][0]);
    }
  expected = g_strconcat ("sha256-", g_checksum_get_string (checksum), NULL);
  g_assert_cmpstr (model->digest, ==, expected);
}

static void
test_parts (Fixture *f, gconstpointer data)
{
  check_abc (add_parts (f, "abc:1", abc));
  fixture_reopen (f);
  check_abc (llm_store_find (f->store, "abc:1"));
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

/* A part that two models have goes with the second. */
static void
test_shared_part (Fixture *f, gconstpointer data)
{
  g_autoptr (GVariant) statistics = NULL;
  guint64 bytes = 0;

  add_parts (f, "abc:1", abc);
  add_parts (f, "xbz:1", xbz);
  add (f, "b:1", "b");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 5);
  statistics = llm_store_statistics (f->store);
  g_assert_true (g_variant_lookup (statistics, "bytes", "t", &bytes));
  g_assert_cmpuint (bytes, ==, 5); /* the shared one once */
  g_assert_true (llm_store_delete (f->store, "abc:1", NULL));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  g_assert_true (llm_store_delete (f->store, "b:1", NULL));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "xbz:1")));
  g_assert_true (llm_store_delete (f->store, "xbz:1", NULL));
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
}

static void
test_replaced (Fixture *f, gconstpointer data)
{
  add_parts (f, "m:1", abc);
  add_parts (f, "m:1", xbz);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  add (f, "m:1", "b");
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
}

/* The third file is no file: the first two go again, but not what somebody else has. */
static void
test_failed (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  int fds[3] = { file_with ("a"), file_with ("b"), open ("/dev/null", O_RDONLY) };

  add (f, "b:1", "b");
  g_assert_null (ingest_files (f, fds, 3, NULL, NULL, NULL, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

static void
cancel_late (guint64 done, guint64 total, gpointer user_data)
{
  if (done == total)
    g_cancellable_cancel (user_data);
}

/* Cancelled when the last byte has been copied: either it is there or nothing is. */
static void
test_cancelled_late (Fixture *f, gconstpointer data)
{
  g_autofree char *large = g_strnfill (3 * LLM_MIB, 'a');

  for (guint i = 0; i < 20; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      int fds[2] = { file_with (large), file_with ("b") };
      g_autoptr (GPtrArray) blobs = ingest_files (f, fds, 2, cancel_late, cancellable, cancellable, NULL);

      g_assert_cmpuint (count_files (f, "blobs"), ==, blobs != NULL ? 2 : 0);
      if (blobs != NULL)
        llm_store_discard (f->store, blobs);
      g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
      g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
    }
}

typedef struct {
  guint64 last, total;
} Progress;

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  Progress *progress = user_data;

  g_assert_cmpuint (done, >=, progress->last);
  g_assert_cmpuint (done, <=, total);
  *progress = (Progress) { done, total };
}

static void
test_progress (Fixture *f, gconstpointer data)
{
  g_autofree char *large = g_strnfill (3 * LLM_MIB, 'a');
  int fds[3] = { file_with ("b"), file_with (large), file_with ("c") };
  Progress progress = { 0, 0 };
  g_autoptr (GPtrArray) blobs = ingest_files (f, fds, 3, on_progress, &progress, NULL, NULL);

  g_assert_cmpuint (progress.total, ==, 3 * LLM_MIB + 2);
  g_assert_cmpuint (progress.last, ==, progress.total);
  llm_store_discard (f->store, blobs);
}

/* A damaged blob is healed by importing the same bytes again. */
static void
test_healed (Fixture *f, gconstpointer data)
{
  LlmStoreModel *model = add_parts (f, "abc:1", abc);

  g_chmod (blob_path (model, 1), 0644);
  g_assert_cmpint (truncate (blob_path (model, 1), 0), ==, 0);
  g_assert_false (llm_store_model_is_whole (model));
  check_abc (add_parts (f, "abc:2", abc));
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "abc:1")));
}

/* The largest manifest that will be read again, and one byte more. */
static void
test_manifest_limit (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "models", "m", "1.json", NULL), *most = NULL, *over = NULL;
  g_autoptr (GError) error = NULL;
  struct stat st;

  f->license = "";
  add (f, "m:1", "a");
  g_assert_cmpint (stat (path, &st), ==, 0);
  f->license = most = g_strnfill (LLM_MANIFEST_MAX_BYTES - (gsize) st.st_size, 'x');
  add (f, "m:1", "a");
  fixture_reopen (f);
  g_assert_nonnull (llm_store_find (f->store, "m:1"));
  f->license = over = g_strconcat (most, "x", NULL);
  {
    g_autoptr (GPtrArray) blobs = ingest (f, file_with ("b"), NULL, NULL);

    g_assert_null (commit (f, "m:1", blobs, NULL, &error));
    g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  }
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

/* A commit that fails or is cancelled takes its blobs along, and leaves what had the name. */
static void
test_not_committed (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, cancelled = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GPtrArray) gone = NULL, late = NULL;

  add (f, "m:1", "m");
  gone = ingest (f, file_with ("a"), NULL, NULL);
  g_unlink (((LlmStoreBlob *) gone->pdata[0])->path);
  g_assert_null (commit (f, "m:1", gone, NULL, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
  late = ingest (f, file_with ("b"), NULL, NULL);
  g_cancellable_cancel (cancellable);
  g_assert_null (commit (f, "m:1", late, cancellable, &cancelled));
  g_assert_error (cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "m:1")));
  fixture_reopen (f);
  g_assert_nonnull (llm_store_find (f->store, "m:1"));
}

typedef struct {
  Fixture *f;
  guint n_left;
  char *last; /* digest of the one that was committed last */
} Race;

static void
on_raced (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *race = user_data;
  g_autoptr (GError) error = NULL;
  const LlmStoreModel *model = llm_store_commit_finish (race->f->store, result, &error);

  g_assert_no_error (error);
  g_free (race->last);
  race->last = g_strdup (model->digest);
  race->n_left--;
}

/* Many commits of one name at once: what the index says is what the disk says, and only that blob is left. */
static void
test_same_name (Fixture *f, gconstpointer data)
{
  g_autoptr (GVariant) what = g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  Race race = { f, 16, NULL };

  for (guint i = 0; i < 16; i++)
    {
      const char text[] = { (char) ('a' + i), 0 };
      g_autoptr (GPtrArray) blobs = ingest (f, file_with (text), NULL, NULL);

      llm_store_commit_async (f->store, "m:1", blobs, what, &fixture_origin, NULL, on_raced, &race);
    }
  while (race.n_left > 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (llm_store_find (f->store, "m:1")->digest, ==, race.last);
  fixture_reopen (f);
  g_assert_cmpstr (llm_store_find (f->store, "m:1")->digest, ==, race.last);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_free (race.last);
}

/* Copied, but not committed when the service died: gone at the next start, but for what a model has. */
static void
test_crash (Fixture *f, gconstpointer data)
{
  int fds[3] = { file_with ("a"), file_with ("b"), file_with ("c") };
  g_autoptr (GPtrArray) blobs = NULL;

  add (f, "b:1", "b");
  blobs = ingest_files (f, fds, 3, NULL, NULL, NULL, NULL);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
  fixture_reopen (f);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
  g_assert_true (llm_store_model_is_whole (llm_store_find (f->store, "b:1")));
}

/* The same, but a manifest cannot be read: it may be the one that names the blob. */
static void
test_crash_and_damage (Fixture *f, gconstpointer data)
{
  g_autofree char *bad = g_build_filename (f->folder, "models", "bad.json", NULL), *worse = g_build_filename (f->folder, "models", "m", "1.json", NULL);
  g_autoptr (GPtrArray) blobs = ingest (f, file_with ("a"), NULL, NULL);

  add (f, "m:1", "m");
  g_assert_true (g_file_set_contents (worse, "{", -1, NULL));
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "left out: *");
  fixture_reopen (f);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (count_files (f, "blobs"), ==, 2);
  g_unlink (worse);
  fixture_reopen (f);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1); /* "m" was no import's: it is left to the garbage collection */
}

static void
test_damaged_parts (Fixture *f, gconstpointer data)
{
  static const char *const changes[][2] = {
    { "\"size\" : 1", "\"size\" : 2" }, { "\"size\" : 3", "\"size\" : 4" }, { "\"parts\" : [", "\"parts\" : 7, \"p\" : [" },
    { "\"parts\" : [", "\"parts\" : [ 7," }, { "\"digest\" : \"sha256-", "\"digest\" : \"sha256-0" },
    { "\"parts\" : [", "\"parts\" : [], \"p\" : [" }, { "ca978112", "ca978113" }, /* the digest of "a" */
  };
  g_autofree char *path = g_build_filename (f->folder, "models", "abc", "1.json", NULL), *text = NULL;

  add_parts (f, "abc:1", abc);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      g_autoptr (GString) changed = g_string_new (text);

      g_assert_cmpuint (g_string_replace (changed, changes[i][0], changes[i][1], 1), ==, 1);
      g_assert_true (g_file_set_contents (path, changed->str, -1, NULL));
      g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "left out: *");
      fixture_reopen (f);
      g_test_assert_expected_messages ();
      g_assert_null (llm_store_find (f->store, "abc:1"));
    }
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  fixture_reopen (f);
  check_abc (llm_store_find (f->store, "abc:1"));
}

typedef struct {
  Fixture *f;
  GPtrArray *blobs;
  gboolean done;
} Hashing;

static void
on_hashed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Hashing *hashing = user_data;

  hashing->blobs = llm_store_hash_bundled_finish (hashing->f->store, result, NULL);
  hashing->done = TRUE;
}

/* Bundled parts stay where they are, through a restart too. */
static void
test_bundled (Fixture *f, gconstpointer data)
{
  g_autofree char *a = g_build_filename (f->folder, "a.gguf", NULL), *b = g_build_filename (f->folder, "b.gguf", NULL);
  const char *const paths[] = { a, b, NULL }, *const other[] = { a, NULL };
  Hashing hashing = { f, NULL, FALSE };

  g_assert_true (g_file_set_contents (a, "a", 1, NULL) && g_file_set_contents (b, "b", 1, NULL));
  llm_store_hash_bundled_async (f->store, paths, NULL, on_hashed, &hashing);
  while (!hashing.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_nonnull (commit (f, "m:1", hashing.blobs, NULL, NULL));
  g_ptr_array_unref (hashing.blobs);
  fixture_reopen (f);
  g_assert_cmpstr (llm_store_find (f->store, "m:1")->source, ==, "bundled");
  g_assert_cmpstr (blob_path (llm_store_find (f->store, "m:1"), 1), ==, b);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0);
  g_assert_false (llm_store_has_bundled (f->store, "m:1", other));
  g_assert_false (llm_store_delete (f->store, "m:1", NULL));
  g_assert_true (g_file_test (b, G_FILE_TEST_EXISTS));
  add (f, "mine:1", "x");
  llm_store_drop_uninstalled (f->store);
  g_assert_nonnull (llm_store_find (f->store, "m:1"));
  g_unlink (b);
  llm_store_drop_uninstalled (f->store);
  g_assert_null (llm_store_find (f->store, "m:1"));
  fixture_reopen (f);
  g_assert_null (llm_store_find (f->store, "m:1"));
  g_assert_nonnull (llm_store_find (f->store, "mine:1"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("parts", test_parts);
  ADD ("shared-part", test_shared_part);
  ADD ("replaced", test_replaced);
  ADD ("failed", test_failed);
  ADD ("cancelled-late", test_cancelled_late);
  ADD ("progress", test_progress);
  ADD ("healed", test_healed);
  ADD ("manifest-limit", test_manifest_limit);
  ADD ("not-committed", test_not_committed);
  ADD ("same-name", test_same_name);
  ADD ("crash", test_crash);
  ADD ("crash-and-damage", test_crash_and_damage);
  ADD ("damaged-parts", test_damaged_parts);
  ADD ("bundled", test_bundled);
  return g_test_run ();
}
