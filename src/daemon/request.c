/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/request.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "public-interface.h"

static const char *const kind_names[] = { "generate", "chat", "stream", "import", "load", "embed", "verify" };
static const char *const state_names[LLM_N_STATES] = { "waiting", "collecting", "loading", "queued", "prefill", "decode", "paused", "done" };

#define BIT(state) (1u << LLM_STATE_##state)

/* From every state to those that may follow; an engine that was lost sends a request back to loading. */
static const guint edges[LLM_N_STATES] = {
  [LLM_STATE_WAITING] = BIT (COLLECTING) | BIT (LOADING) | BIT (DONE),
  [LLM_STATE_COLLECTING] = BIT (WAITING) | BIT (DONE),
  [LLM_STATE_LOADING] = BIT (QUEUED) | BIT (DONE),
  [LLM_STATE_QUEUED] = BIT (PREFILL) | BIT (DECODE) | BIT (PAUSED) | BIT (LOADING) | BIT (DONE),
  [LLM_STATE_PREFILL] = BIT (DECODE) | BIT (QUEUED) | BIT (PAUSED) | BIT (LOADING) | BIT (DONE),
  [LLM_STATE_DECODE] = BIT (QUEUED) | BIT (PREFILL) | BIT (PAUSED) | BIT (LOADING) | BIT (DONE),
  [LLM_STATE_PAUSED] = BIT (QUEUED) | BIT (PREFILL) | BIT (DECODE) | BIT (LOADING) | BIT (DONE),
  [LLM_STATE_DONE] = 0,
};

gboolean
llm_state_may_follow (LlmState from, LlmState to)
{
  return (edges[from] & 1u << to) != 0;
}

LlmState
llm_state_from_name (const char *name)
{
  guint i;

  for (i = 0; i < LLM_N_STATES; i++)
    if (strcmp (state_names[i], name) == 0)
      break;
  return (LlmState) i;
}

/* ---- the object ---- */

static GVariant *
get_property (LlmRequest *self, const char *name)
{
  if (strcmp (name, "Kind") == 0)
    return g_variant_new_string (kind_names[self->kind]);
  if (strcmp (name, "State") == 0)
    return g_variant_new_string (state_names[self->state]);
  if (strcmp (name, "QueuePosition") == 0)
    return g_variant_new_uint32 (self->position);
  if (strcmp (name, "Completed") == 0)
    return g_variant_new_uint64 (self->completed);
  return g_variant_new_uint64 (self->total);
}

static void
return_unknown_object (GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT, "there is no such object for you");
}

static void
answer_wait (LlmRequest *self, GDBusMethodInvocation *invocation)
{
  if (self->error != NULL)
    llm_broker_return_error (invocation, g_error_copy (self->error));
  else
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", self->result));
}

static void unexport (LlmRequest *self);

static void
handle_wait (LlmRequest *self, GDBusMethodInvocation *invocation)
{
  if (self->state != LLM_STATE_DONE)
    {
      g_ptr_array_add (self->waiters, invocation);
      return;
    }
  answer_wait (self, invocation);
  unexport (self);
}

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  LlmRequest *self = user_data;

  if (g_strcmp0 (sender, self->sender) != 0)
    return_unknown_object (invocation);
  else if (strcmp (method, "Wait") == 0)
    handle_wait (self, invocation);
  else
    {
      g_dbus_method_invocation_return_value (invocation, NULL);
      llm_request_cancel (self, "it was cancelled by its caller");
    }
}

/* GDBus answers Get and GetAll through this. */
static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GError **error,
                 gpointer user_data)
{
  LlmRequest *self = user_data;

  if (g_strcmp0 (sender, self->sender) == 0)
    return get_property (self, name);
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT, "there is no such object for you");
  return NULL;
}

static const GDBusInterfaceVTable vtable = { on_method_call, on_get_property, NULL, { 0 } };

static void
unexport (LlmRequest *self)
{
  guint registration = self->registration;

  g_clear_handle_id (&self->ttl_timer, g_source_remove);
  if (registration == 0)
    return;
  self->registration = 0;
  if (self->caller != NULL)
    g_ptr_array_remove_fast (self->caller->requests, self);
  self->caller = NULL;
  g_dbus_connection_unregister_object (self->broker->connection, registration);
  g_hash_table_remove (self->broker->requests, &self->id); /* drops its reference */
}

/* ":1.42" -> "1_42" */
static char *
path_for (const char *sender, const char *token, guint64 id)
{
  g_autofree char *name = g_strdelimit (g_strdup (sender + 1), ".", '_');

  if (token != NULL)
    return g_strdup_printf ("%s/%s/%s", LLM_PATH_REQUESTS, name, token);
  return g_strdup_printf ("%s/%s/r%" G_GUINT64_FORMAT, LLM_PATH_REQUESTS, name, id);
}

LlmRequest *
llm_request_new (LlmBroker *broker, LlmCaller *caller, LlmRequestKind kind, const char *handle_token, GError **error)
{
  g_autoptr (GError) taken = NULL;
  LlmRequest *self;

  if (!llm_callers_charge_request (broker->callers, caller->uid, error))
    return NULL;
  self = g_new0 (LlmRequest, 1);
  self->refs = 1;
  self->broker = broker;
  self->sender = g_strdup (caller->name);
  self->uid = caller->uid;
  self->id = ++broker->last_request_id;
  self->kind = kind;
  self->path = path_for (caller->name, handle_token, self->id);
  self->waiters = g_ptr_array_new ();
  self->cancellable = g_cancellable_new ();
  self->registration = g_dbus_connection_register_object (broker->connection, self->path, (GDBusInterfaceInfo *) &org_local_llmrequest_interface, &vtable, self,
                                                          NULL, &taken);
  if (self->registration == 0)
    {
      llm_callers_refund_request (broker->callers, caller->uid);
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "handle-token: you have a request of that name already");
      self->state = LLM_STATE_DONE;
      llm_request_unref (self);
      return NULL;
    }
  self->caller = caller;
  g_ptr_array_add (caller->requests, self);
  g_hash_table_insert (broker->requests, &self->id, llm_request_ref (self));
  broker->count.requests_total++;
  llm_broker_notify (broker, "QueueLength", g_variant_new_uint32 (llm_callers_n_requests (broker->callers)));
  return self;
}

LlmRequest *
llm_request_ref (LlmRequest *self)
{
  self->refs++;
  return self;
}

void
llm_request_unref (LlmRequest *self)
{
  if (--self->refs > 0)
    return;
  g_assert (self->state == LLM_STATE_DONE && self->registration == 0);
  g_ptr_array_unref (self->waiters);
  g_object_unref (self->cancellable);
  g_clear_pointer (&self->result, g_variant_unref);
  g_clear_error (&self->error);
  g_free (self->sender);
  g_free (self->path);
  g_free (self);
}

/* ---- life ---- */

void
llm_request_set_state (LlmRequest *self, LlmState state, const char *why)
{
  if (self->state == state)
    return;
  g_return_if_fail (llm_state_may_follow (self->state, state));
  g_debug ("request %" G_GUINT64_FORMAT ": %s -> %s (%s)", self->id, state_names[self->state], state_names[state], why);
  self->state = state;
}

void
llm_request_progress (LlmRequest *self, const char *phase, guint64 done, guint64 total)
{
  self->completed = done;
  self->total = total;
  if (self->caller != NULL && self->state != LLM_STATE_DONE)
    llm_broker_signal (self->broker, self->sender, "Progress", g_variant_new ("(ostt)", self->path, phase, done, total));
}

static gboolean
on_ttl (gpointer user_data)
{
  LlmRequest *self = user_data;

  self->ttl_timer = 0;
  unexport (self);
  return G_SOURCE_REMOVE;
}

static void
answer_all (LlmRequest *self)
{
  gboolean waited = self->waiters->len > 0 || self->reply != NULL;

  if (self->reply != NULL)
    llm_generate_reply (self, g_steal_pointer (&self->reply));
  else if (self->caller != NULL)
    {
      g_autofree char *name = self->error != NULL ? llm_error_dbus_name (self->error) : g_strdup ("");

      llm_broker_signal (self->broker, self->sender, "Finished",
                         g_variant_new ("(oss@a{sv})", self->path, name, self->error != NULL ? self->error->message : "", self->result));
    }
  for (guint i = 0; i < self->waiters->len; i++)
    answer_wait (self, self->waiters->pdata[i]);
  g_ptr_array_set_size (self->waiters, 0);
  if (waited)
    unexport (self);
  else if (self->registration != 0)
    self->ttl_timer = g_timeout_add (LLM_FINISHED_REQUEST_TTL_MS, on_ttl, self);
}

void
llm_request_end (LlmRequest *self, GVariant *result, GError *error)
{
  g_autoptr (LlmRequest) hold = NULL;

  if (result != NULL)
    g_variant_ref_sink (result);
  if (self->state == LLM_STATE_DONE)
    {
      g_clear_pointer (&result, g_variant_unref);
      g_clear_error (&error);
      return;
    }
  hold = llm_request_ref (self);
  llm_request_set_state (self, LLM_STATE_DONE, error != NULL ? "failed" : "finished");
  g_clear_pointer (&self->result, g_variant_unref);
  self->result = result != NULL ? result : g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  self->error = error;
  self->broker->count.requests_failed += error != NULL;
  llm_callers_refund_request (self->broker->callers, self->uid);
  llm_broker_notify (self->broker, "QueueLength", g_variant_new_uint32 (llm_callers_n_requests (self->broker->callers)));
  answer_all (self);
  llm_generate_ended (self);
  if (self->import != NULL)
    llm_import_request_ended (self->import);
}

void
llm_request_cancel (LlmRequest *self, const char *why)
{
  if (self->state == LLM_STATE_DONE)
    return;
  if (self->submitted)
    llm_engine_client_call_async (self->broker->engine, "Cancel", g_variant_new ("(t)", self->id), NULL, NULL, NULL);
  g_cancellable_cancel (self->cancellable);
  llm_request_end (self, NULL, g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the request has ended: %s", why));
}

void
llm_request_discard (LlmRequest *self)
{
  self->state = LLM_STATE_DONE;
  llm_callers_refund_request (self->broker->callers, self->uid);
  llm_generate_ended (self);
  unexport (self);
}

void
llm_request_orphan (LlmRequest *self)
{
  g_autoptr (LlmRequest) hold = llm_request_ref (self);

  self->caller = NULL;
  llm_request_cancel (self, "its caller is gone");
  unexport (self);
}
