/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The preload library of faults.h.  Every function counts its operation, asks what is to happen, and passes on to libc's.
 * It must work inside the engine's system-call filter: the log is opened at the start, and a process ends by tgkill.
 */
#include "faults/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))
#define MAX_FAULTS 16

typedef enum { OP_WRITE, OP_CREATE, OP_FSYNC, OP_RENAME, OP_LINK, OP_UNLINK, OP_TRUNCATE, OP_ANY, N_OPS } Op;
typedef enum { GO_ON, KILL, KILL_AFTER, STOP, SHORT, FAIL } Action;

static const char *const op_names[N_OPS] = { "write", "create", "fsync", "rename", "link", "unlink", "truncate", "any" };
static const struct {
  const char *name;
  Action action;
  int error;
} actions[] = {
  { "kill", KILL, 0 },       { "kill-after", KILL_AFTER, 0 }, { "stop", STOP, 0 },        { "short", SHORT, 0 },   { "enospc", FAIL, ENOSPC },
  { "eio", FAIL, EIO },        { "edquot", FAIL, EDQUOT }, { "erofs", FAIL, EROFS },        { "eacces", FAIL, EACCES }, { "eintr", FAIL, EINTR },
};

typedef struct {
  Op op;
  unsigned n;
  int onwards;
  unsigned action; /* of actions */
} Fault;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Fault faults[MAX_FAULTS];
static unsigned n_faults, seen[N_OPS], fired;
static int counting, log_fd = -1;
static char only_path[PATH_MAX];

/* ---- what was asked for ---- */

static void
refuse (const char *what)
{
  dprintf (2, "LLM_FAULT: \"%s\" is not OP:N:ACTION\n", what);
  abort ();
}

static void
parse_fault (const char *text)
{
  char op[16], number[16], action[16], *end;
  Fault fault = { .op = N_OPS };

  if (n_faults == MAX_FAULTS || sscanf (text, "%15[^:]:%15[^:]:%15[^,]", op, number, action) != 3)
    refuse (text);
  for (unsigned i = 0; i < N_OPS; i++)
    if (strcmp (op, op_names[i]) == 0)
      fault.op = i;
  fault.n = (unsigned) strtoul (number, &end, 10);
  fault.onwards = *end == '+';
  while (fault.action < sizeof actions / sizeof actions[0] && strcmp (actions[fault.action].name, action) != 0)
    fault.action++;
  if (fault.op == N_OPS || fault.n == 0 || fault.action == sizeof actions / sizeof actions[0])
    refuse (text);
  faults[n_faults++] = fault;
}

EXPORT void
llm_fault_arm (const char *spec, const char *path)
{
  n_faults = fired = 0;
  memset (seen, 0, sizeof seen);
  counting = strcmp (spec, "count") == 0;
  snprintf (only_path, sizeof only_path, "%s", path != NULL ? path : "");
  for (const char *at = counting ? "" : spec; *at != '\0'; at += strcspn (at, ","), at += *at == ',')
    parse_fault (at);
}

EXPORT unsigned
llm_fault_seen (void)
{
  return seen[OP_ANY];
}

EXPORT unsigned
llm_fault_fired (void)
{
  return fired;
}

__attribute__ ((constructor)) static void
read_environment (void)
{
  const char *spec = getenv ("LLM_FAULT"), *program = getenv ("LLM_FAULT_PROGRAM"), *log = getenv ("LLM_FAULT_LOG");

  if (spec == NULL || (program != NULL && strcmp (program, program_invocation_short_name) != 0))
    return;
  if (log != NULL)
    log_fd = open (log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  llm_fault_arm (spec, getenv ("LLM_FAULT_PATH"));
}

/* ---- what happens ---- */

static void
note (Op op, unsigned n, const char *what, const char *path)
{
  if (log_fd >= 0)
    dprintf (log_fd, "%s %u %s %s\n", op_names[op], n, what, path);
}

static void
signal_oneself (int number)
{
  syscall (SYS_tgkill, getpid (), (int) syscall (SYS_gettid), number);
}

static void
die (void)
{
  signal_oneself (SIGKILL);
  for (;;)
    pause ();
}

/* The action for this operation; with FAIL, errno is set.  KILL does not return. */
static Action
meet (Op op, const char *path)
{
  Action action = GO_ON;
  int error = 0;

  if ((n_faults == 0 && !counting) || (only_path[0] != '\0' && strstr (path, only_path) == NULL))
    return GO_ON;
  pthread_mutex_lock (&lock);
  seen[op]++;
  seen[OP_ANY]++;
  if (counting)
    note (op, seen[op], "count", path);
  for (unsigned i = 0; i < n_faults; i++)
    {
      const Fault *fault = &faults[i];

      if ((fault->op != op && fault->op != OP_ANY) || (fault->onwards ? seen[fault->op] < fault->n : seen[fault->op] != fault->n))
        continue;
      action = actions[fault->action].action;
      error = actions[fault->action].error;
      fired++;
      note (op, seen[fault->op], actions[fault->action].name, path);
    }
  pthread_mutex_unlock (&lock);
  if (action == KILL)
    die ();
  if (action == STOP)
    signal_oneself (SIGSTOP);
  if (action == FAIL)
    errno = error;
  return action;
}

static Action
meet_at (Op op, int dir, const char *path)
{
  char link_path[64], full[PATH_MAX * 2];
  ssize_t n = 0;

  if (path[0] != '/' && dir != AT_FDCWD)
    {
      snprintf (link_path, sizeof link_path, "/proc/self/fd/%d", dir);
      n = readlink (link_path, full, PATH_MAX);
    }
  snprintf (full + (n > 0 ? n : 0), sizeof full - (n > 0 ? n : 0), "%s%s", n > 0 && path[0] != '\0' ? "/" : "", path);
  return meet (op, full);
}

static Action
meet_fd (Op op, int fd)
{
  struct stat st;

  if (fstat (fd, &st) < 0 || (!S_ISREG (st.st_mode) && !S_ISDIR (st.st_mode)))
    return GO_ON;
  return meet_at (op, fd, "");
}

#define NEXT(name) ((__typeof__ (&name)) next_of (#name))

static void *
next_of (const char *name)
{
  void *next = dlsym (RTLD_NEXT, name);

  if (next == NULL)
    abort ();
  return next;
}

/* Runs CALL as the action says, and returns its value. */
#define PASS(action_, call_)                 \
  do                                         \
    {                                        \
      Action pass_action = (action_);        \
      __typeof__ (call_) pass_value;         \
                                             \
      if (pass_action == FAIL)               \
        return -1;                           \
      pass_value = (call_);                  \
      if (pass_action == KILL_AFTER)         \
        die ();                              \
      return pass_value;                     \
    }                                        \
  while (0)

#define HALF(action_, n_) ((action_) == SHORT && (n_) > 1 ? (n_) / 2 : (n_))

/* ---- bytes ---- */

EXPORT ssize_t
write (int fd, const void *data, size_t n)
{
  Action action = meet_fd (OP_WRITE, fd);

  PASS (action, NEXT (write) (fd, data, HALF (action, n)));
}

EXPORT ssize_t
pwrite (int fd, const void *data, size_t n, off_t at)
{
  Action action = meet_fd (OP_WRITE, fd);

  PASS (action, NEXT (pwrite) (fd, data, HALF (action, n), at));
}

EXPORT ssize_t
pwrite64 (int fd, const void *data, size_t n, off64_t at)
{
  Action action = meet_fd (OP_WRITE, fd);

  PASS (action, NEXT (pwrite64) (fd, data, HALF (action, n), at));
}

EXPORT ssize_t
writev (int fd, const struct iovec *parts, int n)
{
  Action action = meet_fd (OP_WRITE, fd);

  PASS (action, NEXT (writev) (fd, parts, HALF (action, n)));
}

EXPORT ssize_t
copy_file_range (int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
  Action action = meet_fd (OP_WRITE, out);

  PASS (action, NEXT (copy_file_range) (in, in_at, out, out_at, HALF (action, n), flags));
}

EXPORT ssize_t
sendfile64 (int out, int in, off64_t *at, size_t n)
{
  Action action = meet_fd (OP_WRITE, out);

  PASS (action, NEXT (sendfile64) (out, in, at, HALF (action, n)));
}

EXPORT ssize_t
sendfile (int out, int in, off_t *at, size_t n)
{
  Action action = meet_fd (OP_WRITE, out);

  PASS (action, NEXT (sendfile) (out, in, at, HALF (action, n)));
}

EXPORT int
ioctl (int fd, unsigned long request, ...)
{
  va_list args;
  void *argument;
  Action action = request == FICLONE || request == FICLONERANGE ? meet_fd (OP_WRITE, fd) : GO_ON;

  va_start (args, request);
  argument = va_arg (args, void *);
  va_end (args);
  PASS (action, NEXT (ioctl) (fd, request, argument));
}

EXPORT int
ftruncate (int fd, off_t n)
{
  PASS (meet_fd (OP_TRUNCATE, fd), NEXT (ftruncate) (fd, n));
}

EXPORT int
ftruncate64 (int fd, off64_t n)
{
  PASS (meet_fd (OP_TRUNCATE, fd), NEXT (ftruncate64) (fd, n));
}

EXPORT int
fallocate (int fd, int mode, off_t at, off_t n)
{
  PASS (meet_fd (OP_TRUNCATE, fd), NEXT (fallocate) (fd, mode, at, n));
}

EXPORT int
fallocate64 (int fd, int mode, off64_t at, off64_t n)
{
  PASS (meet_fd (OP_TRUNCATE, fd), NEXT (fallocate64) (fd, mode, at, n));
}

/* These return their error, and leave errno alone. */
#define PREALLOCATE(name_)                        \
  int before = errno, error;                      \
  Action action = meet_fd (OP_TRUNCATE, fd);      \
                                                  \
  error = errno;                                  \
  errno = before;                                 \
  if (action == FAIL)                             \
    return error;                                 \
  PASS (action, NEXT (name_) (fd, at, n))

EXPORT int
posix_fallocate (int fd, off_t at, off_t n)
{
  PREALLOCATE (posix_fallocate);
}

EXPORT int
posix_fallocate64 (int fd, off64_t at, off64_t n)
{
  PREALLOCATE (posix_fallocate64);
}

/* ---- durable ---- */

EXPORT int
fsync (int fd)
{
  PASS (meet_fd (OP_FSYNC, fd), NEXT (fsync) (fd));
}

EXPORT int
fdatasync (int fd)
{
  PASS (meet_fd (OP_FSYNC, fd), NEXT (fdatasync) (fd));
}

EXPORT int
syncfs (int fd)
{
  PASS (meet_fd (OP_FSYNC, fd), NEXT (syncfs) (fd));
}

/* ---- names ---- */

#define CREATES(flags_) (((flags_) & O_CREAT) != 0 || ((flags_) & O_TMPFILE) == O_TMPFILE)

#define OPEN(name_, dir_, call_...)                                              \
  mode_t mode = 0;                                                               \
  if (CREATES (flags))                                                           \
    {                                                                            \
      va_list args;                                                              \
                                                                                 \
      va_start (args, flags);                                                    \
      mode = va_arg (args, mode_t);                                              \
      va_end (args);                                                             \
    }                                                                            \
  PASS (CREATES (flags) ? meet_at (OP_CREATE, dir_, path) : GO_ON, NEXT (name_) (call_, flags, mode))

EXPORT int
open (const char *path, int flags, ...)
{
  OPEN (open, AT_FDCWD, path);
}

EXPORT int
open64 (const char *path, int flags, ...)
{
  OPEN (open64, AT_FDCWD, path);
}

EXPORT int
openat (int dir, const char *path, int flags, ...)
{
  OPEN (openat, dir, dir, path);
}

EXPORT int
openat64 (int dir, const char *path, int flags, ...)
{
  OPEN (openat64, dir, dir, path);
}

EXPORT int
mkdir (const char *path, mode_t mode)
{
  PASS (meet (OP_CREATE, path), NEXT (mkdir) (path, mode));
}

EXPORT int
mkdirat (int dir, const char *path, mode_t mode)
{
  PASS (meet_at (OP_CREATE, dir, path), NEXT (mkdirat) (dir, path, mode));
}

EXPORT int
rename (const char *from, const char *to)
{
  PASS (meet (OP_RENAME, to), NEXT (rename) (from, to));
}

EXPORT int
renameat (int from_dir, const char *from, int to_dir, const char *to)
{
  PASS (meet_at (OP_RENAME, to_dir, to), NEXT (renameat) (from_dir, from, to_dir, to));
}

EXPORT int
renameat2 (int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
  PASS (meet_at (OP_RENAME, to_dir, to), NEXT (renameat2) (from_dir, from, to_dir, to, flags));
}

EXPORT int
link (const char *from, const char *to)
{
  PASS (meet (OP_LINK, to), NEXT (link) (from, to));
}

EXPORT int
linkat (int from_dir, const char *from, int to_dir, const char *to, int flags)
{
  PASS (meet_at (OP_LINK, to_dir, to), NEXT (linkat) (from_dir, from, to_dir, to, flags));
}

EXPORT int
symlink (const char *text, const char *to)
{
  PASS (meet (OP_LINK, to), NEXT (symlink) (text, to));
}

EXPORT int
unlink (const char *path)
{
  PASS (meet (OP_UNLINK, path), NEXT (unlink) (path));
}

EXPORT int
unlinkat (int dir, const char *path, int flags)
{
  PASS (meet_at (OP_UNLINK, dir, path), NEXT (unlinkat) (dir, path, flags));
}

EXPORT int
rmdir (const char *path)
{
  PASS (meet (OP_UNLINK, path), NEXT (rmdir) (path));
}
