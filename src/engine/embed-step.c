/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of embeddings: inputs of all calls by turns, as many as fit; their rows pooled on the host.
 *
 * An input stands in one run, but for a decoder's that is longer than LLM_BATCH_MAX_ROWS: there is at most one of those
 * under way, and it keeps the first pages of the KV buffer until it is through.  All other pages are free
 * again after every run.  An encoder's input is never divided: its rows see each other.
 */
#include <math.h>

#include "base/limits.h"
#include "engine/embed-private.h"

#define OWN_PAGES 32 /* of a decoder's KV buffer, until a longer input comes */

/* Rows of one input in this run. */
typedef struct {
  LlmEmbed *embed;
  guint input, from, n;      /* tokens [from, from + n) of it */
  guint first_page, n_pages; /* of the whole input */
  guint n_out;               /* its wanted rows, which follow those of the piece before */
} Piece;

struct _LlmEmbedder {
  LlmModel *model; /* (lent) */

  LlmPlan *plan;
  LlmExecutable *executable;
  LlmKvBuffer *kv;
  guint n_pages;

  LlmEmbed *long_of; /* (lent, nullable) whose input is under way */
  guint long_input, long_done;
  double *sum;       /* [d_model] of it */
  double *scratch;   /* [d_model] of the others */
  guint turn;        /* whose input is next */
  guint64 memory_bytes;

  /* the run */
  gint32 *token;
  guint32 *position, *slot, *n_keys, *out_row; /* [rows of the longest run] */
  Piece pieces[LLM_BATCH_MAX_SLOTS];
  guint n_pieces, n_rows, n_out, next_page;
};

LlmEmbedder *
llm_embedder_new (LlmModel *model)
{
  LlmEmbedder *self = g_new0 (LlmEmbedder, 1);
  guint rows = MAX (LLM_BATCH_MAX_ROWS, model->config->causal ? 0 : llm_model_embed_window (model)), d = model->config->d_model;

  self->model = model;
  self->token = g_new (gint32, rows);
  self->position = g_new (guint32, rows);
  self->slot = g_new (guint32, rows);
  self->n_keys = g_new (guint32, rows);
  self->out_row = g_new (guint32, rows);
  self->sum = g_new0 (double, d);
  self->scratch = g_new0 (double, d);
  return self;
}

void
llm_embedder_free (LlmEmbedder *self)
{
  g_clear_pointer (&self->kv, llm_kv_buffer_free);
  g_clear_pointer (&self->executable, llm_executable_free);
  g_clear_pointer (&self->plan, llm_plan_free);
  g_free (self->token);
  g_free (self->position);
  g_free (self->slot);
  g_free (self->n_keys);
  g_free (self->out_row);
  g_free (self->sum);
  g_free (self->scratch);
  g_free (self);
}

guint64
llm_embedder_memory_bytes (const LlmEmbedder *self)
{
  return self->memory_bytes;
}

void
llm_embedder_forget (LlmEmbedder *self, const LlmEmbed *embed)
{
  if (self->long_of == embed)
    self->long_of = NULL;
}

/* ---- the devices' side ---- */

static guint
pages_for (guint n_tokens)
{
  return (n_tokens + LLM_KV_PAGE_TOKENS - 1) / LLM_KV_PAGE_TOKENS;
}

static gboolean
make_executable (LlmEmbedder *self, GError **error)
{
  LlmModel *model = self->model;
  LlmArchOptions options = { llm_plan_kv_layout (model->plan)->dtype, model->context_window, TRUE };
  LlmRunLimits limits = { LLM_BATCH_MAX_ROWS, LLM_BATCH_MAX_SLOTS, pages_for (model->context_window), LLM_BATCH_MAX_ROWS };

  self->plan = llm_arch_plan_new (model->config, model->weights, &options, error);
  self->executable = self->plan != NULL ? llm_device_compile (model->device, self->plan, &limits, error) : NULL;
  if (self->executable == NULL)
    g_clear_pointer (&self->plan, llm_plan_free);
  else
    self->memory_bytes += llm_executable_memory_bytes (self->executable);
  return self->executable != NULL;
}

/* A decoder's KV buffer of @n_pages at least; what was in it is gone when it grows. */
static gboolean
make_kv (LlmEmbedder *self, guint n_pages, GError **error)
{
  if (self->kv != NULL && self->n_pages >= n_pages)
    return TRUE;
  if (self->kv != NULL)
    self->memory_bytes -= llm_kv_buffer_bytes (self->kv);
  g_clear_pointer (&self->kv, llm_kv_buffer_free);
  self->kv = llm_device_kv_new (self->model->device, llm_plan_kv_layout (self->plan), n_pages, error);
  if (self->kv == NULL)
    return FALSE;
  self->n_pages = n_pages;
  self->memory_bytes += llm_kv_buffer_bytes (self->kv);
  return TRUE;
}

static gboolean
make_ready (LlmEmbedder *self, GError **error)
{
  if (!self->model->config->causal)
    {
      self->n_pages = llm_kv_pool_n_pages (self->model->pool);
      return TRUE;
    }
  return (self->executable != NULL || make_executable (self, error)) && make_kv (self, OWN_PAGES, error);
}

/* ---- gathering ---- */

static guint
length_of (const LlmEmbed *embed, guint input)
{
  return embed->begins[input + 1] - embed->begins[input];
}

static gboolean
is_wanted (const LlmEmbed *embed, guint at, guint length)
{
  return embed->pooling == LLM_POOLING_MEAN || at == (embed->pooling == LLM_POOLING_CLS ? 0 : length - 1);
}

static void
add_piece (LlmEmbedder *self, LlmEmbed *embed, guint input, guint from, guint n)
{
  guint length = length_of (embed, input);
  Piece *piece = &self->pieces[self->n_pieces];

  *piece = (Piece) { embed, input, from, n, self->next_page, pages_for (length), 0 };
  for (guint at = from; at < from + n; at++)
    {
      guint r = self->n_rows++;

      self->token[r] = g_array_index (embed->tokens, gint32, embed->begins[input] + at);
      self->position[r] = at;
      self->slot[r] = self->n_pieces;
      self->n_keys[r] = self->model->config->causal ? at + 1 : length;
      if (is_wanted (embed, at, length))
        {
          self->out_row[self->n_out++] = r;
          piece->n_out++;
        }
    }
  self->next_page += piece->n_pages;
  self->n_pieces++;
}

static void
begin (LlmStepper *stepper, LlmEmbed *embed)
{
  if (embed->n_begun++ > 0)
    return;
  embed->started_us = g_get_monotonic_time ();
  stepper->events->state (embed->job->id, LLM_REQUEST_PREFILL, 0, stepper->user_data);
}

/* The next input of @embed, if there is still room. What is too long for the room that is left waits for a run that it begins. */
static gboolean
take_input (LlmEmbedder *self, LlmStepper *stepper, LlmEmbed *embed)
{
  guint input = embed->n_begun, length = length_of (embed, input), rows = length;

  if (self->n_pieces == LLM_BATCH_MAX_SLOTS
      || (self->n_rows > 0 && (self->n_rows + length > LLM_BATCH_MAX_ROWS || self->next_page + pages_for (length) > self->n_pages)))
    return FALSE;
  if (self->model->config->causal && length > LLM_BATCH_MAX_ROWS)
    {
      if (!make_kv (self, pages_for (length), &embed->error))
        return FALSE;
      self->long_of = embed;
      self->long_input = input;
      self->long_done = 0;
      for (guint c = 0; c < self->model->config->d_model; c++)
        self->sum[c] = 0;
      rows = LLM_BATCH_MAX_ROWS;
    }
  begin (stepper, embed);
  add_piece (self, embed, input, 0, rows);
  return TRUE;
}

/* The next call in turn that has inputs left. It stays its turn until one is taken: a long input begins the next run. */
static LlmEmbed *
next_embed (LlmEmbedder *self)
{
  const GPtrArray *embeds = self->model->embeds;

  for (guint i = 0; i < embeds->len; i++)
    {
      guint at = (self->turn + i) % embeds->len;
      LlmEmbed *embed = embeds->pdata[at];

      if (embed->n_begun == embed->n_inputs)
        continue;
      self->turn = at;
      return embed;
    }
  return NULL;
}

static void
gather (LlmEmbedder *self, LlmStepper *stepper)
{
  LlmEmbed *embed;

  self->n_pieces = self->n_rows = self->n_out = self->next_page = 0;
  if (self->long_of != NULL)
    add_piece (self, self->long_of, self->long_input, self->long_done,
               MIN (LLM_BATCH_MAX_ROWS, length_of (self->long_of, self->long_input) - self->long_done));
  while ((embed = next_embed (self)) != NULL && take_input (self, stepper, embed))
    self->turn++;
}

/* ---- running and pooling ---- */

static gboolean
run (LlmEmbedder *self, const float **hidden, GError **error)
{
  gboolean causal = self->model->config->causal;
  LlmExecutable *executable = causal ? self->executable : self->model->executable;
  guint stride = 1;
  g_autofree guint32 *table = NULL;
  LlmBatch batch;

  for (guint s = 0; s < self->n_pieces; s++)
    stride = MAX (stride, self->pieces[s].n_pages);
  table = g_new0 (guint32, (gsize) self->n_pieces * stride);
  for (guint s = 0; s < self->n_pieces; s++)
    for (guint p = 0; p < self->pieces[s].n_pages; p++)
      table[(gsize) s * stride + p] = self->pieces[s].first_page + p;
  batch = (LlmBatch) { self->n_rows, self->token, self->position, self->slot, self->n_pieces, table, stride, self->n_out, self->out_row, self->n_keys };
  return llm_executable_submit (executable, causal ? self->kv : self->model->kv, &batch, error) && llm_executable_wait (executable, hidden, error);
}

/* The mean of @sum over its rows, cut, and of length 1 unless that is not wanted. */
static void
finish_row (LlmEmbed *embed, guint input, const double *sum)
{
  double scale = embed->pooling == LLM_POOLING_MEAN ? 1.0 / length_of (embed, input) : 1, square = 0;
  float *row = embed->rows + (gsize) input * embed->dimensions;

  for (guint c = 0; c < embed->dimensions; c++)
    square += sum[c] * scale * sum[c] * scale;
  if (embed->job->normalize && square > 0)
    scale /= sqrt (square);
  for (guint c = 0; c < embed->dimensions; c++)
    row[c] = (float) (sum[c] * scale);
  embed->n_done++;
}

/* Adds the wanted rows of @piece up; after its last one the input is done. */
static void
use_hidden (LlmEmbedder *self, const Piece *piece, const float *hidden)
{
  guint d = self->model->config->d_model;
  gboolean is_long = piece->embed == self->long_of && piece->input == self->long_input;
  double *sum = is_long ? self->sum : self->scratch;

  for (guint c = 0; !is_long && c < d; c++)
    sum[c] = 0;
  for (guint o = 0; o < piece->n_out; o++)
    for (guint c = 0; c < d; c++)
      sum[c] += (double) hidden[(gsize) o * d + c];
  if (is_long)
    self->long_done += piece->n;
  if (piece->from + piece->n < length_of (piece->embed, piece->input))
    return;
  finish_row (piece->embed, piece->input, sum);
  if (is_long)
    self->long_of = NULL;
}

/* Those that are ready, and those that have failed. */
static void
settle (LlmStepper *stepper, LlmModel *model)
{
  for (guint i = model->embeds->len; i-- > 0;)
    {
      LlmEmbed *embed = model->embeds->pdata[i];

      if (embed->error != NULL || embed->n_done == embed->n_inputs)
        stepper->embedded (stepper->engine, embed, g_steal_pointer (&embed->error));
    }
}

gboolean
llm_embed_step (LlmStepper *stepper, LlmModel *model)
{
  LlmEmbedder *self = model->embedder;
  g_autoptr (GError) error = NULL;
  const float *hidden;

  if (model->embeds->len == 0)
    return FALSE;
  if (!make_ready (self, &error))
    for (guint i = 0; i < model->embeds->len; i++)
      ((LlmEmbed *) model->embeds->pdata[i])->error = g_error_copy (error);
  else
    gather (self, stepper);
  if (error == NULL && self->n_rows > 0)
    {
      if (run (self, &hidden, &error))
        for (guint s = 0; s < self->n_pieces; hidden += (gsize) self->pieces[s].n_out * model->config->d_model, s++)
          use_hidden (self, &self->pieces[s], hidden);
      else
        for (guint s = 0; s < self->n_pieces; s++)
          if (self->pieces[s].embed->error == NULL)
            self->pieces[s].embed->error = g_error_copy (error);
      stepper->n_embedded += self->n_rows;
    }
  settle (stepper, model);
  return TRUE;
}
