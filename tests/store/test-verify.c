/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A damaged blob is found, is served no more, and is whole again after an import; a pin stays. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/disk.h"
#include "store/store-fixture.h"

static const char *const abc[] = { "a", "b", "c", NULL };

typedef struct {
  Fixture *f;
  GError **error;
  gboolean ok, done;
  guint64 last, total;
} Run;

static void
on_verified (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;

  run->ok = llm_store_verify_finish (run->f->store, result, run->error);
  run->done = TRUE;
}

static void
on_progress (guint64 done, guint64 total, gpointer user_data)
{
  Run *run = user_data;

  g_assert_cmpuint (done, >=, run->last);
  run->last = done;
  run->total = total;
}

static gboolean
verify (Fixture *f, const char *name, GCancellable *cancellable, GError **error)
{
  Run run = { f, error, FALSE, FALSE, 0, 0 };
  LlmStoreModel *model = llm_store_find (f->store, name);

  llm_store_verify_async (f->store, model, on_progress, &run, cancellable, on_verified, &run);
  while (!run.done)
    g_main_context_iteration (NULL, TRUE);
  if (run.ok)
    g_assert_cmpuint (run.last, ==, run.total);
  return run.ok;
}

/* Other bytes, the same size; back to the time it had when @hidden. */
static void
damage (const LlmStoreModel *model, guint part, gboolean hidden)
{
  int fd;

  g_chmod (blob_path (model, part), 0644);
  fd = open (blob_path (model, part), O_RDWR);
  g_assert_cmpint (pwrite (fd, "?", 1, 0), ==, 1);
  if (hidden)
    g_assert_true (llm_disk_stamp (fd));
  close (fd);
}

static void
test_whole (Fixture *f, gconstpointer data)
{
  g_autofree char *large = g_strnfill (5 * LLM_MIB + 1, 'a');
  const char *const parts[] = { large, "b", NULL };

  add_parts (f, "m:1", parts);
  g_assert_true (verify (f, "m:1", NULL, NULL));
  g_assert_true (llm_store_check (f->store, llm_store_find (f->store, "m:1"), NULL));
  g_assert_cmpuint (count_files (f, "quarantine"), ==, 0);
}

static void
check_refused (Fixture *f, const char *name)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (llm_store_check (f->store, llm_store_find (f->store, name), &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
}

static void
expect_warning (void)
{
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*is damaged*");
}

static void
test_damaged (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  LlmStoreModel *model = add_parts (f, "m:1", abc);

  add (f, "b:1", "b"); /* shares the part that is damaged */
  add (f, "c:1", "c");
  damage (model, 1, TRUE);
  g_assert_false (llm_store_model_is_touched (model));
  expect_warning ();
  g_assert_false (verify (f, "m:1", NULL, &error));
  g_test_assert_expected_messages ();
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
  g_assert_nonnull (strstr (error->message, "file 2 of 3 of m:1"));
  for (guint i = 0; i < 2; i++)
    {
      check_refused (f, "m:1");
      check_refused (f, "b:1");
      g_assert_true (llm_store_check (f->store, llm_store_find (f->store, "c:1"), NULL));
      g_assert_cmpuint (count_files (f, "blobs"), ==, 2);
      g_assert_cmpuint (count_files (f, "quarantine"), ==, 1);
      fixture_reopen (f); /* it is not forgotten */
    }
  add (f, "other:1", "b"); /* the same bytes, whole */
  g_assert_true (llm_store_check (f->store, llm_store_find (f->store, "m:1"), NULL));
  g_assert_true (verify (f, "m:1", NULL, NULL));
  g_assert_cmpuint (count_files (f, "quarantine"), ==, 0);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 3);
}

/* With the last model that wants it a damaged blob goes too. */
static void
test_damaged_and_deleted (Fixture *f, gconstpointer data)
{
  damage (add_parts (f, "m:1", abc), 0, TRUE);
  expect_warning ();
  g_assert_false (verify (f, "m:1", NULL, NULL));
  g_test_assert_expected_messages ();
  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  g_assert_cmpuint (count_files (f, "quarantine") + count_files (f, "blobs") + count_files (f, "tmp"), ==, 0);
}

/* All that is damaged is found in one go, whatever its kind; what is gone is not there to be found. */
static void
test_all_kinds (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, gone = NULL;
  LlmStoreModel *model = add_parts (f, "m:1", abc);

  damage (model, 0, TRUE);
  g_chmod (blob_path (model, 2), 0644);
  g_assert_cmpint (truncate (blob_path (model, 2), 0), ==, 0);
  expect_warning ();
  expect_warning ();
  g_assert_false (verify (f, "m:1", NULL, &error));
  g_test_assert_expected_messages ();
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
  g_assert_cmpuint (count_files (f, "quarantine"), ==, 2);
  g_assert_false (verify (f, "m:1", NULL, &gone));
  g_assert_error (gone, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  damage (add_parts (f, "m:1", abc), 0, TRUE);
  g_cancellable_cancel (cancellable);
  g_assert_false (verify (f, "m:1", cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpuint (count_files (f, "quarantine"), ==, 0);
}

/* A later change shows without hashing; hashing says whether it matters. */
static void
test_touched (Fixture *f, gconstpointer data)
{
  LlmStoreModel *model = add_parts (f, "m:1", abc);
  struct stat st;

  g_assert_false (llm_store_model_is_touched (model));
  damage (model, 1, FALSE);
  g_assert_true (llm_store_model_is_touched (model));
  expect_warning ();
  g_assert_false (verify (f, "m:1", NULL, NULL));
  g_test_assert_expected_messages ();

  add (f, "t:1", "touched");
  model = llm_store_find (f->store, "t:1");
  g_assert_cmpint (g_utime (blob_path (model, 0), NULL), ==, 0); /* as after a backup was brought back */
  g_assert_true (llm_store_model_is_touched (model));
  g_assert_true (verify (f, "t:1", NULL, NULL));
  g_assert_false (llm_store_model_is_touched (model));
  g_assert_cmpint (stat (blob_path (model, 0), &st), ==, 0);
  g_assert_cmpint (llm_disk_mtime (&st), ==, LLM_DISK_BLOB_MTIME);
}

static void
put_whole_bytes (guint64 done, guint64 total, gpointer user_data)
{
  Run *run = user_data;
  LlmStoreModel *model = llm_store_find (run->f->store, "m:1");
  g_autofree char *new = g_build_filename (run->f->folder, "tmp", "new", NULL);

  if (done < total)
    return;
  g_assert_true (g_file_set_contents (new, "a", 1, NULL));
  g_assert_cmpint (g_rename (new, blob_path (model, 0)), ==, 0);
}

/* Whole bytes came to the place of the damaged ones while those were hashed, as an import does it: they stay. */
static void
test_healed_meanwhile (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  Run run = { f, &error, FALSE, FALSE, 0, 0 };

  damage (add_parts (f, "m:1", abc), 0, TRUE);
  llm_store_verify_async (f->store, llm_store_find (f->store, "m:1"), put_whole_bytes, &run, NULL, on_verified, &run);
  while (!run.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED);
  g_assert_true (llm_store_check (f->store, llm_store_find (f->store, "m:1"), NULL));
  g_assert_true (verify (f, "m:1", NULL, NULL));
  g_assert_cmpuint (count_files (f, "quarantine"), ==, 0);
}

/* ---- pins ---- */

static void
on_pinned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;

  run->ok = llm_store_set_pinned_finish (run->f->store, result, run->error);
  run->done = TRUE;
}

static gboolean
set_pinned (Fixture *f, const char *name, gboolean pinned, GError **error)
{
  Run run = { f, error, FALSE, FALSE, 0, 0 };

  llm_store_set_pinned_async (f->store, name, pinned, on_pinned, &run);
  while (!run.done)
    g_main_context_iteration (NULL, TRUE);
  return run.ok;
}

static void
test_pinned (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const LlmStoreModel *model;

  add_parts (f, "m:1", abc);
  g_assert_false (llm_store_find (f->store, "m:1")->pinned);
  g_assert_true (set_pinned (f, "m:1", TRUE, NULL));
  g_assert_true (set_pinned (f, "m:1", TRUE, NULL));
  fixture_reopen (f);
  model = llm_store_find (f->store, "m:1");
  g_assert_true (model->pinned && llm_store_model_is_whole (model));
  g_assert_cmpstr (model->source, ==, fixture_origin.source);
  g_assert_cmpstr (model->version, ==, fixture_origin.version);
  g_assert_cmpuint (model->uid, ==, fixture_origin.uid);
  add (f, "m:1", "newer"); /* the pin is the name's */
  g_assert_true (llm_store_find (f->store, "m:1")->pinned);
  g_assert_true (set_pinned (f, "m:1", FALSE, NULL));
  fixture_reopen (f);
  g_assert_false (llm_store_find (f->store, "m:1")->pinned);
  g_assert_false (set_pinned (f, "nobody:1", TRUE, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

/* Two at once: one of them is told that it came too late, and the disk says what the index says. */
static void
test_pinned_twice (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, other = NULL;
  Run run = { f, &error, FALSE, FALSE, 0, 0 }, late = { f, &other, FALSE, FALSE, 0, 0 };

  add (f, "m:1", "a");
  llm_store_set_pinned_async (f->store, "m:1", TRUE, on_pinned, &run);
  llm_store_set_pinned_async (f->store, "m:1", TRUE, on_pinned, &late);
  while (!run.done || !late.done)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (run.ok != late.ok);
  if (run.ok)
    g_assert_error (other, LLM_ERROR, LLM_ERROR_BUSY);
  else
    g_assert_error (error, LLM_ERROR, LLM_ERROR_BUSY);
  g_assert_true (llm_store_find (f->store, "m:1")->pinned);
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("verify-whole", test_whole);
  ADD ("verify-damaged", test_damaged);
  ADD ("verify-damaged-and-deleted", test_damaged_and_deleted);
  ADD ("verify-all-kinds", test_all_kinds);
  ADD ("verify-cancelled", test_cancelled);
  ADD ("verify-touched", test_touched);
  ADD ("verify-healed-meanwhile", test_healed_meanwhile);
  ADD ("pinned", test_pinned);
  ADD ("pinned-twice", test_pinned_twice);
  return g_test_run ();
}
