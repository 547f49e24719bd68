/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scalar device against the formulas of ops.h, written here a second time in double and as
 * naively as they read: all other devices are only as right as this one.
 */
#include <math.h>

#include "compute/ops-fixture.h"

#define N_TOKENS 11

/* Rows of @model on the scalar device, in the order of the batch. (transfer full) */
static float *
run_scalar (const OpsModel *model, OpsBatch *batch)
{
  LlmDevicesOptions options = { 1, "scalar", FALSE };
  g_autoptr (LlmDevice) device = llm_devices_open ("cpu", &options, NULL);
  LlmRunLimits limits = ops_limits (batch);
  g_autoptr (LlmExecutable) executable = llm_device_compile (device, model->plan, &limits, NULL);
  g_autoptr (LlmKvBuffer) kv = llm_device_kv_new (device, &model->kv, limits.max_slots * limits.max_pages_per_slot, NULL);

  for (guint r = 0; r < batch->batch.n_rows; r++)
    batch->out_row[r] = r;
  return ops_run (executable, kv, &batch->batch, llm_plan_value (model->plan, llm_plan_logits (model->plan))->width);
}

static void
assert_near (float got, double expected)
{
  g_assert_cmpfloat_with_epsilon (got, expected, 2e-6 * MAX (1, fabs (expected)));
}

static void
test_norm_glu_add (void)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (3, 1, 0, 1, N_TOKENS, 1);
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 21), ez = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 21);
  LlmWeightId g = ops_model_weight (model, LLM_DTYPE_F32, 1, 21);
  LlmValueId x = llm_plan_embed (model->plan, ex), z = llm_plan_embed (model->plan, ez);
  g_autofree float *y = NULL;
  float xs[21], zs[21], gs[21];

  ops_model_finish (model, llm_plan_add (model->plan, llm_plan_glu (model->plan, LLM_ACT_SILU, llm_plan_rms_norm (model->plan, x, g, 0.1f), z), x));
  y = run_scalar (model, batch);
  ops_model_decode (model, g, 0, gs);
  for (guint r = 0; r < 3; r++)
    {
      double squares = 0;

      ops_model_decode (model, ex, (guint) batch->token[r], xs);
      ops_model_decode (model, ez, (guint) batch->token[r], zs);
      for (guint i = 0; i < 21; i++)
        squares += (double) xs[i] * xs[i];
      for (guint i = 0; i < 21; i++)
        {
          double a = xs[i] / sqrt (squares / 21 + 0.1) * gs[i];

          assert_near (y[r * 21 + i], a / (1 + exp (-a)) * zs[i] + xs[i]);
        }
    }
}

static void
test_matmul (void)
{
  static const LlmDtype dtypes[] = { LLM_DTYPE_F32, LLM_DTYPE_F16, LLM_DTYPE_Q8_0, LLM_DTYPE_Q4_0 };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, d);
      g_autoptr (OpsBatch) batch = ops_batch_new (3, 1, 0, 1, N_TOKENS, 1);
      LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 320), ez = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 9);
      LlmWeightId w = ops_model_weight (model, dtypes[d], 9, 320), b = ops_model_weight (model, LLM_DTYPE_F32, 1, 9);
      g_autofree float *y = NULL;
      float xs[320], ws[320], zs[9], bs[9];

      ops_model_finish (model, llm_plan_matmul (model->plan, w, llm_plan_embed (model->plan, ex), b, llm_plan_embed (model->plan, ez)));
      y = run_scalar (model, batch);
      ops_model_decode (model, b, 0, bs);
      for (guint r = 0; r < 3; r++)
        for (guint n = 0; n < 9; n++)
          {
            double sum = 0;

            ops_model_decode (model, ex, (guint) batch->token[r], xs);
            ops_model_decode (model, ez, (guint) batch->token[r], zs);
            ops_model_decode (model, w, n, ws);
            for (guint i = 0; i < 320; i++)
              sum += (double) ws[i] * xs[i];
            assert_near (y[r * 9 + n], sum + bs[n] + zs[n]);
          }
    }
}

/* 2 heads of 8, the first 6 columns of each turned; pairs (2i, 2i+1) or (i, i+3). */
static void
test_rope (gconstpointer data)
{
  gboolean interleaved = GPOINTER_TO_INT (data);
  LlmRopeParams p = { 2, 8, 6, interleaved, 100, 2 };
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (4, 1, 21, 1, N_TOKENS, 1);
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 16), factors = ops_model_weight (model, LLM_DTYPE_F32, 1, 3);
  LlmValueId x = llm_plan_embed (model->plan, ex);
  g_autofree float *y = NULL;
  float xs[16], fs[3];

  llm_plan_rope (model->plan, x, factors, &p);
  ops_model_finish (model, x);
  y = run_scalar (model, batch);
  ops_model_decode (model, factors, 0, fs);
  for (guint r = 0; r < 4; r++)
    for (guint h = 0; h < 2; h++)
      {
        const float *in = xs + 8 * h, *out = y + 16 * r + 8 * h;

        ops_model_decode (model, ex, (guint) batch->token[r], xs);
        for (guint i = 0; i < 3; i++)
          {
            double theta = (21 + r) / 2.0 * pow (100, -2.0 * i / 6) / fs[i];
            guint a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + 3;

            assert_near (out[a], in[a] * cos (theta) - in[b] * sin (theta));
            assert_near (out[b], in[a] * sin (theta) + in[b] * cos (theta));
          }
        for (guint i = 6; i < 8; i++)
          g_assert_cmpfloat (out[i], ==, in[i]);
      }
}

/* 2 slots in turn; 6 query heads on 2 key heads; keys of 5 columns, values of 3. */
static void
test_attention (void)
{
  enum { ROWS = 80, H = 6, KV = 2, DK = 5, DV = 3 };
  LlmKvLayout layout = { 1, KV, DK, DV, 32, LLM_DTYPE_F32 };
  LlmAttentionParams p = { 0, H, 0.7f };
  g_autoptr (OpsModel) model = ops_model_new (&layout, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (ROWS, 2, 0, 2, N_TOKENS, 1);
  LlmWeightId eq = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, H * DK), ek = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, KV * DK);
  LlmWeightId ev = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, KV * DV);
  LlmValueId q = llm_plan_embed (model->plan, eq);
  g_autofree float *y = NULL;
  float qs[H * DK], ks[KV * DK], vs[KV * DV];

  llm_plan_kv_write (model->plan, 0, llm_plan_embed (model->plan, ek), llm_plan_embed (model->plan, ev));
  ops_model_finish (model, llm_plan_attention (model->plan, q, &p));
  y = run_scalar (model, batch);
  for (guint r = 0; r < ROWS; r++)
    for (guint h = 0; h < H; h++)
      {
        double total = 0, mixed[DV] = { 0 };

        ops_model_decode (model, eq, (guint) batch->token[r], qs);
        for (guint t = 0; t <= r; t++) /* rows of the slot up to this one */
          if (batch->slot[t] == batch->slot[r])
            {
              double dot = 0, weight;

              ops_model_decode (model, ek, (guint) batch->token[t], ks);
              ops_model_decode (model, ev, (guint) batch->token[t], vs);
              for (guint i = 0; i < DK; i++)
                dot += (double) qs[h * DK + i] * ks[h / (H / KV) * DK + i];
              weight = exp (0.7 * dot);
              total += weight;
              for (guint i = 0; i < DV; i++)
                mixed[i] += weight * vs[h / (H / KV) * DV + i];
            }
        for (guint i = 0; i < DV; i++)
          assert_near (y[(r * H + h) * DV + i], mixed[i] / total);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/definition/norm-glu-add", test_norm_glu_add);
  g_test_add_func ("/definition/matmul", test_matmul);
  g_test_add_data_func ("/definition/rope/halves", GINT_TO_POINTER (FALSE), test_rope);
  g_test_add_data_func ("/definition/rope/interleaved", GINT_TO_POINTER (TRUE), test_rope);
  g_test_add_func ("/definition/attention", test_attention);
  return g_test_run ();
}
