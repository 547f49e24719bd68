/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's own life: made, prepared on a helper thread, freed.
 */
#include <string.h>

#include "base/limits.h"
#include "engine/engine-private.h"

static const char *const state_names[] = { "queued", "prefill", "decode", "paused", "done" };

const char *
llm_request_state_name (LlmRequestState state)
{
  return state_names[state];
}

LlmJob *
llm_job_new (void)
{
  LlmJob *job = g_new0 (LlmJob, 1);

  llm_sampling_params_init (&job->sampling);
  return job;
}

void
llm_job_free (LlmJob *job)
{
  llm_sampling_params_clear (&job->sampling);
  g_clear_pointer (&job->messages, g_ptr_array_unref);
  g_strfreev (job->stop);
  g_strfreev (job->dry_breakers);
  g_free (job->digest);
  g_free (job->prompt);
  g_free (job);
}

LlmActive *
llm_active_new (LlmJob *job)
{
  LlmActive *self = g_new0 (LlmActive, 1);

  self->job = job;
  self->submitted_us = g_get_monotonic_time ();
  self->reported_position = G_MAXUINT;
  self->pages = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->delta_tokens = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->delta_logprobs = g_array_new (FALSE, FALSE, sizeof (LlmTokenLogprobs));
  self->logprob_memory = g_ptr_array_new_with_free_func (g_free);
  llm_stop_init (&self->stop, job->stop);
  return self;
}

void
llm_active_free (LlmActive *self)
{
  g_assert (self->pages->len == 0);
  llm_stop_clear (&self->stop);
  g_clear_pointer (&self->tokens, g_array_unref);
  g_clear_pointer (&self->sampler, llm_sampler_free);
  g_clear_pointer (&self->detok, llm_detok_free);
  g_clear_pointer (&self->model, llm_model_unref);
  g_clear_error (&self->error);
  g_array_unref (self->pages);
  g_array_unref (self->delta_tokens);
  g_array_unref (self->delta_logprobs);
  g_ptr_array_unref (self->logprob_memory);
  llm_job_free (self->job);
  g_free (self);
}

static void
message_free (gpointer data)
{
  LlmMessage *message = data;

  g_free (message->content);
  g_free (message);
}

static GArray *
tokenize (LlmActive *self, GError **error)
{
  LlmJob *job = self->job;
  g_autoptr (GArray) ids = NULL;

  if (!job->raw && job->messages == NULL)
    { /* a prompt is one message of the user */
      LlmMessage *message = g_new0 (LlmMessage, 1);

      message->role = LLM_ROLE_USER;
      message->content = g_strdup (job->prompt);
      job->messages = g_ptr_array_new_with_free_func (message_free);
      g_ptr_array_add (job->messages, message);
    }
  if (!job->raw)
    return llm_model_tokenize_messages (self->model, job->messages, TRUE, error);
  ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  if (!llm_tokenize (self->model->vocab, job->prompt, strlen (job->prompt), LLM_TOKENIZE_ADD_SPECIAL, ids, error))
    return NULL;
  /* an EOS after the prompt would end it before it begins */
  if (llm_vocab_add_eos (self->model->vocab) && ids->len > 0 && g_array_index (ids, gint32, ids->len - 1) == llm_vocab_eos (self->model->vocab))
    g_array_set_size (ids, ids->len - 1);
  return g_steal_pointer (&ids);
}

static gboolean
check_biases (LlmActive *self, GError **error)
{
  const GArray *biases = self->job->sampling.logit_bias;

  for (guint i = 0; biases != NULL && i < biases->len; i++)
    {
      gint32 token = g_array_index (biases, LlmLogitBias, i).token;

      if (token < 0 || (guint) token >= self->model->config->n_vocab)
        {
          g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "logit-bias: token %u is out of range; the tokens of this model are 0 to %u",
                       (guint) token, self->model->config->n_vocab - 1);
          return FALSE;
        }
    }
  return TRUE;
}

/* The tokens whose text holds one of the breakers. */
static void
find_breakers (LlmActive *self)
{
  static const char *const usual[] = { "\n", ":", "\"", "*", NULL };
  const char *const *breakers = self->job->dry_breakers != NULL ? (const char *const *) self->job->dry_breakers : usual;
  LlmSamplingParams *params = &self->job->sampling;
  LlmStr piece;

  if (params->dry_multiplier <= 0)
    return;
  params->dry_breakers = g_array_new (FALSE, FALSE, sizeof (gint32));
  for (gint32 id = 0; llm_vocab_piece (self->model->vocab, id, &piece); id++)
    for (gsize i = 0; breakers[i] != NULL; i++)
      if (memmem (piece.bytes, piece.len, breakers[i], strlen (breakers[i])) != NULL)
        {
          g_array_append_val (params->dry_breakers, id);
          break;
        }
}

void
llm_active_prepare (LlmActive *self)
{
  guint window = self->model->context_window;

  if (!self->model->config->causal)
    {
      g_set_error (&self->error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "this model (%s) makes embeddings and generates no text; Embed is for it",
                   self->model->config->arch_name);
      return;
    }
  self->tokens = check_biases (self, &self->error) ? tokenize (self, &self->error) : NULL;
  if (self->tokens == NULL)
    return;
  self->n_prompt = self->tokens->len;
  if (self->n_prompt == 0)
    g_set_error (&self->error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "the prompt is empty; at least one token is needed");
  else if (self->n_prompt >= window)
    g_set_error (&self->error, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED,
                 "the prompt has %u tokens; the context window of %u holds at most %u and one of the answer", self->n_prompt, window, window - 1);
  if (self->error != NULL)
    return;
  find_breakers (self);
  self->sampler = llm_sampler_new (&self->job->sampling, self->model->config->n_vocab);
  if (self->sampler == NULL)
    {
      g_set_error (&self->error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the sampler of this request");
      return;
    }
  for (guint i = 0; i < self->n_prompt; i++)
    llm_sampler_accept (self->sampler, g_array_index (self->tokens, gint32, i));
  /* SentencePiece begins a chat answer with a space that nobody meant */
  self->detok = llm_detok_new (self->model->vocab, LLM_DETOK_NONE, self->model->form != LLM_CHAT_FORM_PLAIN && !self->job->raw);
}
