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
  static const LlmDtype dtypes[] = { LLM_DTYPE_F32, LLM_DTYPE_F16, LLM_DTYPE_Q8_0, LLM_DTYPE_Q4_0, LLM_DTYPE_BF16, LLM_DTYPE_Q5_1, LLM_DTYPE_Q6_K, LLM_DTYPE_MXFP4 };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, d);
      g_autoptr (OpsBatch) batch = ops_batch_new (3, 1, 0, 1, N_TOKENS, 1);
      LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 512), ez = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 9);
      LlmWeightId w = ops_model_weight (model, dtypes[d], 9, 512), b = ops_model_weight (model, LLM_DTYPE_F32, 1, 9);
      g_autofree float *y = NULL;
      float xs[512], ws[512], zs[9], bs[9];

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
            for (guint i = 0; i < 512; i++)
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

/* One op on the rows of [N_TOKENS, 12]. */
static void
check_unary (LlmValueId (*build) (OpsModel *model, LlmValueId x), double (*formula) (double x))
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 3);
  g_autoptr (OpsBatch) batch = ops_batch_new (5, 1, 0, 1, N_TOKENS, 1);
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 12);
  g_autofree float *y = NULL;
  float xs[12];

  ops_model_finish (model, build (model, llm_plan_embed (model->plan, ex)));
  y = run_scalar (model, batch);
  for (guint r = 0; r < 5; r++)
    {
      ops_model_decode (model, ex, (guint) batch->token[r], xs);
      for (guint i = 0; i < 12; i++)
        assert_near (y[r * 12 + i], formula (xs[i]));
    }
}

static LlmValueId build_gelu (OpsModel *m, LlmValueId x) { return llm_plan_glu (m->plan, LLM_ACT_GELU, x, LLM_NONE); }
static double gelu (double x) { return x * erfc (-x / sqrt (2)) / 2; }
static LlmValueId build_gelu_tanh (OpsModel *m, LlmValueId x) { return llm_plan_glu (m->plan, LLM_ACT_GELU_TANH, x, LLM_NONE); }
static double gelu_tanh (double x) { return 0.5 * x * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * pow (x, 3)))); }
static LlmValueId build_silu (OpsModel *m, LlmValueId x) { return llm_plan_glu (m->plan, LLM_ACT_SILU, x, LLM_NONE); }
static double silu (double x) { return x / (1 + exp (-x)); }
static LlmValueId build_clamped (OpsModel *m, LlmValueId x) { LlmValueId s = llm_plan_scale (m->plan, x, 9, 0); return llm_plan_glu (m->plan, LLM_ACT_SWIGLU_CLAMPED, s, s); }
static double clamped (double x) { double g = MIN (9 * x, 7); return g / (1 + exp (-1.702 * g)) * (CLAMP (9 * x, -7, 7) + 1); }
static LlmValueId build_cap (OpsModel *m, LlmValueId x) { return llm_plan_scale (m->plan, x, 3, 2); }
static double cap (double x) { return 2 * tanh (3 * x / 2); }
static LlmValueId build_scale (OpsModel *m, LlmValueId x) { return llm_plan_scale (m->plan, x, -0.5f, 0); }
static double scale (double x) { return -x / 2; }

static void
test_unary (void)
{
  check_unary (build_gelu, gelu);
  check_unary (build_gelu_tanh, gelu_tanh);
  check_unary (build_silu, silu);
  check_unary (build_clamped, clamped);
  check_unary (build_cap, cap);
  check_unary (build_scale, scale);
}

/* Tokens at half size, positions from 3 on, and the first row everywhere. */
static void
test_embed_from (void)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (4, 1, 3, 1, N_TOKENS, 1);
  LlmWeightId et = ops_model_weight (model, LLM_DTYPE_F16, N_TOKENS, 6), ep = ops_model_weight (model, LLM_DTYPE_F32, 7, 6);
  LlmPlan *plan = model->plan;
  LlmValueId x = llm_plan_embed_from (plan, et, LLM_EMBED_TOKEN, 0.5f);
  g_autofree float *y = NULL;
  float ts[6], ps[6], fs[6];

  x = llm_plan_add (plan, x, llm_plan_embed_from (plan, ep, LLM_EMBED_POSITION, 1));
  ops_model_finish (model, llm_plan_add (plan, x, llm_plan_embed_from (plan, ep, LLM_EMBED_FIRST, 1)));
  y = run_scalar (model, batch);
  ops_model_decode (model, ep, 0, fs);
  for (guint r = 0; r < 4; r++)
    {
      ops_model_decode (model, et, (guint) batch->token[r], ts);
      ops_model_decode (model, ep, 3 + r, ps);
      for (guint i = 0; i < 6; i++)
        assert_near (y[r * 6 + i], ts[i] / 2.0 + ps[i] + fs[i]);
    }
}

/* RMS norm of 3 groups of 4, then the layer norm of the row. */
static void
test_norms (void)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (4, 1, 0, 1, N_TOKENS, 1);
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 12), g = ops_model_weight (model, LLM_DTYPE_F32, 1, 4);
  LlmWeightId g2 = ops_model_weight (model, LLM_DTYPE_F32, 1, 12), b2 = ops_model_weight (model, LLM_DTYPE_F32, 1, 12);
  LlmValueId x = llm_plan_rms_norm (model->plan, llm_plan_embed (model->plan, ex), g, 0.01f);
  g_autofree float *y = NULL;
  float xs[12], gs[4], g2s[12], b2s[12];

  ops_model_finish (model, llm_plan_layer_norm (model->plan, x, g2, b2, 0.2f));
  y = run_scalar (model, batch);
  ops_model_decode (model, g, 0, gs);
  ops_model_decode (model, g2, 0, g2s);
  ops_model_decode (model, b2, 0, b2s);
  for (guint r = 0; r < 4; r++)
    {
      double h[12], mean = 0, square = 0;

      ops_model_decode (model, ex, (guint) batch->token[r], xs);
      for (guint i = 0; i < 12; i++)
        {
          const float *group = xs + i / 4 * 4;
          double sum = 0;

          for (guint k = 0; k < 4; k++)
            sum += (double) group[k] * group[k];
          h[i] = xs[i] / sqrt (sum / 4 + 0.01) * gs[i % 4];
          mean += h[i] / 12;
          square += h[i] * h[i] / 12;
        }
      for (guint i = 0; i < 12; i++)
        assert_near (y[r * 12 + i], (h[i] - mean) / sqrt (square - mean * mean + 0.2) * g2s[i] + b2s[i]);
    }
}

/* 32 columns of base 10000, stretched 8 times from 64 positions: the first pairs as they were, the last ones slower, 1.3 times as long. */
static void
test_yarn (void)
{
  LlmRopeParams p = { 1, 32, 32, FALSE, 10000, 8, 1.3f, 64, 4, 1 };
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (3, 1, 20, 1, N_TOKENS, 1);
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, 32);
  LlmValueId x = llm_plan_embed (model->plan, ex);
  double low = floor (32 * log (64 / (4 * 2 * G_PI)) / (2 * log (10000))), high = ceil (32 * log (64 / (2 * G_PI)) / (2 * log (10000)));
  g_autofree float *y = NULL;
  float in[32];

  g_assert_cmpfloat (low, <, high - 1); /* else nothing is blended */
  llm_plan_rope (model->plan, x, LLM_NONE, &p);
  ops_model_finish (model, x);
  y = run_scalar (model, batch);
  for (guint r = 0; r < 3; r++)
    {
      ops_model_decode (model, ex, (guint) batch->token[r], in);
      for (guint i = 0; i < 16; i++)
        {
          double part = i <= low ? 0 : i >= high ? 1 : (i - low) / (high - low);
          double theta = (20 + r) * pow (10000, i / -16.0) * (part / 8 + 1 - part);

          assert_near (y[32 * r + i], 1.3 * (in[i] * cos (theta) - in[i + 16] * sin (theta)));
          assert_near (y[32 * r + i + 16], 1.3 * (in[i] * sin (theta) + in[i + 16] * cos (theta)));
        }
    }
}

/* 7 experts of [5, 6], 3 of them for each row; then [6, 5] of them for what comes out. */
static void
test_experts (gconstpointer data)
{
  enum { E = 7, K = 3, N = 5, C = 6 };
  gboolean normalise = GPOINTER_TO_INT (data);
  LlmRouteParams route = { K, normalise, 2 };
  LlmExpertParams p = { E, K };
  g_autoptr (OpsModel) model = ops_model_new (NULL, 4);
  g_autoptr (OpsBatch) batch = ops_batch_new (N_TOKENS, 1, 0, 1, N_TOKENS, 1);
  LlmPlan *plan = model->plan;
  LlmWeightId ex = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, C), er = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, E);
  LlmWeightId up = ops_model_weight (model, LLM_DTYPE_F32, E * N, C), down = ops_model_weight (model, LLM_DTYPE_F32, E * C, N);
  LlmWeightId bias = ops_model_weight (model, LLM_DTYPE_F32, 1, E * N);
  LlmValueId z = llm_plan_route (plan, llm_plan_embed (plan, er), &route);
  LlmValueId h = llm_plan_expert_matmul (plan, up, llm_plan_embed (plan, ex), z, bias, &p);
  g_autofree float *y = NULL;
  float xs[C], rs[E], us[C], ds[N], bs[E * N];

  ops_model_finish (model, llm_plan_expert_mix (plan, llm_plan_expert_matmul (plan, down, h, z, LLM_NONE, &p), z, &p));
  y = run_scalar (model, batch);
  ops_model_decode (model, bias, 0, bs);
  for (guint r = 0; r < N_TOKENS; r++)
    {
      double sum_all = 0, sum_used = 0, expected[C] = { 0 };
      guint rank[E];

      ops_model_decode (model, ex, (guint) batch->token[r], xs);
      ops_model_decode (model, er, (guint) batch->token[r], rs);
      for (guint e = 0; e < E; e++)
        {
          rank[e] = 0;
          for (guint f = 0; f < E; f++)
            rank[e] += rs[f] > rs[e] || (rs[f] == rs[e] && f < e);
          sum_all += exp (rs[e]);
          sum_used += rank[e] < K ? exp (rs[e]) : 0;
        }
      for (guint e = 0; e < E; e++)
        for (guint n = 0; n < N && rank[e] < K; n++)
          {
            double hidden = bs[e * N + n];

            ops_model_decode (model, up, e * N + n, us);
            for (guint c = 0; c < C; c++)
              hidden += (double) us[c] * xs[c];
            for (guint c = 0; c < C; c++)
              {
                ops_model_decode (model, down, e * C + c, ds);
                expected[c] += 2 * exp (rs[e]) / (normalise ? sum_used : sum_all) * ds[n] * hidden;
              }
          }
      for (guint c = 0; c < C; c++)
        assert_near (y[r * C + c], expected[c]);
    }
}

typedef struct {
  guint window;
  float cap;
  gboolean sinks, encoder;
} AttentionCase;

static const AttentionCase attention_cases[] = {
  { 0, 0, FALSE, FALSE }, { 1, 0, FALSE, FALSE }, { 7, 0, FALSE, FALSE }, { 33, 0, TRUE, FALSE }, { 0, 1.5f, FALSE, FALSE },
  { 0, 0, TRUE, FALSE }, { 20, 0.5f, TRUE, FALSE }, { 0, 0, FALSE, TRUE },
};

/* 2 slots in turn; 6 query heads on 2 key heads; keys of 5 columns, values of 3. */
static void
test_attention (gconstpointer data)
{
  enum { ROWS = 80, H = 6, KV = 2, DK = 5, DV = 3 };
  const AttentionCase *c = data;
  LlmKvLayout layout = { 1, KV, DK, DV, 32, LLM_DTYPE_F32 };
  LlmAttentionParams p = { 0, H, 0.7f, c->window, c->cap };
  g_autoptr (OpsModel) model = ops_model_new (&layout, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (ROWS, 2, 0, 2, N_TOKENS, 1);
  LlmWeightId eq = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, H * DK), ek = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, KV * DK);
  LlmWeightId ev = ops_model_weight (model, LLM_DTYPE_F32, N_TOKENS, KV * DV), sinks = ops_model_weight (model, LLM_DTYPE_F32, 1, H);
  LlmValueId q = llm_plan_embed (model->plan, eq);
  g_autofree float *y = NULL;
  float qs[H * DK], ks[KV * DK], vs[KV * DV], ss[H];
  guint32 n_keys[ROWS];

  for (guint r = 0; r < ROWS; r++)
    n_keys[r] = ROWS / 2;
  batch->batch.n_keys = c->encoder ? n_keys : NULL;
  llm_plan_kv_write (model->plan, 0, llm_plan_embed (model->plan, ek), llm_plan_embed (model->plan, ev));
  ops_model_finish (model, llm_plan_attention_with_sinks (model->plan, q, c->sinks ? sinks : LLM_NONE, &p));
  y = run_scalar (model, batch);
  ops_model_decode (model, sinks, 0, ss);
  for (guint r = 0; r < ROWS; r++)
    for (guint h = 0; h < H; h++)
      {
        double total = c->sinks ? exp (ss[h]) : 0, mixed[DV] = { 0 };

        ops_model_decode (model, eq, (guint) batch->token[r], qs);
        for (guint t = 0; t < (c->encoder ? ROWS : r + 1); t++) /* rows of the slot, up to this one */
          if (batch->slot[t] == batch->slot[r] && (c->window == 0 || batch->position[t] + c->window > batch->position[r]))
            {
              double dot = 0, weight;

              ops_model_decode (model, ek, (guint) batch->token[t], ks);
              ops_model_decode (model, ev, (guint) batch->token[t], vs);
              for (guint i = 0; i < DK; i++)
                dot += 0.7 * qs[h * DK + i] * ks[h / (H / KV) * DK + i];
              weight = exp (c->cap > 0 ? c->cap * tanh (dot / c->cap) : dot);
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
  g_test_add_func ("/definition/unary", test_unary);
  g_test_add_func ("/definition/embed-from", test_embed_from);
  g_test_add_func ("/definition/norms", test_norms);
  g_test_add_func ("/definition/yarn", test_yarn);
  g_test_add_data_func ("/definition/experts/softmax-of-all", GINT_TO_POINTER (FALSE), test_experts);
  g_test_add_data_func ("/definition/experts/softmax-of-used", GINT_TO_POINTER (TRUE), test_experts);
  for (guint i = 0; i < G_N_ELEMENTS (attention_cases); i++)
    {
      const AttentionCase *c = &attention_cases[i];
      g_autofree char *name = g_strdup_printf ("/definition/attention/window-%u-cap-%g%s%s", c->window, (double) c->cap, c->sinks ? "-sinks" : "",
                                               c->encoder ? "-encoder" : "");

      g_test_add_data_func (name, c, test_attention);
    }
  return g_test_run ();
}
