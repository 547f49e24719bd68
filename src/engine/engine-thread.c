/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine thread: it owns the devices, the KV caches and every sequence, and runs one batch after the other.
 */
#include "engine/engine-thread.h"

/* ---- requests: engine thread ---- */

static LlmResult
make_result (const LlmActive *active, const char *finish_reason)
{
  gint64 now = g_get_monotonic_time ();
  gint64 scheduled = active->was_scheduled ? active->first_scheduled_us : now;
  gint64 first = active->first_token_us > 0 ? active->first_token_us : now;

  return (LlmResult) {
    .finish_reason = finish_reason, .prompt_tokens = active->n_prompt, .cached_tokens = active->n_cached, .output_tokens = active->n_output,
    .context_used = active->tokens != NULL ? active->tokens->len : 0, .queue_us = scheduled - active->submitted_us,
    .prefill_us = active->was_scheduled ? first - scheduled : 0, .decode_us = active->first_token_us > 0 ? now - first : 0,
  };
}

void
llm_engine_finish (LlmEngine *self, LlmActive *active, const char *finish_reason, GError *error)
{
  LlmResult result;

  if (active->was_scheduled)
    llm_step_flush (&self->stepper, active);
  if (active->pages->len > 0)
    llm_active_drop_pages (active);
  if (active->model != NULL)
    g_ptr_array_remove (active->model->requests, active);
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->live, &active->job->id);
  g_mutex_unlock (&self->lock);
  result = make_result (active, finish_reason);
  self->events.done (active->job->id, &result, error, self->user_data);
  g_clear_error (&error);
  llm_active_free (active);
}

/* Why what was submitted then must end now; NULL: it need not. */
static GError *
reason_to_end (gint *cancelled, guint deadline_ms, gint64 submitted_us, gint64 now)
{
  if (g_atomic_int_get (cancelled))
    return g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the request was cancelled");
  if (deadline_ms > 0 && now - submitted_us >= (gint64) deadline_ms * 1000)
    return g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the deadline of %u ms has passed", deadline_ms);
  return NULL;
}

/* Cancelled or late: ends it. TRUE: it is gone. */
static gboolean
end_if_over (LlmEngine *self, LlmActive *active, gint64 now)
{
  GError *reason = reason_to_end (&active->cancelled, active->job->deadline_ms, active->submitted_us, now);

  if (reason != NULL)
    llm_engine_finish (self, active, "cancelled", reason);
  return reason != NULL;
}

void
llm_engine_finish_embed (LlmEngine *self, LlmEmbed *embed, GError *error)
{
  if (embed->model != NULL)
    g_ptr_array_remove (embed->model->embeds, embed);
  if (embed->model != NULL && embed->model->embedder != NULL)
    llm_embedder_forget (embed->model->embedder, embed);
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->embeds, &embed->job->id);
  g_mutex_unlock (&self->lock);
  llm_embed_settle (embed, error);
  llm_embed_free (embed);
}

static gboolean
end_embed_if_over (LlmEngine *self, LlmEmbed *embed, gint64 now)
{
  GError *reason = reason_to_end (&embed->cancelled, embed->job->deadline_ms, embed->submitted_us, now);

  if (reason != NULL)
    llm_engine_finish_embed (self, embed, reason);
  return reason != NULL;
}

static void
end_those_over (LlmEngine *self)
{
  gint64 now = g_get_monotonic_time ();

  for (guint m = 0; m < self->installed->len; m++)
    {
      LlmModel *model = self->installed->pdata[m];

      for (guint i = model->requests->len; i-- > 0;)
        end_if_over (self, model->requests->pdata[i], now);
      for (guint i = model->embeds->len; i-- > 0;)
        end_embed_if_over (self, model->embeds->pdata[i], now);
    }
}

static void
take_request (LlmEngine *self, LlmActive *active)
{
  if (active->error != NULL)
    {
      llm_engine_finish (self, active, "cancelled", g_steal_pointer (&active->error));
      return;
    }
  if (end_if_over (self, active, g_get_monotonic_time ()))
    return;
  if (active->model->executable == NULL)
    {
      llm_engine_finish (self, active, "cancelled", g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded before the request began"));
      return;
    }
  g_ptr_array_add (active->model->requests, active);
  if (active->job->echo)
    llm_step_echo (&self->stepper, active);
}

static void
take_embed (LlmEngine *self, LlmEmbed *embed)
{
  if (end_embed_if_over (self, embed, g_get_monotonic_time ()))
    return;
  if (embed->error == NULL && embed->model->executable == NULL)
    g_set_error (&embed->error, LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded before the request began");
  if (embed->error != NULL)
    llm_engine_finish_embed (self, embed, g_steal_pointer (&embed->error));
  else
    g_ptr_array_add (embed->model->embeds, embed);
}

/* ---- models: engine thread ---- */

static LlmDevice *
open_device (LlmEngine *self, const LlmLoadSettings *settings, GError **error)
{
  const char *id = settings->device != NULL ? settings->device : "";
  LlmDevice *device = g_hash_table_lookup (self->devices, id);

  if (device != NULL)
    return device;
  device = llm_devices_open (id, &settings->devices, error);
  if (device != NULL)
    g_hash_table_insert (self->devices, g_strdup (id), device);
  return device;
}

static void
install (LlmEngine *self, LlmEngineLoad *load)
{
  g_autoptr (GError) error = NULL;
  LlmDevice *device = open_device (self, &load->settings, &error);

  if (device != NULL && llm_model_install (load->model, device, &load->settings, &error))
    g_ptr_array_add (self->installed, llm_model_ref (load->model));
  llm_engine_settle_load (self, load, error);
}

static void
uninstall (LlmEngine *self, LlmModel *model)
{
  while (model->requests->len > 0)
    llm_engine_finish (self, model->requests->pdata[0], "cancelled", g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded"));
  while (model->embeds->len > 0)
    llm_engine_finish_embed (self, model->embeds->pdata[0], g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded"));
  llm_model_uninstall (model);
  g_ptr_array_remove (self->installed, model);
}

/* ---- the engine thread ---- */

static void
run_command (LlmEngine *self, LlmEngineCommand *command)
{
  if (command->kind == LLM_COMMAND_REQUEST)
    take_request (self, command->active);
  else if (command->kind == LLM_COMMAND_EMBED)
    take_embed (self, command->embed);
  else if (command->kind == LLM_COMMAND_INSTALL)
    install (self, command->load);
  else
    {
      uninstall (self, command->model);
      g_task_return_boolean (command->task, TRUE);
    }
  g_clear_object (&command->task);
  g_clear_pointer (&command->model, llm_model_unref);
  g_free (command);
}

/* The earliest deadline of all requests, or -1. Embeddings do not wait. */
static gint64
next_deadline (LlmEngine *self)
{
  gint64 next = -1;

  for (guint m = 0; m < self->installed->len; m++)
    {
      LlmModel *model = self->installed->pdata[m];

      for (guint i = 0; i < model->requests->len; i++)
        {
          LlmActive *active = model->requests->pdata[i];
          gint64 at = active->submitted_us + (gint64) active->job->deadline_ms * 1000;

          if (active->job->deadline_ms > 0 && (next < 0 || at < next))
            next = at;
        }
    }
  return next;
}

/* Waits until there is something to do, unless @busy. FALSE: quit. */
static gboolean
wait_for_work (LlmEngine *self, gboolean busy)
{
  gint64 deadline = busy ? 0 : next_deadline (self);
  gboolean quit;

  g_mutex_lock (&self->lock);
  while (!busy && !self->quit && !self->poked && g_queue_is_empty (&self->inbox))
    {
      if (deadline < 0)
        g_cond_wait (&self->wake, &self->lock);
      else if (!g_cond_wait_until (&self->wake, &self->lock, deadline))
        break;
    }
  self->poked = FALSE;
  quit = self->quit;
  g_mutex_unlock (&self->lock);
  return !quit;
}

static void
run_inbox (LlmEngine *self)
{
  for (;;)
    {
      LlmEngineCommand *command;

      g_mutex_lock (&self->lock);
      command = g_queue_pop_head (&self->inbox);
      g_mutex_unlock (&self->lock);
      if (command == NULL)
        return;
      run_command (self, command);
    }
}

gpointer
llm_engine_thread (gpointer user_data)
{
  LlmEngine *self = user_data;
  gboolean busy = FALSE;

  while (wait_for_work (self, busy))
    {
      run_inbox (self);
      end_those_over (self);
      busy = FALSE;
      for (guint m = 0; m < self->installed->len; m++)
        {
          busy = llm_step (&self->stepper, self->installed->pdata[m]) || busy;
          busy = llm_embed_step (&self->stepper, self->installed->pdata[m]) || busy;
        }
    }
  run_inbox (self);
  while (self->installed->len > 0)
    uninstall (self, self->installed->pdata[0]);
  return NULL;
}
