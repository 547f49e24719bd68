/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process that has locked itself in can do and cannot. Each case runs in a child, which
 * enters the sandbox and tries one thing; the parent looks at how it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/confine.h"
#include "worker/sandbox.h"

static char *directory, *file, *elsewhere; /* of the parent, made before; the last one is a file in another folder */

/* What a child does: 0 or an errno. */
typedef int (*Act) (void);

typedef struct {
  const char *name;
  Act act;
  int error;       /* expected: 0, or errno */
  int signal;      /* or the signal that kills it */
  gboolean reopens_drivers, confined; /* confined: files may be written in `directory` */
} Case;

#define RESULT(call) ((call) < 0 ? errno : 0)

static int G_GNUC_UNUSED
open_with (const char *path, int flags)
{
  return RESULT (open (path, flags | O_CLOEXEC, 0600));
}

static int
act_read (void)
{
  char byte;
  int fd = open (file, O_RDONLY | O_CLOEXEC);

  return fd < 0 ? errno : RESULT (read (fd, &byte, 1));
}

#ifndef __SANITIZE_ADDRESS__ /* there is no filter then */
static int
act_open_write (void)
{
  return open_with (file, O_WRONLY);
}

static int
act_open_read_write (void)
{
  return open_with (file, O_RDWR);
}

static int
act_open_truncate (void)
{
  return open_with (file, O_RDONLY | O_TRUNC);
}

static int
act_open_append (void)
{
  return open_with (file, O_RDWR | O_APPEND);
}

static int
act_create (void)
{
  g_autofree char *path = g_build_filename (directory, "new", NULL);

  return open_with (path, O_RDONLY | O_CREAT);
}

static int
act_tmpfile (void)
{
  return open_with (directory, O_WRONLY | O_TMPFILE);
}

/* The older call, without openat's flags in reach of the filter's rule. */
static int
act_old_open (void)
{
#ifdef SYS_open
  return RESULT (syscall (SYS_open, file, O_WRONLY));
#else
  return EPERM; /* this architecture never had it */
#endif
}

static int
act_unlink (void)
{
  return RESULT (unlink (file));
}

static int
act_rename (void)
{
  return RESULT (rename (file, "/dev/null"));
}

static int
act_mkdir (void)
{
  g_autofree char *path = g_build_filename (directory, "new", NULL);

  return RESULT (mkdir (path, 0700));
}

static int
act_chmod (void)
{
  return RESULT (chmod (file, 0777));
}

static int
act_truncate (void)
{
  return RESULT (truncate (file, 0));
}

static int
act_socket_unix (void)
{
  return RESULT (socket (AF_UNIX, SOCK_STREAM, 0));
}

static int
act_socket_inet (void)
{
  return RESULT (socket (AF_INET, SOCK_STREAM, 0));
}

static int
act_socketpair (void)
{
  int pair[2];

  return RESULT (socketpair (AF_UNIX, SOCK_STREAM, 0, pair));
}

static int
act_exec (void)
{
  execl ("/bin/true", "true", NULL);
  return errno;
}

static int
act_ptrace (void)
{
  return RESULT (ptrace (PTRACE_ATTACH, getppid (), NULL, NULL));
}

static int
act_fork (void)
{
  pid_t child = fork ();

  if (child == 0)
    _exit (0);
  return RESULT (child);
}

static int
act_kill_parent (void)
{
  return RESULT (kill (getppid (), 0));
}

static int
act_tgkill_parent (void)
{
  return RESULT (syscall (SYS_tgkill, getppid (), getppid (), 0));
}

static int
act_limit_parent (void)
{
  struct rlimit limit;

  return RESULT (prlimit (getppid (), RLIMIT_NOFILE, NULL, &limit));
}

static int
act_io_uring (void)
{
  return RESULT (syscall (SYS_io_uring_setup, 1, NULL));
}

static int
act_bpf (void)
{
  return RESULT (syscall (SYS_bpf, 0, NULL, 0));
}

#endif

static void *
thread (void *data)
{
  *(gboolean *) data = TRUE;
  return NULL;
}

static int
act_thread (void)
{
  gboolean ran = FALSE;
  pthread_t id;
  int r = pthread_create (&id, NULL, thread, &ran);

  if (r != 0 || pthread_join (id, NULL) != 0)
    return r != 0 ? r : EINVAL;
  return ran ? 0 : EINVAL;
}

/* Drivers that compile (lavapipe) write code and run it. */
static int
act_code (void)
{
  void *page = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  return page == MAP_FAILED ? errno : RESULT (mprotect (page, 4096, PROT_READ | PROT_EXEC));
}

static int
act_memfd (void)
{
  int fd = memfd_create ("scratch", MFD_CLOEXEC);

  return fd < 0 ? errno : RESULT (ftruncate (fd, 4096));
}

static int
act_own_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_CORE, &limit) < 0)
    return errno;
  return limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : EINVAL;
}

static int
act_no_new_privs (void)
{
  return prctl (PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : EINVAL;
}

#ifndef __SANITIZE_ADDRESS__
static int
act_abort (void)
{
  abort ();
}

/* A thread that was there before is locked in too. */
static int before[2];

static void *
older_thread (void *data)
{
  char byte;

  *(int *) data = read (before[0], &byte, 1) == 1 && open (file, O_WRONLY | O_CLOEXEC) < 0 ? errno : 0;
  return NULL;
}
#endif

/* ---- with a folder to write in ---- */

/* All that an artifact goes through. */
static int
act_artifact (void)
{
  int folder = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

  fd = openat (folder, "tmp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 || write (fd, "x", 1) != 1 || flock (fd, LOCK_EX | LOCK_NB) < 0 || fsync (fd) < 0 || mkdirat (folder, "device", 0755) < 0
      || renameat (folder, "tmp", folder, "device/artifact") < 0 || fsync (folder) < 0 || unlinkat (folder, "device/artifact", 0) < 0
      || unlinkat (folder, "device", AT_REMOVEDIR) < 0)
    return errno;
  return 0;
}

static int
act_write_elsewhere (void)
{
  return RESULT (open (elsewhere, O_WRONLY | O_CLOEXEC));
}

static int
act_truncate_elsewhere (void)
{
  return RESULT (open (elsewhere, O_RDONLY | O_TRUNC | O_CLOEXEC));
}

static int
act_create_elsewhere (void)
{
  g_autofree char *path = g_strconcat (elsewhere, ".new", NULL);

  return RESULT (open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
act_unlink_elsewhere (void)
{
  return RESULT (unlink (elsewhere));
}

/* Neither out of the folder nor into it. */
static int
act_rename_out (void)
{
  g_autofree char *path = g_strconcat (elsewhere, ".new", NULL);
  int error = RESULT (rename (file, path));

  return error == EXDEV ? EACCES : error;
}

static int
act_rename_in (void)
{
  g_autofree char *path = g_build_filename (directory, "stolen", NULL);
  int error = RESULT (rename (elsewhere, path));

  return error == EXDEV ? EACCES : error;
}

static int
act_symlink (void)
{
  g_autofree char *path = g_build_filename (directory, "link", NULL);

  return RESULT (symlink (elsewhere, path)) != 0 ? EACCES : 0;
}

/* A thread of later is confined as well. */
static void *
writing_thread (void *data)
{
  *(int *) data = act_write_elsewhere ();
  return NULL;
}

static int
act_thread_elsewhere (void)
{
  pthread_t id;
  int error = 0;

  return pthread_create (&id, NULL, writing_thread, &error) != 0 || pthread_join (id, NULL) != 0 ? EINVAL : error;
}

static const Case confined[] = {
  { "confined/artifact", act_artifact, 0, 0, FALSE, TRUE }, { "confined/artifact-with-driver", act_artifact, 0, 0, TRUE, TRUE },
  { "confined/read", act_read, 0, 0, FALSE, TRUE }, { "confined/write-elsewhere", act_write_elsewhere, EACCES, 0, FALSE, TRUE },
  { "confined/write-elsewhere-with-driver", act_write_elsewhere, EACCES, 0, TRUE, TRUE },
  { "confined/truncate-elsewhere", act_truncate_elsewhere, EACCES, 0, FALSE, TRUE },
  { "confined/create-elsewhere", act_create_elsewhere, EACCES, 0, FALSE, TRUE },
  { "confined/unlink-elsewhere", act_unlink_elsewhere, EACCES, 0, FALSE, TRUE }, { "confined/rename-out", act_rename_out, EACCES, 0, FALSE, TRUE },
  { "confined/rename-in", act_rename_in, EACCES, 0, FALSE, TRUE }, { "confined/symlink", act_symlink, EACCES, 0, FALSE, TRUE },
  { "confined/thread", act_thread_elsewhere, EACCES, 0, FALSE, TRUE },
};

static const Case plain[] = {
  /* without a system-call filter, too */
  { "core-limit", act_own_limit }, { "no-new-privs", act_no_new_privs }, { "read", act_read }, { "thread", act_thread },
  { "code", act_code }, { "memfd", act_memfd },
};

#ifndef __SANITIZE_ADDRESS__
static const Case filtered[] = {
  { "abort", act_abort, 0, SIGABRT },
  { "open-write", act_open_write, EPERM }, { "open-read-write", act_open_read_write, EPERM }, { "open-truncate", act_open_truncate, EPERM },
  { "open-append", act_open_append, EPERM }, { "create", act_create, EPERM }, { "tmpfile", act_tmpfile, EPERM }, { "old-open", act_old_open, EPERM },
  { "driver/open-read-write", act_open_read_write, 0, 0, TRUE }, { "driver/open-write", act_open_write, EPERM, 0, TRUE },
  { "driver/open-append", act_open_append, EPERM, 0, TRUE }, { "driver/create", act_create, EPERM, 0, TRUE },
  { "unlink", act_unlink, EPERM }, { "rename", act_rename, EPERM }, { "mkdir", act_mkdir, EPERM }, { "chmod", act_chmod, EPERM },
  { "truncate", act_truncate, EPERM },
  { "socket/unix", act_socket_unix, EPERM }, { "socket/inet", act_socket_inet, EPERM }, { "socketpair", act_socketpair, EPERM },
  { "exec", act_exec, 0, SIGSYS }, { "ptrace", act_ptrace, 0, SIGSYS }, { "fork", act_fork, EPERM },
  { "kill", act_kill_parent, EPERM }, { "tgkill", act_tgkill_parent, EPERM }, { "prlimit", act_limit_parent, EPERM },
  { "io-uring", act_io_uring, EPERM }, { "bpf", act_bpf, EPERM },
};
#endif

static gboolean
can_confine (void)
{
  return syscall (SYS_landlock_create_ruleset, NULL, 0, 1 /* which version there is */) > 0;
}

static gboolean
enter (const Case *c)
{
  gboolean ok = TRUE;

  if (c->confined)
    {
      int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

      ok = llm_confine_writes (fd);
    }
  return ok && llm_sandbox_enter (c->reopens_drivers, c->confined, NULL);
}

static void
run_case (gconstpointer data)
{
  const Case *c = data;
  pid_t child;
  int status;

  if (c->confined && !can_confine ())
    {
      g_test_skip ("this kernel has no Landlock");
      return;
    }
  child = fork ();

  if (child == 0)
    _exit (enter (c) ? c->act () : 255);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  if (c->signal != 0)
    {
      g_assert_true (WIFSIGNALED (status));
      g_assert_cmpint (WTERMSIG (status), ==, c->signal);
      return;
    }
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), !=, 255); /* it could not lock itself in */
  g_assert_cmpint (WEXITSTATUS (status), ==, c->error);
}

#ifndef __SANITIZE_ADDRESS__
static void
test_older_thread (void)
{
  pid_t child = fork ();
  int status;

  if (child == 0)
    {
      pthread_t id;
      int error = 0;

      if (pipe (before) < 0 || pthread_create (&id, NULL, older_thread, &error) != 0 || !llm_sandbox_enter (FALSE, FALSE, NULL)
          || write (before[1], "x", 1) != 1 || pthread_join (id, NULL) != 0)
        _exit (255);
      _exit (error);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, EPERM);
}
#endif

static void
add_cases (const Case *cases, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      g_autofree char *path = g_strconcat ("/sandbox/", cases[i].name, NULL);

      g_test_add_data_func (path, &cases[i], run_case);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *other = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("llm-sandbox-XXXXXX", NULL);
  file = g_build_filename (directory, "file", NULL);
  g_file_set_contents (file, "text", -1, NULL);
  other = g_dir_make_tmp ("llm-sandbox-XXXXXX", NULL);
  elsewhere = g_build_filename (other, "file", NULL);
  g_file_set_contents (elsewhere, "text", -1, NULL);
  add_cases (plain, G_N_ELEMENTS (plain));
  add_cases (confined, G_N_ELEMENTS (confined));
#ifndef __SANITIZE_ADDRESS__
  add_cases (filtered, G_N_ELEMENTS (filtered));
  g_test_add_func ("/sandbox/older-thread", test_older_thread);
#endif
  status = g_test_run ();
  g_unlink (elsewhere);
  g_rmdir (other);
  g_free (elsewhere);
  g_unlink (file);
  g_rmdir (directory);
  g_free (file);
  g_free (directory);
  return status;
}
