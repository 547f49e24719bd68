/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/broker.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "daemon/loader.h"
#include "daemon/models.h"
#include "daemon/request.h"

/* ---- telling ---- */

/* GIO errors get names that mean something on the bus. */
void
llm_broker_return_error (GDBusMethodInvocation *invocation, GError *error)
{
  llm_error_quark ();
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_dbus_method_invocation_return_error (invocation, LLM_ERROR, LLM_ERROR_CANCELLED, "%s", error->message);
  else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE))
    g_dbus_method_invocation_return_error (invocation, LLM_ERROR, LLM_ERROR_DISK_FULL, "%s", error->message);
  else if (error->domain == LLM_ERROR || error->domain == G_DBUS_ERROR)
    g_dbus_method_invocation_return_gerror (invocation, error);
  else
    g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "%s", error->message);
  g_error_free (error);
}

void
llm_broker_signal (LlmBroker *self, const char *client, const char *name, GVariant *params)
{
  gsize bytes = 256 + g_variant_get_size (params);

  g_dbus_connection_emit_signal (self->connection, client, LLM_OBJECT_PATH, LLM_IFACE, name, params, NULL);
  llm_flow_sent (self->flow, client, bytes);
}

void
llm_broker_notify (LlmBroker *self, const char *property, GVariant *value)
{
  GVariantBuilder changed;

  g_variant_builder_init (&changed, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&changed, "{sv}", property, value);
  g_dbus_connection_emit_signal (self->connection, NULL, LLM_OBJECT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                 g_variant_new ("(sa{sv}as)", LLM_IFACE, &changed, NULL), NULL);
}

char *
llm_broker_health (LlmBroker *self)
{
  guint quarantined = llm_crash_ledger_n_quarantined (self->ledger, g_get_monotonic_time ());

  if (self->bundled_pending > 0)
    return g_strdup ("starting");
  if (llm_crash_ledger_prefers_cpu (self->ledger))
    return g_strdup ("degraded: the engine crashed on Vulkan with several models; the CPU is used");
  if (quarantined > 0)
    return g_strdup_printf ("degraded: %u model and user pairs are refused after crashes", quarantined);
  if (self->update != NULL && llm_update_pending (self->update) > 0)
    return g_strdup_printf ("updating: what the new engine compiles for %u models is being made", llm_update_pending (self->update));
  return g_strdup ("ok");
}

/* ---- models ---- */

char *
llm_broker_default_model (LlmBroker *self)
{
  g_autofree char *setting = llm_settings_default_model (self->settings);
  g_autofree char *name = setting[0] != '\0' ? llm_store_normalize_name (setting, NULL) : NULL;
  g_autoptr (GPtrArray) list = NULL;

  if (name != NULL && llm_store_find (self->store, name) != NULL)
    return g_steal_pointer (&name);
  list = llm_store_list (self->store);
  for (guint i = 0; i < list->len; i++)
    {
      LlmStoreModel *model = list->pdata[i];

      if (list->len == 1 || model->bundled)
        return g_strdup (model->name);
    }
  return g_strdup ("");
}

LlmStoreModel *
llm_broker_resolve (LlmBroker *self, const char *name, GError **error)
{
  g_autofree char *normal = name[0] != '\0' ? llm_store_normalize_name (name, error) : llm_broker_default_model (self);
  LlmStoreModel *model;

  if (normal == NULL)
    return NULL;
  model = normal[0] != '\0' ? llm_store_find (self->store, normal) : NULL;
  if (model != NULL)
    return llm_store_model_ref (model);
  if (normal[0] == '\0')
    g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no default model; import one, or name one of those ListModels shows");
  else
    g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no model %s; ListModels shows those there are", normal);
  return NULL;
}

/* ---- statistics ---- */

typedef struct {
  LlmBroker *broker;
  LlmBrokerStatistics done;
  gpointer user_data;
} Asking;

static void
on_engine_statistics (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Asking *asking = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error);
  g_autoptr (GVariant) engine = reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
  g_autoptr (GVariant) artifacts = engine != NULL ? g_variant_lookup_value (engine, "artifacts", G_VARIANT_TYPE_VARDICT) : NULL;

  if (artifacts != NULL)
    llm_artifact_counts_note (asking->broker->artifacts, artifacts);
  asking->done (asking->broker, engine, asking->user_data);
}

void
llm_broker_ask_engine (LlmBroker *self, LlmBrokerStatistics done, gpointer user_data)
{
  Asking *asking;

  if (!llm_engine_client_is_running (self->engine))
    {
      llm_artifact_counts_engine_ended (self->artifacts);
      done (self, NULL, user_data);
      return;
    }
  asking = g_new0 (Asking, 1);
  *asking = (Asking) { self, done, user_data };
  llm_engine_client_call_async (self->engine, "Statistics", g_variant_new ("()"), NULL, on_engine_statistics, asking);
}

/* ---- events ---- */

static void
on_engine_ready (GVariant *info, gpointer user_data)
{
  LlmBroker *self = user_data;

  self->count.engine_starts++;
  llm_artifact_counts_engine_ended (self->artifacts); /* of the one before */
  self->lost_by_file = FALSE;
  llm_device_objects_update (self->devices, info);
}

static void
on_engine_delta (guint64 id, const char *channel, const char *text, GVariant *details, gpointer user_data)
{
  llm_generate_on_delta (user_data, id, channel, text, details);
}

static void
on_engine_state (guint64 id, const char *state, guint position, gpointer user_data)
{
  llm_generate_on_state (user_data, id, state, position);
}

static void
on_engine_done (guint64 id, GVariant *result, gpointer user_data)
{
  llm_generate_on_done (user_data, id, result);
}

static void
on_engine_lost (const char *reason, gpointer user_data)
{
  LlmBroker *self = user_data;

  g_warning ("the inference engine was %s", reason);
  self->count.engine_losses++;
  llm_generate_on_lost (self, reason);
  llm_broker_notify (self, "Health", g_variant_new_take_string (llm_broker_health (self)));
}

static const LlmEngineClientEvents engine_events = { on_engine_ready, on_engine_delta, on_engine_state, on_engine_done, on_engine_lost };

static void
on_caller_gone (LlmCaller *caller, gpointer user_data)
{
  LlmBroker *self = user_data;

  llm_flow_forget (self->flow, caller->name);
  while (caller->requests->len > 0)
    {
      LlmRequest *request = caller->requests->pdata[caller->requests->len - 1];

      g_ptr_array_set_size (caller->requests, caller->requests->len - 1);
      llm_request_orphan (request);
    }
}

static void
on_flow_changed (const char *client, gboolean blocked, gpointer user_data)
{
  LlmBroker *self = user_data;
  LlmCaller *caller = llm_callers_find (self->callers, client);

  for (guint i = 0; caller != NULL && i < caller->requests->len; i++)
    llm_generate_update_flow (caller->requests->pdata[i]);
}

static void
on_flow_gave_up (const char *client, gpointer user_data)
{
  LlmBroker *self = user_data;
  LlmCaller *caller = llm_callers_find (self->callers, client);
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_request_unref);

  for (guint i = 0; caller != NULL && i < caller->requests->len; i++)
    if (((LlmRequest *) caller->requests->pdata[i])->signals)
      g_ptr_array_add (streams, llm_request_ref (caller->requests->pdata[i]));
  for (guint i = 0; i < streams->len; i++)
    llm_request_cancel (streams->pdata[i], "its reader has not answered");
}

/* ---- life ---- */

static GVariant *
configuration (LlmBroker *self)
{
  LlmSettingsValues values;
  GVariantBuilder settings;

  llm_settings_read (self->settings, &values);
  g_variant_builder_init (&settings, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&settings, "{sv}", "threads", g_variant_new_uint32 (values.threads));
  return g_variant_builder_end (&settings);
}

static gboolean
is_limit (const char *key)
{
  static const char *const keys[] = { "artifact-bytes", "artifact-age", "keep-versions", "minimum-free-disk", "gc-policy", "gc-interval", "gc-grace", NULL };

  return g_strv_contains (keys, key);
}

/* What is not listed here is read when it is needed next. */
static void
on_setting_changed (const char *key, GVariant *value, gpointer user_data)
{
  LlmBroker *self = user_data;

  if (strcmp (key, "threads") == 0)
    llm_engine_client_set_configuration (self->engine, configuration (self));
  else if (strcmp (key, "keep-alive") == 0 || strcmp (key, "model-overrides") == 0)
    llm_loader_keep_alive_changed (self->loader);
  else if (strcmp (key, "default-model") == 0)
    llm_broker_notify (self, "DefaultModel", g_variant_new_take_string (llm_broker_default_model (self)));
  else if (is_limit (key))
    llm_collector_settings_changed (self->collector);
  llm_settings_object_changed (self->settings_object, key, value);
}

LlmBroker *
llm_broker_new (GDBusConnection *connection, const LlmBrokerOptions *options, GError **error)
{
  LlmBroker *self;
  LlmStore *store = llm_store_open (options->state_dir, options->session ? "on the session bus" : "on the system bus", error);

  if (store == NULL)
    return NULL;
  self = g_new0 (LlmBroker, 1);
  self->connection = g_object_ref (connection);
  self->session = options->session;
  self->models_dir = g_strdup (options->models_dir);
  self->store = store;
  self->settings = options->session ? llm_settings_new (NULL, NULL) : llm_settings_new (options->state_dir, options->config_dir);
  self->engine = llm_engine_client_new (options->engine_path, options->cache_dir, configuration (self), &engine_events, self);
  self->artifacts = llm_artifact_counts_new ();
  self->ledger = llm_crash_ledger_new ();
  self->requests = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) llm_request_unref);
  g_queue_init (&self->waiting_calls);
  self->callers = llm_callers_new (connection, on_caller_gone, self);
  self->inbound = llm_inbound_new (connection);
  self->flow = llm_flow_new (connection, on_flow_changed, on_flow_gave_up, self);
  self->loader = llm_loader_new (self);
  self->devices = llm_device_objects_new (self);
  self->models = llm_models_new (self);
  self->update = llm_update_new (self, options->engine_path);
  self->collector = llm_collector_new (self, options->cache_dir, options->engine_path);
  self->settings_object = llm_settings_object_new (self, error);
  if (self->settings_object == NULL || !llm_manager_export (self, error))
    {
      llm_broker_free (self);
      return NULL;
    }
  llm_settings_set_hook (self->settings, on_setting_changed, self);
  llm_import_bundled (self);
  if (self->bundled_pending == 0)
    llm_models_sync (self->models);
  return self;
}

static void
cancel_all (LlmBroker *self)
{
  GHashTableIter iter;
  gpointer request;

  for (;;)
    {
      g_hash_table_iter_init (&iter, self->requests);
      if (!g_hash_table_iter_next (&iter, NULL, &request))
        return;
      if (((LlmRequest *) request)->caller != NULL)
        g_ptr_array_remove_fast (((LlmRequest *) request)->caller->requests, request);
      llm_request_orphan (request);
    }
}

void
llm_broker_free (LlmBroker *self)
{
  GDBusMethodInvocation *invocation;

  if (self->manager_registration != 0)
    g_dbus_connection_unregister_object (self->connection, self->manager_registration);
  llm_settings_set_hook (self->settings, NULL, NULL);
  g_clear_pointer (&self->settings_object, llm_settings_object_free);
  while ((invocation = g_queue_pop_head (&self->waiting_calls)) != NULL)
    llm_broker_return_error (invocation, g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the service is shutting down"));
  g_clear_pointer (&self->collector, llm_collector_free);
  g_clear_pointer (&self->update, llm_update_free);
  cancel_all (self);
  llm_engine_client_shut_down (self->engine);
  while (g_main_context_iteration (NULL, FALSE)) /* what has been cancelled calls back, and may call the engine again */
    ;
  llm_engine_client_free (self->engine);
  llm_models_free (self->models);
  llm_device_objects_free (self->devices);
  llm_loader_free (self->loader);
  llm_flow_free (self->flow);
  llm_inbound_free (self->inbound);
  llm_callers_free (self->callers);
  g_hash_table_unref (self->requests);
  llm_crash_ledger_free (self->ledger);
  llm_artifact_counts_free (self->artifacts);
  llm_settings_free (self->settings);
  llm_store_free (self->store);
  g_free (self->degraded);
  g_free (self->models_dir);
  g_object_unref (self->connection);
  g_free (self);
}
