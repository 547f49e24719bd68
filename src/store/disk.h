/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the disk says, in the words of the bus: no room is DiskFull with the bytes that are missing,
 * everything else that a file system refuses is IOError.  Plain blocking functions for any thread.
 */
#pragma once

#include <gio/gio.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/* FALSE, with the error that @saved_errno means: LLM_ERROR_DISK_FULL, LLM_ERROR_BUSY (out of file descriptors), or
 * G_DBUS_ERROR_IO_ERROR. @doing: "cannot write the model into the store". */
gboolean llm_disk_fail (GError **error, int saved_errno, const char *doing);

/* Whether @bytes more fit where the folder @path is and @keep_free bytes stay; DiskFull says how many are missing. */
gboolean llm_disk_has_room (const char *path, guint64 bytes, guint64 keep_free, GError **error);
/* Claims @size bytes for @fd where the file system can. */
gboolean llm_disk_reserve (int fd, guint64 size, GError **error);
gboolean llm_disk_write_all (int fd, const void *bytes, gsize n, const char *doing, GError **error);
/* Makes the names in @path durable. */
gboolean llm_disk_sync_folder (const char *path, GError **error);
/* Every blob has the same time of its last change, so that a later one shows whatever the contents. Sets it; FALSE with errno. */
#define LLM_DISK_BLOB_MTIME G_GINT64_CONSTANT (1000000000)
gboolean llm_disk_stamp (int fd);
/* When the file was changed last, in ns since 1970. */
gint64 llm_disk_mtime (const struct stat *st);

G_END_DECLS
