/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The object of the private interface: its methods (service-*.c), and those that come before there is an engine.
 */
#include <string.h>

#include "base/build-id.h"
#include "base/limits.h"
#include "base/names.h"
#include "config.h"
#include "engine-interface.h"
#include "worker/inspect.h"
#include "worker/sandbox.h"
#include "worker/service-private.h"

/* ---- helpers ---- */

GUnixFDList *
llm_service_take_fds (GVariant *handles, GDBusMethodInvocation *invocation, GError **error)
{
  GUnixFDList *list = g_dbus_message_get_unix_fd_list (g_dbus_method_invocation_get_message (invocation));
  g_autoptr (GUnixFDList) taken = g_unix_fd_list_new ();
  gsize n = g_variant_n_children (handles);

  if (n == 0 || n > LLM_MODEL_MAX_PARTS)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%" G_GSIZE_FORMAT " files were sent; 1 to %d are needed", n, LLM_MODEL_MAX_PARTS);
      return NULL;
    }
  for (gsize i = 0; i < n; i++)
    {
      gint32 handle, n_fds = list != NULL ? g_unix_fd_list_get_length (list) : 0;

      g_variant_get_child (handles, i, "h", &handle);
      if (handle < 0 || handle >= n_fds)
        {
          g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "file handle %d of %d", handle, n_fds);
          return NULL;
        }
      if (g_unix_fd_list_append (taken, g_unix_fd_list_peek_fds (list, NULL)[handle], error) < 0)
        return NULL;
    }
  return g_steal_pointer (&taken);
}

void
llm_service_take_error (GDBusMethodInvocation *invocation, GError *error)
{
  llm_error_quark ();
  g_dbus_method_invocation_take_error (invocation, error);
}

gboolean
llm_service_check_keys (GVariant *dict, const char *const known[][2], gsize n_known, GError **error)
{
  GVariantIter iter;
  const char *key;
  g_autoptr (GVariant) value = NULL;

  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      gsize i = 0;

      while (i < n_known && strcmp (known[i][0], key) != 0)
        i++;
      if (i < n_known && g_variant_is_of_type (value, G_VARIANT_TYPE (known[i][1])))
        continue;
      if (i < n_known)
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%s is of type %s; %s is needed", key, g_variant_get_type_string (value), known[i][1]);
      else
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "unknown key \"%.*s\"", llm_error_quote (key, -1), key);
      return FALSE;
    }
  return TRUE;
}

/* ---- Configure, Inspect ---- */

static const char *const configure_keys[][2] = { { "software-devices", "b" }, { "cpu-isa", "s" }, { "threads", "u" } };

static gboolean
lock_in (LlmService *self, gboolean reopens_drivers, GError **error)
{
  self->locked = self->locked || llm_sandbox_enter (reopens_drivers, self->confined, error);
  return self->locked;
}

static gboolean
has_gpu (const GPtrArray *infos)
{
  for (guint i = 0; i < infos->len; i++)
    if (((const LlmDeviceInfo *) infos->pdata[i])->type == LLM_DEVICE_GPU)
      return TRUE;
  return FALSE;
}

static const char *const type_names[] = { "cpu", "gpu", "software", "null" };

static GVariant *
devices_to_variant (const GPtrArray *infos)
{
  GVariantBuilder list;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < infos->len; i++)
    {
      const LlmDeviceInfo *info = infos->pdata[i];

      g_variant_builder_open (&list, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&list, "{sv}", "id", g_variant_new_string (info->id));
      g_variant_builder_add (&list, "{sv}", "name", g_variant_new_string (info->name));
      g_variant_builder_add (&list, "{sv}", "driver", g_variant_new_string (info->driver));
      g_variant_builder_add (&list, "{sv}", "uuid", g_variant_new_string (info->uuid));
      g_variant_builder_add (&list, "{sv}", "type", g_variant_new_string (type_names[info->type]));
      g_variant_builder_add (&list, "{sv}", "memory-total", g_variant_new_uint64 (info->memory_total));
      g_variant_builder_add (&list, "{sv}", "memory-budget", g_variant_new_uint64 (info->memory_budget));
      g_variant_builder_close (&list);
    }
  return g_variant_builder_end (&list);
}

/* Before the sandbox: with a kernel that cannot confine, orphans of an earlier run can be removed only now. Returns the build id. */
static char *
open_cache (LlmService *self)
{
  char *build_id = llm_build_id_of_file ("/proc/self/exe");
  g_autofree char *engine = g_strdup_printf ("v%s-%s", LLM_VERSION, build_id != NULL ? build_id : "unknown");

  self->cache = llm_cache_new (build_id != NULL ? self->cache_folder : -1, engine, LLM_CACHE_MEMORY_BYTES);
  self->devices.cache = self->cache;
  return build_id != NULL ? build_id : g_strdup ("unknown");
}

static void
handle_configure (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) settings = g_variant_get_child_value (params, 0);
  g_autoptr (GPtrArray) infos = NULL;
  GVariantBuilder info;
  GError *error = NULL;
  const char *isa = NULL;
  g_autofree char *build_id = NULL;

  if (self->engine != NULL)
    {
      g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "Configure comes once");
      return;
    }
  if (!llm_service_check_keys (settings, configure_keys, G_N_ELEMENTS (configure_keys), &error))
    {
      llm_service_take_error (invocation, error);
      return;
    }
  g_variant_lookup (settings, "software-devices", "b", &self->devices.software);
  g_variant_lookup (settings, "threads", "u", &self->devices.n_threads);
  if (g_variant_lookup (settings, "cpu-isa", "&s", &isa) && isa[0] != '\0')
    self->devices.isa = g_strdup (isa);
  build_id = open_cache (self);
  infos = llm_devices_list (&self->devices);
  if (!lock_in (self, has_gpu (infos), &error))
    {
      llm_service_take_error (invocation, error);
      return;
    }
  self->outbox = llm_outbox_new (self->connection);
  self->engine = llm_engine_new (&llm_outbox_events, self->outbox);
  g_variant_builder_init (&info, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&info, "{sv}", "version", g_variant_new_string (LLM_VERSION));
  g_variant_builder_add (&info, "{sv}", "build-id", g_variant_new_string (build_id));
  g_variant_builder_add (&info, "{sv}", "devices", devices_to_variant (infos));
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(a{sv})", &info));
}

static void
inspect_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  int n;
  const int *fds = g_unix_fd_list_peek_fds (data, &n);
  GVariant *info = llm_inspect (fds, (guint) n, &error);

  if (info != NULL)
    g_task_return_pointer (task, info, (GDestroyNotify) g_variant_unref);
  else
    g_task_return_error (task, error);
}

static void
on_inspected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = g_task_propagate_pointer (G_TASK (result), &error);

  if (info != NULL)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", info));
  else
    llm_service_take_error (invocation, error);
}

static void
handle_inspect (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) handles = g_variant_get_child_value (params, 0);
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;
  g_autoptr (GUnixFDList) fds = llm_service_take_fds (handles, invocation, &error);

  if (fds == NULL || !lock_in (self, FALSE, &error))
    {
      llm_service_take_error (invocation, error);
      return;
    }
  task = g_task_new (NULL, NULL, on_inspected, invocation);
  g_task_set_task_data (task, g_steal_pointer (&fds), g_object_unref);
  g_task_run_in_thread (task, inspect_thread);
}

static void
handle_statistics (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) statistics = llm_engine_statistics (self->engine), artifacts = llm_cache_statistics (self->cache);
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (statistics);

  g_variant_dict_insert_value (&dict, "artifacts", artifacts);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", g_variant_dict_end (&dict)));
}

/* ---- the object ---- */

static const struct {
  const char *method;
  LlmServiceMethod *handler;
  gboolean before_configure;
} methods[] = {
  { "Configure", handle_configure, TRUE }, { "Inspect", handle_inspect, TRUE },
  { "Load", llm_service_load }, { "Unload", llm_service_unload }, { "Submit", llm_service_submit }, { "Embed", llm_service_embed },
  { "Pause", llm_service_pause }, { "Cancel", llm_service_cancel }, { "Tokenize", llm_service_tokenize },
  { "Detokenize", llm_service_detokenize }, { "CountTokens", llm_service_count_tokens }, { "Statistics", handle_statistics },
};

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  LlmService *self = user_data;

  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    {
      if (strcmp (methods[i].method, method) != 0)
        continue;
      if (self->inspect_only ? strcmp (method, "Inspect") != 0 : !methods[i].before_configure && self->engine == NULL)
        break;
      methods[i].handler (self, params, invocation);
      return;
    }
  g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "%s cannot be called %s", method,
                                         self->inspect_only ? "in an instance that only inspects" : "before Configure");
}

LlmService *
llm_service_new (GDBusConnection *connection, gboolean inspect_only, int cache_folder, gboolean confined, GError **error)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, NULL, NULL, { 0 } };
  LlmService *self = g_new0 (LlmService, 1);

  self->connection = g_object_ref (connection);
  self->inspect_only = inspect_only;
  self->cache_folder = cache_folder;
  self->confined = confined;
  self->registration = g_dbus_connection_register_object (connection, LLM_ENGINE_PATH, (GDBusInterfaceInfo *) &engine_iface_interface, &vtable,
                                                          self, NULL, error);
  if (self->registration != 0)
    return self;
  llm_service_free (self);
  return NULL;
}

void
llm_service_free (LlmService *self)
{
  if (self->registration != 0)
    g_dbus_connection_unregister_object (self->connection, self->registration);
  g_clear_pointer (&self->engine, llm_engine_free);
  while (g_main_context_iteration (NULL, FALSE)) /* events that the engine thread left behind */
    ;
  g_clear_pointer (&self->outbox, llm_outbox_free);
  g_clear_pointer (&self->cache, llm_cache_unref);
  g_free ((gpointer) self->devices.isa);
  g_object_unref (self->connection);
  g_free (self);
}
