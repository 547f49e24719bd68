/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may stand behind a model's file descriptor, and what may not.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"

/* Takes @fd. */
static void
check_refused (int fd, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_open (fd, &error);

  if (fd >= 0)
    close (fd);
  g_assert_null (gguf);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (error->message, message));
}

static void
test_not_files (void)
{
  int fds[2];

  check_refused (-1, "not a regular file");
  check_refused (open ("/dev/zero", O_RDONLY | O_CLOEXEC), "not a regular file");
  check_refused (open ("/dev/null", O_RDWR | O_CLOEXEC), "not a regular file");
  check_refused (open (g_get_tmp_dir (), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "not a regular file");
  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  check_refused (fds[0], "not a regular file"); /* and does not wait for bytes */
  check_refused (fds[1], "not a regular file");
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  check_refused (fds[0], "not a regular file");
  close (fds[1]);
}

/* A named file with @n bytes of @bytes. */
static char *
write_file (const void *bytes, gsize n)
{
  char *path = NULL;
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("gguf-XXXXXX", &path, &error);

  g_assert_no_error (error);
  close (fd);
  g_file_set_contents (path, bytes, (gssize) n, &error);
  g_assert_no_error (error);
  return path;
}

static void
test_files (void)
{
  g_autoptr (GBytes) bytes = llm_test_tiny_model (NULL);
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);
  g_autofree char *path = write_file (data, size);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = NULL;

  g_assert_cmpint (lseek (fd, 1234, SEEK_SET), ==, 1234);
  gguf = llm_gguf_open (fd, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (llm_gguf_file_size (gguf), ==, size);
  g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, 1234); /* the caller's offset stays */
  close (fd);

  check_refused (open (path, O_WRONLY | O_CLOEXEC), "cannot be read");
  check_refused (open (path, O_PATH | O_CLOEXEC), "cannot be read");
  g_assert_cmpint (truncate (path, (off_t) size - 1), ==, 0);
  check_refused (open (path, O_RDONLY | O_CLOEXEC), "reaches past the end");
  g_assert_cmpint (truncate (path, 0), ==, 0);
  check_refused (open (path, O_RDONLY | O_CLOEXEC), "ends inside the magic");
  unlink (path);
}

/* A header that ends far behind the first read. */
static void
test_long_header (void)
{
  g_autofree char *text = g_strdup_printf ("'GGUF' u32:3 u64:0 u64:3 s:a u32:9 u32:4 u64:%u zero:%u s:b u32:9 u32:4 u64:%u zero:%u s:c u32:8 s:end",
                                           4000000, 16000000, 2000000, 8000000);
  g_autoptr (GBytes) bytes = llm_test_bytes (text);
  int fd = memfd_create ("gguf", MFD_CLOEXEC);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = NULL;
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);

  g_assert_cmpint (pwrite (fd, data, size, 0), ==, size);
  g_assert_cmpint (ftruncate (fd, (off_t) (size + 8 * LLM_MIB)), ==, 0);
  gguf = llm_gguf_open (fd, &error);
  close (fd);
  g_assert_no_error (error);
  g_assert_true (llm_gguf_has (gguf, "c"));
}

/* The largest file there can be: sizes near 2^63 are compared, never added blindly. */
static void
test_huge_file (void)
{
  g_autoptr (GBytes) bytes = llm_test_bytes ("'GGUF' u32:3 u64:1 u64:0 s:t u32:1 u64:0x1ffffffffffffff0 u32:0 u64:0");
  int fd = memfd_create ("gguf", MFD_CLOEXEC);
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);

  g_assert_cmpint (pwrite (fd, data, size, 0), ==, size);
  g_assert_cmpint (ftruncate (fd, G_MAXINT64 - 4095), ==, 0);
  check_refused (fd, "reaches past the end");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gguf-open/not-files", test_not_files);
  g_test_add_func ("/gguf-open/files", test_files);
  g_test_add_func ("/gguf-open/long-header", test_long_header);
  g_test_add_func ("/gguf-open/huge-file", test_huge_file);
  return g_test_run ();
}
