/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops and their variants that only some families use: Gemma's caps and windows, encoders, experts, YaRN.
 */
#include <math.h>

#include "base/limits.h"
#include "compute/ops-compare.h"

static void
test_activations (void)
{
  for (guint act = 0; act < LLM_N_ACTS; act++)
    for (guint alone = 0; alone < (act == LLM_ACT_SWIGLU_CLAMPED ? 1 : 2); alone++)
      {
        g_autoptr (OpsModel) model = ops_model_new (NULL, act);
        LlmValueId x = llm_plan_scale (model->plan, ops_model_input (model, OPS_N_TOKENS, 77), 5, 0); /* beyond what is clamped */
        LlmValueId z = llm_plan_scale (model->plan, ops_model_input (model, OPS_N_TOKENS, 77), 5, 0);

        ops_model_finish (model, llm_plan_glu (model->plan, (LlmActivation) act, x, alone ? LLM_NONE : z));
        ops_compare_one ("activation", model, 5, LLM_DTYPE_F32);
      }
}

static void
test_scale (void)
{
  static const float cases[][2] = { { 3, 0 }, { -0.25f, 0 }, { 1, 2 }, { 40, 30 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, i);

      ops_model_finish (model, llm_plan_scale (model->plan, ops_model_input (model, OPS_N_TOKENS, 130 + i), cases[i][0], cases[i][1]));
      ops_compare_one ("scale", model, 3, LLM_DTYPE_F32);
    }
}

static void
test_embed_from (void)
{
  for (guint source = 0; source < LLM_N_EMBEDS; source++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, source);
      LlmWeightId w = ops_model_weight (model, LLM_DTYPE_F16, 40, 35);

      ops_model_finish (model, llm_plan_embed_from (model->plan, w, (LlmEmbedSource) source, source == 0 ? 11.3f : 1));
      ops_compare_one ("embed from", model, 7, LLM_DTYPE_F16);
    }
}

/* Heads by themselves, and the layer norm with and without a bias. */
static void
test_norms (void)
{
  static const guint groups[][2] = { { 1, 48 }, { 4, 48 }, { 3, 128 }, { 24, 2 }, { 2, 600 } };

  for (guint i = 0; i < G_N_ELEMENTS (groups); i++)
    {
      guint width = groups[i][0] * groups[i][1];
      g_autoptr (OpsModel) model = ops_model_new (NULL, i);
      LlmWeightId head = ops_model_weight (model, LLM_DTYPE_F32, 1, groups[i][1]);
      LlmWeightId gain = ops_model_weight (model, LLM_DTYPE_F32, 1, width), bias = ops_model_weight (model, LLM_DTYPE_F32, 1, width);
      LlmValueId x = llm_plan_rms_norm (model->plan, ops_model_input (model, OPS_N_TOKENS, width), head, 1e-5f);

      ops_model_finish (model, llm_plan_layer_norm (model->plan, x, gain, i % 2 != 0 ? bias : LLM_NONE, 1e-5f));
      ops_compare_one ("norms", model, 6, LLM_DTYPE_F32);
    }
}

static void
test_yarn (void)
{
  LlmRopeParams p = { 2, 64, 64, FALSE, 150000, 32, 1.35f, 4096, 32, 1 };
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (9, 2, 50000, 2048, OPS_N_TOKENS, 1);
  LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 128), z = ops_model_input (model, OPS_N_TOKENS, 128);

  llm_plan_rope (model->plan, x, LLM_NONE, &p);
  p.magnitude = 1; /* the same angles at another length are another table */
  llm_plan_rope (model->plan, z, LLM_NONE, &p);
  ops_model_finish (model, llm_plan_add (model->plan, x, z));
  ops_compare ("yarn", model, &batch, 1, LLM_DTYPE_F32);
}

/* Windows shorter and longer than a page, caps, sinks; a prompt and single steps. */
static void
test_attention (void)
{
  static const struct {
    guint window;
    float cap;
    gboolean sinks, half;
  } cases[] = { { 1, 0, FALSE, FALSE }, { 16, 0, TRUE, TRUE }, { 32, 0, FALSE, TRUE }, { 45, 2, TRUE, FALSE }, { 0, 1, FALSE, TRUE }, { 0, 0, TRUE, FALSE } };

  for (guint c = 0; c < G_N_ELEMENTS (cases); c++)
    {
      LlmKvLayout kv = { 1, 2, 24, 40, LLM_KV_PAGE_TOKENS, cases[c].half ? LLM_DTYPE_F16 : LLM_DTYPE_F32 };
      LlmAttentionParams p = { 0, 6, 0.4f, cases[c].window, cases[c].cap };
      LlmRopeParams rope = { 2, 24, 24, FALSE, 10000, 1 };
      g_autoptr (OpsModel) model = ops_model_new (&kv, c);
      g_autoptr (GPtrArray) batches = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);
      LlmPlan *plan = model->plan;
      LlmValueId q = ops_model_input (model, OPS_N_TOKENS, 6 * 24), k = ops_model_input (model, OPS_N_TOKENS, 48), v = ops_model_input (model, OPS_N_TOKENS, 80);

      llm_plan_rope (plan, k, LLM_NONE, &rope);
      llm_plan_kv_write (plan, 0, k, v);
      ops_model_finish (model, llm_plan_attention_with_sinks (plan, q, cases[c].sinks ? ops_model_weight (model, LLM_DTYPE_F32, 1, 6) : LLM_NONE, &p));
      g_ptr_array_add (batches, ops_batch_new (140, 2, 0, 4, OPS_N_TOKENS, 1));
      for (guint step = 0; step < 4; step++)
        g_ptr_array_add (batches, ops_batch_new (2, 2, 70 + step, 4, OPS_N_TOKENS, 2 + step));
      ops_compare ("attention", model, (OpsBatch *const *) batches->pdata, batches->len, kv.dtype);
    }
}

/* Every row sees all rows of its text. */
static void
test_encoder (void)
{
  LlmKvLayout kv = { 1, 4, 16, 16, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };
  LlmAttentionParams p = { 0, 4, 0.25f };
  g_autoptr (OpsModel) model = ops_model_new (&kv, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (3 * 37, 3, 0, 2, OPS_N_TOKENS, 1);
  LlmValueId q = ops_model_input (model, OPS_N_TOKENS, 64), k = ops_model_input (model, OPS_N_TOKENS, 64);
  guint32 n_keys[3 * 37];

  for (guint r = 0; r < G_N_ELEMENTS (n_keys); r++)
    n_keys[r] = 37;
  batch->batch.n_keys = n_keys;
  llm_plan_kv_write (model->plan, 0, k, q);
  ops_model_finish (model, llm_plan_attention (model->plan, q, &p));
  ops_compare ("encoder", model, &batch, 1, kv.dtype);
}

/* Among equals the lower index comes first, -0 and 0 being equal; as many as there are, and more than a workgroup has threads. */
static void
test_route (void)
{
  static const struct {
    guint n, k;
    float scale;
  } cases[] = { { 9, 4, 0 }, { 1, 1, 1 }, { 8, 8, 1 }, { LLM_MODEL_MAX_EXPERTS, 100, 1 }, { 200, 200, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      LlmRouteParams route = { cases[i].k, i % 2 == 0, 2.5f };
      g_autoptr (OpsModel) model = ops_model_new (NULL, i);
      LlmValueId x = llm_plan_scale (model->plan, ops_model_input (model, OPS_N_TOKENS, cases[i].n), cases[i].scale, 0);

      ops_model_finish (model, llm_plan_route (model->plan, x, &route));
      ops_compare_one ("route", model, 5, LLM_DTYPE_F32);
    }
}

void
ops_families_add_tests (void)
{
  g_test_add_func ("/ops/activations", test_activations);
  g_test_add_func ("/ops/scale", test_scale);
  g_test_add_func ("/ops/embed/from", test_embed_from);
  g_test_add_func ("/ops/norms", test_norms);
  g_test_add_func ("/ops/rope/yarn", test_yarn);
  g_test_add_func ("/ops/route", test_route);
  g_test_add_func ("/ops/attention/variants", test_attention);
  g_test_add_func ("/ops/attention/encoder", test_encoder);
}
