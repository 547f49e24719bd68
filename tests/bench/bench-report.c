/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One table of figures -> two forms.  Percentages are of what this machine's CPU was measured to do in the same
 * run, so there are none for a GPU.
 */
#include "bench/bench-report.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "config.h"

char *
llm_bench_case_name (const LlmBenchResult *result)
{
  const LlmBenchCase *c = &result->c;
  g_autoptr (GString) name = g_string_new (NULL);

  g_string_append_printf (name, "%s%u", c->embed ? "emb" : result->prefill ? "pp" : "tg", result->prefill ? c->prompt : c->decode);
  if (c->n_streams > 1)
    g_string_append_printf (name, "x%u", c->n_streams);
  if (c->depth > 0)
    g_string_append_printf (name, "@d%u", c->depth);
  return g_string_free (g_steal_pointer (&name), FALSE);
}

/* The peak that counts for weights of @dtype: quantised ones are multiplied as 8-bit numbers. */
static double
peak_for (const LlmBenchReport *self, const char *dtype)
{
  gboolean floats = dtype[0] == '\0' || g_str_has_prefix (dtype, "F") || g_str_has_prefix (dtype, "BF");

  return floats ? self->machine->f32_gflop_s : self->machine->int8_gop_s;
}

static gboolean
is_cpu (const LlmBenchReport *self)
{
  LlmDeviceType type = llm_device_info (self->model->device)->type;

  return type == LLM_DEVICE_CPU || type == LLM_DEVICE_SOFTWARE;
}

static double
percent (const LlmBenchReport *self, double value, double of)
{
  return is_cpu (self) && of > 0 ? 100 * value / of : 0;
}

/* ---- text ---- */

static void
append_ops (GString *s, const LlmBenchReport *self, const LlmBenchResult *result)
{
  g_autofree char *name = llm_bench_case_name (result);
  guint64 total = 0;

  if (result->ops == NULL || result->ops->len == 0)
    return;
  for (guint i = 0; i < result->ops->len; i++)
    total += g_array_index (result->ops, LlmBenchOp, i).ns;
  g_string_append_printf (s, "\nops of %s\n%-12s %-8s %8s %6s %10s %8s %6s %9s %6s\n", name, "op", "weights", "calls", "time%", "us/call", "GB/s",
                          "read%", "GFLOP/s", "peak%");
  for (guint i = 0; i < result->ops->len; i++)
    {
      const LlmBenchOp *o = &g_array_index (result->ops, LlmBenchOp, i);
      double ns = (double) o->ns;

      if (ns < 1e-3 * (double) total)
        continue;
      g_string_append_printf (s, "%-12s %-8s %8" G_GUINT64_FORMAT " %6.1f %10.2f %8.2f %6.1f %9.1f %6.1f\n", o->op, o->dtype, o->calls, 100 * ns / (double) total,
                              ns / (double) o->calls / 1e3, (double) o->bytes / ns, percent (self, (double) o->bytes / ns, self->machine->read_gb_s),
                              (double) o->flops / ns, percent (self, (double) o->flops / ns, peak_for (self, o->dtype)));
    }
}

char *
llm_bench_report_text (const LlmBenchReport *self)
{
  const LlmBenchMachine *m = self->machine;
  const LlmModelConfig *config = llm_model_config (self->model);
  const LlmDeviceInfo *device = llm_device_info (self->model->device);
  g_autofree char *file = g_path_get_basename (self->path);
  GString *s = g_string_new (NULL);

  g_string_append_printf (s, "model    %s: %s, %s, %.1f M parameters, weights %.1f MiB\n", file, config->arch_name, config->quantization,
                          (double) config->n_parameters / 1e6, (double) llm_weights_bytes (self->model->weights) / (1 << 20));
  g_string_append_printf (s, "device   %s, %s (%s)\n", device->id, device->driver, device->name);
  g_string_append_printf (s, "machine  %u threads: read %.1f GB/s; %s: int8 %.0f GOP/s, f32 %.0f GFLOP/s\n", m->n_threads, m->read_gb_s, m->isa, m->int8_gop_s,
                          m->f32_gflop_s);
  g_string_append_printf (s, "load     %.0f ms; memory %.1f MiB, peak RSS %.1f MiB\n\n", self->load_s * 1e3,
                          (double) llm_model_memory_bytes (self->model) / (1 << 20), (double) self->peak_rss / (1 << 20));
  g_string_append_printf (s, "%-16s %10s %21s %10s %8s %6s %6s %9s %6s\n", "test", "tokens/s", "lowest-highest", "TTFT ms", "GB/s", "read%", "turns%", "GFLOP/s", "peak%");
  for (guint i = 0; i < self->results->len; i++)
    {
      const LlmBenchResult *r = &g_array_index (self->results, LlmBenchResult, i);
      g_autofree char *name = llm_bench_case_name (r), *range = g_strdup_printf ("%.1f-%.1f", r->lowest, r->highest),
                      *first = r->prefill ? g_strdup_printf ("%.1f", r->first_token_ms) : g_strdup (""),
                      *turns = r->of_read > 0 ? g_strdup_printf ("%.1f", 100 * r->of_read) : g_strdup ("");
      double gb_s = (double) r->pass.bytes * r->passes / 1e9, gflop_s = (double) r->pass.flops * r->passes / 1e9;

      g_string_append_printf (s, "%-16s %10.1f %21s %10s %8.2f %6.1f %6s %9.1f %6.1f\n", name, r->rate, range, first, gb_s, percent (self, gb_s, m->read_gb_s),
                              turns, gflop_s, percent (self, gflop_s, peak_for (self, config->quantization)));
    }
  for (guint i = 0; i < self->results->len; i++)
    append_ops (s, self, &g_array_index (self->results, LlmBenchResult, i));
  return g_string_free (s, FALSE);
}

/* ---- JSON ---- */

static void
add_number (JsonBuilder *b, const char *name, double value)
{
  json_builder_set_member_name (b, name);
  json_builder_add_double_value (b, value);
}

static void
add_count (JsonBuilder *b, const char *name, guint64 value)
{
  json_builder_set_member_name (b, name);
  json_builder_add_int_value (b, (gint64) value);
}

static void
add_string (JsonBuilder *b, const char *name, const char *value)
{
  json_builder_set_member_name (b, name);
  json_builder_add_string_value (b, value);
}

/* A member without a meaning here is null. */
static void
add_percent (JsonBuilder *b, const LlmBenchReport *self, const char *name, double value, double of)
{
  json_builder_set_member_name (b, name);
  if (is_cpu (self) && of > 0)
    json_builder_add_double_value (b, percent (self, value, of));
  else
    json_builder_add_null_value (b);
}

static void
add_traffic (JsonBuilder *b, const LlmBenchReport *self, double gb_s, double gflop_s, const char *dtype)
{
  add_number (b, "gb-per-second", gb_s);
  add_percent (b, self, "percent-of-read", gb_s, self->machine->read_gb_s);
  add_number (b, "gflop-per-second", gflop_s);
  add_percent (b, self, "percent-of-peak", gflop_s, peak_for (self, dtype));
}

static void
add_head (JsonBuilder *b, const LlmBenchReport *self)
{
  const LlmBenchMachine *m = self->machine;
  const LlmModelConfig *config = llm_model_config (self->model);
  const LlmDeviceInfo *device = llm_device_info (self->model->device);
  g_autofree char *file = g_path_get_basename (self->path);

  add_string (b, "format", "local-llm-bench/1");
  add_string (b, "version", LLM_VERSION);
  json_builder_set_member_name (b, "machine");
  json_builder_begin_object (b);
  add_string (b, "cpu", m->cpu);
  add_count (b, "threads", m->n_threads);
  add_number (b, "read-gb-per-second", m->read_gb_s);
  add_string (b, "isa", m->isa);
  add_number (b, "int8-gop-per-second", m->int8_gop_s);
  add_number (b, "f32-gflop-per-second", m->f32_gflop_s);
  json_builder_end_object (b);
  json_builder_set_member_name (b, "model");
  json_builder_begin_object (b);
  add_string (b, "file", file);
  add_string (b, "architecture", config->arch_name);
  add_string (b, "quantization", config->quantization);
  add_count (b, "parameters", config->n_parameters);
  add_count (b, "weight-bytes", llm_weights_bytes (self->model->weights));
  json_builder_end_object (b);
  json_builder_set_member_name (b, "device");
  json_builder_begin_object (b);
  add_string (b, "id", device->id);
  add_string (b, "driver", device->driver);
  add_string (b, "name", device->name);
  json_builder_end_object (b);
  add_number (b, "load-ms", self->load_s * 1e3);
  add_count (b, "memory-bytes", llm_model_memory_bytes (self->model));
  add_count (b, "kv-bytes", self->kv_bytes);
  add_count (b, "peak-rss-bytes", self->peak_rss);
}

static void
add_ops (JsonBuilder *b, const LlmBenchReport *self, const LlmBenchResult *r)
{
  json_builder_set_member_name (b, "ops");
  json_builder_begin_array (b);
  for (guint i = 0; r->ops != NULL && i < r->ops->len; i++)
    {
      const LlmBenchOp *o = &g_array_index (r->ops, LlmBenchOp, i);

      json_builder_begin_object (b);
      add_string (b, "op", o->op);
      add_string (b, "weights", o->dtype);
      add_count (b, "calls", o->calls);
      add_number (b, "us-per-call", (double) o->ns / (double) o->calls / 1e3);
      add_traffic (b, self, (double) o->bytes / (double) o->ns, (double) o->flops / (double) o->ns, o->dtype);
      json_builder_end_object (b);
    }
  json_builder_end_array (b);
}

static void
add_result (JsonBuilder *b, const LlmBenchReport *self, const LlmBenchResult *r)
{
  g_autofree char *name = llm_bench_case_name (r);

  json_builder_begin_object (b);
  add_string (b, "test", name);
  add_count (b, "streams", r->c.n_streams);
  add_count (b, "depth", r->c.depth);
  add_count (b, "tokens", r->n_tokens);
  add_count (b, "runs", r->n_runs);
  add_number (b, "tokens-per-second", r->rate);
  add_number (b, "lowest", r->lowest);
  add_number (b, "highest", r->highest);
  json_builder_set_member_name (b, "first-token-ms");
  if (r->prefill)
    json_builder_add_double_value (b, r->first_token_ms);
  else
    json_builder_add_null_value (b);
  json_builder_set_member_name (b, "percent-of-read-in-turns");
  if (r->of_read > 0)
    json_builder_add_double_value (b, 100 * r->of_read);
  else
    json_builder_add_null_value (b);
  add_traffic (b, self, (double) r->pass.bytes * r->passes / 1e9, (double) r->pass.flops * r->passes / 1e9, llm_model_config (self->model)->quantization);
  add_ops (b, self, r);
  json_builder_end_object (b);
}

char *
llm_bench_report_json (const LlmBenchReport *self)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;

  json_builder_begin_object (b);
  add_head (b, self);
  json_builder_set_member_name (b, "results");
  json_builder_begin_array (b);
  for (guint i = 0; i < self->results->len; i++)
    add_result (b, self, &g_array_index (self->results, LlmBenchResult, i));
  json_builder_end_array (b);
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  json_generator_set_pretty (generator, TRUE);
  json_generator_set_root (generator, root);
  return json_generator_to_data (generator, NULL);
}
