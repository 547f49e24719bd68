/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text to tokens and back, for a model that is loaded: on a thread.
 */
#include <string.h>

#include "chat/forms.h"
#include "worker/service-private.h"

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
    llm_service_take_error (user_data, error);
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
      llm_service_take_error (invocation, g_error_new (LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "the model %s is not loaded", digest));
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

void
llm_service_tokenize (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, tokenize);
}

void
llm_service_detokenize (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, detokenize);
}

void
llm_service_count_tokens (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation)
{
  run_text (self, params, invocation, count_tokens);
}
