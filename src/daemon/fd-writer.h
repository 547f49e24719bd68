/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text to a caller's fd: one bounded ring (LLM_FD_RING_BYTES) and one writer thread.
 *
 * The fd's flags are the caller's and are never changed (O_NONBLOCK would be shared with
 * him), so writing may block: that happens on the writer's own thread, in pieces that poll()
 * has promised room for.  The main loop only copies into the ring.  All calls and
 * callbacks: main loop.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmFdWriter LlmFdWriter;

/* @full TRUE: the ring is more than half full, pause the request; FALSE: it has drained. */
typedef void (*LlmFdWriterFlow) (gboolean full, gpointer user_data);
/* The reader is gone (EPIPE) or the disk is full...: nothing will be written any more. */
typedef void (*LlmFdWriterFailed) (const GError *error, gpointer user_data);

/* @fd (transfer full, closed on failure too): a FIFO, socket, regular file or terminal, open for writing; else G_DBUS_ERROR_INVALID_ARGS. */
LlmFdWriter *llm_fd_writer_new (int fd, LlmFdWriterFlow flow, LlmFdWriterFailed failed, gpointer user_data, GError **error);
/* FALSE: it does not fit (the caller ignored @full); nothing was taken. */
gboolean llm_fd_writer_push (LlmFdWriter *self, const char *bytes, gsize len);
/* Writes what is left, then closes the fd and calls back; LLM_ERROR_CANCELLED when the reader takes nothing for
 * LLM_FLOW_PING_TIMEOUT_MS. */
void llm_fd_writer_finish_async (LlmFdWriter *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_fd_writer_finish_finish (LlmFdWriter *self, GAsyncResult *result, GError **error);
/* Drops what is left, closes as soon as the thread lets go; no callback comes after this. */
void llm_fd_writer_free (LlmFdWriter *self);
guint64 llm_fd_writer_bytes_written (LlmFdWriter *self);

G_END_DECLS
