/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods that make text or embeddings: a request each, with where its outcome goes.
 */
#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/embedding.h"
#include "daemon/manager-calls.h"
#include "daemon/request.h"

/* The fd that the "h" stands for. (transfer full) */
static int
fd_at (const LlmManagerCall *call, gint32 handle, GError **error)
{
  GUnixFDList *list = g_dbus_message_get_unix_fd_list (g_dbus_method_invocation_get_message (call->invocation));

  if (list == NULL || handle < 0 || handle >= g_unix_fd_list_get_length (list))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "file descriptor %d does not come with the call", handle);
      return -1;
    }
  return g_unix_fd_list_get (list, handle, error);
}

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
new_generation (LlmManagerCall *call, LlmRequestKind kind, gsize first, LlmOptionsTable table, const char *key, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, first + 2, table, error);
  g_autoptr (LlmStoreModel) model = options != NULL ? llm_broker_resolve (call->broker, llm_manager_string_at (call, first), error) : NULL;
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
start_with_reply (LlmManagerCall *call, LlmRequestKind kind, LlmOptionsTable table, const char *key, GError **error)
{
  g_autoptr (LlmRequest) request = new_generation (call, kind, 0, table, key, error);

  if (request == NULL)
    return FALSE;
  request->text = g_string_new (NULL);
  request->reply = call->invocation;
  llm_generate_start (request);
  return TRUE;
}

gboolean
llm_manager_generate (LlmManagerCall *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_GENERATE, LLM_OPTIONS_GENERATE, "prompt", error);
}

gboolean
llm_manager_chat (LlmManagerCall *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_CHAT, LLM_OPTIONS_CHAT, "messages", error);
}

gboolean
llm_manager_stream (LlmManagerCall *call, GError **error)
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
start_with_fd (LlmManagerCall *call, LlmRequestKind kind, LlmOptionsTable table, const char *key, LlmFdWriterFlow flow, GError **error)
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

gboolean
llm_manager_generate_to_fd (LlmManagerCall *call, GError **error)
{
  return start_with_fd (call, LLM_KIND_GENERATE, LLM_OPTIONS_GENERATE, "prompt", on_fd_flow, error);
}

gboolean
llm_manager_embed (LlmManagerCall *call, GError **error)
{
  return start_with_reply (call, LLM_KIND_EMBED, LLM_OPTIONS_EMBED, "inputs", error);
}

gboolean
llm_manager_embed_to_fd (LlmManagerCall *call, GError **error)
{
  return start_with_fd (call, LLM_KIND_EMBED, LLM_OPTIONS_EMBED, "inputs", llm_embedding_on_flow, error);
}
