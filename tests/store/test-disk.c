/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The room that an import needs, and file systems that can share blocks: this program is its own
 * FICLONE, for the folder of a test may be on any.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/disk.h"
#include "store/store-fixture.h"

#define N_BYTES (3 * LLM_MIB + 5)

static guint n_clones;
static gboolean can_clone;
static off_t clone_extra; /* bytes that the source has by the time it is cloned */

/* What the store calls, before that of libc. */
int
ioctl (int fd, unsigned long request, ...)
{
  g_autofree char *buffer = g_malloc (N_BYTES);
  va_list args;
  int from;
  gssize n;

  va_start (args, request);
  from = va_arg (args, int);
  va_end (args);
  if (request != FICLONE || !can_clone)
    {
      errno = EOPNOTSUPP;
      return -1;
    }
  n = pread (from, buffer, N_BYTES, 0);
  g_assert_cmpint (pwrite (fd, buffer, (gsize) n, 0), ==, n);
  g_assert_cmpint (ftruncate (fd, n + clone_extra), ==, 0);
  n_clones++;
  return 0;
}

static void
check_import (Fixture *f, guint expected_clones)
{
  g_autofree char *bytes = g_strnfill (N_BYTES, 'x'), *sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, bytes, N_BYTES),
                  *expected = g_strconcat ("sha256-", sum, NULL), *there = NULL;
  g_autoptr (GPtrArray) blobs = NULL;
  g_autoptr (GError) error = NULL;
  const LlmStoreBlob *blob;
  struct stat st;
  gsize n;

  n_clones = 0;
  blobs = ingest (f, file_with (bytes), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n_clones, ==, expected_clones);
  blob = blobs->pdata[0];
  g_assert_cmpstr (blob->digest, ==, expected);
  g_assert_true (g_file_get_contents (blob->path, &there, &n, NULL));
  g_assert_cmpmem (there, n, bytes, N_BYTES);
  g_assert_cmpint (stat (blob->path, &st), ==, 0);
  g_assert_cmpint (llm_disk_mtime (&st), ==, LLM_DISK_BLOB_MTIME);
  g_assert_cmpint (st.st_mode & 0777, ==, 0444);
  llm_store_discard (f->store, blobs);
  g_assert_cmpuint (count_files (f, "blobs") + count_files (f, "tmp"), ==, 0);
}

static void
test_clone (Fixture *f, gconstpointer data)
{
  can_clone = FALSE;
  check_import (f, 0);
  can_clone = TRUE;
  check_import (f, 1);
}

/* The source grew between the look at its size and the clone: copied instead, and the copy is what was seen. */
static void
test_clone_of_another_size (Fixture *f, gconstpointer data)
{
  can_clone = TRUE;
  clone_extra = 17;
  check_import (f, 1);
  clone_extra = 0;
}

/* A clone needs no room. */
static void
test_room (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) blobs = NULL;
  struct statvfs fs;

  can_clone = FALSE;
  g_assert_cmpint (statvfs (f->folder, &fs), ==, 0);
  llm_store_set_keep_free (f->store, fs.f_bavail * fs.f_frsize + LLM_GIB);
  g_assert_null (ingest (f, file_with ("x"), NULL, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_DISK_FULL);
  g_assert_nonnull (strstr (error->message, "are missing"));
  g_assert_nonnull (strstr (error->message, "to stay free"));
  g_assert_cmpuint (count_files (f, "blobs") + count_files (f, "tmp"), ==, 0);
  can_clone = TRUE;
  check_import (f, 1);
}

static void
test_limits (void)
{
  struct statvfs fs;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (statvfs ("/proc", &fs), ==, 0); /* a file system whose free space does not change: there is none */
  g_assert_cmpuint (fs.f_bavail, ==, 0);
  g_assert_true (llm_disk_has_room ("/proc", 0, 0, NULL));
  g_assert_false (llm_disk_has_room ("/proc", 1, 0, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_DISK_FULL);
  g_assert_nonnull (strstr (error->message, "(1 bytes) are missing"));
  g_assert_false (llm_disk_has_room ("/proc", 0, 1, NULL));
  g_assert_false (llm_disk_has_room ("/proc", G_MAXUINT64, G_MAXUINT64, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("disk-clone", test_clone);
  ADD ("disk-clone-of-another-size", test_clone_of_another_size);
  ADD ("disk-room", test_room);
  g_test_add_func ("/store/disk-limits", test_limits);
  return g_test_run ();
}
