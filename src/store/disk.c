/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"

gboolean
llm_disk_fail (GError **error, int saved_errno, const char *doing)
{
  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_DISK_FULL, "%s: %s; free some space or take a smaller model", doing, g_strerror (saved_errno));
  if (saved_errno == EMFILE || saved_errno == ENFILE)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_BUSY, "%s: %s; try again later", doing, g_strerror (saved_errno));
  return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_IO_ERROR, "%s: %s", doing, g_strerror (saved_errno));
}

gboolean
llm_disk_has_room (const char *path, guint64 bytes, guint64 keep_free, GError **error)
{
  struct statvfs fs;
  guint64 there, needed;
  g_autofree char *need = g_format_size (bytes), *have = NULL, *keep = g_format_size (keep_free), *missing = NULL;

  if (statvfs (path, &fs) < 0)
    return llm_disk_fail (error, errno, "cannot ask how much room the store has");
  if (!llm_mul_u64 (fs.f_bavail, fs.f_frsize, &there))
    there = G_MAXUINT64;
  if (!llm_add_u64 (bytes, keep_free, &needed))
    needed = G_MAXUINT64;
  if (needed <= there)
    return TRUE;
  have = g_format_size (there);
  missing = g_format_size (needed - there);
  return llm_error_fail (error, LLM_ERROR, LLM_ERROR_DISK_FULL, "%s (%" G_GUINT64_FORMAT " bytes) are needed, %s are free, of which %s are to stay free: "
                         "%s (%" G_GUINT64_FORMAT " bytes) are missing; free some space or take a smaller model",
                         need, bytes, have, keep, missing, needed - there);
}

/* Not posix_fallocate(): where the file system cannot, that one writes every block. */
gboolean
llm_disk_reserve (int fd, guint64 size, GError **error)
{
  int r;

  if (size == 0)
    return TRUE;
  do
    r = fallocate (fd, 0, 0, (off_t) size);
  while (r < 0 && errno == EINTR);
  if (r == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
    return TRUE;
  return llm_disk_fail (error, errno, "the store has no room for the model");
}

gboolean
llm_disk_write_all (int fd, const void *bytes, gsize n, const char *doing, GError **error)
{
  const guint8 *at = bytes;

  while (n > 0)
    {
      gssize written = write (fd, at, n);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return llm_disk_fail (error, errno, doing);
      at += written;
      n -= (gsize) written;
    }
  return TRUE;
}

gboolean
llm_disk_sync_folder (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  int saved_errno = errno;

  if (fd >= 0)
    close (fd);
  return ok || llm_disk_fail (error, saved_errno, "cannot make the store durable");
}

gint64
llm_disk_mtime (const struct stat *st)
{
  return (gint64) st->st_mtim.tv_sec * G_GINT64_CONSTANT (1000000000) + st->st_mtim.tv_nsec;
}

gboolean
llm_disk_stamp (int fd)
{
  const struct timespec at = { LLM_DISK_BLOB_MTIME / G_GINT64_CONSTANT (1000000000), LLM_DISK_BLOB_MTIME % G_GINT64_CONSTANT (1000000000) };
  const struct timespec times[2] = { at, at };

  return futimens (fd, times) == 0;
}
