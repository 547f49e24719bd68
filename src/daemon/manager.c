/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The object /org/local/LLM.  A handler: find the object, check the options through the table,
 * charge the quota, hand an owned request on, complete.
 */
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "config.h"
#include "daemon/authorizer.h"
#include "daemon/embedding.h"
#include "daemon/loader.h"
#include "daemon/models.h"
#include "daemon/options.h"
#include "daemon/request.h"
#include "public-interface.h"

typedef struct {
  LlmBroker *broker;
  LlmCaller *caller;
  GVariant *params;
  GDBusMethodInvocation *invocation;
} Call;

/* FALSE with @error: the call is answered with it. */
typedef gboolean (*Handler) (Call *call, GError **error);

/* ---- helpers ---- */

/* Child @i of the parameters, through the table. (transfer full) */
static GVariant *
options_at (const Call *call, gsize i, LlmOptionsTable table, GError **error)
{
  g_autoptr (GVariant) raw = g_variant_get_child_value (call->params, i);

  return llm_options_parse (table, raw, error);
}

static const char *
string_at (const Call *call, gsize i)
{
  const char *s;

  g_variant_get_child (call->params, i, "&s", &s);
  return s;
}

/* The fd that the "h" stands for. (transfer full) */
static int
fd_at (const Call *call, gint32 handle, GError **error)
{
  GUnixFDList *list = g_dbus_message_get_unix_fd_list (g_dbus_method_invocation_get_message (call->invocation));

  if (list == NULL || handle < 0 || handle >= g_unix_fd_list_get_length (list))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "file descriptor %d does not come with the call", handle);
      return -1;
    }
  return g_unix_fd_list_get (list, handle, error);
}

/* ---- generating ---- */

/* What the engine is asked: the options, and the prompt, the messages or the inputs. deadline-ms and handle-token stay here. */
static GVariant *
make_submit (GVariant *options, const char *key, GVariant *value)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (options);

  g_variant_dict_remove (&dict, "handle-token");
  g_variant_dict_remove (&dict, "deadline-ms");
  g_variant_dict_insert_value (&dict, key, value);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* A request in state waiting with everything but where its text goes. */
static LlmRequest *
new_generation (Call *call, LlmRequestKind kind, gsize first, LlmOptionsTable table, const char *key, GError **error)
{
  g_autoptr (GVariant) options = options_at (call, first + 2, table, error);
  g_autoptr (LlmStoreModel) model = options != NULL ? llm_broker_resolve (call->broker, string_at (call, first), error) : NULL;
  g_autoptr (GVariant) input = g_variant_get_child_value (call->params, first + 1);
  const char *handle_token = NULL;
  guint32 max_tokens;
  LlmRequest *request;

  if (model == NULL)
    return NULL;
  if (strcmp (key, "messages") == 0 && g_variant_n_children (input) == 0)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "there are no messages; at least one with role and content is needed");
      return NULL;
    }
  if (kind == LLM_KIND_EMBED && !llm_embedding_check_inputs (input, error))
    return NULL;
  g_variant_lookup (options, "handle-token", "&s", &handle_token);
  request = llm_request_new (call->broker, call->caller, kind, handle_token, error);
  if (request == NULL)
    return NULL;
  request->model = g_steal_pointer (&model);
  request->submit = make_submit (options, key, input);
  request->logprobs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref);
  if (g_variant_lookup (options, "max-tokens", "u", &max_tokens))
    request->total = max_tokens;
  g_variant_lookup (options, "deadline-ms", "u", &request->deadline_ms);
  return request;
}

/* The answer comes in the reply. */
static gboolean
start_with_reply (Call *call, LlmRequestKind kind, LlmOptionsTable table, const char *key, GError **error)
{
  g_autoptr (LlmRequest) request = new_generation (call, kind, 0, table, key, error);

  if (request == NULL)
    return FALSE;
  request->text = g_string_new (NULL);
  request->reply = call->invocation;
  llm_generate_start (request);
  return TRUE;
}

static gboolean
handle_generate (Call *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_GENERATE, LLM_OPTIONS_GENERATE, "prompt", error);
}

static gboolean
handle_chat (Call *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_CHAT, LLM_OPTIONS_CHAT, "messages", error);
}

static gboolean
handle_stream (Call *call, GError **error)
{
  g_autoptr (LlmRequest) request = new_generation (call, LLM_KIND_STREAM, 0, LLM_OPTIONS_CHAT, "messages", error);

  if (request == NULL)
    return FALSE;
  request->signals = TRUE;
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(o)", request->path));
  llm_generate_start (request);
  return TRUE;
}

static void
on_fd_flow (gboolean full, gpointer user_data)
{
  LlmRequest *request = user_data;

  request->blocked_by_fd = full;
  llm_generate_update_flow (request);
}

static void
on_fd_failed (const GError *error, gpointer user_data)
{
  llm_request_cancel (user_data, error->message);
}

/* A request that writes to the fd of argument 0; the rest are those of the method without one. */
static gboolean
start_with_fd (Call *call, LlmRequestKind kind, LlmOptionsTable table, const char *key, LlmFdWriterFlow flow, GError **error)
{
  gint32 handle;
  int fd;
  LlmRequest *request;
  g_autoptr (LlmRequest) hold = NULL;
  LlmFdWriter *writer;

  g_variant_get_child (call->params, 0, "h", &handle);
  fd = fd_at (call, handle, error);
  if (fd < 0)
    return FALSE;
  if (!llm_callers_charge_fd (call->broker->callers, call->caller->uid, error))
    {
      close (fd);
      return FALSE;
    }
  request = hold = new_generation (call, kind, 1, table, key, error);
  writer = request != NULL ? llm_fd_writer_new (fd, flow, on_fd_failed, request, error) : NULL;
  if (request == NULL)
    close (fd);
  if (writer == NULL)
    {
      llm_callers_refund_fd (call->broker->callers, call->caller->uid);
      if (request != NULL)
        llm_request_discard (request);
      return FALSE;
    }
  request->writer = writer;
  request->reply = call->invocation;
  llm_generate_start (request);
  return TRUE;
}

static gboolean
handle_generate_to_fd (Call *call, GError **error)
{
  return start_with_fd (call, LLM_KIND_GENERATE, LLM_OPTIONS_GENERATE, "prompt", on_fd_flow, error);
}

static gboolean
handle_embed (Call *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_EMBED, LLM_OPTIONS_EMBED, "inputs", error);
}

static gboolean
handle_embed_to_fd (Call *call, GError **error)
{
  return start_with_fd (call, LLM_KIND_EMBED, LLM_OPTIONS_EMBED, "inputs", llm_embedding_on_flow, error);
}

/* ---- tokens: the model is loaded first ---- */

typedef struct {
  LlmBroker *broker;
  LlmStoreModel *model;
  const char *method;
  GVariant *input;
  GVariant *options;
  GDBusMethodInvocation *invocation;
  guint32 uid;
} TextCall;

static void
text_call_free (TextCall *call)
{
  llm_callers_refund_request (call->broker->callers, call->uid);
  llm_loader_unuse (call->broker->loader, call->model->digest);
  llm_store_model_unref (call->model);
  g_variant_unref (call->input);
  g_variant_unref (call->options);
  g_free (call);
}

static void
on_text_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TextCall *call = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error);

  if (reply == NULL)
    llm_broker_return_error (call->invocation, error);
  else if (g_variant_get_size (reply) > LLM_MAX_REPLY_BYTES)
    llm_broker_return_error (call->invocation, g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                                                            "the reply is longer than %llu bytes; ask for parts of the text", LLM_MAX_REPLY_BYTES));
  else
    g_dbus_method_invocation_return_value (call->invocation, reply);
  text_call_free (call);
}

static void
on_text_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TextCall *call = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = llm_loader_ensure_finish (NULL, result, &error);

  if (info != NULL)
    {
      llm_engine_client_call_async (call->broker->engine, call->method, g_variant_new ("(s@*@a{sv})", call->model->digest, call->input, call->options), NULL,
                                    on_text_answer, call);
      return;
    }
  llm_broker_return_error (call->invocation, error);
  text_call_free (call);
}

static gboolean
run_text (Call *call, const char *method, LlmOptionsTable table, GError **error)
{
  g_autoptr (GVariant) options = options_at (call, 2, table, error);
  g_autoptr (LlmStoreModel) model = options != NULL ? llm_broker_resolve (call->broker, string_at (call, 0), error) : NULL;
  TextCall *text;

  if (model == NULL || !llm_callers_charge_request (call->broker->callers, call->caller->uid, error))
    return FALSE;
  text = g_new0 (TextCall, 1);
  *text = (TextCall) { call->broker, g_steal_pointer (&model), method, g_variant_get_child_value (call->params, 1), g_steal_pointer (&options),
                       call->invocation, call->caller->uid };
  llm_loader_use (call->broker->loader, text->model->digest);
  llm_loader_ensure_async (call->broker->loader, text->model, on_text_loaded, text);
  return TRUE;
}

static gboolean
handle_count_tokens (Call *call, GError **error)
{
  return run_text (call, "CountTokens", LLM_OPTIONS_NONE, error);
}

static gboolean
handle_tokenize (Call *call, GError **error)
{
  return run_text (call, "Tokenize", LLM_OPTIONS_TOKENIZE, error);
}

static gboolean
handle_detokenize (Call *call, GError **error)
{
  return run_text (call, "Detokenize", LLM_OPTIONS_DETOKENIZE, error);
}

/* ---- models ---- */

static gboolean
handle_availability (Call *call, GError **error)
{
  g_autoptr (GVariant) options = options_at (call, 1, LLM_OPTIONS_NONE, error);
  g_autoptr (GError) missing = NULL;
  g_autoptr (LlmStoreModel) model = NULL;
  GVariantBuilder details;

  if (options == NULL)
    return FALSE;
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  model = llm_broker_resolve (call->broker, string_at (call, 0), &missing);
  if (missing != NULL && !g_error_matches (missing, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND))
    {
      g_variant_builder_clear (&details);
      g_propagate_error (error, g_steal_pointer (&missing));
      return FALSE;
    }
  if (model != NULL)
    {
      g_variant_builder_add (&details, "{sv}", "name", g_variant_new_string (model->name));
      g_variant_builder_add (&details, "{sv}", "digest", g_variant_new_string (model->digest));
      g_variant_builder_add (&details, "{sv}", "size", g_variant_new_uint64 (model->size));
      g_variant_builder_add (&details, "{sv}", "state",
                             g_variant_new_string (llm_load_state_name (llm_loader_state (call->broker->loader, model->digest))));
    }
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(sa{sv})", model != NULL ? "available" : "unavailable", &details));
  return TRUE;
}

static gboolean
handle_list_models (Call *call, GError **error)
{
  g_autoptr (GVariant) filter = options_at (call, 0, LLM_OPTIONS_FILTER, error);

  if (filter == NULL)
    return FALSE;
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(@a(osa{sv}))", llm_models_list (call->broker->models, filter)));
  return TRUE;
}

static gboolean
handle_get_model (Call *call, GError **error)
{
  g_autoptr (LlmStoreModel) model = llm_broker_resolve (call->broker, string_at (call, 0), error);
  g_autofree char *path = model != NULL ? llm_models_path (model->name) : NULL;

  if (model == NULL)
    return FALSE;
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(o)", path));
  return TRUE;
}

typedef struct {
  LlmBroker *broker;
  guint32 uid;
  char *sender, *name, *handle_token;
  GUnixFDList *fds; /* charged */
  gboolean more;
  GDBusMethodInvocation *invocation;
} ImportCall;

static void
on_import_authorized (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ImportCall *import = user_data;
  GError *error = NULL;
  LlmCaller *caller = llm_callers_find (import->broker->callers, import->sender);
  g_autoptr (LlmRequest) request = NULL;

  if (llm_authorizer_check_finish (result, &error) && caller != NULL)
    request = llm_request_new (import->broker, caller, LLM_KIND_IMPORT, import->handle_token, &error);
  if (request != NULL)
    {
      g_dbus_method_invocation_return_value (import->invocation, g_variant_new ("(o)", request->path));
      llm_import_start (request, import->fds, import->name, import->more);
    }
  else
    {
      llm_broker_return_error (import->invocation, error != NULL ? error : g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "you are gone"));
      llm_import_release_fds (import->broker, import->uid, import->fds);
    }
  g_free (import->sender);
  g_free (import->name);
  g_free (import->handle_token);
  g_free (import);
}

/* More files for an import that was allowed already. Takes @fds. */
static gboolean
append_to_import (Call *call, const char *path, GUnixFDList *fds, const char *name, gboolean more, GError **error)
{
  for (guint i = 0; i < call->caller->requests->len; i++)
    {
      g_autoptr (LlmRequest) request = llm_request_ref (call->caller->requests->pdata[i]);

      if (strcmp (request->path, path) != 0)
        continue;
      if (!llm_import_append (request, fds, name, more, error))
        return FALSE;
      g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(o)", request->path));
      return TRUE;
    }
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "append-to: you have no request %s", path);
  llm_import_release_fds (call->broker, call->caller->uid, fds);
  return FALSE;
}

static gboolean
handle_import (Call *call, GError **error)
{
  g_autoptr (GVariant) options = options_at (call, 2, LLM_OPTIONS_IMPORT, error), handles = g_variant_get_child_value (call->params, 0);
  g_autofree char *name = options != NULL ? llm_store_normalize_name (string_at (call, 1), error) : NULL;
  const char *append_to = NULL, *handle_token = NULL;
  gboolean more = FALSE;
  GUnixFDList *fds;
  ImportCall *import;

  if (name == NULL)
    return FALSE;
  g_variant_lookup (options, "handle-token", "&s", &handle_token);
  g_variant_lookup (options, "append-to", "&o", &append_to);
  g_variant_lookup (options, "more", "b", &more);
  if (append_to != NULL && handle_token != NULL)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "handle-token and append-to exclude each other: %s has its name already", append_to);
      return FALSE;
    }
  fds = llm_import_take_fds (call->broker, call->caller->uid, g_dbus_method_invocation_get_message (call->invocation), handles, error);
  if (fds == NULL)
    return FALSE;
  if (append_to != NULL)
    return append_to_import (call, append_to, fds, name, more, error);
  import = g_new0 (ImportCall, 1);
  *import = (ImportCall) { call->broker, call->caller->uid, g_strdup (call->caller->name), g_steal_pointer (&name), g_strdup (handle_token), fds, more,
                           call->invocation };
  llm_authorizer_check_async (call->broker->connection, LLM_ACTION_IMPORT, call->broker->session, call->caller->name, call->caller->uid,
                              on_import_authorized, import);
  return TRUE;
}

/* ---- statistics ---- */

typedef struct {
  LlmBroker *broker;
  GDBusMethodInvocation *invocation;
} StatisticsCall;

static void
return_statistics (LlmBroker *self, GDBusMethodInvocation *invocation, GVariant *engine)
{
  g_autoptr (GVariant) store = llm_store_statistics (self->store);
  g_auto (GVariantDict) all = G_VARIANT_DICT_INIT (NULL), broker = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&broker, "requests-total", "t", self->count.requests_total);
  g_variant_dict_insert (&broker, "requests-failed", "t", self->count.requests_failed);
  g_variant_dict_insert (&broker, "requests-live", "u", llm_callers_n_requests (self->callers));
  g_variant_dict_insert (&broker, "clients", "u", llm_callers_count (self->callers));
  g_variant_dict_insert (&broker, "engine-starts", "t", self->count.engine_starts);
  g_variant_dict_insert (&broker, "engine-losses", "t", self->count.engine_losses);
  g_variant_dict_insert (&broker, "calls-refused", "t", llm_inbound_refused (self->inbound));
  g_variant_dict_insert_value (&all, "broker", g_variant_dict_end (&broker));
  g_variant_dict_insert_value (&all, "store", store);
  g_variant_dict_insert_value (&all, "engine", engine != NULL ? engine : g_variant_new ("a{sv}", NULL));
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", g_variant_dict_end (&all)));
}

static void
on_engine_statistics (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree StatisticsCall *call = user_data;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, NULL);
  g_autoptr (GVariant) engine = reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;

  return_statistics (call->broker, call->invocation, engine);
}

static gboolean
handle_get_statistics (Call *call, GError **error)
{
  g_autoptr (GVariant) options = options_at (call, 0, LLM_OPTIONS_NONE, error);
  StatisticsCall *statistics;

  if (options == NULL)
    return FALSE;
  if (!llm_engine_client_is_running (call->broker->engine))
    {
      return_statistics (call->broker, call->invocation, NULL);
      return TRUE;
    }
  statistics = g_new0 (StatisticsCall, 1);
  *statistics = (StatisticsCall) { call->broker, call->invocation };
  llm_engine_client_call_async (call->broker->engine, "Statistics", g_variant_new ("()"), NULL, on_engine_statistics, statistics);
  return TRUE;
}

/* ---- the object ---- */

static const struct {
  const char *method;
  Handler handler;
  gboolean needs_models; /* waits until the bundled ones are known */
} methods[] = {
  { "Generate", handle_generate, TRUE },
  { "GenerateToFd", handle_generate_to_fd, TRUE },
  { "Chat", handle_chat, TRUE },
  { "Stream", handle_stream, TRUE },
  { "Embed", handle_embed, TRUE },
  { "EmbedToFd", handle_embed_to_fd, TRUE },
  { "CountTokens", handle_count_tokens, TRUE },
  { "Tokenize", handle_tokenize, TRUE },
  { "Detokenize", handle_detokenize, TRUE },
  { "Availability", handle_availability, TRUE },
  { "ListModels", handle_list_models, TRUE },
  { "GetModel", handle_get_model, TRUE },
  { "Import", handle_import, FALSE },
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
  Call call = { pending->broker, caller, g_dbus_method_invocation_get_parameters (invocation), invocation };
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
