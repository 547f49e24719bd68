/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that fail and kill -9, at every operation of writing an artifact: it is right for whoever asked, and nothing is left over. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/cache-fixture.h"
#include "faults/faults.h"

static Making making = { .text = "0123456789", .size = 100000 };

static void
assert_tidy (CacheFixture *f)
{
  g_autoptr (GPtrArray) files = cache_fixture_files (f);

  g_assert_cmpuint (files->len, <=, 1);
  if (files->len == 1)
    g_assert_true (g_str_has_prefix (files->pdata[0], DEVICE "/test-kind-"));
}

/* Every fault in its turn, until there are fewer operations than that. */
static void
test_errors (CacheFixture *f, gconstpointer data)
{
  static const char *const errors[] = { "enospc", "eio", "edquot", "erofs", "eacces", "short", "eintr" };

  for (guint e = 0; e < G_N_ELEMENTS (errors); e++)
    for (guint n = 1;; n++)
      {
        g_autofree char *fault = g_strdup_printf ("any:%u:%s", n, errors[e]), *path = NULL;
        guint fired;

        cache_fixture_tear_down (f, NULL);
        cache_fixture_set_up (f, NULL);
        llm_fault_arm (fault, f->root);
        cache_fixture_get (f, "m", &making);
        cache_fixture_get (f, "m", &making);
        fired = llm_fault_fired ();
        llm_fault_arm ("", NULL);
        if (fired == 0)
          break;
        g_assert_cmpuint (cache_fixture_count (f->cache, "stored") + cache_fixture_count (f->cache, "store-failures"), ==, 1);
        assert_tidy (f);
        cache_fixture_restart (f, ENGINE);
        cache_fixture_get (f, "m", &making);
        g_assert_cmpuint (cache_fixture_count (f->cache, "misses-damaged"), ==, 0);
        assert_tidy (f);
      }
}

/* A disk that is full or read-only from some operation on: works all the same, and is whole once there is room. */
static void
test_lasting_errors (CacheFixture *f, gconstpointer data)
{
  for (guint n = 1; n < 12; n++)
    {
      g_autofree char *fault = g_strdup_printf ("write:%u+:enospc,create:%u+:enospc,fsync:%u+:eio,rename:%u+:erofs", n, n, n, n);

      cache_fixture_tear_down (f, NULL);
      cache_fixture_set_up (f, NULL);
      llm_fault_arm (fault, f->root);
      cache_fixture_get (f, "m", &making);
      cache_fixture_get (f, "n", &making);
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      llm_fault_arm ("", NULL);
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      g_assert_cmpuint (cache_fixture_count (f->cache, "hits-file"), ==, 1);
    }
}

/* FALSE: there are fewer operations than that. */
static gboolean
killed (CacheFixture *f, guint n, const char *action)
{
  g_autofree char *fault = g_strdup_printf ("any:%u:%s", n, action);
  int status;
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      llm_fault_arm (fault, f->root);
      cache_fixture_get (f, "m", &making);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status) ? WEXITSTATUS (status) == 0 : WTERMSIG (status) == SIGKILL);
  return WIFSIGNALED (status);
}

static void
test_kills (CacheFixture *f, gconstpointer data)
{
  static const char *const actions[] = { "kill", "kill-after" };
  guint n_killed = 0;

  for (guint a = 0; a < G_N_ELEMENTS (actions); a++)
    for (guint n = 1;; n++)
      {
        gint calls = making.calls;

        cache_fixture_tear_down (f, NULL);
        cache_fixture_set_up (f, NULL);
        if (!killed (f, n, actions[a]))
          break;
        n_killed++;
        cache_fixture_restart (f, ENGINE);
        assert_tidy (f);
        cache_fixture_get (f, "m", &making);
        g_assert_cmpuint (cache_fixture_count (f->cache, "misses-damaged"), ==, 0);
        g_assert_cmpint (making.calls, <=, calls + 1);
        cache_fixture_restart (f, ENGINE);
        cache_fixture_get (f, "m", &making);
        g_assert_cmpuint (cache_fixture_count (f->cache, "hits-file"), ==, 1);
        assert_tidy (f);
      }
  g_assert_cmpuint (n_killed, >=, 14); /* create, 2 writes, 3 fsyncs, mkdir, rename: before and after */
}

/* A file is being removed while somebody is killed: the other half of what the cache does to a folder. */
static void
test_kill_at_removal (CacheFixture *f, gconstpointer data)
{
  g_autofree char *path = cache_fixture_path (f, "m");

  for (guint a = 0; a < 2; a++)
    {
      cache_fixture_get (f, "m", &making);
      g_assert_true (g_file_set_contents (path, "damaged", -1, NULL));
      cache_fixture_restart (f, ENGINE);
      {
        g_autofree char *action = g_strdup (a == 0 ? "kill" : "kill-after");

        g_assert_true (killed (f, 1, action));
      }
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      assert_tidy (f);
    }
}

/* The temporary of a writer that lives is not taken away. */
static void
test_living_writer (CacheFixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) files = NULL;
  pid_t pid;
  int status, pipes[2];
  char byte;

  g_assert_cmpint (pipe (pipes), ==, 0);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      llm_fault_arm ("fsync:1:stop", f->root);
      close (pipes[0]);
      cache_fixture_get (f, "m", &making);
      _exit (0);
    }
  close (pipes[1]);
  g_assert_cmpint (waitpid (pid, &status, WUNTRACED), ==, pid);
  g_assert_true (WIFSTOPPED (status));
  cache_fixture_restart (f, ENGINE);
  files = cache_fixture_files (f);
  g_assert_cmpuint (files->len, ==, 1);
  g_assert_true (g_str_has_prefix (files->pdata[0], "tmp-"));
  kill (pid, SIGCONT);
  g_assert_cmpint (read (pipes[0], &byte, 1), ==, 0);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  close (pipes[0]);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-file"), ==, 1);
  assert_tidy (f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define WITH_FOLDER(name_, test_) g_test_add ("/cache/crash/" name_, CacheFixture, NULL, cache_fixture_set_up, test_, cache_fixture_tear_down)
  WITH_FOLDER ("errors", test_errors);
  WITH_FOLDER ("lasting-errors", test_lasting_errors);
  WITH_FOLDER ("kills", test_kills);
  WITH_FOLDER ("kill-at-removal", test_kill_at_removal);
  WITH_FOLDER ("living-writer", test_living_writer);
  return g_test_run ();
}
