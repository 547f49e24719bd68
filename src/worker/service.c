/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One handler per method.  What takes time runs in the engine or on a GTask thread; the main
 * loop only hands over.
 */
#include "worker/service.h"

#include <gio/gunixfdlist.h>
#include <string.h>

#include "base/limits.h"
#include "base/names.h"
#include "chat/forms.h"
#include "config.h"
#include "engine-interface.h"
#include "worker/embed-call.h"
#include "worker/inspect.h"
#include "worker/job.h"
#include "worker/outbox.h"
#include "worker/sandbox.h"

struct _LlmService {
  GDBusConnection *connection; /* (owned) */
  guint registration;
  gboolean inspect_only, locked;
  LlmDevicesOptions devices; /* isa owned */
  LlmOutbox *outbox;
  LlmEngine *engine;
};

typedef void (*Handler) (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation);

/* ---- helpers ---- */

/* The fds of an "ah" argument, in its order; InvalidArgs. (transfer full) */
static GUnixFDList *
take_fds (GVariant *handles, GDBusMethodInvocation *invocation, GError **error)
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

static void
take_error (GDBusMethodInvocation *invocation, GError *error)
{
  llm_error_quark ();
  g_dbus_method_invocation_take_error (invocation, error);
}

/* @known: pairs of key and type. InvalidArgs names the key. */
static gboolean
check_keys (GVariant *dict, const char *const known[][2], gsize n_known, GError **error)
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
static const char *const load_keys[][2] = { { "device", "s" }, { "context-window", "u" }, { "kv-type", "s" }, { "kv-bytes", "t" } };

static gboolean
lock_in (LlmService *self, gboolean reopens_drivers, GError **error)
{
  self->locked = self->locked || llm_sandbox_enter (reopens_drivers, error);
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

static void
handle_configure (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) settings = g_variant_get_child_value (params, 0);
  g_autoptr (GPtrArray) infos = NULL;
  GVariantBuilder info;
  GError *error = NULL;
  const char *isa = NULL;

  if (self->engine != NULL)
    {
      g_dbus_method_invocation_return_error (invocation, G_DBUS_ERROR, G_DBUS_ERROR_FAILED, "Configure comes once");
      return;
    }
  if (!check_keys (settings, configure_keys, G_N_ELEMENTS (configure_keys), &error))
    {
      take_error (invocation, error);
      return;
    }
  g_variant_lookup (settings, "software-devices", "b", &self->devices.software);
  g_variant_lookup (settings, "threads", "u", &self->devices.n_threads);
  if (g_variant_lookup (settings, "cpu-isa", "&s", &isa) && isa[0] != '\0')
    self->devices.isa = g_strdup (isa);
  infos = llm_devices_list (&self->devices);
  if (!lock_in (self, has_gpu (infos), &error))
    {
      take_error (invocation, error);
      return;
    }
  self->outbox = llm_outbox_new (self->connection);
  self->engine = llm_engine_new (&llm_outbox_events, self->outbox);
  g_variant_builder_init (&info, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&info, "{sv}", "version", g_variant_new_string (LLM_VERSION));
  g_variant_builder_add (&info, "{sv}", "build-id", g_variant_new_string (LLM_VERSION));
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
    take_error (invocation, error);
}

static void
handle_inspect (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) handles = g_variant_get_child_value (params, 0);
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;
  g_autoptr (GUnixFDList) fds = take_fds (handles, invocation, &error);

  if (fds == NULL || !lock_in (self, FALSE, &error))
    {
      take_error (invocation, error);
      return;
    }
  task = g_task_new (NULL, NULL, on_inspected, invocation);
  g_task_set_task_data (task, g_steal_pointer (&fds), g_object_unref);
  g_task_run_in_thread (task, inspect_thread);
}

/* ---- models ---- */

typedef struct {
  LlmService *self;
  GDBusMethodInvocation *invocation;
  gint64 start_us;
} Loading;

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Loading *loading = user_data;
  GError *error = NULL;
  g_autoptr (LlmModel) model = llm_engine_load_finish (loading->self->engine, result, &error);
  GVariantBuilder info;

  if (model != NULL)
    {
      g_variant_builder_init (&info, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&info, "{sv}", "device", g_variant_new_string (llm_model_device_id (model)));
      g_variant_builder_add (&info, "{sv}", "memory-bytes", g_variant_new_uint64 (llm_model_memory_bytes (model)));
      g_variant_builder_add (&info, "{sv}", "context-window", g_variant_new_uint32 (llm_model_context_window (model)));
      g_variant_builder_add (&info, "{sv}", "load-us", g_variant_new_uint64 ((guint64) (g_get_monotonic_time () - loading->start_us)));
      g_dbus_method_invocation_return_value (loading->invocation, g_variant_new ("(a{sv})", &info));
    }
  else
    take_error (loading->invocation, error);
  g_free (loading);
}

static void
handle_load (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) handles = g_variant_get_child_value (params, 1), settings = g_variant_get_child_value (params, 2);
  LlmLoadSettings load = { .kv_type = LLM_DTYPE_F16, .devices = self->devices };
  const char *digest, *kv_type = "f16", *device = "";
  g_autoptr (GUnixFDList) fds = NULL;
  Loading *loading;
  GError *error = NULL;

  if (!check_keys (settings, load_keys, G_N_ELEMENTS (load_keys), &error) || (fds = take_fds (handles, invocation, &error)) == NULL)
    {
      take_error (invocation, error);
      return;
    }
  g_variant_get_child (params, 0, "&s", &digest);
  g_variant_lookup (settings, "device", "&s", &device);
  g_variant_lookup (settings, "context-window", "u", &load.context_window);
  g_variant_lookup (settings, "kv-bytes", "t", &load.kv_bytes);
  g_variant_lookup (settings, "kv-type", "&s", &kv_type);
  if (strcmp (kv_type, "f16") != 0 && strcmp (kv_type, "f32") != 0)
    {
      take_error (invocation, g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "kv-type is \"%.*s\"; f16 or f32 is needed", llm_error_quote (kv_type, -1), kv_type));
      return;
    }
  load.device = (char *) device;
  load.kv_type = strcmp (kv_type, "f32") == 0 ? LLM_DTYPE_F32 : LLM_DTYPE_F16;
  loading = g_new0 (Loading, 1);
  *loading = (Loading) { self, invocation, g_get_monotonic_time () };
  llm_engine_load_async (self->engine, digest, g_unix_fd_list_peek_fds (fds, NULL), (guint) g_unix_fd_list_get_length (fds), &load, NULL, on_loaded,
                         loading);
}

static void
on_unloaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Loading *loading = user_data;
  GError *error = NULL;

  if (llm_engine_unload_finish (loading->self->engine, result, &error))
    g_dbus_method_invocation_return_value (loading->invocation, NULL);
  else
    take_error (loading->invocation, error);
  g_free (loading);
}

static void
handle_unload (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  Loading *loading = g_new0 (Loading, 1);
  const char *digest;

  *loading = (Loading) { self, invocation, 0 };
  g_variant_get (params, "(&s)", &digest);
  llm_engine_unload_async (self->engine, digest, on_unloaded, loading);
}

/* ---- requests ---- */

static void
handle_submit (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) request = g_variant_get_child_value (params, 4);
  g_autoptr (LlmModel) model = NULL;
  guint64 id, client;
  guint32 uid;
  const char *digest;
  GError *error = NULL;
  LlmJob *job;

  g_variant_get_child (params, 0, "t", &id);
  g_variant_get_child (params, 1, "u", &uid);
  g_variant_get_child (params, 2, "t", &client);
  g_variant_get_child (params, 3, "&s", &digest);
  job = llm_job_from_variant (id, uid, client, digest, request, &error);
  if (job == NULL)
    {
      take_error (invocation, error);
      return;
    }
  model = llm_engine_find_model (self->engine, digest);
  llm_outbox_begin (self->outbox, id, model);
  llm_engine_submit (self->engine, job);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static void
handle_pause (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  guint64 id;
  gboolean paused;

  g_variant_get (params, "(tb)", &id, &paused);
  llm_engine_pause (self->engine, id, paused);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static void
handle_cancel (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  guint64 id;

  g_variant_get (params, "(t)", &id);
  llm_engine_cancel (self->engine, id);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

typedef struct {
  LlmService *self;
  GDBusMethodInvocation *invocation;
  guint64 id;
} Embedding;

static void
on_embedded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Embedding *call = user_data;
  GError *error = NULL;
  g_autoptr (LlmEmbedding) embedding = llm_engine_embed_finish (NULL, result, &error);

  llm_outbox_end (call->self->outbox, call->id);
  if (embedding != NULL)
    g_dbus_method_invocation_return_value (call->invocation, llm_embedding_to_variant (embedding));
  else
    take_error (call->invocation, error);
}

static void
handle_embed (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) request = g_variant_get_child_value (params, 3);
  guint64 id;
  guint32 uid;
  const char *digest;
  GError *error = NULL;
  LlmEmbedJob *job;
  Embedding *call;

  g_variant_get_child (params, 0, "t", &id);
  g_variant_get_child (params, 1, "u", &uid);
  g_variant_get_child (params, 2, "&s", &digest);
  job = llm_embed_job_from_variant (id, uid, digest, request, &error);
  if (job == NULL)
    {
      take_error (invocation, error);
      return;
    }
  call = g_new0 (Embedding, 1);
  *call = (Embedding) { self, invocation, id };
  llm_outbox_begin (self->outbox, id, NULL);
  llm_engine_embed_async (self->engine, job, on_embedded, call);
}

/* ---- text ---- */

typedef GVariant *(*TextFunc) (LlmModel *model, GVariant *params, GError **error);

typedef struct {
  LlmModel *model;
  GVariant *params;
  TextFunc func;
} TextWork;

static void
text_work_free (gpointer data)
{
  TextWork *work = data;

  llm_model_unref (work->model);
  g_variant_unref (work->params);
  g_free (work);
}

static void
text_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  TextWork *work = data;
  GError *error = NULL;
  GVariant *reply = work->func (work->model, work->params, &error);

  if (reply != NULL)
    g_task_return_pointer (task, g_variant_ref_sink (reply), (GDestroyNotify) g_variant_unref);
  else
    g_task_return_error (task, error);
}

static void
on_text_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GError *error = NULL;
  g_autoptr (GVariant) reply = g_task_propagate_pointer (G_TASK (result), &error);

  if (reply != NULL)
    g_dbus_method_invocation_return_value (user_data, reply);
  else
    take_error (user_data, error);
}

static void
run_text (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation, TextFunc func)
{
  g_autoptr (GTask) task = NULL;
  TextWork *work;
  const char *digest;
  LlmModel *model;

  g_variant_get_child (params, 0, "&s", &digest);
  model = llm_engine_find_model (self->engine, digest);
  if (model == NULL)
    {
      take_error (invocation, g_error_new (LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "the model %s is not loaded", digest));
      return;
    }
  work = g_new0 (TextWork, 1);
  *work = (TextWork) { model, g_variant_ref (params), func };
  task = g_task_new (NULL, NULL, on_text_done, invocation);
  g_task_set_task_data (task, work, text_work_free);
  g_task_run_in_thread (task, text_thread);
}

static GVariant *
tokenize (LlmModel *model, GVariant *params, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GVariant) options = g_variant_get_child_value (params, 2);
  gboolean add_special = FALSE, parse_special = FALSE;
  const char *text;

  g_variant_get_child (params, 1, "&s", &text);
  g_variant_lookup (options, "add-special", "b", &add_special);
  g_variant_lookup (options, "parse-special", "b", &parse_special);
  if (!llm_tokenize (llm_model_vocab (model), text, strlen (text),
                     (add_special ? LLM_TOKENIZE_ADD_SPECIAL : 0) | (parse_special ? LLM_TOKENIZE_PARSE_SPECIAL : 0), ids, error))
    return NULL;
  return g_variant_new ("(@au)", g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, ids->data, ids->len, sizeof (gint32)));
}

static GVariant *
detokenize (LlmModel *model, GVariant *params, GError **error)
{
  g_autoptr (GVariant) tokens = g_variant_get_child_value (params, 1), options = g_variant_get_child_value (params, 2);
  g_autoptr (GString) out = g_string_new (NULL);
  g_autofree char *valid = NULL;
  gboolean show = FALSE;
  gsize n;
  const gint32 *ids = g_variant_get_fixed_array (tokens, &n, sizeof (gint32));

  g_variant_lookup (options, "show-special", "b", &show);
  if (!llm_detokenize (llm_model_vocab (model), ids, n, show ? LLM_DETOK_SHOW_SPECIAL : LLM_DETOK_NONE, out, error))
    return NULL;
  valid = g_utf8_make_valid (out->str, (gssize) out->len);
  return g_variant_new ("(s)", valid);
}

static GVariant *
count_tokens (LlmModel *model, GVariant *params, GError **error)
{
  g_autoptr (GVariant) messages = g_variant_get_child_value (params, 1);
  g_autoptr (GPtrArray) list = llm_messages_from_variant (messages, error);
  g_autoptr (GArray) ids = list != NULL ? llm_model_tokenize_messages (model, list, FALSE, error) : NULL;

  return ids != NULL ? g_variant_new ("(u)", ids->len) : NULL;
}

static void
handle_tokenize (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, tokenize);
}

static void
handle_detokenize (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, detokenize);
}

static void
handle_count_tokens (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, count_tokens);
}

static void
handle_statistics (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) statistics = llm_engine_statistics (self->engine);

  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", statistics));
}

/* ---- the object ---- */

static const struct {
  const char *method;
  Handler handler;
  gboolean before_configure;
} methods[] = {
  { "Configure", handle_configure, TRUE }, { "Inspect", handle_inspect, TRUE },
  { "Load", handle_load }, { "Unload", handle_unload }, { "Submit", handle_submit }, { "Embed", handle_embed },
  { "Pause", handle_pause }, { "Cancel", handle_cancel }, { "Tokenize", handle_tokenize },
  { "Detokenize", handle_detokenize }, { "CountTokens", handle_count_tokens }, { "Statistics", handle_statistics },
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
llm_service_new (GDBusConnection *connection, gboolean inspect_only, GError **error)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, NULL, NULL, { 0 } };
  LlmService *self = g_new0 (LlmService, 1);

  self->connection = g_object_ref (connection);
  self->inspect_only = inspect_only;
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
  g_free ((gpointer) self->devices.isa);
  g_object_unref (self->connection);
  g_free (self);
}
