/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An alias is a name for a model and nothing by itself: what it stands for changes in one step, and goes with its model. */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/store-fixture.h"

typedef struct {
  Fixture *f;
  GError **error;
  gboolean ok, done;
} Run;

static void
on_named (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Run *run = user_data;

  run->ok = llm_store_set_alias_finish (run->f->store, result, run->error);
  run->done = TRUE;
}

static gboolean
set_alias (Fixture *f, const char *alias, const char *target, GError **error)
{
  Run run = { f, error, FALSE, FALSE };

  llm_store_set_alias_async (f->store, alias, target, on_named, &run);
  while (!run.done)
    g_main_context_iteration (NULL, TRUE);
  return run.ok;
}

static void
check_aliases (Fixture *f, const char *name, const char *expected)
{
  g_auto (GStrv) aliases = llm_store_aliases (f->store, name);
  g_autofree char *joined = g_strjoinv (" ", aliases);

  g_assert_cmpstr (joined, ==, expected);
}

static void
test_named (Fixture *f, gconstpointer data)
{
  add (f, "org/m:1", "one");
  add (f, "org/m:2", "two");
  g_assert_true (set_alias (f, "chat:latest", "org/m:1", NULL));
  g_assert_true (set_alias (f, "a:b", "org/m:1", NULL));
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (llm_store_find (f->store, "chat:latest") == llm_store_find (f->store, "org/m:1"));
      check_aliases (f, "org/m:1", "a:b chat:latest");
      g_assert_false (llm_store_has_model (f->store, "a:b"));
      fixture_reopen (f);
    }
  g_assert_true (set_alias (f, "chat:latest", "org/m:2", NULL)); /* moved */
  check_aliases (f, "org/m:1", "a:b");
  check_aliases (f, "org/m:2", "chat:latest");
  g_assert_true (llm_store_remove_alias (f->store, "a:b", NULL));
  g_assert_null (llm_store_find (f->store, "a:b"));
  g_assert_false (llm_store_remove_alias (f->store, "org/m:1", NULL));
  fixture_reopen (f);
  check_aliases (f, "org/m:1", "");
  g_assert_cmpuint (count_files (f, "models"), ==, 2); /* org, chat */
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, missing = NULL;

  add (f, "m:1", "one");
  add (f, "n:1", "two");
  g_assert_true (set_alias (f, "a:1", "m:1", NULL));
  g_assert_false (set_alias (f, "n:1", "m:1", &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_false (set_alias (f, "b:1", "nobody:1", &missing));
  g_assert_error (missing, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  g_assert_false (set_alias (f, "b:1", "a:1", NULL)); /* of a model, not of an alias */
  g_assert_cmpuint (count_files (f, "tmp"), ==, 0);
}

static void
test_with_its_model (Fixture *f, gconstpointer data)
{
  add (f, "m:1", "one");
  g_assert_true (set_alias (f, "a:1", "m:1", NULL));
  add (f, "m:1", "newer"); /* still its name */
  g_assert_cmpstr (llm_store_find (f->store, "a:1")->name, ==, "m:1");
  g_assert_true (llm_store_delete (f->store, "m:1", NULL));
  g_assert_null (llm_store_find (f->store, "a:1"));
  g_assert_cmpuint (count_files (f, "models"), ==, 0);
}

/* An import under an alias: a model of that name from then on. */
static void
test_taken_over (Fixture *f, gconstpointer data)
{
  add (f, "m:1", "one");
  g_assert_true (set_alias (f, "a:1", "m:1", NULL));
  add (f, "a:1", "two");
  for (guint i = 0; i < 2; i++)
    {
      g_assert_cmpstr (llm_store_find (f->store, "a:1")->name, ==, "a:1");
      check_aliases (f, "m:1", "");
      fixture_reopen (f);
    }
}

/* Left by a crash, or by somebody's editor. */
static void
test_dangling (Fixture *f, gconstpointer data)
{
  g_autofree char *folder = g_build_filename (f->folder, "models", "a", NULL), *path = g_build_filename (folder, "1.json", NULL);
  static const char *const bad[] = { "7", "\"\"", "\"../x\"", "null", "\"a:b:c\"" };

  g_mkdir_with_parents (folder, 0755);
  g_assert_true (g_file_set_contents (path, "{\"format\": \"local-llm-manifest/1\", \"alias\": \"gone:1\"}", -1, NULL));
  fixture_reopen (f);
  g_assert_null (llm_store_find (f->store, "a:1"));
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"format\": \"local-llm-manifest/1\", \"alias\": %s}", bad[i]);

      g_mkdir_with_parents (folder, 0755);
      g_assert_true (g_file_set_contents (path, text, -1, NULL));
      g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "left out: *");
      fixture_reopen (f);
      g_test_assert_expected_messages ();
      g_assert_null (llm_store_find (f->store, "a:1"));
    }
}

static void
test_most (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  add (f, "m:1", "one");
  for (guint i = 0; i < LLM_STORE_MAX_ALIASES; i++)
    {
      g_autofree char *alias = g_strdup_printf ("a:%u", i);

      g_assert_true (set_alias (f, alias, "m:1", NULL));
    }
  g_assert_false (set_alias (f, "over:1", "m:1", &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED);
  g_assert_true (set_alias (f, "a:0", "m:1", NULL));
}

int
main (int argc, char **argv)
{
  if (g_file_test ("/dev/shm", G_FILE_TEST_IS_DIR))
    g_setenv ("TMPDIR", "/dev/shm", FALSE); /* where fsync takes no time */
  g_test_init (&argc, &argv, NULL);
  ADD ("alias-named", test_named);
  ADD ("alias-refused", test_refused);
  ADD ("alias-with-its-model", test_with_its_model);
  ADD ("alias-taken-over", test_taken_over);
  ADD ("alias-dangling", test_dangling);
  ADD ("alias-most", test_most);
  return g_test_run ();
}
