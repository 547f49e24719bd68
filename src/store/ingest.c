/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/ingest.h"

#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/hash.h"

#define CHUNK_BYTES (1 * LLM_MIB)

static gboolean
fail_errno (const char *doing, int saved_errno, GError **error)
{
  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    g_set_error (error, LLM_ERROR, LLM_ERROR_DISK_FULL, "%s: %s; free some space or import a smaller model", doing, g_strerror (saved_errno));
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", doing, g_strerror (saved_errno));
  return FALSE;
}

gboolean
llm_ingest_check_fd (int fd, guint64 *size, GError **error)
{
  struct stat st;
  int flags = fcntl (fd, F_GETFL);

  if (flags < 0 || fstat (fd, &st) < 0)
    return fail_errno ("cannot look at the model's file descriptor", errno, error);
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

static gboolean
write_all (int fd, const guint8 *bytes, gsize n, GError **error)
{
  while (n > 0)
    {
      gssize written = write (fd, bytes, n);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return fail_errno ("cannot write the model into the store", errno, error);
      bytes += written;
      n -= (gsize) written;
    }
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
          fail_errno ("cannot read the model's file", errno, error);
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
      if (to >= 0 && !write_all (to, buffer, (gsize) n, error))
        return NULL;
      at += (guint64) n;
      if (progress != NULL)
        progress (at, size, progress_data);
    }
  return llm_hash_end (g_steal_pointer (&hash));
}

static gboolean
reserve (int fd, guint64 size, GError **error)
{
  int r = size > 0 ? posix_fallocate (fd, 0, (off_t) size) : 0;

  if (r == 0 || r == EOPNOTSUPP || r == EINVAL)
    return TRUE;
  return fail_errno ("the store has no room for the model", r, error);
}

static gboolean
sync_folder (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  int saved_errno = errno;

  if (fd >= 0)
    close (fd);
  return ok || fail_errno ("cannot make the store durable", saved_errno, error);
}

/* The final name appears only after the bytes are on disk.  A blob that has it already is replaced: it may have been damaged. */
static gboolean
publish (int fd, const char *tmp, const char *digest, const LlmIngestPlace *place, GError **error)
{
  if (fchmod (fd, 0444) < 0 || fsync (fd) < 0 || !llm_pending_publish (place->pending, digest, tmp))
    return fail_errno ("cannot finish the model's file in the store", errno, error);
  return sync_folder (place->blobs_dir, error); /* it stays pending when this fails: the next start removes it */
}

LlmStoreBlob *
llm_ingest_copy (int fd, const LlmIngestPlace *place, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable,
                 GError **error)
{
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  g_autofree char *tmp = g_build_filename (place->tmp_dir, "import-XXXXXX", NULL);
  gboolean ok;
  int out;

  if (!llm_ingest_check_fd (fd, &blob->size, error))
    return NULL;
  out = g_mkstemp_full (tmp, O_WRONLY | O_CLOEXEC, 0600);
  if (out < 0)
    {
      fail_errno ("cannot make a file in the store", errno, error);
      return NULL;
    }
  ok = reserve (out, blob->size, error)
       && (blob->digest = stream (fd, out, blob->size, progress, progress_data, cancellable, error)) != NULL;
  if (ok)
    {
      blob->path = g_build_filename (place->blobs_dir, blob->digest, NULL);
      ok = publish (out, tmp, blob->digest, place, error);
    }
  close (out);
  unlink (tmp); /* published: not there, or what was there before */
  return ok ? g_steal_pointer (&blob) : NULL;
}

LlmStoreBlob *
llm_ingest_bundled (const char *path, GCancellable *cancellable, GError **error)
{
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
  gboolean ok;

  if (fd < 0)
    {
      fail_errno ("cannot open the bundled model", errno, error);
      return NULL;
    }
  ok = llm_ingest_check_fd (fd, &blob->size, error)
       && (blob->digest = stream (fd, -1, blob->size, NULL, NULL, cancellable, error)) != NULL;
  close (fd);
  blob->path = g_canonicalize_filename (path, NULL);
  blob->bundled = TRUE;
  return ok ? g_steal_pointer (&blob) : NULL;
}
