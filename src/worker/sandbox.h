/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock on the engine: after it, a model file that takes over the process can compute,
 * talk on the fds that are open, read what its user may read, and nothing else.
 */
#pragma once

#include <glib.h>

/* No new privileges, no core dumps, and a system-call allow-list for all threads, present and future.
 * New files cannot be made or opened for writing, sockets cannot be made (EPERM); a program cannot be
 * started (the process is killed). FALSE with an error when the kernel refuses. A build with AddressSanitizer
 * skips the system-call filter: its runtime needs more than the product does. @reopens_drivers: existing files may be
 * opened for reading and writing, as GPU drivers do with their device node when a device is opened. @confined: llm_confine_writes()
 * has said where files may be written, so the filter need not forbid it. */
gboolean llm_sandbox_enter (gboolean reopens_drivers, gboolean confined, GError **error);
