/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/ops-compare.h"

#include <math.h>

LlmDevice *ops_device, *ops_scalar;
gboolean ops_slow;

/* The largest difference as a fraction of the deviation of @expected. */
static double
noise_of (const float *got, const float *expected, gsize n)
{
  double mean = 0, variance = 0, worst = 0;

  for (gsize i = 0; i < n; i++)
    mean += (double) expected[i] / (double) n;
  for (gsize i = 0; i < n; i++)
    {
      double off = fabs ((double) got[i] - (double) expected[i]);

      g_assert_true (isfinite (got[i]));
      variance += ((double) expected[i] - mean) * ((double) expected[i] - mean) / (double) n;
      worst = MAX (worst, off);
    }
  g_assert_cmpfloat (variance, >, 0); /* else nothing has been computed */
  return worst / sqrt (variance);
}

static guint
width_of (const OpsModel *model)
{
  return llm_plan_value (model->plan, llm_plan_logits (model->plan))->width;
}

float *
ops_run_on (LlmDevice *on, const OpsModel *model, OpsBatch *const *batches, guint n_batches, gsize *n)
{
  g_autoptr (GError) error = NULL;
  guint width = width_of (model), stride = batches[0]->batch.block_table_stride, n_slots = batches[0]->batch.n_slots;
  LlmRunLimits limits = ops_limits (batches[0]);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autoptr (LlmKvBuffer) kv = NULL;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (float));

  for (guint i = 1; i < n_batches; i++)
    limits.max_rows = limits.max_out = MAX (limits.max_rows, batches[i]->batch.n_rows);
  executable = llm_device_compile (on, model->plan, &limits, &error);
  g_assert_no_error (error);
  kv = llm_device_kv_new (on, &model->kv, n_slots * stride, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n_batches; i++)
    {
      g_autofree float *part = ops_run (executable, kv, &batches[i]->batch, width);

      g_array_append_vals (all, part, batches[i]->batch.n_out * width);
    }
  *n = all->len;
  return (float *) (gpointer) g_array_free (g_steal_pointer (&all), FALSE);
}

void
ops_compare (const char *what, const OpsModel *model, OpsBatch *const *batches, guint n_batches, LlmDtype dtype)
{
  ops_compare_within (what, model, batches, n_batches, llm_device_noise (ops_device, llm_dtype_info (dtype)));
}

void
ops_compare_within (const char *what, const OpsModel *model, OpsBatch *const *batches, guint n_batches, double stated)
{
  gsize n = 0;
  g_autofree float *expected = ops_run_on (ops_scalar, model, batches, n_batches, &n);
  g_autofree float *got = ops_run_on (ops_device, model, batches, n_batches, &n);
  double noise = noise_of (got, expected, n);

  g_test_message ("%s: noise %.2g of %.2g stated", what, noise, stated);
  g_assert_cmpfloat (noise, <=, stated);
}

void
ops_compare_one (const char *what, const OpsModel *model, guint n_rows, LlmDtype dtype)
{
  g_autoptr (OpsBatch) batch = ops_batch_new (n_rows, 1, 0, 20, OPS_N_TOKENS, n_rows);

  ops_compare (what, model, &batch, 1, dtype);
}
