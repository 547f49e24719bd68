/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/flow.h"

#include <string.h>

#include "base/limits.h"

struct _LlmFlow {
  GDBusConnection *connection; /* (owned) */
  LlmFlowChanged changed;
  LlmFlowGaveUp gave_up;
  gpointer user_data;
  GHashTable *clients; /* name -> Client */
  GCancellable *cancellable;
};

typedef struct {
  gsize unacked;
  gboolean blocked; /* a ping is under way */
} Client;

typedef struct {
  LlmFlow *flow;
  char *name;
} Ping;

LlmFlow *
llm_flow_new (GDBusConnection *connection, LlmFlowChanged changed, LlmFlowGaveUp gave_up, gpointer user_data)
{
  LlmFlow *self = g_new0 (LlmFlow, 1);

  self->connection = g_object_ref (connection);
  self->changed = changed;
  self->gave_up = gave_up;
  self->user_data = user_data;
  self->clients = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->cancellable = g_cancellable_new ();
  return self;
}

void
llm_flow_free (LlmFlow *self)
{
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  g_hash_table_unref (self->clients);
  g_object_unref (self->connection);
  g_free (self);
}

static void
on_pinged (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Ping *ping = user_data;
  g_autofree char *name = ping->name;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusMessage) reply = g_dbus_connection_send_message_with_reply_finish (G_DBUS_CONNECTION (source), result, &error);
  LlmFlow *self = ping->flow;
  Client *client;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* self is gone */
  client = g_hash_table_lookup (self->clients, name);
  if (client == NULL)
    return;
  client->blocked = FALSE;
  client->unacked = 0;
  if (reply != NULL && g_strcmp0 (g_dbus_message_get_sender (reply), name) == 0)
    self->changed (name, FALSE, self->user_data);
  else
    self->gave_up (name, self->user_data);
}

static void
send_ping (LlmFlow *self, const char *name)
{
  g_autoptr (GDBusMessage) message = g_dbus_message_new_method_call (name, "/", "org.freedesktop.DBus.Peer", "Ping");
  Ping *ping = g_new0 (Ping, 1);

  *ping = (Ping) { self, g_strdup (name) };
  g_dbus_connection_send_message_with_reply (self->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, LLM_FLOW_PING_TIMEOUT_MS, NULL, self->cancellable,
                                             on_pinged, ping);
}

void
llm_flow_sent (LlmFlow *self, const char *name, gsize bytes)
{
  Client *client = g_hash_table_lookup (self->clients, name);

  if (client == NULL)
    {
      client = g_new0 (Client, 1);
      g_hash_table_insert (self->clients, g_strdup (name), client);
    }
  client->unacked += bytes;
  if (client->unacked <= LLM_FLOW_UNACKED_BYTES || client->blocked)
    return;
  client->blocked = TRUE;
  send_ping (self, name);
  self->changed (name, TRUE, self->user_data);
}

gboolean
llm_flow_is_blocked (LlmFlow *self, const char *name)
{
  const Client *client = g_hash_table_lookup (self->clients, name);

  return client != NULL && client->blocked;
}

void
llm_flow_forget (LlmFlow *self, const char *name)
{
  g_hash_table_remove (self->clients, name);
}
