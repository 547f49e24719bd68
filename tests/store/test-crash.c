/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store survives: SIGKILL at every operation that changes the disk, a full disk and a failing one at
 * each of them, and kills at random times.  Every try is a process of its own (this program, with
 * LLM_FAULT in its environment: tests/faults/faults.h) on a copy of one store; afterwards every blob is
 * what its name says, every model is the old or the new one, and after the next start nothing is left over.
 *
 * LLM_TEST_LONG=1: all errors in all scenarios, and 500 random kills instead of 20.
 */
#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/store-fixture.h"

static const char *self_path;
static gboolean is_long;

/* ---- in the child ---- */

static const char *const old_parts[] = { "old one", "shared", NULL };
static char *large; /* takes more than one write */

/* What the disk may say, and nothing else. */
static void
check_error (const GError *error)
{
  if (!g_error_matches (error, LLM_ERROR, LLM_ERROR_DISK_FULL) && !g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_IO_ERROR)
      && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_error ("not an error of a disk: %s", error->message);
}

static gboolean
import (Fixture *f, const char *name, const char *const *texts)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) blobs = NULL;
  int fds[4];
  guint n = 0;

  for (; texts[n] != NULL; n++)
    fds[n] = file_with (texts[n]);
  blobs = ingest_files (f, fds, n, NULL, NULL, NULL, &error);
  if (blobs != NULL && commit (f, name, blobs, NULL, &error) != NULL)
    return TRUE;
  check_error (error);
  return FALSE;
}

static void
do_import (Fixture *f)
{
  const char *const texts[] = { "new one", large, "shared", NULL };

  import (f, "org/fresh:1", texts);
}

static void
do_replace (Fixture *f)
{
  const char *const texts[] = { "newer", "shared", NULL };

  import (f, "m:1", texts);
}

/* The same bytes again: they take the place of those that are there. */
static void
do_heal (Fixture *f)
{
  import (f, "again:1", old_parts);
}

static void
do_delete (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  if (llm_store_find (f->store, "m:1") != NULL && !llm_store_delete (f->store, "m:1", &error))
    check_error (error);
}

static void
do_delete_leased (Fixture *f)
{
  LlmStoreModel *model = llm_store_find (f->store, "m:1");
  LlmStoreLease *lease;

  if (model == NULL)
    return;
  lease = llm_store_lease (f->store, model);
  do_delete (f);
  do_replace (f);
  llm_store_lease_free (lease);
}

static void
do_discard (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  int fds[] = { file_with ("given up"), file_with ("shared") };
  g_autoptr (GPtrArray) blobs = ingest_files (f, fds, 2, NULL, NULL, NULL, &error);

  if (blobs != NULL)
    llm_store_discard (f->store, blobs);
  else
    check_error (error);
}

static gboolean waiting;

static void
on_pinned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *f = user_data;
  g_autoptr (GError) error = NULL;

  if (!llm_store_set_pinned_finish (f->store, result, &error) && !g_error_matches (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND))
    check_error (error);
  waiting = FALSE;
}

static void
do_pin (Fixture *f)
{
  waiting = TRUE;
  llm_store_set_pinned_async (f->store, "m:1", TRUE, on_pinned, f);
  while (waiting)
    g_main_context_iteration (NULL, TRUE);
}

static void
on_named (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *f = user_data;
  g_autoptr (GError) error = NULL;

  if (!llm_store_set_alias_finish (f->store, result, &error) && !g_error_matches (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND))
    check_error (error);
  waiting = FALSE;
}

/* Names m:1, and loses it again with that. */
static void
do_alias (Fixture *f)
{
  waiting = TRUE;
  llm_store_set_alias_async (f->store, "short:1", "m:1", on_named, f);
  while (waiting)
    g_main_context_iteration (NULL, TRUE);
  do_delete (f);
}

static const struct {
  const char *name;
  void (*run) (Fixture *f);
} scenarios[] = {
  { "import", do_import }, { "replace", do_replace },           { "heal", do_heal },
  { "delete", do_delete }, { "delete-leased", do_delete_leased }, { "discard", do_discard },
  { "pin", do_pin },       { "alias", do_alias },
};

static int
child (const char *scenario, const char *folder)
{
  g_autoptr (GError) error = NULL;
  Fixture f = { (char *) folder, NULL, NULL };

  f.store = llm_store_open (folder, "in a child", &error);
  if (f.store == NULL)
    {
      check_error (error);
      return 0;
    }
  for (guint i = 0; strcmp (scenario, "random") == 0; i++)
    scenarios[g_random_int_range (0, G_N_ELEMENTS (scenarios))].run (&f);
  for (guint i = 0; i < G_N_ELEMENTS (scenarios); i++)
    if (strcmp (scenarios[i].name, scenario) == 0)
      scenarios[i].run (&f);
  llm_store_free (f.store);
  return 0;
}

/* ---- what is on the disk ---- */

static GHashTable *seen; /* for nftw: paths below the folder */
static gsize prefix;

static int
note_path (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  if (strlen (path) > prefix && type == FTW_F)
    g_hash_table_add (seen, g_strdup (path + prefix));
  return 0;
}

static GHashTable *
files_below (const char *folder)
{
  seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  prefix = strlen (folder) + 1;
  nftw (folder, note_path, 16, FTW_PHYS);
  return seen;
}

static void
check_blobs (const char *folder)
{
  g_autofree char *blobs = g_build_filename (folder, "blobs", NULL);
  g_autoptr (GDir) dir = g_dir_open (blobs, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (blobs, name, NULL), *text = NULL, *sum = NULL;
      gsize n;

      g_assert_true (g_file_get_contents (path, &text, &n, NULL));
      sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, n);
      g_assert_cmpstr (name + strlen ("sha256-"), ==, sum);
    }
}

/* Every file is one that a model of @store needs, or `holder` when it is open. */
static gboolean
has_leftovers (const char *folder, LlmStore *store, gboolean say)
{
  g_autoptr (GHashTable) there = files_below (folder);
  g_autoptr (GPtrArray) models = llm_store_list (store);
  GHashTableIter iter;
  gpointer path;

  for (guint i = 0; i < models->len; i++)
    {
      const LlmStoreModel *model = models->pdata[i];
      g_auto (GStrv) halves = g_strsplit (model->name, ":", 2), aliases = llm_store_aliases (store, model->name);
      g_autofree char *manifest = g_strdup_printf ("models/%s/%s.json", halves[0], halves[1]);

      g_assert_true (llm_store_model_is_whole (model));
      g_hash_table_remove (there, manifest);
      if (g_strv_contains ((const char *const *) aliases, "short:1"))
        g_hash_table_remove (there, "models/short/1.json");
      for (guint k = 0; k < model->blobs->len; k++)
        g_hash_table_remove (there, blob_path (model, k) + prefix);
    }
  g_hash_table_remove (there, "holder");
  g_hash_table_iter_init (&iter, there);
  while (say && g_hash_table_iter_next (&iter, &path, NULL))
    g_test_message ("left over: %s", (char *) path);
  return g_hash_table_size (there) > 0;
}

/* Threads of the store may be about to unlink what they have taken away. */
static void
check_nothing_left (const char *folder, LlmStore *store)
{
  for (guint i = 0; i < 200 && has_leftovers (folder, store, FALSE); i++)
    g_usleep (10000);
  g_assert_false (has_leftovers (folder, store, TRUE));
}

static const char *
first_part (const LlmStoreModel *model)
{
  static char text[100];
  g_autoptr (GUnixFDList) fds = llm_store_model_open (model, NULL);

  memset (text, 0, sizeof text);
  g_assert_nonnull (fds);
  g_assert_cmpint (pread (g_unix_fd_list_peek_fds (fds, NULL)[0], text, sizeof text - 1, 0), >, 0);
  return text;
}

static void
check_store (const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmStore) store = llm_store_open (folder, "in a test", &error);
  g_autoptr (GVariant) statistics = NULL;
  const LlmStoreModel *model;
  guint damaged = 0;

  g_assert_no_error (error);
  statistics = llm_store_statistics (store);
  g_variant_lookup (statistics, "damaged-manifests", "u", &damaged);
  g_assert_cmpuint (damaged, ==, 0);
  check_blobs (folder);
  model = llm_store_find (store, "keep:1");
  g_assert_nonnull (model);
  g_assert_cmpstr (first_part (model), ==, "kept");
  model = llm_store_find (store, "m:1");
  g_assert_true (model == NULL || g_str_equal (first_part (model), "old one") || g_str_equal (first_part (model), "newer"));
  model = llm_store_find (store, "org/fresh:1");
  g_assert_true (model == NULL || g_str_equal (first_part (model), "new one"));
  check_nothing_left (folder, store);
}

/* ---- in the parent ---- */

static void
run (const char *const *argv)
{
  int status;

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
}

/* A copy of the fixture's store, which has keep:1 and m:1. */
static char *
copy_store (Fixture *f)
{
  char *folder = g_dir_make_tmp ("llm-crash-XXXXXX", NULL);
  g_autofree char *from = g_strconcat (f->folder, "/.", NULL);
  const char *const argv[] = { "cp", "-a", from, folder, NULL };

  run (argv);
  return folder;
}

static void
remove_store (char *folder)
{
  const char *const argv[] = { "rm", "-rf", folder, NULL };

  run (argv);
  g_free (folder);
}

static void
prepare (Fixture *f)
{
  add (f, "keep:1", "kept");
  add_parts (f, "m:1", old_parts);
  g_clear_pointer (&f->store, llm_store_free);
}

/* The wait status; its standard error is ours. */
static GPid
start_child (const char *scenario, const char *folder, const char *fault)
{
  const char *const argv[] = { self_path, "--child", scenario, folder, NULL };
  g_auto (GStrv) env = g_get_environ ();
  GPid pid;
  g_autoptr (GError) error = NULL;

  env = g_environ_setenv (env, "LLM_FAULT", fault, TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_PATH", folder, TRUE);
  env = g_environ_setenv (env, "G_MESSAGES_DEBUG", "", TRUE);
  g_spawn_async (NULL, (char **) argv, fault[0] != '\0' ? env : NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
  g_assert_no_error (error);
  return pid;
}

static int
wait_for (GPid pid)
{
  int status;

  while (waitpid (pid, &status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  return status;
}

static void
test_kills (Fixture *f, gconstpointer scenario)
{
  gboolean killed = TRUE;
  guint n;

  prepare (f);
  for (n = 1; killed; n++)
    {
      char *folder = copy_store (f);
      g_autofree char *fault = g_strdup_printf ("any:%u:kill", n);
      int status = wait_for (start_child (scenario, folder, fault));

      killed = WIFSIGNALED (status);
      g_assert_true (killed ? WTERMSIG (status) == SIGKILL : WEXITSTATUS (status) == 0);
      check_store (folder);
      remove_store (folder);
    }
  g_test_message ("%s: killed at each of %u operations", (const char *) scenario, n - 2);
  g_assert_cmpuint (n, >, 8);
}

/* What a service that goes on leaves behind: nothing, even before the next start, unless deleting is what fails. */
static void
check_left_at_once (const char *folder)
{
  g_autofree char *tmp = g_build_filename (folder, "tmp", NULL), *blobs = g_build_filename (folder, "blobs", NULL);
  g_autoptr (GHashTable) before = files_below (blobs), after = NULL, left = NULL;
  GHashTableIter iter;
  gpointer path;

  left = files_below (tmp);
  g_hash_table_iter_init (&iter, left);
  while (g_hash_table_iter_next (&iter, &path, NULL))
    g_test_message ("left at once: %s", (char *) path);
  g_assert_cmpuint (g_hash_table_size (left), ==, 0);
  check_store (folder);
  after = files_below (blobs);
  g_assert_cmpuint (g_hash_table_size (before), ==, g_hash_table_size (after));
}

static void
test_errors (Fixture *f, gconstpointer scenario)
{
  static const char *const ops[] = { "write", "create", "fsync", "truncate", "rename", "unlink" };
  static const char *const kinds[] = { "%s:%u:enospc", "%s:%u:eio", "%s:%u+:enospc", "%s:%u+:eio", "%s:%u:short" };

  prepare (f);
  for (guint op = 0; op < G_N_ELEMENTS (ops); op++)
    for (guint kind = 0; kind < (is_long ? G_N_ELEMENTS (kinds) : 2u); kind++)
      for (guint n = 1;; n++)
        {
          char *folder = copy_store (f);
          g_autofree char *fault = g_strdup_printf (kinds[kind], ops[op], n), *log = g_strconcat (folder, "-log", NULL);
          struct stat st;
          gboolean fired;
          int status;

          g_setenv ("LLM_FAULT_LOG", log, TRUE);
          status = wait_for (start_child (scenario, folder, fault));
          g_unsetenv ("LLM_FAULT_LOG");
          fired = stat (log, &st) == 0 && st.st_size > 0;
          g_unlink (log);
          g_test_message ("%s: status %d", fault, status);
          g_assert_cmpint (status, ==, 0);
          if (strcmp (ops[op], "unlink") != 0 && strcmp (ops[op], "rename") != 0)
            check_left_at_once (folder);
          check_store (folder);
          remove_store (folder);
          if (!fired)
            break;
        }
}

static void
test_random (Fixture *f, gconstpointer data)
{
  char *folder;

  prepare (f);
  folder = copy_store (f);
  for (guint i = 0; i < (is_long ? 500u : 20u); i++)
    {
      GPid pid = start_child ("random", folder, "");
      int status;

      g_usleep ((gulong) g_test_rand_int_range (0, 60000));
      kill (pid, SIGKILL);
      status = wait_for (pid);
      g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
      check_store (folder);
    }
  remove_store (folder);
}

int
main (int argc, char **argv)
{
  if (g_file_test ("/dev/shm", G_FILE_TEST_IS_DIR))
    g_setenv ("TMPDIR", "/dev/shm", FALSE); /* where fsync takes no time */
  large = g_strnfill (LLM_MIB + 1, 'l');
  if (argc == 4 && strcmp (argv[1], "--child") == 0)
    return child (argv[2], argv[3]);
  self_path = argv[0];
  is_long = g_getenv ("LLM_TEST_LONG") != NULL;
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (scenarios); i++)
    {
      g_autofree char *kills = g_strdup_printf ("/store/crash/kill/%s", scenarios[i].name), *errors = g_strdup_printf ("/store/crash/errors/%s", scenarios[i].name);

      g_test_add (kills, Fixture, scenarios[i].name, fixture_set_up, test_kills, fixture_tear_down);
      if (is_long || i < 2)
        g_test_add (errors, Fixture, scenarios[i].name, fixture_set_up, test_errors, fixture_tear_down);
    }
  g_test_add ("/store/crash/random", Fixture, NULL, fixture_set_up, test_random, fixture_tear_down);
  return g_test_run ();
}
