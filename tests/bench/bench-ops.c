/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * llm-bench-ops: what each op of a device moves and computes a second.
 *
 * One plan holds every op over a weight that no cache holds; the device's own profile gives the
 * times.  A decode step should come near the memory's read bandwidth, a prefill near the
 * arithmetic's ceiling.
 */
#include <stdlib.h>
#include <string.h>

#include "compute/devices.h"

static char *device_id = NULL, *isa = NULL;
static int n_threads = 0, width = 2048, n_weights = 24, n_steps = 5, kv_tokens = 1024;

static GOptionEntry entries[] = {
  { "device", 'd', 0, G_OPTION_ARG_STRING, &device_id, "cpu, vulkan0, … (cpu)", "ID" },
  { "isa", 'i', 0, G_OPTION_ARG_STRING, &isa, "scalar, avx2, avx512-vnni (the best)", "NAME" },
  { "threads", 't', 0, G_OPTION_ARG_INT, &n_threads, "Threads of the CPU (all)", "N" },
  { "width", 'w', 0, G_OPTION_ARG_INT, &width, "Rows and columns of a weight (2048)", "N" },
  { "weights", 'n', 0, G_OPTION_ARG_INT, &n_weights, "Different weights in a run, so that no cache holds them (24)", "N" },
  { "steps", 's', 0, G_OPTION_ARG_INT, &n_steps, "Runs measured; the first one more is not (5)", "N" },
  { "kv", 'k', 0, G_OPTION_ARG_INT, &kv_tokens, "Position of the rows (1024)", "N" },
  { NULL },
};

typedef struct {
  LlmPlan *plan;
  LlmKvLayout kv;
  guint8 *data; /* of all weights */
} Bench;

/* Numbers that are small and no denormals, whatever the type. */
static guint8 *
make_data (gsize n_bytes)
{
  guint8 *data = g_malloc (n_bytes);

  for (gsize i = 0; i < n_bytes; i++)
    data[i] = (guint8) (0x20 + (i * 7) % 16);
  return data;
}

static void
bench_init (Bench *self, LlmDtype dtype)
{
  static const LlmRopeParams rope_of_64 = { 0, 64, 64, FALSE, 10000, 1 };
  const LlmDtypeInfo *info = llm_dtype_info (dtype), *f32 = llm_dtype_info (LLM_DTYPE_F32);
  guint n = (guint) width, heads = n / 64, kv_heads = MAX (heads / 4, 1);
  gsize row = (gsize) n / info->block_elems * info->block_bytes;
  LlmWeight w = { "w", info, n, n, NULL, row * n };
  LlmAttentionParams attention = { 0, heads, 0.125f };
  LlmRopeParams rope = rope_of_64;
  LlmValueId x, a;
  LlmWeight embedding = w, gain = { "gain", f32, n, 1, NULL, 4 * (gsize) n }, narrow = w;

  self->kv = (LlmKvLayout) { 1, kv_heads, 64, 64, 32, LLM_DTYPE_F16 };
  self->data = make_data (w.n_bytes * (gsize) n_weights + 4 * (gsize) n);
  self->plan = llm_plan_new (&self->kv);
  embedding.data = narrow.data = gain.data = self->data;
  narrow.n_rows = kv_heads * 64;
  narrow.n_bytes = row * narrow.n_rows;
  x = llm_plan_embed (self->plan, llm_plan_weight (self->plan, &embedding));
  x = llm_plan_rms_norm (self->plan, x, llm_plan_weight (self->plan, &gain), 1e-5f);
  rope.n_heads = heads;
  llm_plan_rope (self->plan, x, LLM_NONE, &rope);
  a = llm_plan_matmul (self->plan, llm_plan_weight (self->plan, &narrow), x, LLM_NONE, LLM_NONE);
  llm_plan_kv_write (self->plan, 0, a, a);
  x = llm_plan_attention (self->plan, x, &attention);
  for (int i = 0; i < n_weights; i++)
    {
      w.data = self->data + (gsize) i * w.n_bytes;
      a = llm_plan_matmul (self->plan, llm_plan_weight (self->plan, &w), x, LLM_NONE, LLM_NONE);
      x = llm_plan_rms_norm (self->plan, a, llm_plan_weight (self->plan, &gain), 1e-5f);
    }
  x = llm_plan_glu (self->plan, LLM_ACT_SILU, x, a);
  x = llm_plan_add (self->plan, x, a);
  x = llm_plan_select_rows (self->plan, x);
  if (!llm_plan_finish (self->plan, x, NULL))
    g_error ("no plan for width %d: a multiple of 256 is needed", width);
}

static void
report (const Bench *self, const LlmExecutable *executable, const char *dtype, guint rows)
{
  guint n_ops;
  const LlmOpProfile *profile = llm_executable_profile (executable, &n_ops);

  for (guint kind = 0; kind < LLM_N_OPS; kind++)
    {
      LlmOpProfile sum = { 0 };

      for (guint i = 0; i < n_ops; i++)
        if ((guint) llm_plan_op (self->plan, i)->kind == kind)
          {
            sum.ns += profile[i].ns;
            sum.bytes += profile[i].bytes;
            sum.flops += profile[i].flops;
            sum.calls += profile[i].calls;
          }
      if (sum.ns > 0)
        g_print ("%-6s %4u  %-12s %10.1f %9.2f %10.1f\n", dtype, rows, llm_op_name ((LlmOpKind) kind), (double) sum.ns / (double) sum.calls / 1e3,
                 (double) sum.bytes / (double) sum.ns, (double) sum.flops / (double) sum.ns);
    }
}

static gboolean
run (const Bench *self, LlmDevice *device, const char *dtype, guint rows, GError **error)
{
  guint pages = (guint) kv_tokens / 32 + 1;
  LlmRunLimits limits = { rows, 1, pages, 1 };
  g_autoptr (LlmExecutable) executable = llm_device_compile (device, self->plan, &limits, error);
  g_autoptr (LlmKvBuffer) kv = executable != NULL ? llm_device_kv_new (device, &self->kv, pages, error) : NULL;
  g_autofree gint32 *token = g_new0 (gint32, rows);
  g_autofree guint32 *position = g_new (guint32, rows), *slot = g_new0 (guint32, rows), *table = g_new (guint32, pages);
  guint32 last = rows - 1;
  LlmBatch batch = { rows, token, position, slot, 1, table, pages, 1, &last };
  const float *logits;

  for (guint p = 0; p < pages; p++)
    table[p] = p;
  for (guint r = 0; r < rows; r++)
    position[r] = (guint32) kv_tokens - MIN (rows - r, (guint) kv_tokens);
  for (int step = 0; kv != NULL && step <= n_steps; step++)
    {
      llm_executable_set_profiling (executable, step > 0);
      if (!llm_executable_submit (executable, kv, &batch, error) || !llm_executable_wait (executable, &logits, error))
        return FALSE;
    }
  if (kv != NULL)
    report (self, executable, dtype, rows);
  return kv != NULL;
}

int
main (int argc, char **argv)
{
  static const LlmDtype dtypes[] = { LLM_DTYPE_F32, LLM_DTYPE_F16, LLM_DTYPE_Q8_0, LLM_DTYPE_Q4_0 };
  static const guint rows[] = { 1, 8, 128 };
  g_autoptr (GOptionContext) context = g_option_context_new ("- measure the ops of a compute device");
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmDevice) device = NULL;
  LlmDevicesOptions options = { 0 };

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_description (context, "For example: llm-bench-ops --threads 2 --isa avx2\n\nColumns: weight type, rows, op, microseconds a call, GB/s, GFLOP/s (a multiply-add is 2).");
  if (!g_option_context_parse (context, &argc, &argv, &error) || width < 256 || width % 256 != 0 || n_weights < 1 || n_steps < 1 || kv_tokens < 128)
    {
      g_printerr ("%s\n", error != NULL ? error->message : "--width must be a multiple of 256, --kv at least 128, all others at least 1");
      return 2;
    }
  options = (LlmDevicesOptions) { (guint) MAX (n_threads, 0), isa, TRUE };
  device = llm_devices_open (device_id != NULL ? device_id : "cpu", &options, &error);
  if (device == NULL)
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }
  g_print ("%s, %s\n%-6s %4s  %-12s %10s %9s %10s\n", llm_device_info (device)->name, llm_device_info (device)->driver, "type", "rows", "op", "us", "GB/s", "GFLOP/s");
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      Bench bench;

      bench_init (&bench, dtypes[d]);
      for (guint r = 0; r < G_N_ELEMENTS (rows); r++)
        if (!run (&bench, device, llm_dtype_info (dtypes[d])->name, rows[r], &error))
          {
            g_printerr ("%s\n", error->message);
            return 1;
          }
      llm_plan_free (bench.plan);
      g_free (bench.data);
    }
  return 0;
}
