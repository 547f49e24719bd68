/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits between kernels: measured once for each type and width, kept, and of no consequence for what comes out. */
#include <math.h>
#include <string.h>

#include "cache/cache.h"
#include "compute/cpu/device-cpu.h"
#include "compute/ops-fixture.h"

#define N_TOKENS 16
#define WIDTH 256

/* A chain of products: two types, one of them in two widths. */
static OpsModel *
make_model (void)
{
  OpsModel *model = ops_model_new (NULL, 5);
  LlmValueId x = ops_model_input (model, N_TOKENS, WIDTH);

  x = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_Q8_0, 512, WIDTH), x, LLM_NONE, LLM_NONE);
  x = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_Q8_0, WIDTH, 512), x, LLM_NONE, LLM_NONE);
  x = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_Q4_0, WIDTH, WIDTH), x, LLM_NONE, LLM_NONE);
  x = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_Q8_0, 40, WIDTH), x, LLM_NONE, LLM_NONE);
  ops_model_finish (model, x);
  return model;
}

static guint64
count_of (LlmCache *cache, const char *name)
{
  g_autoptr (GVariant) all = g_variant_ref_sink (llm_cache_statistics (cache));
  g_autoptr (GVariant) kind = g_variant_lookup_value (all, "cpu-tuning", G_VARIANT_TYPE_VARDICT);
  guint64 n = 0;

  if (kind != NULL)
    g_variant_lookup (kind, name, "t", &n);
  return n;
}

static LlmDevice *
open_device (LlmCache *cache)
{
  LlmDevicesOptions options = { .n_threads = 2, .cache = cache };
  g_autoptr (GError) error = NULL;
  LlmDevice *device = llm_devices_open ("cpu", &options, &error);

  g_assert_no_error (error);
  return device;
}

static LlmExecutable *
compile (LlmDevice *device, const OpsModel *model)
{
  LlmRunLimits limits = { 16, 1, 1, 16 };
  g_autoptr (GError) error = NULL;
  LlmExecutable *executable = llm_device_compile (device, model->plan, &limits, &error);

  g_assert_no_error (error);
  return executable;
}

static void
test_once (void)
{
  g_autoptr (LlmCache) cache = llm_cache_new (-1, "v0-test", 1 << 20);
  g_autoptr (OpsModel) model = make_model ();

  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (LlmDevice) device = open_device (cache);
      g_autoptr (LlmExecutable) executable = compile (device, model);
      const LlmCpuTuning *tuning = &((LlmCpuExecutable *) executable)->tuning;

      if (((LlmCpuDevice *) device)->kernels->coded == NULL)
        {
          g_test_skip ("scalar kernels have no limits");
          return;
        }
      g_assert_cmpuint (count_of (cache, "made"), ==, 3); /* Q8_0 of 256 and of 512 columns, Q4_0 */
      g_assert_cmpuint (count_of (cache, "hits-memory"), ==, 3 * i);
      for (guint w = 0; w < llm_plan_n_weights (model->plan); w++)
        if (llm_cpu_coded (((LlmCpuDevice *) device)->kernels, llm_plan_weight_at (model->plan, w)->dtype) != NULL)
          g_assert_true (tuning->few[w] >= 1 && tuning->few[w] <= LLM_GEMV_ROWS);
      g_assert_cmpuint (tuning->tiles, >=, 16);
    }
}

/* Nobody measures where nothing can be kept. */
static void
test_without (void)
{
  g_autoptr (OpsModel) model = make_model ();
  g_autoptr (LlmDevice) device = open_device (NULL);
  g_autoptr (LlmExecutable) executable = compile (device, model);
  const LlmCpuTuning *tuning = &((LlmCpuExecutable *) executable)->tuning;

  if (((LlmCpuDevice *) device)->kernels->coded == NULL)
    return;
  g_assert_cmpuint (tuning->few[llm_plan_op (model->plan, 1)->w], ==, LLM_GEMV_ROWS);
  g_assert_cmpuint (tuning->tiles, ==, LLM_CPU_ROWS.tiles);
}

/* Rows on both sides of every limit that may have been measured. */
static void
test_any_limit (void)
{
  g_autoptr (OpsModel) model = make_model ();
  g_autoptr (LlmDevice) device = open_device (NULL);
  g_autoptr (LlmExecutable) executable = compile (device, model);
  g_autoptr (LlmKvBuffer) kv = llm_device_kv_new (device, &model->kv, 1, NULL);
  LlmCpuTuning *tuning = &((LlmCpuExecutable *) executable)->tuning;

  for (guint rows = 1; rows <= LLM_GEMV_ROWS + 2; rows++)
    {
      g_autoptr (OpsBatch) batch = ops_batch_new (rows, 1, 0, 1, N_TOKENS, rows);
      g_autofree float *expected = ops_run (executable, kv, &batch->batch, 40);

      for (guint few = 1; few <= LLM_GEMV_ROWS; few++)
        {
          g_autofree float *y = NULL;
          double off = 0, all = 0;

          for (guint w = 0; w < llm_plan_n_weights (model->plan); w++)
            tuning->few[w] = (guint8) (w % 2 == 0 ? few : LLM_GEMV_ROWS + 1 - few);
          y = ops_run (executable, kv, &batch->batch, 40);
          for (guint i = 0; i < rows * 40; i++)
            {
              off += (y[i] - expected[i]) * (y[i] - expected[i]);
              all += expected[i] * expected[i];
            }
          g_assert_cmpfloat (sqrt (off / all), <=, 0.02);
        }
      for (guint w = 0; w < llm_plan_n_weights (model->plan); w++)
        tuning->few[w] = LLM_GEMV_ROWS;
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tuning/once", test_once);
  g_test_add_func ("/tuning/without", test_without);
  g_test_add_func ("/tuning/any-limit", test_any_limit);
  return g_test_run ();
}
