/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/embedding.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"

#define PIECE (64 * LLM_KIB)

gboolean
llm_embedding_check_inputs (GVariant *inputs, GError **error)
{
  gsize n = g_variant_n_children (inputs);
  guint64 bytes = 0;
  GVariantIter iter;
  const char *text;

  g_variant_iter_init (&iter, inputs);
  while (g_variant_iter_loop (&iter, "&s", &text))
    bytes += strlen (text);
  if (n == 0)
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "there are no inputs; at least one text is needed");
  else if (n > LLM_EMBED_MAX_INPUTS)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "%" G_GSIZE_FORMAT " inputs in one call; at most %d are allowed", n, LLM_EMBED_MAX_INPUTS);
  else if (bytes > LLM_EMBED_MAX_BYTES)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "the inputs have %" G_GUINT64_FORMAT " bytes; at most %llu in one call are allowed", bytes,
                 LLM_EMBED_MAX_BYTES);
  else
    return TRUE;
  return FALSE;
}

/* ---- the engine ---- */

static GVariant *
complete_result (LlmRequest *self, GVariant *from_engine)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (from_engine);

  g_variant_dict_insert (&dict, "load-us", "t", self->load_us);
  g_variant_dict_insert (&dict, "model-digest", "s", self->model->digest);
  return g_variant_dict_end (&dict);
}

/* The reader must take something within the time that a client has to answer a ping. */
static gboolean
on_stalled (gpointer user_data)
{
  LlmRequest *self = user_data;

  self->stall_timer = 0;
  llm_request_cancel (self, "the reader of its output file descriptor takes nothing");
  return G_SOURCE_REMOVE;
}

/* As much as the ring takes. */
static void
pump (LlmRequest *self)
{
  gsize size = g_variant_get_size (self->rows);
  const char *bytes = g_variant_get_data (self->rows);

  g_clear_handle_id (&self->stall_timer, g_source_remove);
  while (self->rows_written < size)
    {
      gsize n = MIN (PIECE, size - self->rows_written);

      if (!llm_fd_writer_push (self->writer, bytes + self->rows_written, n))
        {
          self->stall_timer = g_timeout_add (LLM_FLOW_PING_TIMEOUT_MS, on_stalled, self);
          return;
        }
      self->rows_written += n;
    }
  llm_generate_finish_output (self);
}

void
llm_embedding_on_flow (gboolean full, gpointer request)
{
  LlmRequest *self = request;

  if (!full && self->state != LLM_STATE_DONE && self->rows != NULL && self->rows_written < g_variant_get_size (self->rows))
    pump (self);
}

static void
on_embedded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) self = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error), dict = NULL;

  if (self->state == LLM_STATE_DONE || g_error_matches (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST))
    {
      g_clear_error (&error); /* lost: llm_generate_on_lost() decides */
      return;
    }
  self->submitted = FALSE;
  llm_crash_ledger_succeeded (self->broker->ledger, self->model->digest, self->uid);
  if (reply == NULL)
    {
      llm_request_end (self, NULL, error);
      return;
    }
  self->rows = g_variant_get_child_value (reply, 0);
  dict = g_variant_get_child_value (reply, 1);
  self->completed = self->total;
  if (self->writer == NULL)
    {
      llm_request_end (self, complete_result (self, dict), NULL);
      return;
    }
  self->result = g_variant_ref_sink (complete_result (self, dict)); /* until the reader has it all */
  pump (self);
}

void
llm_embedding_submit (LlmRequest *self)
{
  g_auto (GVariantDict) request = G_VARIANT_DICT_INIT (self->submit);

  /* in a reply every number takes 8 bytes */
  g_variant_dict_insert (&request, "max-bytes", "t", (guint64) (self->writer != NULL ? LLM_EMBED_MAX_RESULT_BYTES : LLM_MAX_REPLY_BYTES / 2));
  llm_engine_client_call_async (self->broker->engine, "Embed",
                                g_variant_new ("(tus@a{sv})", self->id, self->uid, self->model->digest, g_variant_dict_end (&request)), NULL, on_embedded,
                                llm_request_ref (self));
}

/* ---- the caller ---- */

void
llm_embedding_reply (LlmRequest *self, GDBusMethodInvocation *invocation)
{
  GVariantBuilder all;
  gsize n;
  const guint8 *bytes = g_variant_get_fixed_array (self->rows, &n, 1);
  guint32 dimensions = 0;

  n /= sizeof (float);
  g_variant_lookup (self->result, "dimensions", "u", &dimensions);
  g_variant_builder_init (&all, G_VARIANT_TYPE ("aad"));
  for (gsize at = 0; dimensions > 0 && at + dimensions <= n; at += dimensions)
    {
      g_autofree double *row = g_new (double, dimensions);

      for (guint c = 0; c < dimensions; c++)
        {
          guint32 word;
          float number;

          memcpy (&word, bytes + (at + c) * sizeof word, sizeof word);
          word = GUINT32_FROM_LE (word);
          memcpy (&number, &word, sizeof number);
          row[c] = (double) number;
        }
      g_variant_builder_add_value (&all, g_variant_new_fixed_array (G_VARIANT_TYPE_DOUBLE, row, dimensions, sizeof *row));
    }
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(aad@a{sv})", &all, self->result));
}

void
llm_embedding_ended (LlmRequest *self)
{
  g_clear_handle_id (&self->stall_timer, g_source_remove);
  g_clear_pointer (&self->rows, g_variant_unref);
}
