/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The faults happen where they were asked for, and nowhere else. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults/faults.h"

static char *folder;

static int
open_in_folder (const char *name, int flags)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return open (path, flags, 0600);
}

static void
test_nth (void)
{
  int fd = open_in_folder ("nth", O_RDWR | O_CREAT);

  llm_fault_arm ("write:2:enospc,fsync:1+:eio", folder);
  g_assert_cmpint (write (fd, "abcd", 4), ==, 4);
  g_assert_cmpint (write (fd, "abcd", 4), ==, -1);
  g_assert_cmpint (errno, ==, ENOSPC);
  g_assert_cmpint (write (fd, "abcd", 4), ==, 4);
  for (int i = 0; i < 3; i++)
    {
      g_assert_cmpint (fsync (fd), ==, -1);
      g_assert_cmpint (errno, ==, EIO);
    }
  g_assert_cmpuint (llm_fault_fired (), ==, 4);
  g_assert_cmpuint (llm_fault_seen (), ==, 6);
  llm_fault_arm ("write:1:short", folder);
  g_assert_cmpint (write (fd, "abcd", 4), ==, 2);
  llm_fault_arm ("", NULL);
  g_assert_cmpint (lseek (fd, 0, SEEK_END), ==, 10);
  close (fd);
}

static void
test_elsewhere (void)
{
  int fd = open_in_folder ("elsewhere", O_RDWR | O_CREAT), pipes[2];

  g_assert_cmpint (pipe (pipes), ==, 0);
  llm_fault_arm ("any:1+:eio", "/no-such-folder/");
  g_assert_cmpint (write (fd, "a", 1), ==, 1);
  llm_fault_arm ("any:1+:eio", NULL);
  g_assert_cmpint (write (pipes[1], "a", 1), ==, 1);
  g_assert_cmpint (write (fd, "a", 1), ==, -1);
  llm_fault_arm ("", NULL);
  close (pipes[0]);
  close (pipes[1]);
  close (fd);
}

static void
test_names (void)
{
  g_autofree char *from = g_build_filename (folder, "from", NULL), *to = g_build_filename (folder, "to", NULL);
  int dir = open (folder, O_RDONLY | O_DIRECTORY), fd = open_in_folder ("from", O_WRONLY | O_CREAT);

  close (fd);
  llm_fault_arm ("rename:1:eio,link:1:eio,unlink:1:eacces,create:1:enospc,truncate:1:enospc", folder);
  g_assert_cmpint (renameat (dir, "from", dir, "to"), ==, -1);
  g_assert_cmpint (renameat (dir, "from", dir, "to"), ==, 0);
  g_assert_cmpint (link (to, from), ==, -1);
  g_assert_cmpint (link (to, from), ==, 0);
  g_assert_cmpint (unlinkat (dir, "to", 0), ==, -1);
  g_assert_cmpint (errno, ==, EACCES);
  g_assert_cmpint (g_unlink (to), ==, 0);
  g_assert_cmpint (open_in_folder ("to", O_WRONLY | O_CREAT), ==, -1);
  fd = open_in_folder ("to", O_WRONLY | O_CREAT);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (posix_fallocate (fd, 0, 100), ==, ENOSPC);
  g_assert_cmpint (posix_fallocate (fd, 0, 100), ==, 0);
  g_assert_cmpuint (llm_fault_fired (), ==, 5);
  llm_fault_arm ("", NULL);
  close (fd);
  close (dir);
}

static void
killed (const char *spec, gboolean done)
{
  g_autofree char *path = g_build_filename (folder, "killed", NULL);
  int status;
  pid_t pid;

  g_unlink (path);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      llm_fault_arm (spec, folder);
      open_in_folder ("killed", O_WRONLY | O_CREAT);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
  g_assert_cmpint (access (path, F_OK) == 0, ==, done);
}

static void
test_kill (void)
{
  killed ("create:1:kill", FALSE);
  killed ("any:1:kill-after", TRUE);
}

static void
test_environment (void)
{
  g_autofree char *log = g_build_filename (folder, "log", NULL), *file = g_build_filename (folder, "by-env", NULL), *text = NULL;
  char *argv[] = { (char *) "/proc/self/exe", (char *) "--create", file, NULL };
  g_auto (GStrv) env = g_get_environ ();
  int status = 0;

  env = g_environ_setenv (env, "LLM_FAULT", "create:1:eio", TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_PATH", "by-env", TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_LOG", log, TRUE);
  env = g_environ_setenv (env, "LLM_FAULT_PROGRAM", "exe", TRUE);
  g_assert_true (g_spawn_sync (NULL, argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint (WEXITSTATUS (status), ==, EIO);
  g_assert_true (g_file_get_contents (log, &text, NULL, NULL));
  g_assert_true (g_str_has_prefix (text, "create 1 eio /"));
  env = g_environ_setenv (env, "LLM_FAULT_PROGRAM", "another", TRUE);
  g_assert_true (g_spawn_sync (NULL, argv, env, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}

int
main (int argc, char **argv)
{
  int result;

  if (argc == 3 && strcmp (argv[1], "--create") == 0)
    return open (argv[2], O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
  folder = g_dir_make_tmp ("llm-faults-XXXXXX", NULL);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/faults/nth", test_nth);
  g_test_add_func ("/faults/elsewhere", test_elsewhere);
  g_test_add_func ("/faults/names", test_names);
  g_test_add_func ("/faults/kill", test_kill);
  g_test_add_func ("/faults/environment", test_environment);
  result = g_test_run ();
  for (const char *const *name = (const char *const[]){ "nth", "elsewhere", "from", "to", "killed", "log", "by-env", NULL }; *name != NULL; name++)
    {
      g_autofree char *path = g_build_filename (folder, *name, NULL);

      g_unlink (path);
    }
  g_rmdir (folder);
  g_free (folder);
  return result;
}
