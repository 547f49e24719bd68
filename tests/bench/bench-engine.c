/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * llm-bench: how fast the engine runs a model, as its requests see it.
 *
 * Each figure is the median of several runs after one that does not count.  Prompts differ in
 * every request, so that no page of another one helps; weights, cache and scheduler are those
 * of the service.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"

#define MAX_BATCH 64

typedef struct {
  LlmEngine *engine;
  GMutex lock;
  GCond changed;
  guint n_done;
  LlmResult results[MAX_BATCH];
  GError *error;
  guint64 first_id;
  guint salt;
} Bench;

static char *device, *isa, *kv_type;
static int n_threads, n_runs = 5, n_prompt = 128, n_decode = 128;
static char **batches;

static const GOptionEntry entries[] = {
  { "device", 'd', 0, G_OPTION_ARG_STRING, &device, "Device: cpu, vulkan0 ... (the best)", "ID" },
  { "isa", 0, 0, G_OPTION_ARG_STRING, &isa, "Kernels of the CPU: scalar, avx2, avx512-vnni (the best)", "NAME" },
  { "threads", 't', 0, G_OPTION_ARG_INT, &n_threads, "Threads of the CPU device (one per CPU)", "N" },
  { "kv", 0, 0, G_OPTION_ARG_STRING, &kv_type, "Type of the KV cache: f16 or f32 (f16)", "TYPE" },
  { "runs", 'r', 0, G_OPTION_ARG_INT, &n_runs, "Runs per figure (5)", "N" },
  { "prompt", 'p', 0, G_OPTION_ARG_INT, &n_prompt, "Tokens of the prompt (128)", "N" },
  { "decode", 'n', 0, G_OPTION_ARG_INT, &n_decode, "Tokens to generate (128)", "N" },
  { "batch", 'b', 0, G_OPTION_ARG_STRING_ARRAY, &batches, "Requests at once; may be given again (1, 8 and 32)", "N" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void
on_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens,
          const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data)
{
}

static void
on_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
}

static void
on_done (guint64 id, const LlmResult *result, const GError *error, gpointer user_data)
{
  Bench *bench = user_data;

  g_mutex_lock (&bench->lock);
  bench->results[id - bench->first_id] = *result;
  if (error != NULL && bench->error == NULL)
    bench->error = g_error_copy (error);
  bench->n_done++;
  g_cond_signal (&bench->changed);
  g_mutex_unlock (&bench->lock);
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static LlmModel *
load (Bench *bench, const char *path, GError **error)
{
  LlmLoadSettings settings = {
    .device = device, .kv_type = g_strcmp0 (kv_type, "f32") == 0 ? LLM_DTYPE_F32 : LLM_DTYPE_F16,
    .kv_bytes = 0, .devices = { .n_threads = (guint) n_threads, .isa = isa, .software = TRUE },
  };
  g_autoptr (GAsyncResult) result = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s cannot be opened", path);
      return NULL;
    }
  llm_engine_load_async (bench->engine, "model", fd, &settings, NULL, on_loaded, &result);
  close (fd);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return llm_engine_load_finish (bench->engine, result, error);
}

/* A text of about @n tokens that no other request begins with: the ids are cut to @n exactly by trying. */
static char *
make_prompt (const LlmModel *model, guint n, guint salt)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint words = 0;; words++)
    {
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      gsize before = text->len;

      g_string_append_printf (text, "%c%c ", 'a' + (salt * 5 + words * 3) % 26, 'a' + (salt / 26 + words / 7) % 26);
      if (!llm_tokenize (llm_model_vocab (model), text->str, text->len, LLM_TOKENIZE_ADD_SPECIAL, ids, NULL) || ids->len > n)
        {
          g_string_truncate (text, MAX (before, 1));
          return g_string_free (g_steal_pointer (&text), FALSE);
        }
    }
}

/* Runs @n_batch requests at once. Returns the wall time in seconds. */
static double
run (Bench *bench, const LlmModel *model, guint n_batch, guint prompt, guint decode)
{
  g_autoptr (GPtrArray) jobs = g_ptr_array_new ();
  gint64 began;

  bench->first_id += MAX_BATCH;
  bench->n_done = 0;
  for (guint i = 0; i < n_batch; i++)
    {
      LlmJob *job = llm_job_new ();

      job->id = bench->first_id + i;
      job->uid = bench->salt;
      job->digest = g_strdup ("model");
      job->prompt = make_prompt (model, prompt, bench->salt++);
      job->raw = TRUE;
      job->max_tokens = decode;
      job->sampling.temperature = 0;
      job->sampling.logit_bias = g_array_new (FALSE, FALSE, sizeof (LlmLogitBias));
      for (gint32 t = 0; t < (gint32) llm_vocab_size (llm_model_vocab (model)); t++)
        if (llm_vocab_is_eog (llm_model_vocab (model), t))
          {
            LlmLogitBias never = { t, -100 };
            g_array_append_val (job->sampling.logit_bias, never);
          }
      g_ptr_array_add (jobs, job);
    }
  began = g_get_monotonic_time ();
  for (guint i = 0; i < n_batch; i++)
    llm_engine_submit (bench->engine, jobs->pdata[i]);
  g_mutex_lock (&bench->lock);
  while (bench->n_done < n_batch)
    g_cond_wait (&bench->changed, &bench->lock);
  g_mutex_unlock (&bench->lock);
  if (bench->error != NULL)
    {
      fprintf (stderr, "llm-bench: %s\n", bench->error->message);
      exit (1);
    }
  return (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC;
}

static int
compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (double *values, guint n)
{
  qsort (values, n, sizeof *values, compare);
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void
bench_prefill (Bench *bench, const LlmModel *model)
{
  g_autofree double *rate = g_new (double, n_runs), *first = g_new (double, n_runs);

  for (int r = -1; r < n_runs; r++)
    {
      const LlmResult *result = bench->results;

      run (bench, model, 1, (guint) n_prompt, 1);
      if (r < 0)
        continue;
      rate[r] = result->prompt_tokens / MAX (1e-6, (double) result->prefill_us / 1e6);
      first[r] = (double) (result->queue_us + result->prefill_us) / 1e3;
    }
  printf ("prefill %u tokens: %.0f tokens/s\n", bench->results->prompt_tokens, median (rate, (guint) n_runs));
  printf ("time to first token: %.2f ms\n", median (first, (guint) n_runs));
}

/* Tokens of all requests over the time from the first token of the last one. */
static void
bench_decode (Bench *bench, const LlmModel *model, guint n_batch)
{
  g_autofree double *rate = g_new (double, n_runs);

  for (int r = -1; r < n_runs; r++)
    {
      guint tokens = 0;
      gint64 longest = 1;

      run (bench, model, n_batch, 8, (guint) n_decode);
      for (guint i = 0; i < n_batch; i++)
        {
          tokens += bench->results[i].output_tokens - 1;
          longest = MAX (longest, bench->results[i].decode_us);
        }
      if (r >= 0)
        rate[r] = tokens / ((double) longest / 1e6);
    }
  printf ("decode %u x %d tokens: %.0f tokens/s\n", n_batch, n_decode, median (rate, (guint) n_runs));
}

static gboolean
check_options (const LlmModel *model, GError **error)
{
  guint window = llm_model_context_window (model);

  if (n_runs < 1 || n_prompt < 8 || n_decode < 2 || n_threads < 0)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "at least 1 run, a prompt of 8 tokens, and 2 tokens to generate are needed");
  else if ((guint) n_prompt + 1 > window || (guint) n_decode + 16 > window)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "the context window is %u tokens; take a smaller --prompt or --decode", window);
  else
    return TRUE;
  return FALSE;
}

int
main (int argc, char **argv)
{
  static const char *const usual[] = { "1", "8", "32", NULL };
  static const LlmEngineEvents events = { on_delta, on_state, on_done };
  g_autoptr (GOptionContext) options = g_option_context_new ("MODEL.gguf");
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmModel) model = NULL;
  Bench bench = { .salt = 1 };

  g_option_context_add_main_entries (options, entries, NULL);
  g_option_context_set_summary (options, "Measures prefill, decode and time to first token of the engine.");
  if (!g_option_context_parse (options, &argc, &argv, &error) || argc != 2)
    {
      fprintf (stderr, "llm-bench: %s\n", error != NULL ? error->message : "one model file is needed; see --help");
      return 2;
    }
  g_mutex_init (&bench.lock);
  g_cond_init (&bench.changed);
  bench.engine = llm_engine_new (&events, &bench);
  model = load (&bench, argv[1], &error);
  if (model == NULL || !check_options (model, &error))
    {
      fprintf (stderr, "llm-bench: %s\n", error->message);
      g_clear_pointer (&model, llm_model_unref);
      llm_engine_free (bench.engine);
      return 1;
    }
  printf ("device: %s\nmemory: %.1f MiB\n", llm_model_device_id (model), (double) llm_model_memory_bytes (model) / (1 << 20));
  bench_prefill (&bench, model);
  for (const char *const *b = batches != NULL ? (const char *const *) batches : usual; *b != NULL; b++)
    bench_decode (&bench, model, (guint) CLAMP (atoi (*b), 1, MAX_BATCH));
  g_clear_pointer (&model, llm_model_unref);
  llm_engine_free (bench.engine);
  g_strfreev (batches);
  g_free (device);
  g_free (isa);
  g_free (kv_type);
  return 0;
}
