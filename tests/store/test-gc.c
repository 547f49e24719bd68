/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collections on real folders: killed and refused by the disk at every step, and racing imports, leases, deletions and an engine
 * that writes.  What is held is never removed; what was begun is ended by the next one.
 *
 * LLM_TEST_LONG=1: every error at every step, and 1,000 rounds of races instead of 60.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/gc-files.h"
#include "store/gc.h"
#include "store/store-fixture.h"

#define CURRENT "v2.0-cc"
#define DAY (24 * 3600)

static const char *self_path;
static gboolean is_long;

/* ---- folders ---- */

static char *
cache_of (const char *folder)
{
  return g_build_filename (folder, "cache", NULL);
}

/* @path: below the cache. Of @age seconds. */
static void
put (const char *folder, const char *path, gint64 age)
{
  g_autofree char *full = g_build_filename (folder, "cache", path, NULL), *parent = g_path_get_dirname (full);
  g_autofree char *text = g_strnfill (5000, 'x');
  struct timespec at[2] = { { g_get_real_time () / G_USEC_PER_SEC - age, 0 }, { g_get_real_time () / G_USEC_PER_SEC - age, 0 } };

  g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
  g_assert_true (g_file_set_contents (full, text, -1, NULL));
  g_assert_cmpint (utimensat (AT_FDCWD, full, at, 0), ==, 0);
}

static gboolean
is_there (const char *folder, const char *path)
{
  g_autofree char *full = g_build_filename (folder, "cache", path, NULL);

  return g_file_test (full, G_FILE_TEST_EXISTS);
}

/* ---- one collection ---- */

static void
keep (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static LlmGcRequest
request_for (const char *cache_dir)
{
  return (LlmGcRequest) { .cache_dir = cache_dir, .current = CURRENT, .limits = { 0, 90 * DAY, 1, 0, -1 } };
}

static LlmGcReport *
collect (LlmStore *store, const char *folder, gboolean dry_run)
{
  g_autofree char *cache_dir = cache_of (folder);
  LlmGcRequest request = request_for (cache_dir);
  g_autoptr (GAsyncResult) answer = NULL;

  request.dry_run = dry_run;
  llm_store_collect_async (store, &request, NULL, keep, &answer);
  while (answer == NULL)
    g_main_context_iteration (NULL, TRUE);
  return llm_store_collect_finish (store, answer);
}

static const char *const stale[] = { "v1.0-aa/cpu/kind-1", "v1.0-aa/cpu/kind-2", "v1.0-aa/mesa/a/b", "v1.9-aa/any/kind-3", CURRENT "/cpu/kind-old" };
static const char *const fresh[] = { CURRENT "/cpu/kind-1", CURRENT "/mesa/a/b", "v2.1-dd/cpu/kind-1" };

static void
fill_cache (const char *folder)
{
  for (gsize i = 0; i < G_N_ELEMENTS (stale); i++)
    put (folder, stale[i], 100 * DAY);
  for (gsize i = 0; i < G_N_ELEMENTS (fresh); i++)
    put (folder, fresh[i], DAY);
}

/* Nobody has named it. */
static void
put_blob (const char *folder, const char *digit)
{
  g_autofree char *hex = g_strnfill (64, digit[0]), *name = g_strconcat ("sha256-", hex, NULL), *full = g_build_filename (folder, "blobs", name, NULL);

  g_assert_true (g_file_set_contents (full, "nobody's", -1, NULL));
}

static void
prepare (Fixture *f)
{
  const char *const parts[] = { "one", "two", NULL };

  add (f, "keep:1", "kept");
  add_parts (f, "parts:1", parts);
  fill_cache (f->folder);
  put_blob (f->folder, "a");
  put_blob (f->folder, "b");
}

/* Whatever happened: what is held is there. */
static void
check_held (const char *folder, LlmStore *store)
{
  g_autoptr (GPtrArray) models = llm_store_list (store);

  g_assert_cmpuint (models->len, ==, 2);
  for (guint i = 0; i < models->len; i++)
    g_assert_true (llm_store_model_is_whole (models->pdata[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (fresh); i++)
    g_assert_true (is_there (folder, fresh[i]));
}

static void
check_clean (const char *folder, LlmStore *store)
{
  g_autofree char *blobs = g_build_filename (folder, "blobs", NULL);
  g_autoptr (LlmGcReport) again = NULL;
  g_autoptr (GDir) dir = NULL;
  guint n = 0;

  check_held (folder, store);
  for (gsize i = 0; i < G_N_ELEMENTS (stale); i++)
    g_assert_false (is_there (folder, stale[i]));
  g_assert_false (is_there (folder, "v1.0-aa"));
  g_assert_false (is_there (folder, "v1.9-aa"));
  dir = g_dir_open (blobs, 0, NULL);
  while (g_dir_read_name (dir) != NULL)
    n++;
  g_assert_cmpuint (n, ==, 3);
  again = collect (store, folder, FALSE);
  g_assert_cmpuint (again->done->len, ==, 0);
  g_assert_cmpuint (again->bytes, ==, 0);
}

static void
remove_cache (const char *folder)
{
  g_autofree char *command = g_strdup_printf ("rm -rf %s/cache", folder);

  g_assert_cmpint (system (command), ==, 0);
}

/* ---- by and large ---- */

static void
test_collect (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmGcReport) dry = NULL, wet = NULL;

  prepare (f);
  dry = collect (f->store, f->folder, TRUE);
  g_assert_cmpuint (dry->done->len, ==, G_N_ELEMENTS (stale) + 2);
  for (gsize i = 0; i < G_N_ELEMENTS (stale); i++)
    g_assert_true (is_there (f->folder, stale[i]));
  wet = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (wet->done->len, ==, dry->done->len);
  g_assert_cmpuint (wet->bytes, ==, dry->bytes);
  g_assert_cmpuint (wet->n_kept, ==, 0);
  check_clean (f->folder, f->store);
  remove_cache (f->folder);
}

/* There is no cache, or it is a file: nothing to do, no error. */
static void
test_no_cache (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmGcReport) none = collect (f->store, f->folder, FALSE), file = NULL;
  g_autofree char *path = cache_of (f->folder);

  g_assert_cmpuint (none->n_entries, ==, 0);
  g_assert_true (g_file_set_contents (path, "x", -1, NULL));
  file = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (file->n_entries, ==, 0);
  g_unlink (path);
}

static void
test_held (Fixture *f, gconstpointer data)
{
  LlmStoreLease *lease;
  g_autoptr (LlmGcReport) first = NULL, second = NULL;
  g_autofree char *manifest = g_build_filename (f->folder, "models", "m", "1.json", NULL), *cache = cache_of (f->folder);
  g_autofree char *tmp = g_build_filename (cache, CURRENT, "tmp-1-1", NULL);
  int fd;

  add (f, "m:1", "leased");
  lease = llm_store_lease (f->store, llm_store_find (f->store, "m:1"));
  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  put (f->folder, CURRENT "/tmp-1-1", 10 * DAY);
  fd = open (tmp, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), ==, 0);
  first = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (first->done->len, ==, 0);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
  g_assert_true (is_there (f->folder, CURRENT "/tmp-1-1"));
  close (fd);
  llm_store_lease_free (lease);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 0); /* the store's own doing */
  second = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (second->done->len, ==, 1);
  g_assert_false (is_there (f->folder, CURRENT "/tmp-1-1"));
  remove_cache (f->folder);
}

/* A damaged manifest may name any blob. */
static void
test_damaged (Fixture *f, gconstpointer data)
{
  g_autofree char *manifest = g_build_filename (f->folder, "models", "m", "1.json", NULL), *text = NULL;
  g_autoptr (LlmGcReport) report = NULL;
  gsize n;

  add (f, "m:1", "named");
  g_assert_true (g_file_get_contents (manifest, &text, &n, NULL));
  g_assert_true (g_file_set_contents (manifest, text, (gssize) n / 2, NULL));
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*left out*");
  fixture_reopen (f);
  g_test_assert_expected_messages ();
  report = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (report->done->len, ==, 0);
  g_assert_cmpuint (count_files (f, "blobs"), ==, 1);
}

static void
free_some (gpointer entry)
{
  if (entry != NULL)
    llm_gc_entry_free (entry);
}

/* One file more than are looked at at once, and one folder deeper. */
static void
test_limits (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (free_some);
  g_autoptr (LlmGcReport) report = NULL;
  g_autofree char *cache = cache_of (f->folder);

  put (f->folder, "v1.0-aa/1/2/3/4/5/6/7/kind-at", 5); /* the eighth folder is the engine's own */
  put (f->folder, "v1.0-aa/1/2/3/4/5/6/7/8/kind-over", 5);
  put (f->folder, "v1.0-aa/cpu/kind", 5);
  llm_gc_scan (cache, g_get_real_time () / G_USEC_PER_SEC, 0, NULL, entries);
  g_assert_cmpuint (entries->len, ==, 2);
  g_ptr_array_set_size (entries, 0);
  g_ptr_array_set_size (entries, LLM_GC_MAX_ENTRIES - 1);
  llm_gc_scan (cache, g_get_real_time () / G_USEC_PER_SEC, 0, NULL, entries);
  g_assert_cmpuint (entries->len, ==, LLM_GC_MAX_ENTRIES);
  report = collect (f->store, f->folder, FALSE);
  g_assert_cmpuint (report->done->len, ==, 2);
  g_assert_true (is_there (f->folder, "v1.0-aa/1/2/3/4/5/6/7/8/kind-over"));
  remove_cache (f->folder);
}

/* What was put in the place of a file between looking and unlinking stays. */
static void
test_replaced (Fixture *f, gconstpointer data)
{
  g_autofree char *cache = cache_of (f->folder);
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_gc_entry_free);

  put (f->folder, "v1.0-aa/cpu/kind-1", 5);
  llm_gc_scan (cache, g_get_real_time () / G_USEC_PER_SEC, 0, NULL, entries);
  g_assert_cmpuint (entries->len, ==, 1);
  put (f->folder, "v1.0-aa/cpu/kind-1", 4);
  g_assert_false (llm_gc_unlink (cache, entries->pdata[0]));
  g_assert_true (is_there (f->folder, "v1.0-aa/cpu/kind-1"));
  llm_gc_prune (cache, CURRENT);
  g_assert_true (is_there (f->folder, "v1.0-aa/cpu/kind-1"));
  remove_cache (f->folder);
}

/* ---- killed, and refused ---- */

static int
child (const char *folder)
{
  g_autoptr (LlmStore) store = llm_store_open (folder, "in a child", NULL);
  g_autoptr (LlmGcReport) report = store != NULL ? collect (store, folder, FALSE) : NULL;

  return 0;
}

/* How it ended; *@fired: whether the fault happened. */
static int
run_child (const char *folder, const char *fault, gboolean *fired)
{
  g_autofree char *log = g_build_filename (g_get_tmp_dir (), "llm-gc-faults-XXXXXX", NULL), *text = NULL;
  const char *const argv[] = { self_path, "--child", folder, NULL };
  g_auto (GStrv) env = g_get_environ ();
  g_autoptr (GError) error = NULL;
  int status, fd = g_mkstemp (log);
  gsize n = 0;

  close (fd);
  env = g_environ_setenv (env, "LLM_FAULT", fault, TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_PATH", folder, TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_LOG", log, TRUE);
  g_spawn_sync (NULL, (char **) argv, env, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (log, &text, &n, NULL));
  *fired = n > 0;
  g_unlink (log);
  return status;
}

static void
try_faults (Fixture *f, const char *op, const char *action, gboolean kills)
{
  gboolean fired = TRUE;
  guint n = 0;

  g_clear_pointer (&f->store, llm_store_free);
  while (fired)
    {
      g_autofree char *fault = g_strdup_printf ("%s:%u:%s", op, ++n, action);
      g_autoptr (LlmGcReport) report = NULL;
      int status;

      fill_cache (f->folder);
      put_blob (f->folder, "a");
      put_blob (f->folder, "b");
      status = run_child (f->folder, fault, &fired);
      if (kills && fired)
        g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
      else
        g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
      f->store = llm_store_open (f->folder, "in a test", NULL);
      check_held (f->folder, f->store);
      report = collect (f->store, f->folder, FALSE);
      check_clean (f->folder, f->store);
      g_clear_pointer (&f->store, llm_store_free);
    }
  g_test_message ("%s %s: %u places", op, action, n - 1);
  g_assert_cmpuint (n, >, 3);
  f->store = llm_store_open (f->folder, "in a test", NULL);
}

static void
test_killed (Fixture *f, gconstpointer data)
{
  prepare (f);
  if (is_long) /* "any" has them too */
    try_faults (f, "unlink", "kill", TRUE);
  try_faults (f, "unlink", "kill-after", TRUE);
  try_faults (f, "any", "kill", TRUE);
  remove_cache (f->folder);
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  static const char *const actions[] = { "eio", "eacces", "erofs" };

  prepare (f);
  for (gsize i = 0; i < (is_long ? G_N_ELEMENTS (actions) : 1); i++)
    try_faults (f, "unlink", actions[i], FALSE);
  remove_cache (f->folder);
}

/* ---- races ---- */

#define N_NAMES 6
#define N_TEXTS 4

typedef struct {
  Fixture *f;
  GRand *random;
  GPtrArray *leases;  /* LlmStoreLease */
  GPtrArray *leased;  /* LlmStoreModel (owned) of them */
  guint n_running, n_collections, n_collected;
  gint stop;          /* atomic: of the engine */
  guint n_written, n_read;
} Race;

/* As src/cache does it: whole under its name, or not there. */
static gpointer
engine_thread (gpointer data)
{
  Race *race = data;
  g_autofree char *cache = cache_of (race->f->folder), *folder = g_build_filename (cache, CURRENT, "cpu", NULL), *scratch = g_build_filename (cache, "scratch", NULL);
  g_autofree char *text = g_strnfill (20000, 'e');

  while (!g_atomic_int_get (&race->stop))
    {
      g_autofree char *path = g_strdup_printf ("%s/kind-%u", folder, race->n_written % 16), *read = NULL;
      gsize n;

      g_mkdir_with_parents (folder, 0755);
      if (g_file_set_contents_full (scratch, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL) && rename (scratch, path) == 0)
        race->n_written++;
      if (g_file_get_contents (path, &read, &n, NULL))
        {
          race->n_read++;
          g_assert_cmpuint (n, ==, strlen (text));
        }
    }
  return NULL;
}

static void
check_race (Race *race)
{
  g_autoptr (GPtrArray) models = llm_store_list (race->f->store);

  for (guint i = 0; i < models->len; i++)
    g_assert_true (llm_store_model_is_whole (models->pdata[i]));
  for (guint i = 0; i < race->leased->len; i++)
    g_assert_true (llm_store_model_is_whole (race->leased->pdata[i]));
}

static void
on_race_collected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *race = user_data;
  g_autoptr (LlmGcReport) report = llm_store_collect_finish (race->f->store, result);

  race->n_running--;
  race->n_collections++;
  race->n_collected += report->done->len;
  check_race (race);
}

static void
start_collection (Race *race)
{
  g_autofree char *cache_dir = cache_of (race->f->folder);
  LlmGcRequest request = request_for (cache_dir);

  request.limits.artifact_bytes = 100000; /* the engine's 16 files are more */
  race->n_running++;
  llm_store_collect_async (race->f->store, &request, NULL, on_race_collected, race);
}

static char *
some_name (Race *race)
{
  return g_strdup_printf ("n%d:1", g_rand_int_range (race->random, 0, N_NAMES));
}

static void
on_race_committed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *race = user_data;
  g_autoptr (GError) error = NULL;
  LlmStoreModel *model = llm_store_commit_finish (race->f->store, result, &error);

  race->n_running--;
  g_assert_no_error (error); /* nobody has taken its blobs away meanwhile */
  g_assert_true (llm_store_model_is_whole (model));
}

static void
on_race_ingested (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Race *race = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) blobs = llm_store_ingest_finish (race->f->store, result, &error);
  g_autoptr (GVariant) info = g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  g_autofree char *name = some_name (race);

  g_assert_no_error (error);
  if (g_rand_int_range (race->random, 0, 4) == 0)
    {
      llm_store_discard (race->f->store, blobs);
      race->n_running--;
      return;
    }
  llm_store_commit_async (race->f->store, name, blobs, info, &fixture_origin, NULL, on_race_committed, race);
}

static void
start_import (Race *race)
{
  g_autofree char *one = g_strdup_printf ("text %d", g_rand_int_range (race->random, 0, N_TEXTS)), *two = g_strdup_printf ("text %d", g_rand_int_range (race->random, 0, N_TEXTS));
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  int a = file_with (one), b = file_with (two);

  g_unix_fd_list_append (fds, a, NULL);
  if (strcmp (one, two) != 0)
    g_unix_fd_list_append (fds, b, NULL);
  close (a);
  close (b);
  race->n_running++;
  llm_store_ingest_async (race->f->store, fds, FALSE, NULL, NULL, NULL, on_race_ingested, race);
}

static void
lease_some (Race *race)
{
  g_autofree char *name = some_name (race);
  LlmStoreModel *model = llm_store_find (race->f->store, name);

  if (model == NULL || race->leases->len > 8)
    return;
  g_ptr_array_add (race->leases, llm_store_lease (race->f->store, model));
  g_ptr_array_add (race->leased, llm_store_model_ref (model));
}

static void
end_lease (Race *race, guint i)
{
  llm_store_lease_free (g_ptr_array_remove_index_fast (race->leases, i));
  g_ptr_array_remove_index_fast (race->leased, i);
}

static void
do_something (Race *race)
{
  g_autofree char *name = some_name (race);

  switch (g_rand_int_range (race->random, 0, 6))
    {
    case 0:
    case 1:
      start_import (race);
      break;
    case 2:
      llm_store_delete (race->f->store, name, NULL);
      break;
    case 3:
      lease_some (race);
      break;
    case 4:
      if (race->leases->len > 0)
        end_lease (race, (guint) g_rand_int_range (race->random, 0, (int) race->leases->len));
      break;
    default:
      start_collection (race);
    }
}

static void
test_race (Fixture *f, gconstpointer data)
{
  guint rounds = is_long ? 1000 : 60;
  Race race = { .f = f, .random = g_rand_new_with_seed (g_test_rand_int ()), .leases = g_ptr_array_new (),
                .leased = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_model_unref) };
  GThread *engine = g_thread_new ("engine", engine_thread, &race);
  g_autoptr (LlmGcReport) last = NULL;

  for (guint i = 0; i < rounds; i++)
    {
      for (guint k = 0; k < 12; k++)
        do_something (&race);
      start_collection (&race);
      put_blob (f->folder, "c");
      while (race.n_running > 4)
        g_main_context_iteration (NULL, TRUE);
      check_race (&race);
    }
  while (race.n_running > 0)
    g_main_context_iteration (NULL, TRUE);
  g_atomic_int_set (&race.stop, 1);
  g_thread_join (engine);
  while (race.leases->len > 0)
    end_lease (&race, 0);
  last = collect (f->store, f->folder, FALSE);
  check_race (&race);
  g_test_message ("%u collections took %u files; %u written, %u read", race.n_collections, race.n_collected, race.n_written, race.n_read);
  g_assert_cmpuint (race.n_collected, >, 0);
  g_assert_cmpuint (race.n_read, >, 0);
  g_ptr_array_unref (race.leases);
  g_ptr_array_unref (race.leased);
  g_rand_free (race.random);
  remove_cache (f->folder);
}

int
main (int argc, char **argv)
{
  self_path = argv[0];
  is_long = g_getenv ("LLM_TEST_LONG") != NULL;
  if (argc == 3 && strcmp (argv[1], "--child") == 0)
    return child (argv[2]);
  g_test_init (&argc, &argv, NULL);
  ADD ("gc/collect", test_collect);
  ADD ("gc/no-cache", test_no_cache);
  ADD ("gc/held", test_held);
  ADD ("gc/damaged", test_damaged);
  ADD ("gc/limits", test_limits);
  ADD ("gc/replaced", test_replaced);
  ADD ("gc/killed", test_killed);
  ADD ("gc/refused", test_refused);
  ADD ("gc/race", test_race);
  return g_test_run ();
}
