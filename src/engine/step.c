/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dull half of scheduling: carries out what llm_schedule() has decided, runs the batch,
 * and turns logits into tokens and text.
 */
#include <string.h>

#include "base/limits.h"
#include "engine/engine-private.h"
#include "engine/schedule.h"

#define ECHO_BYTES 4096

void
llm_step_set_state (LlmStepper *self, LlmActive *active, LlmRequestState state, guint position)
{
  if (active->state == state && active->reported_position == position)
    return;
  active->state = state;
  active->reported_position = position;
  self->events->state (active->job->id, state, position, self->user_data);
}

/* ---- pages ---- */

void
llm_active_drop_pages (LlmActive *self)
{
  for (guint i = self->pages->len; i-- > 0;) /* the last first: a prefix is worth more than what follows it */
    llm_kv_pool_release (self->model->pool, g_array_index (self->pages, guint32, i));
  g_array_set_size (self->pages, 0);
  self->n_computed = 0;
  self->n_published = 0;
  self->serial = 0;
}

static const gint32 *
token_at (const LlmActive *active, guint i)
{
  return &g_array_index (active->tokens, gint32, i);
}

/* Takes the pages that an earlier sequence of this uid has left: all but the last token may come from there. */
static void
reuse_prefix (LlmActive *active)
{
  while ((active->n_published + 1) * LLM_KV_PAGE_TOKENS < active->tokens->len)
    {
      guint32 page;

      if (!llm_kv_pool_find (active->model->pool, active->job->uid, active->serial, token_at (active, active->n_published * LLM_KV_PAGE_TOKENS), &page,
                             &active->serial))
        break;
      g_array_append_val (active->pages, page);
      active->n_published++;
    }
  active->n_computed = active->n_published * LLM_KV_PAGE_TOKENS;
  if (!active->was_scheduled) /* its own pages, after a preemption, do not count */
    active->n_cached = active->n_computed;
}

static void
publish_full_pages (LlmActive *active)
{
  while ((active->n_published + 1) * LLM_KV_PAGE_TOKENS <= active->n_computed)
    {
      active->serial = llm_kv_pool_publish (active->model->pool, g_array_index (active->pages, guint32, active->n_published), active->job->uid,
                                            active->serial, token_at (active, active->n_published * LLM_KV_PAGE_TOKENS));
      active->n_published++;
    }
}

/* ---- planning ---- */

/* What may still be told of the requests that wait: their place in the queue. */
static void
report_queue (LlmStepper *self, LlmModel *model)
{
  guint position = 0;

  for (guint i = 0; i < model->requests->len; i++)
    {
      LlmActive *active = model->requests->pdata[i];

      if (g_atomic_int_get (&active->paused))
        llm_step_set_state (self, active, LLM_REQUEST_PAUSED, 0);
      else if (!active->admitted)
        llm_step_set_state (self, active, LLM_REQUEST_QUEUED, position++);
    }
}

static guint
plan_step (LlmModel *model, LlmScheduleStep *steps)
{
  g_autofree LlmScheduleItem *items = g_new0 (LlmScheduleItem, model->requests->len);
  LlmScheduleLimits limits = { model->batch_rows, LLM_BATCH_MAX_SLOTS, LLM_KV_PAGE_TOKENS, llm_kv_pool_n_free (model->pool) };

  for (guint i = 0; i < model->requests->len; i++)
    {
      LlmActive *active = model->requests->pdata[i];

      items[i] = (LlmScheduleItem) { active->tokens->len, active->n_computed, active->pages->len, 0, active->admitted, g_atomic_int_get (&active->paused) };
      for (guint p = 0; p < active->pages->len; p++)
        items[i].n_own += llm_kv_pool_is_own (model->pool, g_array_index (active->pages, guint32, p));
    }
  return llm_schedule (items, model->requests->len, &limits, steps);
}

/* Returns whether there was any. */
static gboolean
preempt (LlmStepper *self, LlmModel *model, const LlmScheduleStep *steps)
{
  gboolean any = FALSE;

  for (guint i = 0; i < model->requests->len; i++)
    if (steps[i].preempt)
      {
        LlmActive *active = model->requests->pdata[i];

        llm_active_drop_pages (active);
        self->n_preempted += active->admitted;
        active->admitted = FALSE;
        any = TRUE;
      }
  return any;
}

static void
admit (LlmModel *model, const LlmScheduleStep *steps)
{
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < model->requests->len; i++)
    {
      LlmActive *active = model->requests->pdata[i];

      if (steps[i].n_rows == 0)
        continue;
      active->admitted = TRUE;
      if (!active->was_scheduled)
        active->first_scheduled_us = now;
      active->was_scheduled = TRUE;
      for (guint p = 0; p < steps[i].n_pages; p++)
        {
          guint32 page = 0;
          gboolean taken = llm_kv_pool_take (model->pool, &page);

          g_assert (taken); /* the schedule has counted them */
          g_array_append_val (active->pages, page);
        }
    }
}

/* ---- the batch ---- */

typedef struct {
  gint32 token[LLM_BATCH_MAX_ROWS];
  guint32 position[LLM_BATCH_MAX_ROWS], slot[LLM_BATCH_MAX_ROWS], out_row[LLM_BATCH_MAX_SLOTS];
  LlmActive *active[LLM_BATCH_MAX_SLOTS];    /* by slot */
  LlmActive *out_active[LLM_BATCH_MAX_SLOTS];
  guint n_rows[LLM_BATCH_MAX_SLOTS];         /* by slot */
  guint32 *block_table;
  LlmBatch batch;
} Rows;

static void
build_batch (Rows *rows, LlmModel *model, const LlmScheduleStep *steps)
{
  guint n = 0, n_slots = 0, n_out = 0, stride = 1;

  for (guint i = 0; i < model->requests->len; i++)
    if (steps[i].n_rows > 0)
      stride = MAX (stride, ((LlmActive *) model->requests->pdata[i])->pages->len);
  rows->block_table = g_new0 (guint32, (gsize) LLM_BATCH_MAX_SLOTS * stride);
  for (guint i = 0; i < model->requests->len; i++)
    {
      LlmActive *active = model->requests->pdata[i];

      if (steps[i].n_rows == 0)
        continue;
      memcpy (rows->block_table + (gsize) n_slots * stride, active->pages->data, active->pages->len * sizeof (guint32));
      for (guint r = 0; r < steps[i].n_rows; r++, n++)
        {
          rows->token[n] = *token_at (active, active->n_computed + r);
          rows->position[n] = active->n_computed + r;
          rows->slot[n] = n_slots;
        }
      if (active->n_computed + steps[i].n_rows == active->tokens->len)
        {
          rows->out_row[n_out] = n - 1;
          rows->out_active[n_out++] = active;
        }
      rows->n_rows[n_slots] = steps[i].n_rows;
      rows->active[n_slots++] = active;
    }
  rows->batch = (LlmBatch) { n, rows->token, rows->position, rows->slot, n_slots, rows->block_table, stride, n_out, rows->out_row };
}

/* ---- text ---- */

static void
emit (LlmStepper *self, LlmActive *active, const GString *text)
{
  if (text->len == 0 && active->delta_logprobs->len == 0)
    return;
  self->events->delta (active->job->id, 0, "content", text->str, text->len, (const gint32 *) (gpointer) active->delta_tokens->data,
                       active->delta_tokens->len, (const LlmTokenLogprobs *) (gpointer) active->delta_logprobs->data, active->delta_logprobs->len,
                       self->user_data);
  g_array_set_size (active->delta_tokens, 0);
  g_array_set_size (active->delta_logprobs, 0);
  g_ptr_array_set_size (active->logprob_memory, 0);
}

void
llm_step_flush (LlmStepper *self, LlmActive *active)
{
  g_autoptr (GString) text = g_string_new (NULL), out = g_string_new (NULL);

  if (active->detok == NULL)
    return;
  llm_detok_finish (active->detok, text);
  if (!llm_stop_push (&active->stop, text->str, text->len, out))
    llm_stop_finish (&active->stop, out);
  emit (self, active, out);
}

/* The prompt's text, in pieces that end at characters. */
void
llm_step_echo (LlmStepper *self, LlmActive *active)
{
  g_autoptr (GString) text = g_string_new (NULL), piece = g_string_new (NULL);
  const char *at, *end;

  if (active->job->prompt != NULL)
    g_string_append (text, active->job->prompt);
  else
    {
      LlmDetok *detok = llm_detok_new (active->model->vocab, LLM_DETOK_NONE, TRUE);

      for (guint i = 0; i < active->n_prompt; i++)
        llm_detok_push (detok, *token_at (active, i), text);
      llm_detok_finish (detok, text);
      llm_detok_free (detok);
    }
  for (at = text->str; *at != '\0'; at = end)
    {
      end = text->str + text->len - at > ECHO_BYTES ? g_utf8_find_prev_char (at, at + ECHO_BYTES + 1) : text->str + text->len;
      g_string_truncate (piece, 0);
      g_string_append_len (piece, at, end - at);
      emit (self, active, piece);
    }
}

static void
remember_logprobs (LlmActive *active, const float *logits, gint32 token)
{
  guint n = MIN (active->job->logprobs, active->model->config->n_vocab);
  LlmTokenLogprobs lp = { .token = token, .n_top = n };
  gint32 *top_token;
  float *top_logprob;

  if (active->job->logprobs == 0)
    return;
  top_token = g_new (gint32, n);
  top_logprob = g_new (float, n);
  lp.logprob = llm_logprobs (logits, active->model->config->n_vocab, token, n, top_token, top_logprob);
  lp.top_token = top_token;
  lp.top_logprob = top_logprob;
  g_ptr_array_add (active->logprob_memory, top_token);
  g_ptr_array_add (active->logprob_memory, top_logprob);
  g_array_append_val (active->delta_logprobs, lp);
}

/* A token has come: its text goes out, and perhaps the request ends. */
static void
accept_token (LlmStepper *self, LlmActive *active, const float *logits)
{
  g_autoptr (GString) text = NULL, out = NULL;
  gint32 token = llm_sampler_sample (active->sampler, logits);
  gboolean stopped;

  if (active->first_token_us == 0)
    active->first_token_us = g_get_monotonic_time ();
  active->n_output++;
  self->n_decoded++;
  if (llm_vocab_is_eog (active->model->vocab, token))
    {
      self->finished (self->engine, active, "stop", NULL);
      return;
    }
  g_array_append_val (active->tokens, token);
  llm_sampler_accept (active->sampler, token);
  g_array_append_val (active->delta_tokens, token);
  remember_logprobs (active, logits, token);
  text = g_string_new (NULL);
  out = g_string_new (NULL);
  llm_detok_push (active->detok, token, text);
  stopped = llm_stop_push (&active->stop, text->str, text->len, out);
  emit (self, active, out);
  if (stopped)
    {
      g_clear_pointer (&active->detok, llm_detok_free); /* half a character behind the stop string is not text either */
      self->finished (self->engine, active, "stop", NULL);
    }
  else if (active->tokens->len >= active->model->context_window
           || (active->job->max_tokens > 0 && active->n_output >= active->job->max_tokens))
    self->finished (self->engine, active, "length", NULL);
  else
    llm_step_set_state (self, active, LLM_REQUEST_DECODE, 0);
}

static void
fail_batch (LlmStepper *self, Rows *rows, const GError *error)
{
  for (guint s = 0; s < rows->batch.n_slots; s++)
    self->finished (self->engine, rows->active[s], "cancelled", g_error_copy (error));
}

static void
use_logits (LlmStepper *self, Rows *rows, const float *logits)
{
  guint n_vocab = rows->active[0]->model->config->n_vocab;

  for (guint s = 0; s < rows->batch.n_slots; s++)
    {
      LlmActive *active = rows->active[s];

      if (active->n_output == 0 || rows->n_rows[s] > 1) /* the latter: again, after a preemption */
        {
          self->n_prefilled += rows->n_rows[s];
          llm_step_set_state (self, active, LLM_REQUEST_PREFILL, 0);
        }
      active->n_computed += rows->n_rows[s];
      publish_full_pages (active);
    }
  for (guint o = 0; o < rows->batch.n_out; o++) /* may free its request */
    accept_token (self, rows->out_active[o], logits + (gsize) o * n_vocab);
}

gboolean
llm_step (LlmStepper *self, LlmModel *model)
{
  g_autofree LlmScheduleStep *steps = g_new0 (LlmScheduleStep, MAX (model->requests->len, 1));
  g_autofree Rows *rows = g_new0 (Rows, 1);
  g_autoptr (GError) error = NULL;
  const float *logits;
  guint n_rows;

  for (guint i = 0; i < model->requests->len; i++)
    {
      LlmActive *active = model->requests->pdata[i];

      if (!active->admitted && active->pages->len == 0)
        reuse_prefix (active);
    }
  /* Pages that only victims share are free when the last of them has given them back, which the schedule cannot see:
   * when it takes pages and still has no row, the next one has more. */
  do
    n_rows = plan_step (model, steps);
  while (preempt (self, model, steps) && n_rows == 0);
  admit (model, steps);
  report_queue (self, model);
  build_batch (rows, model, steps);
  if (rows->batch.n_rows > 0)
    {
      self->n_steps++;
      self->n_rows += rows->batch.n_rows;
      if (llm_executable_submit (model->executable, model->kv, &rows->batch, &error) && llm_executable_wait (model->executable, &logits, &error))
        use_logits (self, rows, logits);
      else
        fail_batch (self, rows, error);
    }
  g_free (rows->block_table);
  return rows->batch.n_rows > 0;
}
