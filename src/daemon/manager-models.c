/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods that find models and bring new ones.
 */
#include <gio/gunixfdlist.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "daemon/authorizer.h"
#include "daemon/loader.h"
#include "daemon/manager-calls.h"
#include "daemon/models.h"
#include "daemon/request.h"

gboolean
llm_manager_availability (LlmManagerCall *call, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, 1, LLM_OPTIONS_NONE, error);
  g_autoptr (GError) missing = NULL;
  g_autoptr (LlmStoreModel) model = NULL;
  GVariantBuilder details;
  gboolean damaged = FALSE;

  if (options == NULL)
    return FALSE;
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  model = llm_broker_resolve (call->broker, llm_manager_string_at (call, 0), &missing);
  if (missing != NULL && !g_error_matches (missing, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND))
    {
      g_variant_builder_clear (&details);
      g_propagate_error (error, g_steal_pointer (&missing));
      return FALSE;
    }
  if (model != NULL)
    {
      damaged = !llm_store_check (call->broker->store, model, NULL);
      g_variant_builder_add (&details, "{sv}", "name", g_variant_new_string (model->name));
      g_variant_builder_add (&details, "{sv}", "digest", g_variant_new_string (model->digest));
      g_variant_builder_add (&details, "{sv}", "size", g_variant_new_uint64 (model->size));
      g_variant_builder_add (&details, "{sv}", "state",
                             g_variant_new_string (damaged ? "damaged" : llm_load_state_name (llm_loader_state (call->broker->loader, model->digest))));
    }
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(sa{sv})", model != NULL && !damaged ? "available" : "unavailable", &details));
  return TRUE;
}

gboolean
llm_manager_list_models (LlmManagerCall *call, GError **error)
{
  g_autoptr (GVariant) filter = llm_manager_options_at (call, 0, LLM_OPTIONS_FILTER, error);

  if (filter == NULL)
    return FALSE;
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(@a(osa{sv}))", llm_models_list (call->broker->models, filter)));
  return TRUE;
}

gboolean
llm_manager_get_model (LlmManagerCall *call, GError **error)
{
  g_autoptr (LlmStoreModel) model = llm_broker_resolve (call->broker, llm_manager_string_at (call, 0), error);
  g_autofree char *path = model != NULL ? llm_models_path (model->name) : NULL;

  if (model == NULL)
    return FALSE;
  g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(o)", path));
  return TRUE;
}

typedef struct {
  LlmBroker *broker;
  guint32 uid;
  char *sender, *name, *handle_token, *source, *version;
  GUnixFDList *fds; /* charged */
  gboolean in_place, more;
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
      llm_import_start (request, import->fds, import->name, import->source, import->version, import->in_place, import->more);
    }
  else
    {
      llm_broker_return_error (import->invocation, error != NULL ? error : g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "you are gone"));
      llm_import_release_fds (import->broker, import->uid, import->fds);
    }
  g_free (import->sender);
  g_free (import->name);
  g_free (import->handle_token);
  g_free (import->source);
  g_free (import->version);
  g_free (import);
}

/* More files for an import that was allowed already. Takes @fds. */
static gboolean
append_to_import (LlmManagerCall *call, const char *path, GUnixFDList *fds, const char *name, gboolean more, GError **error)
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

gboolean
llm_manager_import (LlmManagerCall *call, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, 2, LLM_OPTIONS_IMPORT, error), handles = g_variant_get_child_value (call->params, 0);
  g_autofree char *name = options != NULL ? llm_store_normalize_name (llm_manager_string_at (call, 1), error) : NULL;
  const char *append_to = NULL, *handle_token = NULL, *source = "import", *version = "";
  gboolean more = FALSE, in_place = FALSE;
  GUnixFDList *fds;
  ImportCall *import;

  if (name == NULL)
    return FALSE;
  g_variant_lookup (options, "handle-token", "&s", &handle_token);
  g_variant_lookup (options, "append-to", "&o", &append_to);
  g_variant_lookup (options, "more", "b", &more);
  g_variant_lookup (options, "in-place", "b", &in_place);
  g_variant_lookup (options, "source", "&s", &source);
  g_variant_lookup (options, "version", "&s", &version);
  if (strcmp (source, "bundled") == 0)
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "source: \"bundled\" is what comes with the system's packages; leave it out");
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
  *import = (ImportCall) { call->broker, call->caller->uid, g_strdup (call->caller->name), g_steal_pointer (&name), g_strdup (handle_token), g_strdup (source), g_strdup (version),
                           fds, in_place, more, call->invocation };
  llm_authorizer_check_async (call->broker->connection, LLM_ACTION_IMPORT, call->broker->session, call->caller->name, call->caller->uid,
                              on_import_authorized, import);
  return TRUE;
}

/* ---- garbage ---- */

typedef struct {
  LlmBroker *broker;
  gboolean dry_run;
  GDBusMethodInvocation *invocation;
} CollectCall;

static void
on_collect_authorized (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree CollectCall *collect = user_data;
  GError *error = NULL;

  if (llm_authorizer_check_finish (result, &error))
    llm_collector_call (collect->broker->collector, collect->dry_run, collect->invocation);
  else
    llm_broker_return_error (collect->invocation, error);
}

gboolean
llm_manager_collect_garbage (LlmManagerCall *call, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, 0, LLM_OPTIONS_COLLECT, error);
  CollectCall *collect;

  if (options == NULL)
    return FALSE;
  collect = g_new0 (CollectCall, 1);
  *collect = (CollectCall) { call->broker, FALSE, call->invocation };
  g_variant_lookup (options, "dry-run", "b", &collect->dry_run);
  llm_authorizer_check_async (call->broker->connection, LLM_ACTION_CONFIGURE, call->broker->session, call->caller->name, call->caller->uid,
                              on_collect_authorized, collect);
  return TRUE;
}
