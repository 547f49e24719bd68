/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes to every kind of fd, readers that are slow or gone, and flags that stay as they were. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/fd-writer.h"

typedef struct {
  guint full, drained;
  GError *failed;
  gboolean finished;
  GError *finish_error;
} Seen;

static void
on_flow (gboolean full, gpointer user_data)
{
  Seen *seen = user_data;

  if (full)
    seen->full++;
  else
    seen->drained++;
}

static void
on_failed (const GError *error, gpointer user_data)
{
  ((Seen *) user_data)->failed = g_error_copy (error);
}

static void
on_finished (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Seen *seen = user_data;

  llm_fd_writer_finish_finish (NULL, result, &seen->finish_error);
  seen->finished = TRUE;
}

static void
iterate_until (gboolean *condition)
{
  while (!*condition)
    g_main_context_iteration (NULL, TRUE);
}

static LlmFdWriter *
make (int fd, Seen *seen)
{
  g_autoptr (GError) error = NULL;
  LlmFdWriter *writer = llm_fd_writer_new (fd, on_flow, on_failed, seen, &error);

  g_assert_no_error (error);
  return writer;
}

/* Reads @fd to its end on a thread. */
static gpointer
read_all (gpointer data)
{
  GString *all = g_string_new (NULL);
  char piece[1000];
  gssize n;

  while ((n = read (GPOINTER_TO_INT (data), piece, sizeof piece)) > 0)
    g_string_append_len (all, piece, n);
  return all;
}

static void
check_transfer (int writer_fd, int reader_fd)
{
  Seen seen = { 0 };
  LlmFdWriter *writer = make (writer_fd, &seen);
  GThread *reader = g_thread_new ("reader", read_all, GINT_TO_POINTER (reader_fd));
  g_autoptr (GString) want = g_string_new (NULL), got = NULL;

  for (guint i = 0; i < 100000; i++)
    {
      char text[16];
      int n = g_snprintf (text, sizeof text, "%u ", i);

      g_string_append (want, text);
      while (!llm_fd_writer_push (writer, text, (gsize) n))
        g_main_context_iteration (NULL, TRUE); /* full: wait until it has drained */
    }
  llm_fd_writer_finish_async (writer, on_finished, &seen);
  iterate_until (&seen.finished);
  g_assert_no_error (seen.finish_error);
  g_assert_cmpuint (llm_fd_writer_bytes_written (writer), ==, want->len);
  llm_fd_writer_free (writer);
  got = g_thread_join (reader);
  g_assert_true (g_string_equal (want, got));
  close (reader_fd);
}

static void
test_pipe (void)
{
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  check_transfer (fds[1], fds[0]);
}

static void
test_socket (void)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  check_transfer (fds[1], fds[0]);
}

static void
test_flags_stay (void)
{
  int fds[2], flags;
  Seen seen = { 0 };
  LlmFdWriter *writer;

  g_assert_cmpint (pipe (fds), ==, 0);
  flags = fcntl (fds[1], F_GETFL);
  writer = make (dup (fds[1]), &seen);
  g_assert_true (llm_fd_writer_push (writer, "x", 1));
  g_assert_cmpint (fcntl (fds[1], F_GETFL), ==, flags);
  llm_fd_writer_free (writer);
  close (fds[0]);
  close (fds[1]);
}

/* The ring holds exactly LLM_FD_RING_BYTES while the reader takes nothing; one more byte does not fit. */
static void
test_bounded (void)
{
  int fds[2], size;
  Seen seen = { 0 };
  LlmFdWriter *writer;
  g_autofree char *ring = g_strnfill (LLM_FD_RING_BYTES, 'r');

  g_assert_cmpint (pipe (fds), ==, 0);
  size = fcntl (fds[1], F_GETPIPE_SZ);
  while (size > 0)
    size -= (int) write (fds[1], ring, (gsize) MIN (size, 4096)); /* fill the pipe itself */
  writer = make (fds[1], &seen);
  g_assert_true (llm_fd_writer_push (writer, ring, LLM_FD_RING_BYTES / 2));
  g_assert_cmpuint (seen.full, ==, 0);
  g_assert_true (llm_fd_writer_push (writer, ring, LLM_FD_RING_BYTES / 2));
  g_assert_cmpuint (seen.full, ==, 1);
  g_assert_false (llm_fd_writer_push (writer, ring, 1));
  g_assert_cmpuint (llm_fd_writer_bytes_written (writer), ==, 0);
  llm_fd_writer_free (writer);
  close (fds[0]);
}

/* A reader that goes away is noticed though there is nothing to write. */
static void
test_reader_gone (void)
{
  int fds[2];
  Seen seen = { 0 };
  LlmFdWriter *writer;

  g_assert_cmpint (pipe (fds), ==, 0);
  writer = make (fds[1], &seen);
  close (fds[0]);
  while (seen.failed == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (seen.failed, LLM_ERROR, LLM_ERROR_CANCELLED);
  g_assert_true (llm_fd_writer_push (writer, "x", 1)); /* swallowed */
  llm_fd_writer_free (writer);
  g_error_free (seen.failed);
}

static void
check_refused (int fd, const char *says)
{
  Seen seen = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (fd, >=, 0);
  g_assert_null (llm_fd_writer_new (fd, on_flow, on_failed, &seen, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, says));
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1); /* closed all the same */
}

/* One who fills the ring to the brim whenever it has drained, and does nothing between. */
typedef struct {
  LlmFdWriter *writer;
  gsize left;
} Refill;

static void
refill (gboolean full, gpointer user_data)
{
  static const char piece[65536];
  Refill *r = user_data;

  while (!full && r->left > 0 && llm_fd_writer_push (r->writer, piece, sizeof piece))
    r->left -= sizeof piece;
}

static void
test_refill (void)
{
  g_autofree char *name = NULL;
  int fd = g_file_open_tmp ("fd-writer-XXXXXX", &name, NULL);
  Refill r = { NULL, 1024 * 65536 };
  gint64 until = g_get_monotonic_time () + 300 * G_TIME_SPAN_SECOND;

  g_assert_cmpint (fd, >=, 0);
  unlink (name);
  r.writer = llm_fd_writer_new (fd, refill, on_failed, &r, NULL);
  refill (FALSE, &r);
  while (r.left > 0 && g_get_monotonic_time () < until)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (100);
  g_assert_cmpuint (r.left, ==, 0);
  llm_fd_writer_free (r.writer);
}

static void
test_refused (void)
{
  int fds[2];

  check_refused (open ("/dev/null", O_WRONLY), "device node");
  check_refused (open ("/", O_RDONLY), "writing");
  check_refused (open ("/proc/self/exe", O_RDONLY), "writing");
  check_refused (open ("/", O_PATH), "writing");
  g_assert_cmpint (pipe (fds), ==, 0);
  close (fds[1]);
  check_refused (fds[0], "writing");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/fd-writer/pipe", test_pipe);
  g_test_add_func ("/fd-writer/socket", test_socket);
  g_test_add_func ("/fd-writer/flags-stay", test_flags_stay);
  g_test_add_func ("/fd-writer/bounded", test_bounded);
  g_test_add_func ("/fd-writer/reader-gone", test_reader_gone);
  g_test_add_func ("/fd-writer/refill", test_refill);
  g_test_add_func ("/fd-writer/refused", test_refused);
  return g_test_run ();
}
