/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flow control towards one client: after LLM_FLOW_UNACKED_BYTES of signals it must answer a
 * Peer.Ping before more is made for it; one that does not within LLM_FLOW_PING_TIMEOUT_MS is given up.
 *
 * Only the client's own answer counts: an error that the bus makes up for it is none. Main loop only.
 */
#pragma once

#include <gio/gio.h>

typedef struct _LlmFlow LlmFlow;

typedef void (*LlmFlowChanged) (const char *client, gboolean blocked, gpointer user_data);
typedef void (*LlmFlowGaveUp) (const char *client, gpointer user_data);

LlmFlow *llm_flow_new (GDBusConnection *connection, LlmFlowChanged changed, LlmFlowGaveUp gave_up, gpointer user_data);
void llm_flow_free (LlmFlow *self);
/* @bytes of signals have been sent to @client. */
void llm_flow_sent (LlmFlow *self, const char *client, gsize bytes);
gboolean llm_flow_is_blocked (LlmFlow *self, const char *client);
/* The client is gone. */
void llm_flow_forget (LlmFlow *self, const char *client);
