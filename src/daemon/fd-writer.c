/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring is shared by two threads under one lock: the main loop fills it, the writer
 * empties it.  The writer may hang in write() on somebody's terminal or a pipe that a third
 * process fills, so nobody ever joins it: both sides hold a reference, and the last one
 * closes the fd.
 */
#include "daemon/fd-writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"

#define STALL_CHECK_MS 1000

struct _LlmFdWriter {
  gatomicrefcount refs;
  int fd;
  gboolean is_socket;
  GMainContext *context; /* (owned) */

  /* main loop only */
  LlmFdWriterFlow flow;
  LlmFdWriterFailed failed;
  gpointer user_data;
  gboolean full;
  gboolean freed;
  GTask *finish;        /* (owned) */
  GAsyncReadyCallback finish_callback;
  gpointer finish_data;
  GSource *stall_timer; /* (owned) */
  guint64 stall_bytes;
  gint64 stall_since;

  int wake; /* eventfd: data, finish or close */
  GMutex lock;
  /* under lock */
  char *ring;
  gsize head, used; /* first byte, bytes held */
  guint64 written;
  gboolean finishing;
  gboolean closed;  /* write nothing more */
  GError *error;    /* why the writer gave up */
};

static void
writer_unref (LlmFdWriter *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  if (self->fd >= 0)
    close (self->fd);
  close (self->wake);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->lock);
  g_clear_error (&self->error);
  g_free (self->ring);
  g_free (self);
}

static LlmFdWriter *
writer_ref (LlmFdWriter *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
wake (LlmFdWriter *self)
{
  guint64 one = 1;
  gssize r = write (self->wake, &one, sizeof one);

  (void) r; /* a full counter is awake already */
}

/* ---- main loop: what the writer has to say ---- */

static void
stop_stall_timer (LlmFdWriter *self)
{
  if (self->stall_timer == NULL)
    return;
  g_source_destroy (self->stall_timer);
  g_clear_pointer (&self->stall_timer, g_source_unref);
}

static void
complete_finish (LlmFdWriter *self, GError *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&self->finish);

  stop_stall_timer (self);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static gboolean
on_drained (gpointer user_data)
{
  LlmFdWriter *self = user_data;
  gboolean drained;

  g_mutex_lock (&self->lock);
  drained = self->used < LLM_FD_RING_BYTES / 4; /* or it has been filled since the writer said so */
  g_mutex_unlock (&self->lock);
  if (!self->freed && self->full && drained)
    {
      self->full = FALSE;
      self->flow (FALSE, self->user_data);
    }
  return G_SOURCE_REMOVE;
}

static gboolean
on_ended (gpointer user_data)
{
  LlmFdWriter *self = user_data;
  g_autoptr (GError) error = NULL;

  if (self->freed)
    return G_SOURCE_REMOVE;
  g_mutex_lock (&self->lock);
  error = self->error != NULL ? g_error_copy (self->error) : NULL;
  g_mutex_unlock (&self->lock);
  if (self->finish != NULL)
    complete_finish (self, g_steal_pointer (&error));
  else if (error != NULL && !self->finishing)
    self->failed (error, self->user_data);
  return G_SOURCE_REMOVE;
}

static void
tell_main_loop (LlmFdWriter *self, GSourceFunc what)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, what, writer_ref (self), (GDestroyNotify) writer_unref);
  g_source_attach (source, self->context);
}

/* ---- the writer's thread ---- */

/* Waits until the fd takes bytes, its reader goes away, or somebody has something to say.
 * FALSE: the reader is gone (a request in prefill has no bytes to find that out with). */
static gboolean
wait_for_room (LlmFdWriter *self, gboolean have_bytes)
{
  struct pollfd fds[2] = { { .fd = self->wake, .events = POLLIN }, { .fd = self->fd, .events = have_bytes ? POLLOUT : 0 } };
  guint64 count;

  poll (fds, 2, -1);
  if ((fds[0].revents & POLLIN) != 0 && read (self->wake, &count, sizeof count) < 0)
    return TRUE;
  return (fds[1].revents & (POLLERR | POLLHUP)) == 0;
}

static gssize
write_piece (LlmFdWriter *self, const char *bytes, gsize n)
{
  struct pollfd fd = { .fd = self->fd, .events = POLLOUT };

  if (self->is_socket)
    return send (self->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (poll (&fd, 1, 0) == 0)
    {
      errno = EAGAIN;
      return -1;
    }
  return write (self->fd, bytes, n);
}

static GError *
write_error (int saved_errno)
{
  if (saved_errno == EPIPE || saved_errno == ECONNRESET)
    return g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the reader of the output file descriptor has closed it");
  if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EFBIG)
    return g_error_new (LLM_ERROR, LLM_ERROR_DISK_FULL, "the output file descriptor takes no more: %s", g_strerror (saved_errno));
  return g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "the output file descriptor cannot be written to: %s", g_strerror (saved_errno));
}

/* Takes at most PIPE_BUF bytes out of the ring (what poll() promises a pipe has room for), then writes them
 * without the lock. FALSE: nothing more will ever be written. */
static gboolean
write_some (LlmFdWriter *self)
{
  char piece[PIPE_BUF];
  gsize n, first;
  gboolean drained, closed;
  gssize r;

  g_mutex_lock (&self->lock);
  closed = self->closed;
  n = MIN (self->used, sizeof piece);
  first = MIN (n, (gsize) LLM_FD_RING_BYTES - self->head);
  memcpy (piece, self->ring + self->head, first);
  memcpy (piece + first, self->ring, n - first);
  if (n == 0 && self->finishing)
    closed = TRUE;
  g_mutex_unlock (&self->lock);
  if (closed)
    return FALSE;
  r = n > 0 ? write_piece (self, piece, n) : 0;
  if (r <= 0 && (n == 0 || errno == EAGAIN || errno == EINTR))
    {
      if (wait_for_room (self, n > 0))
        return TRUE;
      r = -1;
      errno = EPIPE;
    }
  g_mutex_lock (&self->lock);
  if (r < 0)
    self->error = write_error (errno);
  else
    {
      self->head = (self->head + (gsize) r) % LLM_FD_RING_BYTES;
      self->used -= (gsize) r;
      self->written += (guint64) r;
    }
  drained = self->used < LLM_FD_RING_BYTES / 4;
  closed = self->error != NULL;
  self->closed = self->closed || closed;
  g_mutex_unlock (&self->lock);
  if (drained && !closed)
    tell_main_loop (self, on_drained);
  return !closed;
}

static gpointer
writer_thread (gpointer user_data)
{
  LlmFdWriter *self = user_data;
  sigset_t pipe_signal;

  sigemptyset (&pipe_signal);
  sigaddset (&pipe_signal, SIGPIPE);
  pthread_sigmask (SIG_BLOCK, &pipe_signal, NULL);
  while (write_some (self))
    ;
  close (self->fd); /* the reader sees the end before the caller gets the reply */
  self->fd = -1;
  tell_main_loop (self, on_ended);
  writer_unref (self);
  return NULL;
}

/* ---- calls ---- */

static gboolean
check_fd (int fd, gboolean *is_socket, GError **error)
{
  struct stat st;
  int flags = fcntl (fd, F_GETFL);

  if (flags < 0 || fstat (fd, &st) < 0)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "the output file descriptor cannot be used: %s", g_strerror (errno));
      return FALSE;
    }
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_RDONLY)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "the output file descriptor is not open for writing");
      return FALSE;
    }
  *is_socket = S_ISSOCK (st.st_mode);
  if (S_ISSOCK (st.st_mode) || S_ISFIFO (st.st_mode) || S_ISREG (st.st_mode) || (S_ISCHR (st.st_mode) && isatty (fd)))
    return TRUE;
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
               "the output file descriptor is a %s; a pipe, socket, regular file or terminal is needed",
               S_ISDIR (st.st_mode) ? "directory" : "device node");
  return FALSE;
}

LlmFdWriter *
llm_fd_writer_new (int fd, LlmFdWriterFlow flow, LlmFdWriterFailed failed, gpointer user_data, GError **error)
{
  LlmFdWriter *self;
  GThread *thread;
  gboolean is_socket;

  if (!check_fd (fd, &is_socket, error))
    {
      close (fd);
      return NULL;
    }
  self = g_new0 (LlmFdWriter, 1);
  g_atomic_ref_count_init (&self->refs);
  self->fd = fd;
  self->is_socket = is_socket;
  self->context = g_main_context_ref_thread_default ();
  self->flow = flow;
  self->failed = failed;
  self->user_data = user_data;
  self->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  self->ring = g_malloc (LLM_FD_RING_BYTES);
  g_mutex_init (&self->lock);
  thread = self->wake >= 0 ? g_thread_try_new ("llm-fd-writer", writer_thread, writer_ref (self), error) : NULL;
  if (thread == NULL)
    {
      if (self->wake < 0)
        g_set_error (error, LLM_ERROR, LLM_ERROR_BUSY, "no file descriptors are left for another output");
      else
        writer_unref (self); /* the thread's */
      writer_unref (self);
      return NULL;
    }
  g_thread_unref (thread);
  return self;
}

gboolean
llm_fd_writer_push (LlmFdWriter *self, const char *bytes, gsize len)
{
  gsize tail, first;
  gboolean now_full;

  g_mutex_lock (&self->lock);
  if (self->closed || self->finishing || len > LLM_FD_RING_BYTES - self->used)
    {
      gboolean gone = self->closed;

      g_mutex_unlock (&self->lock);
      return gone; /* failed() is on its way; nobody reads these bytes */
    }
  tail = (self->head + self->used) % LLM_FD_RING_BYTES;
  first = MIN (len, (gsize) LLM_FD_RING_BYTES - tail);
  memcpy (self->ring + tail, bytes, first);
  memcpy (self->ring, bytes + first, len - first);
  self->used += len;
  now_full = self->used > LLM_FD_RING_BYTES / 2;
  g_mutex_unlock (&self->lock);
  wake (self);
  if (now_full && !self->full)
    {
      self->full = TRUE;
      self->flow (TRUE, self->user_data);
    }
  return TRUE;
}

/* Runs while finishing; also catches a writer that hangs inside write(). */
static gboolean
on_stall_check (gpointer user_data)
{
  LlmFdWriter *self = user_data;
  gint64 now = g_get_monotonic_time ();
  guint64 written = llm_fd_writer_bytes_written (self);

  if (written != self->stall_bytes)
    {
      self->stall_bytes = written;
      self->stall_since = now;
    }
  if (now - self->stall_since < LLM_FLOW_PING_TIMEOUT_MS * (gint64) 1000)
    return G_SOURCE_CONTINUE;
  g_mutex_lock (&self->lock);
  self->closed = TRUE;
  g_mutex_unlock (&self->lock);
  wake (self);
  complete_finish (self, g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED,
                                      "the reader of the output file descriptor took nothing for %d s", LLM_FLOW_PING_TIMEOUT_MS / 1000));
  return G_SOURCE_REMOVE;
}

/* Stands between the task and the caller's callback, which must not come after free. */
static void
on_finish_returned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmFdWriter *self = user_data;

  if (!self->freed)
    self->finish_callback (NULL, result, self->finish_data);
  writer_unref (self);
}

void
llm_fd_writer_finish_async (LlmFdWriter *self, GAsyncReadyCallback callback, gpointer user_data)
{
  gboolean ended;

  g_assert (self->finish == NULL);
  self->finish_callback = callback;
  self->finish_data = user_data;
  self->finish = g_task_new (NULL, NULL, on_finish_returned, writer_ref (self));
  g_task_set_source_tag (self->finish, llm_fd_writer_finish_async);
  g_mutex_lock (&self->lock);
  self->finishing = TRUE;
  ended = self->closed;
  g_mutex_unlock (&self->lock);
  wake (self);
  self->stall_bytes = llm_fd_writer_bytes_written (self);
  self->stall_since = g_get_monotonic_time ();
  self->stall_timer = g_timeout_source_new (STALL_CHECK_MS);
  g_source_set_callback (self->stall_timer, on_stall_check, self, NULL);
  g_source_attach (self->stall_timer, self->context);
  if (ended)
    tell_main_loop (self, on_ended); /* the first telling may have come before this call */
}

gboolean
llm_fd_writer_finish_finish (LlmFdWriter *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
llm_fd_writer_free (LlmFdWriter *self)
{
  self->freed = TRUE;
  if (self->finish != NULL)
    complete_finish (self, NULL);
  g_mutex_lock (&self->lock);
  self->closed = TRUE;
  g_mutex_unlock (&self->lock);
  wake (self);
  writer_unref (self);
}

guint64
llm_fd_writer_bytes_written (LlmFdWriter *self)
{
  guint64 written;

  g_mutex_lock (&self->lock);
  written = self->written;
  g_mutex_unlock (&self->lock);
  return written;
}
