/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KV pages are shared within a uid alone: a case that wants its first tokens from the cache keeps the uid of a stream,
 * one that does not takes a new one.
 */
#include "bench/bench-runs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

#define SHORT_PROMPT 8 /* where a case wants none */

struct _LlmBenchRunner {
  LlmEngine *engine;
  LlmModel *model; /* (owned) */
  GHashTable *texts;
  double load_s;
  guint64 kv_bytes;
  guint64 next_id;
  guint32 next_uid;

  GMutex lock;
  GCond changed;
  /* under lock */
  guint64 first_id;
  guint n_streams, n_decoding, n_done;
  void (*decoding) (gpointer user_data);
  gpointer decoding_data;
  LlmResult results[LLM_BATCH_MAX_SLOTS];
  gint64 done_us[LLM_BATCH_MAX_SLOTS];
  GError *error;
  double least_logprob;
};

static void
on_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens,
          const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data)
{
  LlmBenchRunner *self = user_data;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < n_logprobs; i++)
    if (!isnan (self->least_logprob) && !(logprobs[i].logprob >= self->least_logprob))
      self->least_logprob = logprobs[i].logprob;
  g_mutex_unlock (&self->lock);
}

static void
on_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
  LlmBenchRunner *self = user_data;
  gboolean all;

  if (state != LLM_REQUEST_DECODE)
    return;
  g_mutex_lock (&self->lock);
  all = ++self->n_decoding == self->n_streams && self->decoding != NULL;
  g_mutex_unlock (&self->lock);
  if (all)
    self->decoding (self->decoding_data);
}

static void
on_done (guint64 id, const LlmResult *result, const GError *error, gpointer user_data)
{
  LlmBenchRunner *self = user_data;

  g_mutex_lock (&self->lock);
  self->results[id - self->first_id] = *result;
  self->done_us[id - self->first_id] = g_get_monotonic_time ();
  if (error != NULL && self->error == NULL)
    self->error = g_error_copy (error);
  self->n_done++;
  g_cond_signal (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Bytes of a KV cache for @tokens tokens and a page more for each stream; at most, as layers with a window need less. */
static guint64
kv_bytes (int fd, const LlmBenchSettings *settings, GError **error)
{
  g_autoptr (LlmGguf) gguf = llm_gguf_open (fd, error);
  g_autoptr (LlmModelConfig) c = gguf != NULL ? llm_model_config_new (gguf, error) : NULL;
  guint64 pages = (settings->kv_tokens + settings->context_window) / LLM_KV_PAGE_TOKENS + 2 * LLM_BATCH_MAX_SLOTS;

  if (c == NULL)
    return 0;
  return pages * LLM_KV_PAGE_TOKENS * c->n_layers * c->n_kv_heads * (llm_kv_head_bytes (settings->kv_type, c->head_dim_k) + llm_kv_head_bytes (settings->kv_type, c->head_dim_v));
}

static gboolean
load (LlmBenchRunner *self, int fd, const LlmBenchSettings *settings, GError **error)
{
  LlmLoadSettings load_settings = {
    .device = (char *) settings->device, .kv_type = settings->kv_type, .context_window = settings->context_window,
    .kv_bytes = kv_bytes (fd, settings, error),
    .devices = { .n_threads = settings->n_threads, .isa = settings->isa, .software = TRUE },
  };
  g_autoptr (GAsyncResult) result = NULL;
  gint64 began = g_get_monotonic_time ();

  self->kv_bytes = load_settings.kv_bytes;
  if (load_settings.kv_bytes == 0)
    return FALSE;
  llm_engine_load_async (self->engine, "model", &fd, 1, &load_settings, NULL, on_loaded, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  self->model = llm_engine_load_finish (self->engine, result, error);
  self->load_s = (double) (g_get_monotonic_time () - began) / 1e6;
  return self->model != NULL;
}

LlmBenchRunner *
llm_bench_runner_new (const char *path, const LlmBenchSettings *settings, GError **error)
{
  static const LlmEngineEvents events = { on_delta, on_state, on_done };
  g_autoptr (LlmBenchRunner) self = g_new0 (LlmBenchRunner, 1);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok;

  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->texts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->engine = llm_engine_new (&events, self);
  self->next_uid = 1000;
  if (fd < 0)
    {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s cannot be opened: %s", path, g_strerror (errno));
      return NULL;
    }
  ok = load (self, fd, settings, error);
  close (fd);
  return ok ? g_steal_pointer (&self) : NULL;
}

void
llm_bench_runner_free (LlmBenchRunner *self)
{
  g_clear_pointer (&self->model, llm_model_unref);
  llm_engine_free (self->engine);
  g_hash_table_unref (self->texts);
  g_clear_error (&self->error);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  g_free (self);
}

double
llm_bench_runner_load_s (const LlmBenchRunner *self)
{
  return self->load_s;
}

guint64
llm_bench_runner_kv_bytes (const LlmBenchRunner *self)
{
  return self->kv_bytes;
}

LlmModel *
llm_bench_runner_model (LlmBenchRunner *self)
{
  return self->model;
}

void
llm_bench_runner_on_decoding (LlmBenchRunner *self, void (*func) (gpointer user_data), gpointer user_data)
{
  g_mutex_lock (&self->lock);
  self->decoding = func;
  self->decoding_data = user_data;
  g_mutex_unlock (&self->lock);
}

double
llm_bench_runner_least_logprob (LlmBenchRunner *self)
{
  double least;

  g_mutex_lock (&self->lock);
  least = self->least_logprob;
  self->least_logprob = 0;
  g_mutex_unlock (&self->lock);
  return least;
}

/* ---- prompts ---- */

static guint
count_tokens (LlmBenchRunner *self, const char *text, gsize len, LlmTokenizeFlags flags)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  return llm_tokenize (llm_model_vocab (self->model), text, len, flags, ids, NULL) ? ids->len : 0;
}

/* Words of two letters, each with the space before it, @n tokens together as near as a few tries come. (lent) */
static const char *
make_text (LlmBenchRunner *self, guint salt, guint n, LlmTokenizeFlags flags)
{
  g_autofree char *key = g_strdup_printf ("%u %u %d", salt, n, flags);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GRand) random = g_rand_new_with_seed (salt);
  char *known = g_hash_table_lookup (self->texts, key);

  if (known != NULL)
    return known;
  for (guint total = 0; total < n;)
    {
      char word[3] = { ' ', (char) ('a' + g_rand_int_range (random, 0, 26)), (char) ('a' + g_rand_int_range (random, 0, 26)) };

      total += MAX (count_tokens (self, word, 3, LLM_TOKENIZE_NONE), 1);
      g_string_append_len (text, word, 3);
    }
  for (guint tries = 0; tries < 32; tries++)
    {
      guint total = count_tokens (self, text->str, text->len, flags);

      if (total == n || (total < n && tries >= 16))
        break;
      if (total > n)
        g_string_truncate (text, text->len - MIN (text->len, (total - n + 1) / 2 * 3)); /* two or three tokens a word */
      for (guint i = 0; i < (total < n ? n - total : 0); i++)
        g_string_append (text, " a");
    }
  known = g_string_free (g_steal_pointer (&text), FALSE);
  g_hash_table_insert (self->texts, g_steal_pointer (&key), known);
  return known;
}

static char *
make_prompt (LlmBenchRunner *self, const LlmBenchCase *c, guint stream, guint run)
{
  guint prompt = c->depth == 0 ? MAX (c->prompt, SHORT_PROMPT) : c->prompt;

  if (c->depth == 0)
    return g_strdup (make_text (self, stream, prompt, LLM_TOKENIZE_ADD_SPECIAL));
  return g_strconcat (make_text (self, stream, c->depth, LLM_TOKENIZE_ADD_SPECIAL),
                      prompt > 0 ? make_text (self, 1000 * (run + 1) + stream, prompt, LLM_TOKENIZE_NONE) : "", NULL);
}

/* ---- requests ---- */

static LlmJob *
make_job (LlmBenchRunner *self, const LlmBenchCase *c, guint stream, guint run)
{
  const LlmVocab *vocab = llm_model_vocab (self->model);
  LlmJob *job = llm_job_new ();

  job->id = self->first_id + stream;
  job->uid = c->depth > 0 ? stream : self->next_uid++;
  job->digest = g_strdup ("model");
  job->prompt = make_prompt (self, c, stream, run);
  job->raw = TRUE;
  job->max_tokens = MAX (c->decode, 1);
  job->logprobs = run == 0 ? 1 : 0;
  job->sampling.temperature = 0;
  job->sampling.logit_bias = g_array_new (FALSE, FALSE, sizeof (LlmLogitBias));
  for (gint32 t = 0; t < (gint32) llm_vocab_size (vocab); t++)
    if (llm_vocab_is_eog (vocab, t))
      {
        LlmLogitBias never = { t, -100 };
        g_array_append_val (job->sampling.logit_bias, never);
      }
  return job;
}

/* Small models are faster than requests come in, so that streams may begin and end one after the other: what counts is
 * from the first that begins to the last that ends. */
static void
sum_up (const LlmBenchRunner *self, guint n, LlmBenchTimes *times)
{
  gint64 start = G_MAXINT64, first_token = G_MAXINT64, last_first_token = 0, end = 0, wait = 0;

  *times = (LlmBenchTimes) { 0 };
  for (guint i = 0; i < n; i++)
    {
      const LlmResult *r = &self->results[i];
      gint64 first = self->done_us[i] - r->decode_us;

      times->prompt_tokens += r->prompt_tokens;
      times->cached_tokens += r->cached_tokens;
      times->output_tokens += r->output_tokens;
      start = MIN (start, first - r->prefill_us);
      first_token = MIN (first_token, first);
      last_first_token = MAX (last_first_token, first);
      end = MAX (end, self->done_us[i]);
      wait = MAX (wait, r->queue_us + r->prefill_us);
    }
  times->prefill_s = (double) MAX (last_first_token - start, 1) / 1e6;
  times->first_token_s = (double) wait / 1e6;
  times->end_us = end;
  times->decode_s = (double) MAX (end - first_token, 1) / 1e6;
}

static gboolean
check_rows (const LlmEmbedding *embedding, GError **error)
{
  for (guint i = 0; i < embedding->n_rows * embedding->dimensions; i++)
    if (!isfinite (embedding->rows[i]))
      {
        g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "number %u of the embeddings is %g", i, embedding->rows[i]);
        return FALSE;
      }
  return TRUE;
}

static gboolean
run_embed (LlmBenchRunner *self, const LlmBenchCase *c, LlmBenchTimes *times, GError **error)
{
  LlmEmbedJob *job = llm_embed_job_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (LlmEmbedding) embedding = NULL;
  gint64 began = g_get_monotonic_time ();

  job->id = self->next_id++;
  job->digest = g_strdup ("model");
  job->inputs = g_new0 (char *, c->n_streams + 1);
  for (guint i = 0; i < c->n_streams; i++)
    job->inputs[i] = g_strdup (make_text (self, i, c->prompt, LLM_TOKENIZE_ADD_SPECIAL));
  llm_engine_embed_async (self->engine, job, on_loaded, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  embedding = llm_engine_embed_finish (self->engine, result, error);
  if (embedding == NULL || !check_rows (embedding, error))
    return FALSE;
  *times = (LlmBenchTimes) { .prompt_tokens = embedding->prompt_tokens, .end_us = g_get_monotonic_time () };
  times->prefill_s = times->first_token_s = (double) MAX (times->end_us - began, 1) / 1e6;
  return TRUE;
}

gboolean
llm_bench_runner_run (LlmBenchRunner *self, const LlmBenchCase *c, guint run, LlmBenchTimes *times, GError **error)
{
  g_autoptr (GPtrArray) jobs = g_ptr_array_new ();

  g_assert (c->n_streams >= 1 && c->n_streams <= LLM_BATCH_MAX_SLOTS);
  if (c->embed)
    return run_embed (self, c, times, error);
  self->first_id = self->next_id;
  self->next_id += c->n_streams;
  self->n_streams = c->n_streams;
  self->n_decoding = self->n_done = 0;
  for (guint i = 0; i < c->n_streams; i++)
    g_ptr_array_add (jobs, make_job (self, c, i, run));
  for (guint i = 0; i < c->n_streams; i++)
    llm_engine_submit (self->engine, jobs->pdata[i]);
  g_mutex_lock (&self->lock);
  while (self->n_done < c->n_streams)
    g_cond_wait (&self->changed, &self->lock);
  g_mutex_unlock (&self->lock);
  if (self->error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&self->error));
      return FALSE;
    }
  sum_up (self, c->n_streams, times);
  return TRUE;
}
