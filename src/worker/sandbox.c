/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const int allowed[] = {
  /* bytes on open fds */
  SCMP_SYS (read), SCMP_SYS (write), SCMP_SYS (readv), SCMP_SYS (writev), SCMP_SYS (pread64), SCMP_SYS (pwrite64), SCMP_SYS (lseek),
  SCMP_SYS (close), SCMP_SYS (fcntl), SCMP_SYS (dup), SCMP_SYS (dup2), SCMP_SYS (dup3), SCMP_SYS (ioctl), SCMP_SYS (poll), SCMP_SYS (ppoll),
  SCMP_SYS (select), SCMP_SYS (pselect6), SCMP_SYS (epoll_create1), SCMP_SYS (epoll_ctl), SCMP_SYS (epoll_wait), SCMP_SYS (epoll_pwait),
  SCMP_SYS (sendmsg), SCMP_SYS (recvmsg), SCMP_SYS (sendto), SCMP_SYS (recvfrom), SCMP_SYS (shutdown), SCMP_SYS (getsockopt),
  SCMP_SYS (getsockname), SCMP_SYS (getpeername), SCMP_SYS (eventfd2), SCMP_SYS (pipe2), SCMP_SYS (timerfd_create), SCMP_SYS (timerfd_settime),
  /* looking */
  SCMP_SYS (fstat), SCMP_SYS (newfstatat), SCMP_SYS (stat), SCMP_SYS (lstat), SCMP_SYS (statx), SCMP_SYS (fstatfs), SCMP_SYS (statfs),
  SCMP_SYS (access), SCMP_SYS (faccessat), SCMP_SYS (faccessat2), SCMP_SYS (readlink), SCMP_SYS (readlinkat), SCMP_SYS (getdents64),
  SCMP_SYS (getcwd), SCMP_SYS (uname), SCMP_SYS (sysinfo), SCMP_SYS (getrusage), SCMP_SYS (getpid), SCMP_SYS (getppid),
  SCMP_SYS (gettid), SCMP_SYS (getuid), SCMP_SYS (geteuid), SCMP_SYS (getgid), SCMP_SYS (getegid), SCMP_SYS (kcmp),
  /* memory */
  SCMP_SYS (mmap), SCMP_SYS (munmap), SCMP_SYS (mprotect), SCMP_SYS (mremap), SCMP_SYS (madvise), SCMP_SYS (brk), SCMP_SYS (memfd_create),
  SCMP_SYS (ftruncate), SCMP_SYS (fallocate), SCMP_SYS (msync), SCMP_SYS (mlock), SCMP_SYS (munlock), SCMP_SYS (membarrier), SCMP_SYS (mbind),
  SCMP_SYS (get_mempolicy), SCMP_SYS (set_mempolicy),
  /* threads and time */
  SCMP_SYS (futex), SCMP_SYS (set_robust_list), SCMP_SYS (rseq), SCMP_SYS (set_tid_address), SCMP_SYS (sched_yield),
  SCMP_SYS (sched_getaffinity), SCMP_SYS (sched_setaffinity), SCMP_SYS (sched_getparam), SCMP_SYS (sched_setparam),
  SCMP_SYS (sched_getscheduler), SCMP_SYS (sched_setscheduler), SCMP_SYS (sched_getattr), SCMP_SYS (sched_setattr), SCMP_SYS (setpriority),
  SCMP_SYS (getpriority), SCMP_SYS (getcpu), SCMP_SYS (nanosleep), SCMP_SYS (clock_nanosleep), SCMP_SYS (clock_gettime), SCMP_SYS (clock_getres),
  SCMP_SYS (gettimeofday), SCMP_SYS (rt_sigaction), SCMP_SYS (rt_sigprocmask), SCMP_SYS (rt_sigreturn), SCMP_SYS (sigaltstack),
  SCMP_SYS (restart_syscall), SCMP_SYS (getrandom), SCMP_SYS (prctl), SCMP_SYS (exit), SCMP_SYS (exit_group),
};

/* files below the one folder where they may be written: artifacts, and what drivers cache */
static const int writing[] = {
  SCMP_SYS (openat), SCMP_SYS (fsync), SCMP_SYS (fdatasync), SCMP_SYS (rename), SCMP_SYS (renameat), SCMP_SYS (renameat2), SCMP_SYS (unlink),
  SCMP_SYS (unlinkat), SCMP_SYS (mkdir), SCMP_SYS (mkdirat), SCMP_SYS (flock), SCMP_SYS (fadvise64),
};

static const int killing[] = { SCMP_SYS (execve), SCMP_SYS (execveat), SCMP_SYS (ptrace), SCMP_SYS (process_vm_writev) };

#ifndef __SANITIZE_ADDRESS__
static int
add_rules (scmp_filter_ctx filter, gboolean reopens_drivers, gboolean confined)
{
  /* files that are there, for reading; drivers of a GPU open their device node again */
  const scmp_datum_t modes = (reopens_drivers ? O_WRONLY : O_ACCMODE) | O_CREAT | O_TRUNC | O_APPEND;
  int r = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (allowed) && r == 0; i++)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, allowed[i], 0);
  for (gsize i = 0; i < G_N_ELEMENTS (killing) && r == 0; i++)
    r = seccomp_rule_add (filter, SCMP_ACT_KILL_PROCESS, killing[i], 0);
  /* threads, not processes; clone3 hides its flags behind a pointer, so that glibc has to take clone */
  if (r == 0)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, SCMP_SYS (clone), 1, SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  if (r == 0)
    r = seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS), SCMP_SYS (clone3), 0);
  for (gsize i = 0; i < G_N_ELEMENTS (writing) && confined && r == 0; i++)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, writing[i], 0);
  if (r == 0 && !confined)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, SCMP_SYS (openat), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, modes, 0));
  /* ourselves, not other processes of the user: abort(), limits */
  if (r == 0)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, SCMP_SYS (tgkill), 1, SCMP_A0 (SCMP_CMP_EQ, (scmp_datum_t) getpid ()));
  if (r == 0)
    r = seccomp_rule_add (filter, SCMP_ACT_ALLOW, SCMP_SYS (prlimit64), 1, SCMP_A0 (SCMP_CMP_EQ, 0));
  return r;
}
#endif

gboolean
llm_sandbox_enter (gboolean reopens_drivers, gboolean confined, GError **error)
{
  struct rlimit none = { 0, 0 };
  int r = 0;

  setrlimit (RLIMIT_CORE, &none);
  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    r = -errno;
#ifndef __SANITIZE_ADDRESS__
  if (r == 0)
    {
      scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ERRNO (EPERM));

      r = filter != NULL ? seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
      if (r == 0)
        r = add_rules (filter, reopens_drivers, confined);
      if (r == 0)
        r = seccomp_load (filter);
      if (filter != NULL)
        seccomp_release (filter);
    }
#else
  (void) allowed;
  (void) writing;
  (void) killing;
#endif
  if (r < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (-r), "the engine cannot lock itself in: %s", g_strerror (-r));
  return r >= 0;
}
