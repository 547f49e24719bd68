/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/inbound.h"

#include <string.h>

#include "base/limits.h"
#include "base/names.h"

struct _LlmInbound {
  gatomicrefcount refs;
  GDBusConnection *connection; /* (owned) */
  GMainContext *context;       /* (owned) */
  guint filter;
  GMutex lock;
  GHashTable *pending; /* sender -> bytes (guint64 *); under lock */
  guint64 refused;     /* under lock */
};

typedef struct {
  LlmInbound *inbound;
  char *sender;
  gsize bytes;
} Receipt;

static void
inbound_unref (gpointer data)
{
  LlmInbound *self = data;

  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->pending);
  g_mutex_clear (&self->lock);
  g_main_context_unref (self->context);
  g_object_unref (self->connection);
  g_free (self);
}

static void
receipt_free (gpointer data)
{
  Receipt *receipt = data;

  inbound_unref (receipt->inbound);
  g_free (receipt->sender);
  g_free (receipt);
}

/* Main loop: it has come this far in the order of arrival, so the call is dispatched too. */
static gboolean
on_dispatched (gpointer data)
{
  Receipt *receipt = data;
  LlmInbound *self = receipt->inbound;
  guint64 *bytes;

  g_mutex_lock (&self->lock);
  bytes = g_hash_table_lookup (self->pending, receipt->sender);
  if (bytes != NULL && (*bytes -= receipt->bytes) == 0)
    g_hash_table_remove (self->pending, receipt->sender);
  g_mutex_unlock (&self->lock);
  return G_SOURCE_REMOVE;
}

static gboolean
admit (LlmInbound *self, const char *sender, gsize bytes)
{
  guint64 *pending;
  gboolean ok;

  g_mutex_lock (&self->lock);
  pending = g_hash_table_lookup (self->pending, sender);
  ok = bytes <= LLM_MAX_REQUEST_BYTES && (pending != NULL ? *pending : 0) + bytes <= LLM_MAX_INBOUND_BYTES_PER_SENDER;
  if (ok && pending == NULL)
    {
      pending = g_new0 (guint64, 1);
      g_hash_table_insert (self->pending, g_strdup (sender), pending);
    }
  if (ok)
    *pending += bytes;
  else
    self->refused++;
  g_mutex_unlock (&self->lock);
  return ok;
}

static void
refuse (LlmInbound *self, GDBusMessage *message, gsize bytes)
{
  g_autoptr (GDBusMessage) reply = NULL;

  if ((g_dbus_message_get_flags (message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0)
    return;
  if (bytes > LLM_MAX_REQUEST_BYTES)
    reply = g_dbus_message_new_method_error (message, "org.freedesktop.DBus.Error.LimitsExceeded", "the call is %" G_GSIZE_FORMAT " bytes long; at most %llu are allowed",
                                             bytes, LLM_MAX_REQUEST_BYTES);
  else
    reply = g_dbus_message_new_method_error (message, "org.freedesktop.DBus.Error.LimitsExceeded", "more than %llu bytes of calls wait already; wait for their replies",
                                             LLM_MAX_INBOUND_BYTES_PER_SENDER);
  g_dbus_connection_send_message (self->connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* Requests live at LLM_PATH_REQUESTS/1_42/TOKEN for the sender ":1.42". */
gboolean
llm_inbound_is_visible (const char *path, const char *sender)
{
  gsize prefix = strlen (LLM_PATH_REQUESTS), i;

  if (strncmp (path, LLM_PATH_REQUESTS, prefix) != 0 || (path[prefix] != '/' && path[prefix] != '\0'))
    return TRUE;
  if (path[prefix] == '\0' || sender[0] != ':')
    return FALSE;
  path += prefix + 1;
  sender++;
  for (i = 0; sender[i] != '\0'; i++)
    if (path[i] != (sender[i] == '.' ? '_' : sender[i]))
      return FALSE;
  return path[i] == '/';
}

static void
hide (LlmInbound *self, GDBusMessage *message)
{
  g_autoptr (GDBusMessage) reply = NULL;

  if ((g_dbus_message_get_flags (message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0)
    return;
  reply = g_dbus_message_new_method_error (message, "org.freedesktop.DBus.Error.UnknownObject", "there is no such object for you");
  g_dbus_connection_send_message (self->connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* GDBus' thread. */
static GDBusMessage *
on_message (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  LlmInbound *self = user_data;
  const char *sender = g_dbus_message_get_sender (message);
  g_autoptr (GSource) source = NULL;
  GVariant *body = g_dbus_message_get_body (message);
  gsize bytes;
  Receipt *receipt;

  if (!incoming || sender == NULL || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return message;
  if (!llm_inbound_is_visible (g_dbus_message_get_path (message), sender))
    {
      hide (self, message);
      g_object_unref (message);
      return NULL;
    }
  bytes = 256 + (body != NULL ? g_variant_get_size (body) : 0); /* a call without a body costs something too */
  if (!admit (self, sender, bytes))
    {
      refuse (self, message, bytes);
      g_object_unref (message);
      return NULL;
    }
  receipt = g_new0 (Receipt, 1);
  g_atomic_ref_count_inc (&self->refs);
  *receipt = (Receipt) { self, g_strdup (sender), bytes };
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT); /* that of GDBus' own dispatch: first come, first served */
  g_source_set_callback (source, on_dispatched, receipt, receipt_free);
  g_source_attach (source, self->context);
  return message;
}

LlmInbound *
llm_inbound_new (GDBusConnection *connection)
{
  LlmInbound *self = g_new0 (LlmInbound, 1);

  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  self->connection = g_object_ref (connection);
  self->context = g_main_context_ref_thread_default ();
  self->pending = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_atomic_ref_count_inc (&self->refs);
  self->filter = g_dbus_connection_add_filter (connection, on_message, self, inbound_unref);
  return self;
}

void
llm_inbound_free (LlmInbound *self)
{
  g_dbus_connection_remove_filter (self->connection, self->filter);
  inbound_unref (self);
}

guint64
llm_inbound_refused (LlmInbound *self)
{
  guint64 refused;

  g_mutex_lock (&self->lock);
  refused = self->refused;
  g_mutex_unlock (&self->lock);
  return refused;
}
