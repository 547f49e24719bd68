/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of a model's object.  Each: check the options, find the caller, ask the authorizer, act.
 *
 * A call holds the model that its caller has seen under the name; one that was imported under it
 * meanwhile is not touched.
 */
#include <string.h>

#include "base/error.h"
#include "daemon/authorizer.h"
#include "daemon/loader.h"
#include "daemon/models.h"
#include "daemon/options.h"
#include "daemon/request.h"

typedef struct {
  LlmBroker *broker;
  LlmStoreModel *model;
  const struct _Method *method;
  char *handle_token;
  gboolean pinned; /* SetPinned */
  char *alias;     /* AddAlias, RemoveAlias: normalised */
  GDBusMethodInvocation *invocation;
  char *sender;
} Call;

typedef struct _Method {
  const char *name;
  LlmOptionsTable options;
  LlmAction action;
  void (*act) (Call *call); /* takes the call */
} Method;

static void
call_free (Call *call)
{
  llm_store_model_unref (call->model);
  g_free (call->handle_token);
  g_free (call->alias);
  g_free (call->sender);
  g_free (call);
}

/* Takes @error: NULL means that all is done. */
static void
answer (Call *call, GError *error)
{
  if (error == NULL)
    g_dbus_method_invocation_return_value (call->invocation, NULL);
  else
    llm_broker_return_error (call->invocation, error);
  call_free (call);
}

/* Of a method that takes long; its call is answered with its path. NULL: answered with an error. */
static LlmRequest *
begin_request (Call *call, LlmRequestKind kind)
{
  LlmCaller *caller = llm_callers_find (call->broker->callers, call->sender);
  GError *error = NULL;
  LlmRequest *request = caller != NULL ? llm_request_new (call->broker, caller, kind, call->handle_token, &error) : NULL;

  if (request != NULL)
    g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(o)", request->path));
  else
    llm_broker_return_error (call->invocation, error != NULL ? error : g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "you are gone"));
  return request;
}

/* ---- Load ---- */

static void
on_load_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) request = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = llm_loader_ensure_finish (NULL, result, &error);

  llm_request_end (request, info, error);
}

static void
act_load (Call *call)
{
  LlmRequest *request = begin_request (call, LLM_KIND_LOAD);

  if (request != NULL)
    {
      llm_request_set_state (request, LLM_STATE_LOADING, "asked for");
      llm_loader_ensure_async (call->broker->loader, call->model, on_load_done, request);
    }
  call_free (call);
}

/* ---- Verify ---- */

static void
on_verify_progress (guint64 done, guint64 total, gpointer user_data)
{
  llm_request_progress (user_data, "verify", done, total);
}

static void
on_verified (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) request = user_data;
  LlmBroker *broker = request->broker;
  GError *error = NULL;
  g_auto (GVariantDict) found = G_VARIANT_DICT_INIT (NULL);

  if (llm_store_verify_finish (broker->store, result, &error))
    {
      g_variant_dict_insert (&found, "size", "t", request->total);
      llm_request_end (request, g_variant_dict_end (&found), NULL);
      return;
    }
  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED))
    llm_models_damage_changed (broker->models);
  llm_request_end (request, NULL, error);
}

static void
act_verify (Call *call)
{
  LlmRequest *request = begin_request (call, LLM_KIND_VERIFY);

  if (request != NULL)
    {
      llm_request_progress (request, "verify", 0, call->model->size);
      llm_store_verify_async (call->broker->store, call->model, on_verify_progress, request, request->cancellable, on_verified, request);
    }
  call_free (call);
}

/* ---- Unload and Delete ---- */

static gboolean
delete_model (Call *call, GError **error)
{
  const LlmStoreModel *now = llm_store_find (call->broker->store, call->model->name);
  gboolean ok;

  if (now != NULL && strcmp (now->digest, call->model->digest) != 0)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "%s was replaced by another model meanwhile", now->name);
  ok = llm_store_delete (call->broker->store, call->model->name, error);
  llm_models_sync (call->broker->models);
  return ok;
}

static void
on_unloaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GError *error = NULL;

  llm_loader_unload_finish (NULL, result, &error);
  answer (user_data, error);
}

static void
on_unloaded_to_delete (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  GError *error = NULL;

  if (llm_loader_unload_finish (NULL, result, &error))
    delete_model (call, &error);
  answer (call, error);
}

static void
act_unload (Call *call)
{
  llm_loader_unload_async (call->broker->loader, call->model, on_unloaded, call);
}

/* Whether the weights of @model have another name too, which goes on. */
static gboolean
has_other_name (LlmBroker *broker, const LlmStoreModel *model)
{
  g_autoptr (GPtrArray) list = llm_store_list (broker->store);

  for (guint i = 0; i < list->len; i++)
    {
      const LlmStoreModel *other = list->pdata[i];

      if (strcmp (other->digest, model->digest) == 0 && strcmp (other->name, model->name) != 0)
        return TRUE;
    }
  return FALSE;
}

static void
act_delete (Call *call)
{
  GError *error = NULL;

  if (call->model->bundled)
    error = g_error_new (LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s came with the system's packages; remove it there", call->model->name);
  else if (has_other_name (call->broker, call->model))
    delete_model (call, &error);
  else
    {
      llm_loader_unload_async (call->broker->loader, call->model, on_unloaded_to_delete, call);
      return;
    }
  answer (call, error);
}

/* ---- SetPinned ---- */

static void
on_pinned (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  GError *error = NULL;

  if (llm_store_set_pinned_finish (call->broker->store, result, &error))
    llm_models_sync (call->broker->models);
  answer (call, error);
}

static void
act_set_pinned (Call *call)
{
  llm_store_set_pinned_async (call->broker->store, call->model->name, call->pinned, on_pinned, call);
}

/* ---- AddAlias and RemoveAlias ---- */

static void
on_named (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  GError *error = NULL;

  if (llm_store_set_alias_finish (call->broker->store, result, &error))
    llm_models_aliases_changed (call->broker->models);
  answer (call, error);
}

static void
act_add_alias (Call *call)
{
  llm_store_set_alias_async (call->broker->store, call->alias, call->model->name, on_named, call);
}

static void
act_remove_alias (Call *call)
{
  g_auto (GStrv) aliases = llm_store_aliases (call->broker->store, call->model->name);
  GError *error = NULL;

  if (!g_strv_contains ((const char *const *) aliases, call->alias))
    error = g_error_new (LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "%s is no alias of %s", call->alias, call->model->name);
  else if (llm_store_remove_alias (call->broker->store, call->alias, &error))
    llm_models_aliases_changed (call->broker->models);
  answer (call, error);
}

/* ---- the table ---- */

static const Method methods[] = {
  { "Load", LLM_OPTIONS_REQUEST, LLM_ACTION_IMPORT, act_load },
  { "Unload", LLM_OPTIONS_NONE, LLM_ACTION_MANAGE, act_unload },
  { "Delete", LLM_OPTIONS_NONE, LLM_ACTION_MANAGE, act_delete },
  { "Verify", LLM_OPTIONS_REQUEST, LLM_ACTION_IMPORT, act_verify },
  { "SetPinned", LLM_OPTIONS_NONE, LLM_ACTION_MANAGE, act_set_pinned },
  { "AddAlias", LLM_OPTIONS_NONE, LLM_ACTION_IMPORT, act_add_alias },
  { "RemoveAlias", LLM_OPTIONS_NONE, LLM_ACTION_MANAGE, act_remove_alias },
};

static void
on_authorized (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  GError *error = NULL;

  if (llm_authorizer_check_finish (result, &error))
    call->method->act (call);
  else
    answer (call, error);
}

static void
on_caller (LlmCaller *caller, const GError *error, gpointer user_data)
{
  Call *call = user_data;

  if (caller != NULL)
    llm_authorizer_check_async (call->broker->connection, call->method->action, call->broker->session, call->sender, caller->uid, on_authorized, call);
  else
    answer (call, g_error_copy (error));
}

static const Method *
find_method (const char *name)
{
  const Method *method = methods;

  while (strcmp (method->name, name) != 0)
    method++; /* GDBus lets only methods of the XML through */
  return method;
}

/* What stands in the only argument: options, a pin, or an alias. */
static gboolean
read_argument (Call *call, GVariant *argument, GError **error)
{
  g_autoptr (GVariant) options = NULL;

  if (g_variant_is_of_type (argument, G_VARIANT_TYPE_BOOLEAN))
    {
      call->pinned = g_variant_get_boolean (argument);
      return TRUE;
    }
  if (g_variant_is_of_type (argument, G_VARIANT_TYPE_STRING))
    return (call->alias = llm_store_normalize_name (g_variant_get_string (argument, NULL), error)) != NULL;
  options = llm_options_parse (call->method->options, argument, error);
  if (options != NULL)
    g_variant_lookup (options, "handle-token", "s", &call->handle_token);
  return options != NULL;
}

void
llm_model_call (LlmBroker *broker, LlmStoreModel *model, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) argument = g_variant_get_child_value (g_dbus_method_invocation_get_parameters (invocation), 0);
  Call *call = g_new0 (Call, 1);
  GError *error = NULL;

  call->broker = broker;
  call->model = llm_store_model_ref (model);
  call->method = find_method (g_dbus_method_invocation_get_method_name (invocation));
  call->invocation = invocation;
  call->sender = g_strdup (g_dbus_method_invocation_get_sender (invocation));
  if (read_argument (call, argument, &error))
    llm_callers_get (broker->callers, call->sender, on_caller, call);
  else
    answer (call, error);
}
