/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/disk.h"
#include "store/hash.h"
#include "store/trusted.h"

#define CHUNK_BYTES (1 * LLM_MIB)

gboolean
llm_ingest_check_fd (int fd, guint64 *size, GError **error)
{
  struct stat st;
  int flags = fcntl (fd, F_GETFL);

  if (flags < 0 || fstat (fd, &st) < 0)
    return llm_disk_fail (error, errno, "cannot look at the model's file descriptor");
  if (!S_ISREG (st.st_mode))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                   "the model's file descriptor is a %s; a regular file or a memfd is needed",
                   S_ISFIFO (st.st_mode) ? "pipe" : S_ISSOCK (st.st_mode) ? "socket" : S_ISDIR (st.st_mode) ? "directory"
                   : S_ISCHR (st.st_mode) || S_ISBLK (st.st_mode) ? "device node" : "special file");
      return FALSE;
    }
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "the model's file descriptor is not open for reading");
      return FALSE;
    }
  *size = (guint64) st.st_size;
  return TRUE;
}

/* One pass over @size bytes of @from: hashed, and written to @to unless that is -1. */
static char *
stream (int from, int to, guint64 size, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (LlmHash) hash = llm_hash_new ();
  g_autofree guint8 *buffer = g_malloc (CHUNK_BYTES);
  guint64 at = 0;

  for (;;)
    {
      gssize n;

      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return NULL;
      n = pread (from, buffer, CHUNK_BYTES, (off_t) at);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          llm_disk_fail (error, errno, "cannot read the model's file");
          return NULL;
        }
      if (at + (guint64) n > size || (n == 0 && at < size))
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED,
                       "the model's file changed its size while it was imported; import it when nothing writes to it");
          return NULL;
        }
      if (n == 0)
        break;
      llm_hash_update (hash, buffer, (gsize) n);
      if (to >= 0 && !llm_disk_write_all (to, buffer, (gsize) n, "cannot write the model into the store", error))
        return NULL;
      at += (guint64) n;
      if (progress != NULL)
        progress (at, size, progress_data);
    }
  return llm_hash_end (g_steal_pointer (&hash));
}

char *
llm_ingest_hash (int fd, guint64 size, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error)
{
  return stream (fd, -1, size, progress, progress_data, cancellable, error);
}

/* Shares the blocks where the file system can (btrfs, XFS): the clone is ours, nobody writes to it. */
static gboolean
clone_file (int from, int to, guint64 size)
{
  struct stat st;

  return ioctl (to, FICLONE, from) == 0 && fstat (to, &st) == 0 && (guint64) st.st_size == size;
}

/* The bytes of @from are in @to when it returns; their digest. */
static char *
fill (int from, int to, guint64 size, const LlmIngestPlace *place, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
      GError **error)
{
  if (clone_file (from, to, size))
    return stream (to, -1, size, progress, progress_data, cancellable, error);
  if (ftruncate (to, 0) < 0)
    {
      llm_disk_fail (error, errno, "cannot make a file in the store");
      return NULL;
    }
  if (!llm_disk_has_room (place->tmp_dir, size, place->keep_free, error) || !llm_disk_reserve (to, size, error))
    return NULL;
  return stream (from, to, size, progress, progress_data, cancellable, error);
}

/* The final name appears only after the bytes are on disk.  A blob that has it already is replaced: it may have been damaged. */
static gboolean
publish (int fd, const char *tmp, const char *digest, const LlmIngestPlace *place, GError **error)
{
  if (fchmod (fd, 0444) == 0 && llm_disk_stamp (fd) && fsync (fd) == 0 && llm_pending_publish (place->pending, digest, tmp))
    return TRUE;
  return llm_disk_fail (error, errno, "cannot finish the model's file in the store");
}

gboolean
llm_ingest_copy (int fd, const LlmIngestPlace *place, GPtrArray *blobs, LlmStoreProgress progress, gpointer progress_data,
                 GCancellable *cancellable, GError **error)
{
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  g_autofree char *tmp = g_build_filename (place->tmp_dir, "import-XXXXXX", NULL);
  gboolean ok;
  int out;

  if (!llm_ingest_check_fd (fd, &blob->size, error))
    return FALSE;
  out = g_mkstemp_full (tmp, O_RDWR | O_CLOEXEC, 0600);
  if (out < 0)
    return llm_disk_fail (error, errno, "cannot make a file in the store");
  blob->digest = fill (fd, out, blob->size, place, progress, progress_data, cancellable, error);
  ok = blob->digest != NULL && publish (out, tmp, blob->digest, place, error);
  close (out);
  unlink (tmp); /* published: not there, or what was there before */
  if (!ok)
    return FALSE;
  blob->path = g_build_filename (place->blobs_dir, blob->digest, NULL);
  g_ptr_array_add (blobs, g_steal_pointer (&blob));
  return llm_disk_sync_folder (place->blobs_dir, error);
}

/* What the caller's descriptor leads to, opened anew by its path. */
static int
open_trusted (int fd, char **path, GError **error)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  struct stat theirs, ours;
  int opened;

  *path = g_file_read_link (link, NULL);
  if (*path == NULL || !g_utf8_validate (*path, -1, NULL)) /* it has to fit into a manifest */
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: the file has no path that could be kept"), -1;
  opened = llm_trusted_open_here (*path, error);
  if (opened < 0 || (fstat (fd, &theirs) == 0 && fstat (opened, &ours) == 0 && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino))
    return opened;
  close (opened);
  return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s is another file by now", *path), -1;
}

gboolean
llm_ingest_refer (int fd, GPtrArray *blobs, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error)
{
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  struct stat before, after;
  int opened = llm_ingest_check_fd (fd, &blob->size, error) ? open_trusted (fd, &blob->path, error) : -1;

  if (opened < 0)
    return FALSE;
  blob->in_place = TRUE;
  if (fstat (opened, &before) == 0)
    blob->digest = stream (opened, -1, blob->size, progress, progress_data, cancellable, error);
  if (blob->digest != NULL && (fstat (opened, &after) < 0 || llm_disk_mtime (&before) != llm_disk_mtime (&after)))
    {
      g_clear_pointer (&blob->digest, g_free);
      llm_error_fail (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "%s was changed while it was imported", blob->path);
    }
  close (opened);
  if (blob->digest == NULL)
    return FALSE;
  blob->mtime = llm_disk_mtime (&before);
  g_ptr_array_add (blobs, g_steal_pointer (&blob));
  return TRUE;
}

LlmStoreBlob *
llm_ingest_bundled (const char *path, GCancellable *cancellable, GError **error)
{
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
  struct stat st;
  gboolean ok;

  if (fd < 0)
    {
      llm_disk_fail (error, errno, "cannot open the bundled model");
      return NULL;
    }
  ok = llm_ingest_check_fd (fd, &blob->size, error) && fstat (fd, &st) == 0
       && (blob->digest = stream (fd, -1, blob->size, NULL, NULL, cancellable, error)) != NULL;
  close (fd);
  blob->path = g_canonicalize_filename (path, NULL);
  blob->in_place = TRUE;
  blob->mtime = ok ? llm_disk_mtime (&st) : 0;
  return ok ? g_steal_pointer (&blob) : NULL;
}
