/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods that turn text into tokens and back: the model is loaded first.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/loader.h"
#include "daemon/manager-calls.h"

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
run_text (LlmManagerCall *call, const char *method, LlmOptionsTable table, GError **error)
{
  g_autoptr (GVariant) options = llm_manager_options_at (call, 2, table, error);
  g_autoptr (LlmStoreModel) model = options != NULL ? llm_broker_resolve (call->broker, llm_manager_string_at (call, 0), error) : NULL;
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

gboolean
llm_manager_count_tokens (LlmManagerCall *call, GError **error)
{
  return run_text (call, "CountTokens", LLM_OPTIONS_NONE, error);
}

gboolean
llm_manager_tokenize (LlmManagerCall *call, GError **error)
{
  return run_text (call, "Tokenize", LLM_OPTIONS_TOKENIZE, error);
}

gboolean
llm_manager_detokenize (LlmManagerCall *call, GError **error)
{
  return run_text (call, "Detokenize", LLM_OPTIONS_DETOKENIZE, error);
}
