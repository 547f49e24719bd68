/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A generation from its model to its text: load, submit, deliver, end; once more from the
 * start when the engine was lost before a token had come.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "daemon/embedding.h"
#include "daemon/loader.h"
#include "daemon/request.h"

#define FD_PIECE (64 * LLM_KIB)

/* ---- start ---- */

static gboolean
on_deadline (gpointer user_data)
{
  LlmRequest *self = user_data;

  self->deadline_timer = 0;
  llm_request_cancel (self, "its deadline has passed");
  return G_SOURCE_REMOVE;
}

static void
on_submitted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error);

  if (reply != NULL || g_error_matches (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST))
    return; /* lost: llm_generate_on_lost() decides */
  self->submitted = FALSE;
  llm_request_end (self, NULL, g_steal_pointer (&error));
}

static void load_and_submit (LlmRequest *self);

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) self = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) info = llm_loader_ensure_finish (NULL, result, &error);

  if (self->state == LLM_STATE_DONE)
    {
      g_clear_error (&error);
      return;
    }
  if (info == NULL)
    {
      if (g_error_matches (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST) && self->broker->lost_by_file && self->attempts < 2)
        {
          g_clear_error (&error);
          load_and_submit (self);
          return;
        }
      if (g_error_matches (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST) && !self->broker->lost_by_file)
        llm_crash_ledger_charge (self->broker->ledger, self->model->digest, self->uid, FALSE, g_get_monotonic_time ());
      llm_request_end (self, NULL, error);
      return;
    }
  self->load_us = (guint64) g_get_monotonic_time () - self->load_us;
  llm_request_set_state (self, LLM_STATE_QUEUED, "its model is loaded");
  self->submitted = TRUE;
  if (self->kind == LLM_KIND_EMBED)
    {
      llm_embedding_submit (self);
      return;
    }
  llm_engine_client_call_async (self->broker->engine, "Submit",
                                g_variant_new ("(tuts@a{sv})", self->id, self->uid, self->caller != NULL ? self->caller->serial : 0, self->model->digest,
                                               self->submit),
                                NULL, on_submitted, llm_request_ref (self));
  llm_generate_update_flow (self);
}

/* From the beginning; also the second attempt. */
static void
load_and_submit (LlmRequest *self)
{
  self->attempts++;
  self->load_us = (guint64) g_get_monotonic_time ();
  llm_request_set_state (self, LLM_STATE_LOADING, self->attempts > 1 ? "the engine was lost" : "begun");
  llm_loader_ensure_async (self->broker->loader, self->model, on_loaded, llm_request_ref (self));
}

void
llm_generate_start (LlmRequest *self)
{
  self->lease = llm_store_lease (self->broker->store, self->model);
  llm_loader_use (self->broker->loader, self->model->digest);
  self->in_use = TRUE;
  if (llm_crash_ledger_is_quarantined (self->broker->ledger, self->model->digest, self->uid, g_get_monotonic_time ()))
    {
      llm_request_end (self, NULL, g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST,
                                                "the engine crashed %d times on your requests to %s; they are refused for %d minutes",
                                                LLM_CRASHES_TO_QUARANTINE, self->model->name, LLM_QUARANTINE_SECONDS / 60));
      return;
    }
  if (self->deadline_ms > 0)
    self->deadline_timer = g_timeout_add (self->deadline_ms, on_deadline, self);
  load_and_submit (self);
}

/* ---- flow ---- */

void
llm_generate_update_flow (LlmRequest *self)
{
  gboolean paused = self->blocked_by_fd || (self->signals && llm_flow_is_blocked (self->broker->flow, self->sender));

  if (!self->submitted || self->state == LLM_STATE_DONE || paused == self->told_paused)
    return;
  self->told_paused = paused;
  llm_engine_client_call_async (self->broker->engine, "Pause", g_variant_new ("(tb)", self->id, paused), NULL, NULL, NULL);
}

/* ---- deliver ---- */

static void
deliver_to_fd (LlmRequest *self, const char *text, gsize len)
{
  /* small enough for the ring even when it is half full; flow control has paused the engine long before */
  for (gsize at = 0; at < len && self->state != LLM_STATE_DONE; at += FD_PIECE)
    if (!llm_fd_writer_push (self->writer, text + at, MIN (FD_PIECE, len - at)))
      {
        llm_request_cancel (self, "its output file descriptor takes too little");
        return;
      }
}

static void
deliver_to_reply (LlmRequest *self, const char *text, gsize len)
{
  if (self->text->len + len <= LLM_MAX_REPLY_BYTES)
    {
      g_string_append_len (self->text, text, (gssize) len);
      return;
    }
  llm_engine_client_call_async (self->broker->engine, "Cancel", g_variant_new ("(t)", self->id), NULL, NULL, NULL);
  llm_request_end (self, NULL, g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                                            "the answer is longer than %llu bytes; GenerateToFd and Stream have no such limit", LLM_MAX_REPLY_BYTES));
}

static void
deliver_signal (LlmRequest *self, const char *channel, const char *text, gsize len, GVariant *logprobs)
{
  GVariantBuilder details;

  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  if (logprobs != NULL)
    g_variant_builder_add (&details, "{sv}", "logprobs", logprobs);
  llm_broker_signal (self->broker, self->sender, "Token", g_variant_new ("(otssa{sv})", self->path, self->offset, channel, text, &details));
  self->offset += len;
}

void
llm_generate_on_delta (LlmBroker *broker, guint64 id, const char *channel, const char *text, GVariant *details)
{
  LlmRequest *self = g_hash_table_lookup (broker->requests, &id);
  g_autoptr (GVariant) logprobs = NULL, tokens = NULL;
  gsize len = strlen (text);

  if (self == NULL || self->state == LLM_STATE_DONE)
    return;
  self->emitted = TRUE;
  tokens = g_variant_lookup_value (details, "tokens", G_VARIANT_TYPE ("au"));
  logprobs = g_variant_lookup_value (details, "logprobs", G_VARIANT_TYPE ("aa{sv}"));
  self->completed += tokens != NULL ? g_variant_n_children (tokens) : 0;
  if (self->signals)
    {
      deliver_signal (self, channel, text, len, logprobs);
      return;
    }
  for (gsize i = 0; logprobs != NULL && i < g_variant_n_children (logprobs); i++)
    g_ptr_array_add (self->logprobs, g_variant_get_child_value (logprobs, i));
  if (self->writer != NULL)
    deliver_to_fd (self, text, len);
  else
    deliver_to_reply (self, text, len);
}

void
llm_generate_on_state (LlmBroker *broker, guint64 id, const char *name, guint position)
{
  LlmRequest *self = g_hash_table_lookup (broker->requests, &id);
  LlmState state = llm_state_from_name (name);

  if (self == NULL || self->state == LLM_STATE_DONE || self->state == LLM_STATE_LOADING)
    return;
  self->position = position;
  if (state < LLM_STATE_DONE && llm_state_may_follow (self->state, state))
    llm_request_set_state (self, state, "says the engine");
}

/* ---- end ---- */

/* What the engine says, with what only the broker knows. */
static GVariant *
complete_result (LlmRequest *self, GVariant *from_engine)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (from_engine);

  g_variant_dict_remove (&dict, "error-name");
  g_variant_dict_remove (&dict, "error-message");
  g_variant_dict_insert (&dict, "load-us", "t", self->load_us);
  g_variant_dict_insert (&dict, "dropped-messages", "u", 0);
  g_variant_dict_insert (&dict, "dropped-tokens", "u", 0);
  g_variant_dict_insert (&dict, "model-digest", "s", self->model->digest);
  if (self->logprobs->len > 0)
    g_variant_dict_insert_value (&dict, "logprobs",
                                 g_variant_new_array (G_VARIANT_TYPE_VARDICT, (GVariant *const *) self->logprobs->pdata, self->logprobs->len));
  return g_variant_dict_end (&dict);
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (LlmRequest) self = user_data;
  GError *error = NULL;
  gboolean ok = llm_fd_writer_finish_finish (NULL, result, &error);

  if (self->state == LLM_STATE_DONE)
    g_clear_error (&error);
  else if (ok)
    {
      g_autoptr (GVariant) held = g_steal_pointer (&self->result);
      llm_request_end (self, held, NULL);
    }
  else
    llm_request_end (self, NULL, error);
}

void
llm_generate_finish_output (LlmRequest *self)
{
  llm_fd_writer_finish_async (self->writer, on_written, llm_request_ref (self));
}

void
llm_generate_on_done (LlmBroker *broker, guint64 id, GVariant *from_engine)
{
  LlmRequest *self = g_hash_table_lookup (broker->requests, &id);
  const char *name = NULL, *message = "";
  g_autoptr (GVariant) result = NULL;

  if (self == NULL || self->state == LLM_STATE_DONE)
    return;
  self->submitted = FALSE;
  llm_crash_ledger_succeeded (broker->ledger, self->model->digest, self->uid);
  g_variant_lookup (from_engine, "error-message", "&s", &message);
  if (g_variant_lookup (from_engine, "error-name", "&s", &name))
    {
      llm_request_end (self, NULL, llm_error_from_dbus (name, message));
      return;
    }
  result = g_variant_ref_sink (complete_result (self, from_engine));
  if (self->writer == NULL)
    {
      llm_request_end (self, result, NULL);
      return;
    }
  self->result = g_steal_pointer (&result); /* until the reader has it all */
  llm_generate_finish_output (self);
}

void
llm_generate_on_lost (LlmBroker *broker, const char *reason)
{
  g_autoptr (GPtrArray) hit = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_request_unref);
  g_autoptr (GHashTable) charged = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, broker->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((LlmRequest *) value)->submitted && ((LlmRequest *) value)->state != LLM_STATE_DONE)
      g_ptr_array_add (hit, llm_request_ref (value));
  broker->lost_by_file = llm_loader_has_damaged (broker->loader);
  if (broker->lost_by_file)
    g_warning ("a model's file was changed or removed while it was loaded; the model has to be imported again");
  for (guint i = 0; i < hit->len && !broker->lost_by_file; i++)
    {
      LlmRequest *self = hit->pdata[i];

      if (g_hash_table_add (charged, g_strdup_printf ("%u %s", self->uid, self->model->digest)))
        llm_crash_ledger_charge (broker->ledger, self->model->digest, self->uid, llm_loader_is_on_vulkan (broker->loader, self->model->digest),
                                 g_get_monotonic_time ());
    }
  llm_loader_lost (broker->loader);
  for (guint i = 0; i < hit->len; i++)
    {
      LlmRequest *self = hit->pdata[i];

      self->submitted = FALSE;
      self->told_paused = FALSE;
      if (!self->emitted && self->attempts < 2
          && !llm_crash_ledger_is_quarantined (broker->ledger, self->model->digest, self->uid, g_get_monotonic_time ()))
        load_and_submit (self);
      else
        llm_request_end (self, NULL, g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the inference engine was %s in mid-answer; ask again", reason));
    }
}

void
llm_generate_reply (LlmRequest *self, GDBusMethodInvocation *invocation)
{
  GVariantBuilder message;

  if (self->error != NULL)
    llm_broker_return_error (invocation, g_error_copy (self->error));
  else if (self->writer != NULL)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", self->result));
  else if (self->kind == LLM_KIND_EMBED)
    llm_embedding_reply (self, invocation);
  else if (self->kind == LLM_KIND_GENERATE)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s@a{sv})", self->text->str, self->result));
  else
    {
      g_variant_builder_init (&message, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&message, "{sv}", "role", g_variant_new_string ("assistant"));
      g_variant_builder_add (&message, "{sv}", "content", g_variant_new_string (self->text->str));
      g_dbus_method_invocation_return_value (invocation, g_variant_new ("(a{sv}@a{sv})", &message, self->result));
    }
}

void
llm_generate_ended (LlmRequest *self)
{
  g_clear_handle_id (&self->deadline_timer, g_source_remove);
  llm_embedding_ended (self);
  if (self->writer != NULL)
    llm_callers_refund_fd (self->broker->callers, self->uid);
  g_clear_pointer (&self->writer, llm_fd_writer_free);
  if (self->in_use)
    llm_loader_unuse (self->broker->loader, self->model->digest);
  self->in_use = FALSE;
  g_clear_pointer (&self->submit, g_variant_unref);
  g_clear_pointer (&self->lease, llm_store_lease_free);
  g_clear_pointer (&self->model, llm_store_model_unref);
  g_clear_pointer (&self->logprobs, g_ptr_array_unref);
  if (self->text != NULL)
    g_string_free (g_steal_pointer (&self->text), TRUE);
}
