/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * STOPPED -> STARTING -> READY -> STOPPED.  Calls made before READY wait in `waiting`; what fails
 * while starting, fails them all.
 */
#include "daemon/engine-client.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "daemon/engine-process.h"

typedef enum { STOPPED, STARTING, READY } State;

struct _LlmEngineClient {
  char *path;
  char *cache_dir;     /* nullable */
  GVariant *configure;
  LlmEngineClientEvents events;
  gpointer user_data;
  State state;
  guint generation;    /* of the process: what belongs to an earlier one is not ours */
  LlmEngineProcess *process;
  guint subscription;
  gulong closed_handler;
  GQueue waiting;      /* GTask (owned) with Call */
  guint n_calls;
  guint restart_delay; /* ms */
  gint64 started_us;
  guint start_timer;
  GCancellable *cancellable;
  gboolean shut_down;
  guint refs;
};

typedef struct {
  LlmEngineClient *client;
  char *method;
  GVariant *params;
  GUnixFDList *fds;
} Call;

static void
client_unref (LlmEngineClient *self)
{
  if (--self->refs > 0)
    return;
  g_variant_unref (self->configure);
  g_object_unref (self->cancellable);
  g_free (self->path);
  g_free (self->cache_dir);
  g_free (self);
}

static void
call_free (gpointer data)
{
  Call *call = data;

  call->client->n_calls--;
  g_free (call->method);
  g_variant_unref (call->params);
  g_clear_object (&call->fds);
  client_unref (call->client);
  g_free (call);
}

LlmEngineClient *
llm_engine_client_new (const char *path, const char *cache_dir, GVariant *configure, const LlmEngineClientEvents *events, gpointer user_data)
{
  LlmEngineClient *self = g_new0 (LlmEngineClient, 1);

  self->refs = 1;
  self->path = g_strdup (path);
  self->cache_dir = g_strdup (cache_dir);
  self->configure = g_variant_ref_sink (configure);
  self->events = *events;
  self->user_data = user_data;
  self->cancellable = g_cancellable_new ();
  g_queue_init (&self->waiting);
  return self;
}

/* Forgets the process, killing it if it still lives. */
static void
drop_process (LlmEngineClient *self)
{
  self->state = STOPPED;
  self->generation++;
  g_clear_handle_id (&self->start_timer, g_source_remove);
  if (self->process != NULL)
    {
      g_dbus_connection_signal_unsubscribe (self->process->connection, self->subscription);
      g_clear_signal_handler (&self->closed_handler, self->process->connection);
    }
  g_clear_pointer (&self->process, llm_engine_process_free);
}

static void
fail_waiting (LlmEngineClient *self, const GError *error)
{
  GQueue failing = self->waiting; /* a callback may call again */
  GTask *task;

  g_queue_init (&self->waiting);
  while ((task = g_queue_pop_head (&failing)) != NULL)
    {
      g_task_return_error (task, g_error_copy (error));
      g_object_unref (task);
    }
}

void
llm_engine_client_stop (LlmEngineClient *self)
{
  g_autoptr (GError) error = g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the inference engine was stopped before it had started");

  drop_process (self);
  fail_waiting (self, error);
  self->started_us = 0; /* it did not die young, it was asked to */
}

void
llm_engine_client_shut_down (LlmEngineClient *self)
{
  g_autoptr (GError) error = g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the service is shutting down");

  self->shut_down = TRUE;
  g_cancellable_cancel (self->cancellable);
  drop_process (self);
  fail_waiting (self, error);
}

void
llm_engine_client_free (LlmEngineClient *self)
{
  llm_engine_client_shut_down (self);
  client_unref (self);
}

void
llm_engine_client_set_configuration (LlmEngineClient *self, GVariant *configure)
{
  g_variant_unref (self->configure);
  self->configure = g_variant_ref_sink (configure);
}

gboolean
llm_engine_client_is_running (LlmEngineClient *self)
{
  return self->state != STOPPED;
}

/* ---- the engine's signals and its end ---- */

static void
on_signal (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GVariant *params,
           gpointer user_data)
{
  LlmEngineClient *self = user_data;
  guint64 id;

  if (g_str_equal (name, "Delta") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(tussa{sv})")))
    {
      g_autoptr (GVariant) details = NULL;
      const char *channel, *text;
      guint choice;

      g_variant_get (params, "(tu&s&s@a{sv})", &id, &choice, &channel, &text, &details);
      self->events.delta (id, channel, text, details, self->user_data);
    }
  else if (g_str_equal (name, "State") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(tsu)")))
    {
      const char *state;
      guint position;

      g_variant_get (params, "(t&su)", &id, &state, &position);
      self->events.state (id, state, position, self->user_data);
    }
  else if (g_str_equal (name, "Done") && g_variant_is_of_type (params, G_VARIANT_TYPE ("(ta{sv})")))
    {
      g_autoptr (GVariant) result = NULL;

      g_variant_get (params, "(t@a{sv})", &id, &result);
      self->events.done (id, result, self->user_data);
    }
}

static char *
describe_end (GSubprocess *process)
{
  if (g_subprocess_get_if_signaled (process))
    return g_strdup_printf ("killed by signal %d (%s)", g_subprocess_get_term_sig (process), g_strsignal (g_subprocess_get_term_sig (process)));
  return g_strdup_printf ("exited with status %d", g_subprocess_get_exit_status (process));
}

static void start_failed (LlmEngineClient *self, const GError *error);

static void
on_dead (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmEngineClient *self = user_data;
  g_autofree char *reason = NULL;
  g_autoptr (GError) error = NULL;

  if (!self->shut_down && self->process != NULL && G_OBJECT (self->process->process) == source)
    {
      reason = describe_end (G_SUBPROCESS (source));
      if (self->state == STARTING)
        {
          error = g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the inference engine %s while it started", reason);
          start_failed (self, error);
        }
      else
        {
          drop_process (self);
          self->events.lost (reason, self->user_data);
        }
    }
  client_unref (self);
}

static void
on_closed (GDBusConnection *connection, gboolean remote, GError *error, gpointer user_data)
{
  LlmEngineClient *self = user_data;

  self->refs++;
  g_subprocess_force_exit (self->process->process); /* it is dead, or deaf */
  g_subprocess_wait_async (self->process->process, NULL, on_dead, self);
}

/* ---- starting ---- */

static void send_call (LlmEngineClient *self, GTask *task);

typedef struct {
  LlmEngineClient *client; /* (owned) */
  guint generation;
} Start;

static void
start_failed (LlmEngineClient *self, const GError *error)
{
  g_autoptr (GError) typed = g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST, "%s", error->message);

  g_warning ("the engine did not start: %s", error->message);
  drop_process (self);
  fail_waiting (self, typed);
}

static void
on_configured (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmEngineClient *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  g_autoptr (GVariant) info = NULL;
  GTask *task;

  if (self->shut_down || self->process == NULL || self->process->connection != G_DBUS_CONNECTION (source))
    ;
  else if (reply == NULL)
    start_failed (self, error);
  else
    {
      self->state = READY;
      info = g_variant_get_child_value (reply, 0);
      self->events.ready (info, self->user_data);
      while (self->state == READY && (task = g_queue_pop_head (&self->waiting)) != NULL)
        send_call (self, task);
    }
  client_unref (self);
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Start *of = user_data;
  LlmEngineClient *self = of->client;
  g_autoptr (GError) error = NULL;
  LlmEngineProcess *process = llm_engine_process_start_finish (result, &error);

  if (self->shut_down || self->generation != of->generation)
    g_clear_pointer (&process, llm_engine_process_free);
  else if (process == NULL)
    start_failed (self, error);
  else
    {
      self->process = process;
      self->subscription = g_dbus_connection_signal_subscribe (process->connection, NULL, LLM_ENGINE_IFACE, NULL, LLM_ENGINE_PATH, NULL,
                                                               G_DBUS_SIGNAL_FLAGS_NONE, on_signal, self, NULL);
      self->closed_handler = g_signal_connect (process->connection, "closed", G_CALLBACK (on_closed), self);
      self->refs++;
      g_dbus_connection_call (process->connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, "Configure",
                              g_variant_new ("(@a{sv})", self->configure), G_VARIANT_TYPE ("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, LLM_INSPECT_TIMEOUT_MS, NULL,
                              on_configured, self);
    }
  client_unref (self);
}

static gboolean
on_start_timer (gpointer user_data)
{
  LlmEngineClient *self = user_data;
  Start *of;

  self->start_timer = 0;
  self->started_us = g_get_monotonic_time ();
  self->refs++;
  of = g_new0 (Start, 1);
  *of = (Start) { self, self->generation };
  llm_engine_process_start_async (self->path, FALSE, self->cache_dir, self->cancellable, on_started, of);
  return G_SOURCE_REMOVE;
}

/* An engine that dies young is started again later and later. */
static void
start (LlmEngineClient *self)
{
  if (self->started_us != 0 && g_get_monotonic_time () - self->started_us < 2 * G_USEC_PER_SEC)
    self->restart_delay = MIN (MAX (50, 2 * self->restart_delay), 5000);
  else
    self->restart_delay = 0;
  self->state = STARTING;
  self->start_timer = g_timeout_add (self->restart_delay, on_start_timer, self);
}

/* ---- calls ---- */

static void
on_called (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GVariant *reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL, result, &error);

  if (reply != NULL)
    g_task_return_pointer (task, reply, (GDestroyNotify) g_variant_unref);
  else if (g_dbus_error_is_remote_error (error))
    {
      g_dbus_error_strip_remote_error (error);
      g_task_return_error (task, error);
    }
  else
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the inference engine ended before it answered; try again");
      g_error_free (error);
    }
}

/* Takes the reference. */
static void
send_call (LlmEngineClient *self, GTask *task)
{
  const Call *call = g_task_get_task_data (task);

  g_dbus_connection_call_with_unix_fd_list (self->process->connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, call->method, call->params, NULL,
                                            G_DBUS_CALL_FLAGS_NONE, G_MAXINT, call->fds, NULL, on_called, task);
}

void
llm_engine_client_call_async (LlmEngineClient *self, const char *method, GVariant *params, GUnixFDList *fds, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  Call *call = g_new0 (Call, 1);

  llm_error_quark (); /* so that the engine's errors are ours */
  call->client = self;
  self->refs++;
  call->method = g_strdup (method);
  call->params = g_variant_ref_sink (params);
  call->fds = fds != NULL ? g_object_ref (fds) : NULL;
  g_task_set_task_data (task, call, call_free);
  self->n_calls++;
  if (self->shut_down) /* who was told of the end asks again */
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_CANCELLED, "the service is shutting down");
      g_object_unref (task);
      return;
    }
  if (self->n_calls > LLM_ENGINE_MAX_CALLS)
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_BUSY, "%d calls wait for the engine already; try again later", LLM_ENGINE_MAX_CALLS);
      g_object_unref (task);
      return;
    }
  if (self->state == READY)
    send_call (self, task);
  else
    g_queue_push_tail (&self->waiting, task);
  if (self->state == STOPPED)
    start (self);
}

GVariant *
llm_engine_client_call_finish (LlmEngineClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- inspecting ---- */

typedef struct {
  GUnixFDList *fds;
  LlmEngineProcess *process;
} Inspection;

static void
inspection_free (gpointer data)
{
  Inspection *inspection = data;

  g_clear_pointer (&inspection->process, llm_engine_process_free);
  g_object_unref (inspection->fds);
  g_free (inspection);
}

static void
on_inspected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL, result, &error);

  if (reply != NULL)
    g_task_return_pointer (task, g_variant_get_child_value (reply, 0), (GDestroyNotify) g_variant_unref);
  else if (g_dbus_error_is_remote_error (error) || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_dbus_error_strip_remote_error (error);
      g_task_return_error (task, error);
    }
  else
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the model file made its inspection %s; it is not usable",
                               g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ? "hang" : "crash");
      g_error_free (error);
    }
}

static void
on_inspector_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Inspection *inspection = g_task_get_task_data (task);
  GVariantBuilder handles;
  GError *error = NULL;
  GDBusConnection *connection;

  inspection->process = llm_engine_process_start_finish (result, &error);
  if (inspection->process == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  connection = inspection->process->connection;
  g_variant_builder_init (&handles, G_VARIANT_TYPE ("ah"));
  for (int i = 0; i < g_unix_fd_list_get_length (inspection->fds); i++)
    g_variant_builder_add (&handles, "h", i);
  g_dbus_connection_call_with_unix_fd_list (connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, "Inspect",
                                            g_variant_new ("(ah)", &handles),
                                            G_VARIANT_TYPE ("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, LLM_INSPECT_TIMEOUT_MS, inspection->fds,
                                            g_task_get_cancellable (task), on_inspected, task);
  g_steal_pointer (&task);
}

void
llm_engine_client_inspect_async (LlmEngineClient *self, GUnixFDList *fds, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Inspection *inspection = g_new0 (Inspection, 1);

  llm_error_quark ();
  inspection->fds = g_object_ref (fds);
  g_task_set_task_data (task, inspection, inspection_free);
  llm_engine_process_start_async (self->path, TRUE, NULL, cancellable, on_inspector_started, g_steal_pointer (&task));
}

GVariant *
llm_engine_client_inspect_finish (LlmEngineClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
