/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that nobody but root can change: owned by root and writable by nobody else, as is every folder on
 * the way there (an access list that lets others write shows in the group's bits).  Only such a file may be
 * used where it lies, for whoever can change it changes what everybody's engine reads.
 */
#pragma once

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Opens the regular file @path, absolute and without links, for reading; each component is looked at through the one before, so that
 * nothing can be put in between. @root: the folder that "/" stands for, and @owner: who root is (a test has its own). -1:
 * G_DBUS_ERROR_INVALID_ARGS says what is wrong with which component. Blocks. */
int llm_trusted_open (int root, uid_t owner, const char *path, GError **error);
/* The same of this system. */
int llm_trusted_open_here (const char *path, GError **error);

G_END_DECLS
