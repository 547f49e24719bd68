/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One call for embeddings: made, prepared on a helper thread, settled.
 */
#include "engine/embed.h"

#include <string.h>

#include "base/limits.h"
#include "engine/embed-private.h"

LlmEmbedJob *
llm_embed_job_new (void)
{
  LlmEmbedJob *job = g_new0 (LlmEmbedJob, 1);

  job->normalize = TRUE;
  return job;
}

void
llm_embed_job_free (LlmEmbedJob *job)
{
  g_strfreev (job->inputs);
  g_free (job->digest);
  g_free (job);
}

void
llm_embedding_free (LlmEmbedding *embedding)
{
  g_free (embedding->rows);
  g_free (embedding);
}

LlmEmbed *
llm_embed_new (LlmEmbedJob *job, GAsyncReadyCallback callback, gpointer user_data)
{
  LlmEmbed *self = g_new0 (LlmEmbed, 1);

  self->job = job;
  self->task = g_task_new (NULL, NULL, callback, user_data);
  g_task_set_source_tag (self->task, llm_engine_embed_async);
  self->submitted_us = g_get_monotonic_time ();
  self->n_inputs = job->inputs != NULL ? g_strv_length (job->inputs) : 0;
  return self;
}

void
llm_embed_free (LlmEmbed *self)
{
  g_clear_pointer (&self->tokens, g_array_unref);
  g_clear_pointer (&self->model, llm_model_unref);
  g_clear_error (&self->error);
  g_object_unref (self->task);
  llm_embed_job_free (self->job);
  g_free (self->begins);
  g_free (self->rows);
  g_free (self);
}

void
llm_embed_settle (LlmEmbed *self, GError *error)
{
  LlmEmbedding *embedding;

  if (error != NULL)
    {
      g_task_return_error (self->task, error);
      return;
    }
  embedding = g_new0 (LlmEmbedding, 1);
  *embedding = (LlmEmbedding) { self->n_inputs, self->dimensions, g_steal_pointer (&self->rows), self->tokens->len, self->started_us - self->submitted_us };
  g_task_return_pointer (self->task, embedding, (GDestroyNotify) llm_embedding_free);
}

/* ---- preparing ---- */

guint
llm_model_embed_window (const LlmModel *self)
{
  return self->config->causal ? self->context_window : MIN (self->context_window, LLM_ENCODER_MAX_ROWS);
}

/* What the call decides before any text is looked at. */
static gboolean
check (LlmEmbed *self, GError **error)
{
  const LlmModelConfig *config = self->model->config;
  guint64 most = self->job->max_bytes > 0 ? MIN (self->job->max_bytes, LLM_EMBED_MAX_RESULT_BYTES) : LLM_EMBED_MAX_RESULT_BYTES, bytes;

  self->pooling = self->job->pooling != LLM_POOLING_NONE ? self->job->pooling : config->pooling;
  if (self->pooling == LLM_POOLING_NONE)
    self->pooling = config->causal ? LLM_POOLING_LAST : LLM_POOLING_MEAN;
  self->dimensions = self->job->dimensions > 0 ? self->job->dimensions : config->d_model;
  bytes = (guint64) self->n_inputs * self->dimensions * sizeof (float);
  if (self->n_inputs == 0)
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "there are no inputs; at least one text is needed");
  else if (self->dimensions > config->d_model)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "dimensions is %u; the embeddings of this model have 1 to %u", self->dimensions, config->d_model);
  else if (bytes > most)
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "%u embeddings of %u numbers each were asked for; at most %" G_GUINT64_FORMAT
                 " numbers are allowed%s", self->n_inputs, self->dimensions, most / sizeof (float), most < LLM_EMBED_MAX_RESULT_BYTES ? ": EmbedToFd has room for more" : "");
  else if ((self->rows = g_try_malloc0 (bytes)) == NULL)
    g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for embeddings of %" G_GUINT64_FORMAT " bytes", bytes);
  return self->rows != NULL;
}

/* Cuts what begins at @begin to @window tokens; EOS or SEP stays the last. No token of a text is special. */
static void
cut (LlmEmbed *self, guint begin, guint window)
{
  gint32 last = g_array_index (self->tokens, gint32, self->tokens->len - 1);

  g_array_set_size (self->tokens, begin + window);
  if (llm_vocab_is_special (self->model->vocab, last))
    g_array_index (self->tokens, gint32, begin + window - 1) = last;
}

static gboolean
tokenize (LlmEmbed *self, guint i, GError **error)
{
  const char *text = self->job->inputs[i];
  guint window = llm_model_embed_window (self->model), begin = self->tokens->len, n;

  if (!llm_tokenize (self->model->vocab, text, strlen (text), LLM_TOKENIZE_ADD_SPECIAL, self->tokens, error))
    {
      g_prefix_error (error, "input %u: ", i);
      return FALSE;
    }
  n = self->tokens->len - begin;
  if (n > window && self->job->truncate)
    cut (self, begin, window);
  else if (n > window)
    g_set_error (error, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED, "input %u has %u tokens; at most %u fit, and \"truncate\" would cut it to them", i, n, window);
  else if (n == 0)
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "input %u is empty; at least one token is needed", i);
  self->begins[i + 1] = self->tokens->len;
  return n > 0 && (n <= window || self->job->truncate);
}

void
llm_embed_prepare (LlmEmbed *self)
{
  if (!check (self, &self->error))
    return;
  self->tokens = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->begins = g_new0 (guint, self->n_inputs + 1);
  for (guint i = 0; i < self->n_inputs && !g_atomic_int_get (&self->cancelled); i++)
    if (!tokenize (self, i, &self->error))
      return;
}
