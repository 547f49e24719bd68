/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Models in and out, requests and embeddings: calls that the engine answers.
 */
#include <string.h>

#include "worker/embed-call.h"
#include "worker/job.h"
#include "worker/service-private.h"

static const char *const load_keys[][2] = { { "device", "s" }, { "context-window", "u" }, { "kv-type", "s" }, { "kv-bytes", "t" } };

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
    llm_service_take_error (loading->invocation, error);
  g_free (loading);
}

void
llm_service_load (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) handles = g_variant_get_child_value (params, 1), settings = g_variant_get_child_value (params, 2);
  LlmLoadSettings load = { .kv_type = LLM_DTYPE_F16, .devices = self->devices };
  const char *digest, *kv_type = "f16", *device = "";
  g_autoptr (GUnixFDList) fds = NULL;
  Loading *loading;
  GError *error = NULL;

  if (!llm_service_check_keys (settings, load_keys, G_N_ELEMENTS (load_keys), &error) || (fds = llm_service_take_fds (handles, invocation, &error)) == NULL)
    {
      llm_service_take_error (invocation, error);
      return;
    }
  g_variant_get_child (params, 0, "&s", &digest);
  g_variant_lookup (settings, "device", "&s", &device);
  g_variant_lookup (settings, "context-window", "u", &load.context_window);
  g_variant_lookup (settings, "kv-bytes", "t", &load.kv_bytes);
  g_variant_lookup (settings, "kv-type", "&s", &kv_type);
  if (strcmp (kv_type, "f16") != 0 && strcmp (kv_type, "f32") != 0 && strcmp (kv_type, "q8_0") != 0)
    {
      llm_service_take_error (invocation, g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "kv-type is \"%.*s\"; f16, f32 or q8_0 is needed", llm_error_quote (kv_type, -1), kv_type));
      return;
    }
  load.device = (char *) device;
  load.kv_type = strcmp (kv_type, "f32") == 0 ? LLM_DTYPE_F32 : strcmp (kv_type, "q8_0") == 0 ? LLM_DTYPE_Q8_0 : LLM_DTYPE_F16;
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
    llm_service_take_error (loading->invocation, error);
  g_free (loading);
}

void
llm_service_unload (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  Loading *loading = g_new0 (Loading, 1);
  const char *digest;

  *loading = (Loading) { self, invocation, 0 };
  g_variant_get (params, "(&s)", &digest);
  llm_engine_unload_async (self->engine, digest, on_unloaded, loading);
}

/* ---- requests ---- */

void
llm_service_submit (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
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
      llm_service_take_error (invocation, error);
      return;
    }
  model = llm_engine_find_model (self->engine, digest);
  llm_outbox_begin (self->outbox, id, model);
  llm_engine_submit (self->engine, job);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

void
llm_service_pause (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  guint64 id;
  gboolean paused;

  g_variant_get (params, "(tb)", &id, &paused);
  llm_engine_pause (self->engine, id, paused);
  g_dbus_method_invocation_return_value (invocation, NULL);
}

void
llm_service_cancel (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
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
    llm_service_take_error (call->invocation, error);
}

void
llm_service_embed (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
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
      llm_service_take_error (invocation, error);
      return;
    }
  call = g_new0 (Embedding, 1);
  *call = (Embedding) { self, invocation, id };
  llm_outbox_begin (self->outbox, id, NULL);
  llm_engine_embed_async (self->engine, job, on_embedded, call);
}
