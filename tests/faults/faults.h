/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks that fail and processes that die at the n-th operation: what a crash or a full disk leaves behind.
 *
 * A shared library between a program and libc.  A program under test gets it by LD_PRELOAD and the environment; a C test links it
 * and arms it in a forked child.  It looks only at regular files and folders, so that pipes, sockets and logs stay as they are.
 * A program built with AddressSanitizer takes the preload only with ASAN_OPTIONS=verify_asan_link_order=0.
 *
 *   LLM_FAULT          OP:N:ACTION[,OP:N:ACTION...]: at the N-th (from 1) OP; "N+": at that and at every later one
 *   LLM_FAULT_PATH     only operations on paths that have this text in them (what /proc/self/fd says of an fd)
 *   LLM_FAULT_PROGRAM  only in the program of this name (local-llmd starts others)
 *   LLM_FAULT_LOG      a file that gets a line "OP N ACTION PATH" for every fault, so that a test knows when N is past the end;
 *                      with LLM_FAULT=count a line "OP N count PATH" for every operation
 *
 *   OP      write (also pwrite, writev, copy_file_range, sendfile, FICLONE), create (open with O_CREAT or O_TMPFILE, mkdir), fsync (fdatasync, syncfs),
 *           rename, link (symlink), unlink (rmdir), truncate (also fallocate), any
 *   ACTION  kill (SIGKILL before it is done), kill-after, stop (SIGSTOP before it), short (half of a write is done), or the name of an error: enospc, eio, edquot, erofs, eacces, eintr
 */
#pragma once

/* Replaces what the environment said; counts begin anew. "" disarms. A fault's log stays the environment's. Not while other threads write. */
void llm_fault_arm (const char *spec, const char *path);
/* How many operations there were since then, and how many faults. */
unsigned llm_fault_seen (void);
unsigned llm_fault_fired (void);
