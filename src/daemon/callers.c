/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/callers.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"

typedef struct {
  guint requests, fds;
  guint64 importing; /* bytes */
} Account;

struct _LlmCallers {
  GDBusConnection *connection; /* (owned) */
  LlmCallerGone gone;
  gpointer user_data;
  GHashTable *known;    /* name -> LlmCaller */
  GHashTable *asking;   /* name -> GArray of Waiter */
  GHashTable *accounts; /* uid -> Account */
  guint n_requests;
  guint64 last_serial;
  guint subscription;
  GCancellable *cancellable;
};

typedef struct {
  LlmCallerReady ready;
  gpointer user_data;
} Waiter;

static void
caller_free (gpointer data)
{
  LlmCaller *caller = data;

  g_ptr_array_unref (caller->requests);
  g_free (caller->name);
  g_free (caller);
}

static void
on_name_owner_changed (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *signal, GVariant *params,
                       gpointer user_data)
{
  LlmCallers *self = user_data;
  const char *name, *new_owner;
  LlmCaller *caller;

  if (!g_variant_is_of_type (params, G_VARIANT_TYPE ("(sss)")))
    return;
  g_variant_get (params, "(&ss&s)", &name, NULL, &new_owner);
  caller = new_owner[0] == '\0' ? g_hash_table_lookup (self->known, name) : NULL;
  if (caller == NULL)
    return;
  g_hash_table_steal (self->known, name);
  self->gone (caller, self->user_data);
  caller_free (caller);
}

LlmCallers *
llm_callers_new (GDBusConnection *connection, LlmCallerGone gone, gpointer user_data)
{
  LlmCallers *self = g_new0 (LlmCallers, 1);

  self->connection = g_object_ref (connection);
  self->gone = gone;
  self->user_data = user_data;
  self->known = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, caller_free);
  self->asking = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  self->accounts = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  self->cancellable = g_cancellable_new ();
  self->subscription = g_dbus_connection_signal_subscribe (connection, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                                                           "/org/freedesktop/DBus", NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_name_owner_changed, self, NULL);
  return self;
}

void
llm_callers_free (LlmCallers *self)
{
  g_cancellable_cancel (self->cancellable);
  g_dbus_connection_signal_unsubscribe (self->connection, self->subscription);
  g_hash_table_unref (self->known);
  g_hash_table_unref (self->asking);
  g_hash_table_unref (self->accounts);
  g_object_unref (self->cancellable);
  g_object_unref (self->connection);
  g_free (self);
}

LlmCaller *
llm_callers_find (LlmCallers *self, const char *name)
{
  return g_hash_table_lookup (self->known, name);
}

guint
llm_callers_count (LlmCallers *self)
{
  return g_hash_table_size (self->known);
}

typedef struct {
  LlmCallers *self;
  char *name;
} Question;

static void
on_uid (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Question *question = user_data;
  g_autofree char *name = question->name;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  g_autoptr (GError) typed = NULL;
  g_autoptr (GArray) waiters = NULL;
  LlmCallers *self = question->self;
  LlmCaller *caller = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* self is gone */
  waiters = g_array_ref (g_hash_table_lookup (self->asking, name));
  g_hash_table_remove (self->asking, name);
  if (reply != NULL)
    {
      caller = g_new0 (LlmCaller, 1);
      caller->name = g_strdup (name);
      caller->serial = ++self->last_serial;
      caller->requests = g_ptr_array_new ();
      g_variant_get (reply, "(u)", &caller->uid);
      g_hash_table_insert (self->known, caller->name, caller);
    }
  else
    typed = g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED, "the bus does not say who you are: %s", error->message);
  for (guint i = 0; i < waiters->len; i++)
    {
      Waiter *waiter = &g_array_index (waiters, Waiter, i);
      waiter->ready (caller, typed, waiter->user_data);
    }
}

void
llm_callers_get (LlmCallers *self, const char *name, LlmCallerReady ready, gpointer user_data)
{
  LlmCaller *caller = g_hash_table_lookup (self->known, name);
  GArray *waiters = g_hash_table_lookup (self->asking, name);
  Waiter waiter = { ready, user_data };
  Question *question;

  if (caller != NULL)
    {
      ready (caller, NULL, user_data);
      return;
    }
  if (waiters != NULL)
    {
      g_array_append_val (waiters, waiter);
      return;
    }
  waiters = g_array_new (FALSE, FALSE, sizeof (Waiter));
  g_array_append_val (waiters, waiter);
  g_hash_table_insert (self->asking, g_strdup (name), waiters);
  question = g_new0 (Question, 1);
  *question = (Question) { self, g_strdup (name) };
  g_dbus_connection_call (self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
                          g_variant_new ("(s)", name), G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, self->cancellable, on_uid, question);
}

/* ---- quotas ---- */

static Account *
account (LlmCallers *self, guint32 uid)
{
  Account *a = g_hash_table_lookup (self->accounts, GUINT_TO_POINTER (uid));

  if (a == NULL)
    {
      a = g_new0 (Account, 1);
      g_hash_table_insert (self->accounts, GUINT_TO_POINTER (uid), a);
    }
  return a;
}

gboolean
llm_callers_charge_request (LlmCallers *self, guint32 uid, GError **error)
{
  Account *a = account (self, uid);

  if (self->n_requests >= LLM_MAX_REQUESTS_TOTAL)
    g_set_error (error, LLM_ERROR, LLM_ERROR_QUEUE_FULL, "%d requests are under way already; try again later", LLM_MAX_REQUESTS_TOTAL);
  else if (a->requests >= LLM_MAX_REQUESTS_PER_UID)
    g_set_error (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED, "user %u has %d requests under way already; wait for one to end", uid, LLM_MAX_REQUESTS_PER_UID);
  else
    {
      a->requests++;
      self->n_requests++;
      return TRUE;
    }
  return FALSE;
}

void
llm_callers_refund_request (LlmCallers *self, guint32 uid)
{
  account (self, uid)->requests--;
  self->n_requests--;
}

gboolean
llm_callers_charge_fd (LlmCallers *self, guint32 uid, GError **error)
{
  Account *a = account (self, uid);

  if (a->fds >= LLM_MAX_FDS_PER_UID)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED, "user %u has %d file descriptors in use here already; wait for one to end", uid, LLM_MAX_FDS_PER_UID);
      return FALSE;
    }
  a->fds++;
  return TRUE;
}

void
llm_callers_refund_fd (LlmCallers *self, guint32 uid)
{
  account (self, uid)->fds--;
}

gboolean
llm_disk_share_allows (guint32 uid, guint64 has, guint64 bytes, GError **error)
{
  g_autofree char *share = NULL, *used = NULL, *wanted = NULL;
  guint64 sum;

  if (llm_add_u64 (has, bytes, &sum) && sum <= LLM_MAX_STORE_BYTES_PER_UID)
    return TRUE;
  share = g_format_size_full (LLM_MAX_STORE_BYTES_PER_UID, G_FORMAT_SIZE_IEC_UNITS);
  used = g_format_size_full (has, G_FORMAT_SIZE_IEC_UNITS);
  wanted = g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
  return llm_error_fail (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED, "user %u has %s in the store or on the way there, and %s more are above the limit of %s; delete a model, "
                         "or let an administrator import it", uid, used, wanted, share);
}

gboolean
llm_callers_charge_disk (LlmCallers *self, guint32 uid, guint64 stored, guint64 bytes, GError **error)
{
  Account *a = account (self, uid);
  guint64 has;

  if (!llm_add_u64 (stored, a->importing, &has))
    has = G_MAXUINT64;
  if (!llm_disk_share_allows (uid, has, bytes, error))
    return FALSE;
  a->importing += bytes;
  return TRUE;
}

void
llm_callers_refund_disk (LlmCallers *self, guint32 uid, guint64 bytes)
{
  account (self, uid)->importing -= bytes;
}

guint
llm_callers_n_requests (LlmCallers *self)
{
  return self->n_requests;
}
