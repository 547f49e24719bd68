/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The object /org/local/LLM: its properties, the table of its methods (manager-*.c), its statistics.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "config.h"
#include "daemon/loader.h"
#include "daemon/manager-calls.h"
#include "daemon/models.h"
#include "public-interface.h"

GVariant *
llm_manager_options_at (const LlmManagerCall *call, gsize i, LlmOptionsTable table, GError **error)
{
  g_autoptr (GVariant) raw = g_variant_get_child_value (call->params, i);

  return llm_options_parse (table, raw, error);
}

const char *
llm_manager_string_at (const LlmManagerCall *call, gsize i)
{
  const char *s;

  g_variant_get_child (call->params, i, "&s", &s);
  return s;
}

/* ---- statistics ---- */

static void
return_statistics (LlmBroker *self, GVariant *engine, gpointer invocation)
{
  g_autoptr (GVariant) store = llm_store_statistics (self->store);
  g_auto (GVariantDict) all = G_VARIANT_DICT_INIT (NULL), broker = G_VARIANT_DICT_INIT (NULL), of_engine = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&broker, "requests-total", "t", self->count.requests_total);
  g_variant_dict_insert (&broker, "requests-failed", "t", self->count.requests_failed);
  g_variant_dict_insert (&broker, "requests-live", "u", llm_callers_n_requests (self->callers));
  g_variant_dict_insert (&broker, "clients", "u", llm_callers_count (self->callers));
  g_variant_dict_insert (&broker, "engine-starts", "t", self->count.engine_starts);
  g_variant_dict_insert (&broker, "engine-losses", "t", self->count.engine_losses);
  g_variant_dict_insert (&broker, "calls-refused", "t", llm_inbound_refused (self->inbound));
  g_variant_dict_insert_value (&all, "broker", g_variant_dict_end (&broker));
  g_variant_dict_insert_value (&all, "store", store);
  g_variant_dict_insert_value (&all, "garbage", llm_collector_statistics (self->collector));
  g_variant_dict_insert_value (&all, "artifacts", llm_artifact_counts_to_variant (self->artifacts));
  if (engine != NULL)
    g_variant_dict_init (&of_engine, engine);
  g_variant_dict_remove (&of_engine, "artifacts"); /* those of one engine */
  g_variant_dict_insert_value (&all, "engine", g_variant_dict_end (&of_engine));
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", g_variant_dict_end (&all)));
}

static gboolean
handle_get_statistics (LlmManagerCall *call, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, 0, LLM_OPTIONS_NONE, error);

  if (options != NULL)
    llm_broker_ask_engine (call->broker, return_statistics, call->invocation);
  return options != NULL;
}

/* ---- the object ---- */

static const struct {
  const char *method;
  gboolean (*handler) (LlmManagerCall *call, GError **error);
  gboolean needs_models; /* waits until the bundled ones are known */
} methods[] = {
  { "Generate", llm_manager_generate, TRUE },
  { "GenerateToFd", llm_manager_generate_to_fd, TRUE },
  { "Chat", llm_manager_chat, TRUE },
  { "Stream", llm_manager_stream, TRUE },
  { "Embed", llm_manager_embed, TRUE },
  { "EmbedToFd", llm_manager_embed_to_fd, TRUE },
  { "CountTokens", llm_manager_count_tokens, TRUE },
  { "Tokenize", llm_manager_tokenize, TRUE },
  { "Detokenize", llm_manager_detokenize, TRUE },
  { "Availability", llm_manager_availability, TRUE },
  { "ListModels", llm_manager_list_models, TRUE },
  { "GetModel", llm_manager_get_model, TRUE },
  { "Import", llm_manager_import, FALSE },
  { "CollectGarbage", llm_manager_collect_garbage, TRUE },
  { "GetStatistics", handle_get_statistics, FALSE },
};

typedef struct {
  LlmBroker *broker;
  GDBusMethodInvocation *invocation;
} Pending;

static void
on_caller (LlmCaller *caller, const GError *caller_error, gpointer user_data)
{
  g_autofree Pending *pending = user_data;
  GDBusMethodInvocation *invocation = pending->invocation;
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  LlmManagerCall call = { pending->broker, caller, g_dbus_method_invocation_get_parameters (invocation), invocation };
  GError *error = NULL;

  if (caller == NULL)
    {
      llm_broker_return_error (invocation, g_error_copy (caller_error));
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    if (strcmp (methods[i].method, method) == 0)
      {
        if (!methods[i].handler (&call, &error))
          llm_broker_return_error (invocation, error);
        return;
      }
  g_assert_not_reached (); /* GDBus lets only methods of the XML through */
}

void
llm_manager_dispatch (LlmBroker *self, GDBusMethodInvocation *invocation)
{
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  Pending *pending;

  for (gsize i = 0; i < G_N_ELEMENTS (methods) && self->bundled_pending > 0; i++)
    if (methods[i].needs_models && strcmp (methods[i].method, method) == 0)
      {
        if (g_queue_get_length (&self->waiting_calls) < LLM_MAX_REQUESTS_TOTAL)
          g_queue_push_tail (&self->waiting_calls, invocation);
        else
          llm_broker_return_error (invocation, g_error_new (LLM_ERROR, LLM_ERROR_QUEUE_FULL, "too many calls wait for the service to start; try again"));
        return;
      }
  pending = g_new0 (Pending, 1);
  *pending = (Pending) { self, invocation };
  llm_callers_get (self->callers, g_dbus_method_invocation_get_sender (invocation), on_caller, pending);
}

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  llm_manager_dispatch (user_data, invocation);
}

static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GError **error,
                 gpointer user_data)
{
  LlmBroker *self = user_data;

  if (strcmp (name, "Version") == 0)
    return g_variant_new_string (LLM_VERSION);
  if (strcmp (name, "ApiVersion") == 0)
    return g_variant_new_uint32 (LLM_API_VERSION);
  if (strcmp (name, "DefaultModel") == 0)
    return g_variant_new_take_string (llm_broker_default_model (self));
  if (strcmp (name, "LoadedModels") == 0)
    return llm_models_loaded_paths (self->models);
  if (strcmp (name, "QueueLength") == 0)
    return g_variant_new_uint32 (llm_callers_n_requests (self->callers));
  return g_variant_new_take_string (llm_broker_health (self));
}

gboolean
llm_manager_export (LlmBroker *self, GError **error)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, on_get_property, NULL, { 0 } };

  self->manager_registration = g_dbus_connection_register_object (self->connection, LLM_OBJECT_PATH, (GDBusInterfaceInfo *) &org_local_llm_interface,
                                                                  &vtable, self, NULL, error);
  return self->manager_registration != 0;
}
