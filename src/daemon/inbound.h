/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bounds what one sender may have waiting for the main loop.
 *
 * A connection filter on GDBus' own thread counts the bytes of method calls that the main loop has not
 * come to yet; over LLM_MAX_INBOUND_BYTES_PER_SENDER, or with a body over LLM_MAX_REQUEST_BYTES, a call is
 * answered with LimitsExceeded there and then, and forgotten.  A call to the request of another sender
 * is answered with UnknownObject: what is private does not exist for others.
 */
#pragma once

#include <gio/gio.h>

typedef struct _LlmInbound LlmInbound;

/* Before the connection processes messages. Must be freed on the thread it was made on. */
LlmInbound *llm_inbound_new (GDBusConnection *connection);
/* Whether @sender may know of the object @path. Pure. */
gboolean llm_inbound_is_visible (const char *path, const char *sender);
void llm_inbound_free (LlmInbound *self);
guint64 llm_inbound_refused (LlmInbound *self);
