/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local-llm-bench: how fast the engine runs a model, as its requests see it, and how near to what the machine can do.
 *
 * Each figure is the median of several runs after one that does not count.  Weights, cache and scheduler
 * are those of the service.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "bench/bench-report.h"

typedef struct {
  char *model, *device, *isa, *kv, *streams, *depth, *json;
  int n_threads, n_repeat, prompt, decode;
  gboolean no_ops, cold, first_token;
} Options;

static void
options_clear (Options *o)
{
  g_free (o->model);
  g_free (o->device);
  g_free (o->isa);
  g_free (o->kv);
  g_free (o->streams);
  g_free (o->depth);
  g_free (o->json);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static gboolean G_GNUC_PRINTF (2, 3)
bad (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, what);
  return FALSE;
}

static gboolean
parse_options (Options *o, int *argc, char ***argv, GError **error)
{
  const GOptionEntry entries[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model, "The model; may be given without --model", "GGUF" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &o->device, "cpu, cpu:avx2, vulkan0 ... (the best)", "ID" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &o->n_threads, "Threads of the CPU device (one per CPU)", "N" },
    { "isa", 'i', 0, G_OPTION_ARG_STRING, &o->isa, "Kernels of the CPU device: scalar, avx2, avx-vnni, avx512-vnni, amx (LLM_CPU_ISA, or the best)", "NAME" },
    { "kv", 'k', 0, G_OPTION_ARG_STRING, &o->kv, "Type of the KV cache: f16, f32 or q8_0 (f16)", "TYPE" },
    { "prompt", 'p', 0, G_OPTION_ARG_INT, &o->prompt, "Tokens of the prompts of a prefill together; 0 = no prefill (512)", "N" },
    { "decode", 'n', 0, G_OPTION_ARG_INT, &o->decode, "Tokens that each stream generates; 0 = no decode (128)", "N" },
    { "streams", 's', 0, G_OPTION_ARG_STRING, &o->streams, "Requests at once (1,8,32)", "N,N..." },
    { "depth", 'D', 0, G_OPTION_ARG_STRING, &o->depth, "Tokens that stand in the context before (0)", "N,N..." },
    { "repeat", 'r', 0, G_OPTION_ARG_INT, &o->n_repeat, "Runs of each test; figures are medians (5)", "N" },
    { "no-ops", 0, 0, G_OPTION_ARG_NONE, &o->no_ops, "Leave out the profile of the ops", NULL },
    { "cold", 0, 0, G_OPTION_ARG_NONE, &o->cold, "Without a first run that does not count", NULL },
    { "first-token", 0, 0, G_OPTION_ARG_NONE, &o->first_token, "One token of a fresh process, nothing else: writes the time of the monotonic clock when it came", NULL },
    { "json", 'j', 0, G_OPTION_ARG_FILENAME, &o->json, "Write the figures as JSON too; - = on standard output, instead of the tables", "FILE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("[MODEL.gguf]");

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_summary (context, "Measures prefill (pp), decode (tg) and time to first token (TTFT) of the engine with a model, or embeddings (emb) of an encoder.");
  g_option_context_set_description (context,
                                    "pp512x8: eight prompts at once, 512 tokens together. tg128x8@d2048: eight streams of 128 tokens each after 2048 others.\n"
                                    "read%: of the memory's read bandwidth at best; turns%: of what plain reads of the weights reached right before each run;\n"
                                    "peak%: of the multiply-adds that registers allow (8-bit ones for quantised weights, else f32); all measured in the same\n"
                                    "run. A multiply-add counts as 2 operations.\n"
                                    "Models of any shape: tools/generate-model. For example:\n"
                                    "  local-llm-bench --streams 1,8 --depth 0,2048 --threads 2 --isa avx2 --json figures.json /tmp/1b.gguf");
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (o->streams == NULL)
    o->streams = g_strdup ("1,8,32");
  if (o->depth == NULL)
    o->depth = g_strdup ("0");
  if (*argc == 2 && o->model == NULL)
    o->model = g_strdup ((*argv)[1]);
  else if (*argc != 1 || o->model == NULL)
    return bad (error, "one model file is needed; see --help");
  return TRUE;
}

/* "cpu:avx2" -> device and isa. */
static void
split_device (Options *o)
{
  char *colon = o->device != NULL ? strchr (o->device, ':') : NULL;

  if (colon == NULL)
    return;
  g_free (o->isa);
  o->isa = g_strdup (colon + 1);
  *colon = '\0';
}

/* "1,8,32" -> numbers within [@min, @max]. (transfer full) */
static GArray *
parse_list (const char *text, const char *option, guint min, guint max, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (guint));

  for (char **p = parts; *p != NULL; p++)
    {
      guint64 number;
      guint n;

      if (!g_ascii_string_to_unsigned (*p, 10, min, max, &number, NULL))
        {
          bad (error, "--%s: \"%s\" is no number from %u to %u", option, *p, min, max);
          return NULL;
        }
      n = (guint) number;
      g_array_append_val (list, n);
    }
  if (list->len == 0)
    bad (error, "--%s needs a number", option);
  return list->len > 0 ? g_steal_pointer (&list) : NULL;
}

static guint
largest (const GArray *list)
{
  guint n = 0;

  for (guint i = 0; i < list->len; i++)
    n = MAX (n, g_array_index (list, guint, i));
  return n;
}

static int
compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Sorts @values. */
static double
median (double *values, guint n)
{
  qsort (values, n, sizeof *values, compare);
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* All weights of the plan. (transfer full) */
static GArray *
weights_of (const LlmPlan *plan)
{
  GArray *all = g_array_new (FALSE, FALSE, sizeof (LlmBenchBytes));

  for (guint i = 0; i < llm_plan_n_weights (plan); i++)
    {
      const LlmWeight *w = llm_plan_weight_at (plan, i);
      LlmBenchBytes bytes = { w->data, w->n_bytes };

      g_array_append_val (all, bytes);
    }
  return all;
}

/* Reads and decodes take turns: the memory of a shared machine changes from minute to minute. */
static gboolean
measure (LlmBenchRunner *runner, LlmBenchMachine *machine, gboolean cold, LlmBenchResult *r, GError **error)
{
  g_autofree double *rate = g_new (double, r->n_runs), *first = g_new (double, r->n_runs), *turn = g_new0 (double, r->n_runs);
  const LlmPlan *plan = llm_bench_runner_model (runner)->plan;
  g_autoptr (GArray) weights = weights_of (plan);
  guint rows;

  for (guint run = cold ? 1 : 0; run <= r->n_runs; run++)
    {
      LlmBenchTimes t;
      double read = 0;

      if (!r->prefill && run > 0 && g_str_has_prefix (llm_device_info (llm_bench_runner_model (runner)->device)->id, "cpu"))
        read = llm_bench_machine_read (machine, (const LlmBenchBytes *) (gpointer) weights->data, weights->len);
      if (!llm_bench_runner_run (runner, &r->c, run, &t, error))
        return FALSE;
      if (run == 0)
        continue;
      r->n_tokens = r->prefill ? t.prompt_tokens - t.cached_tokens : t.output_tokens - r->c.n_streams;
      rate[run - 1] = r->n_tokens / (r->prefill ? t.prefill_s : t.decode_s);
      first[run - 1] = t.first_token_s * 1e3;
      turn[run - 1] = read > 0 ? rate[run - 1] / read : 0;
    }
  r->rate = median (rate, r->n_runs);
  r->lowest = rate[0];
  r->highest = rate[r->n_runs - 1];
  r->first_token_ms = median (first, r->n_runs);
  rows = r->c.embed ? r->n_tokens : r->prefill ? MIN (r->n_tokens, llm_bench_runner_model (runner)->batch_rows) : r->c.n_streams;
  r->pass = llm_bench_pass_cost (plan, rows, r->c.embed ? rows : r->c.n_streams,
                                 r->c.embed ? r->c.prompt : r->c.depth + (r->prefill ? r->n_tokens / r->c.n_streams : r->c.decode) / 2.0);
  r->passes = r->rate / rows;
  r->of_read = median (turn, r->n_runs) / rows * (double) r->pass.bytes / 1e9;
  return TRUE;
}

static gboolean
run_all (LlmBenchRunner *runner, LlmBenchMachine *machine, const Options *o, const GArray *streams, const GArray *depths, GArray *results, GError **error)
{
  for (guint d = 0; d < depths->len; d++)
    for (guint s = 0; s < streams->len; s++)
      for (guint prefill = 2; prefill-- > 0;)
        {
          guint n = g_array_index (streams, guint, s), depth = g_array_index (depths, guint, d);
          LlmBenchCase c = { n, depth, prefill ? (guint) o->prompt / n : 0, prefill ? 1 : (guint) o->decode };
          gboolean encoder = !llm_model_config (llm_bench_runner_model (runner))->causal;
          LlmBenchResult r = { .c = c, .prefill = prefill != 0, .n_runs = (guint) o->n_repeat };

          if ((prefill && c.prompt == 0) || (!prefill && o->decode == 0) || (encoder && (!prefill || depth > 0)))
            continue;
          r.c.embed = encoder;
          if (!measure (runner, machine, o->cold, &r, error) || (!o->no_ops && (r.ops = llm_bench_ops_measure (runner, &r.c, error)) == NULL))
            return FALSE;
          if (prefill)
            r.c.prompt = r.n_tokens; /* as it came out */
          g_array_append_val (results, r);
        }
  return TRUE;
}

static gboolean
write_report (const LlmBenchReport *report, const Options *o, GError **error)
{
  g_autofree char *json = llm_bench_report_json (report);
  g_autofree char *text = llm_bench_report_text (report);

  if (g_strcmp0 (o->json, "-") == 0)
    return puts (json) >= 0;
  fputs (text, stdout);
  return o->json == NULL || g_file_set_contents (o->json, json, -1, error);
}

/* The peak counts from here on: without what the measurement of the machine needed. */
static void
reset_peak_rss (void)
{
  int fd = open ("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

  if (fd < 0 || write (fd, "5", 1) != 1)
    g_warning ("the peak RSS is that of the whole process: /proc/self/clear_refs cannot be written");
  if (fd >= 0)
    close (fd);
}

/* VmHWM: bytes. */
static guint64
peak_rss (void)
{
  g_autofree char *status = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/self/status", &status, NULL, NULL) || (line = strstr (status, "VmHWM:")) == NULL)
    return 0;
  return g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10) * 1024;
}

static void
result_clear (LlmBenchResult *r)
{
  g_clear_pointer (&r->ops, g_array_unref);
}

static gboolean
check_window (const LlmModel *model, const Options *o, const GArray *streams, guint needed, GError **error)
{
  guint window = llm_model_config (model)->causal ? llm_model_context_window (model) : llm_model_embed_window (model);

  if (!llm_model_config (model)->causal) /* the longest text */
    for (guint i = needed = 0; i < streams->len; i++)
      needed = MAX (needed, (guint) o->prompt / g_array_index (streams, guint, i));
  if (needed <= window)
    return TRUE;
  return bad (error, "the model's context window is %u tokens, these tests need %u; take a smaller --prompt, --decode or --depth", window, needed);
}

/* For whoever has started this process and looked at the clock then. */
static gboolean
first_token (LlmBenchRunner *runner, const Options *o, GError **error)
{
  const LlmBenchCase c = { .n_streams = 1, .prompt = (guint) o->prompt, .decode = 1 };
  LlmBenchTimes t;

  if (!llm_bench_runner_run (runner, &c, 1, &t, error))
    return FALSE;
  printf ("{\"first-token-us\": %" G_GINT64_FORMAT "}\n", t.end_us);
  return TRUE;
}

static LlmDtype
kv_type_of (const Options *o)
{
  return g_strcmp0 (o->kv, "f32") == 0 ? LLM_DTYPE_F32 : g_strcmp0 (o->kv, "q8_0") == 0 ? LLM_DTYPE_Q8_0 : LLM_DTYPE_F16;
}

static gboolean
bench (Options *o, GError **error)
{
  g_autoptr (GArray) streams = NULL, depths = NULL, results = g_array_new (FALSE, FALSE, sizeof (LlmBenchResult));
  g_autoptr (LlmBenchMachine) machine = NULL;
  g_autoptr (LlmBenchRunner) runner = NULL;
  LlmBenchSettings settings = { .n_threads = (guint) o->n_threads, .kv_type = kv_type_of (o) };
  guint64 loaded_rss;
  guint effort = (guint) MIN (o->n_repeat, 5) * (guint) MIN (o->n_repeat, 5); /* the more runs, the more a ceiling is worth, too */
  LlmBenchReport report = { .path = o->model, .results = results };

  g_array_set_clear_func (results, (GDestroyNotify) result_clear);
  if (o->n_repeat < 1 || o->prompt < 0 || o->decode < 0 || o->decode == 1 || o->n_threads < 0 || (o->prompt == 0 && o->decode == 0))
    return bad (error, "--repeat must be at least 1, --decode 0 or at least 2, --prompt and --threads not negative");
  if (o->kv != NULL && strcmp (o->kv, "f16") != 0 && settings.kv_type == LLM_DTYPE_F16)
    return bad (error, "--kv is \"%s\"; f16, f32 and q8_0 are known", o->kv);
  if ((streams = parse_list (o->streams, "streams", 1, LLM_BATCH_MAX_SLOTS, error)) == NULL
      || (depths = parse_list (o->depth, "depth", 0, LLM_MODEL_MAX_CONTEXT / 2, error)) == NULL)
    return FALSE;
  split_device (o);
  if (o->isa == NULL)
    o->isa = g_strdup (g_getenv ("LLM_CPU_ISA"));
  settings.device = o->device;
  settings.isa = o->isa;
  settings.context_window = largest (depths) + (guint) MAX (o->prompt, o->decode + 16) + 16;
  settings.kv_tokens = (guint64) largest (streams) * (largest (depths) + (guint) o->decode + 64) + (guint) o->prompt;
  runner = llm_bench_runner_new (o->model, &settings, error);
  if (runner == NULL || !check_window (llm_bench_runner_model (runner), o, streams, settings.context_window, error))
    return FALSE;
  if (o->first_token)
    return first_token (runner, o, error);
  loaded_rss = peak_rss ();
  machine = llm_bench_machine_new ((guint) o->n_threads, o->isa, effort);
  reset_peak_rss ();
  report.machine = machine;
  report.model = llm_bench_runner_model (runner);
  report.load_s = llm_bench_runner_load_s (runner);
  report.kv_bytes = llm_bench_runner_kv_bytes (runner);
  if (!run_all (runner, machine, o, streams, depths, results, error))
    return FALSE;
  report.peak_rss = MAX (loaded_rss, peak_rss ());
  llm_bench_machine_measure (machine, effort); /* another program may have run the first time */
  return write_report (&report, o, error);
}

int
main (int argc, char **argv)
{
  g_auto (Options) o = { .n_repeat = 5, .prompt = 512, .decode = 128 };
  g_autoptr (GError) error = NULL;

  if (parse_options (&o, &argc, &argv, &error) && bench (&o, &error))
    return 0;
  fprintf (stderr, "local-llm-bench: %s\n", error->message);
  return error->domain == G_OPTION_ERROR ? 2 : 1;
}
