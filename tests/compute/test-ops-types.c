/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops that take a weight, with weights of every type.
 */
#include "base/limits.h"
#include "compute/cpu/unpack.h"
#include "compute/ops-compare.h"

/* The nearest whole number of blocks, at least one. */
static guint
whole (const LlmDtypeInfo *dtype, guint n)
{
  return MAX (n / dtype->block_elems, 1) * dtype->block_elems;
}

static void
test_embed (gconstpointer data)
{
  const LlmDtypeInfo *dtype = data;

  for (guint width = 1; width < 300; width += 97)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, width);

      ops_model_finish (model, llm_plan_embed (model->plan, ops_model_weight (model, (LlmDtype) dtype->id, OPS_N_TOKENS, whole (dtype, width))));
      ops_compare_one (dtype->name, model, 9, (LlmDtype) dtype->id);
    }
}

/* Tails of rows, columns and inputs; the last shape has more columns than a tile of any kernel. */
static void
test_matmul (gconstpointer data)
{
  static const guint rows[] = { 1, 2, 3, 4, 5, 8, 33 };
  static const guint shapes[][2] = { { 1, 32 }, { 31, 97 }, { 33, 160 }, { 37, 896 }, { 70, 768 }, { 5, 4096 + 256 + 37 } };
  const LlmDtypeInfo *dtype = data;

  for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, s);
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, whole (dtype, shapes[s][1]));
      LlmWeightId w = ops_model_weight (model, (LlmDtype) dtype->id, shapes[s][0], whole (dtype, shapes[s][1]));

      ops_model_finish (model, llm_plan_matmul (model->plan, w, x, LLM_NONE, LLM_NONE));
      for (guint r = shapes[s][0] == 1 ? 2 : 0; r < G_N_ELEMENTS (rows); r++) /* one number has no deviation */
        if (!ops_slow || rows[r] * shapes[s][0] * shapes[s][1] < 120000)
          ops_compare_one (dtype->name, model, rows[r], (LlmDtype) dtype->id);
    }
}

/* Bias, residual, and the product of the rows that were selected first. */
static void
test_sums (gconstpointer data)
{
  const LlmDtypeInfo *dtype = data;
  guint width = whole (dtype, 64);
  g_autoptr (OpsModel) model = ops_model_new (NULL, dtype->id);
  LlmPlan *plan = model->plan;
  LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width), z = ops_model_input (model, OPS_N_TOKENS, 45);
  LlmWeightId w = ops_model_weight (model, (LlmDtype) dtype->id, 45, width), b = ops_model_weight (model, LLM_DTYPE_F32, 1, 45);
  LlmValueId y = llm_plan_matmul (plan, w, x, b, z);

  y = llm_plan_add (plan, y, llm_plan_matmul (plan, w, x, LLM_NONE, y)); /* the same input again */
  y = llm_plan_matmul (plan, ops_model_weight (model, LLM_DTYPE_F32, 50, 45), llm_plan_select_rows (plan, y), LLM_NONE, LLM_NONE);
  ops_model_finish (model, y);
  ops_compare_one (dtype->name, model, 7, (LlmDtype) dtype->id);
}

/* A value that changes in place between two products must be read anew. */
static void
test_after_rope (gconstpointer data)
{
  const LlmDtypeInfo *dtype = data;
  guint width = whole (dtype, 64);
  LlmRopeParams rope = { width / 32, 32, 32, FALSE, 100, 1 };
  g_autoptr (OpsModel) model = ops_model_new (NULL, dtype->id);
  LlmPlan *plan = model->plan;
  LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width), y;
  LlmWeightId w = ops_model_weight (model, (LlmDtype) dtype->id, 40, width);

  y = llm_plan_matmul (plan, w, x, LLM_NONE, LLM_NONE);
  llm_plan_rope (plan, x, LLM_NONE, &rope);
  ops_model_finish (model, llm_plan_matmul (plan, w, x, LLM_NONE, y));
  ops_compare_one (dtype->name, model, 40, (LlmDtype) dtype->id);
}

/* Up and down through 3 of 11 experts. */
static void
test_experts (gconstpointer data)
{
  static const guint rows[] = { 1, 7, 150 }; /* 150: about 40 for each expert, enough for every kernel */
  const LlmDtypeInfo *dtype = data;

  for (guint i = 0; i < (ops_slow ? 2 : G_N_ELEMENTS (rows)); i++)
    {
      LlmRouteParams route = { 3, i == 0, 1 };
      LlmExpertParams p = { 11, 3 };
      g_autoptr (OpsModel) model = ops_model_new (NULL, i);
      LlmPlan *plan = model->plan;
      guint width = whole (dtype, 96), inner = whole (dtype, 64);
      LlmValueId z = llm_plan_route (plan, ops_model_input (model, OPS_N_TOKENS, 11), &route);
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width), h;
      LlmWeightId up = ops_model_weight (model, (LlmDtype) dtype->id, 11 * inner, width), down = ops_model_weight (model, (LlmDtype) dtype->id, 11 * 37, inner);

      h = llm_plan_expert_matmul (plan, up, x, z, ops_model_weight (model, LLM_DTYPE_F32, 1, 11 * inner), &p);
      if (i < 2)
        h = llm_plan_expert_matmul (plan, down, h, z, LLM_NONE, &p);
      ops_model_finish (model, llm_plan_expert_mix (plan, h, z, &p));
      ops_compare_one (dtype->name, model, rows[i], (LlmDtype) dtype->id);
    }
}

/* One layer's attention and an output. */
static void
layer (OpsModel *model, const LlmDtypeInfo *dtype, guint width, guint n_out)
{
  LlmPlan *plan = model->plan;
  LlmDtype id = (LlmDtype) dtype->id;
  LlmAttentionParams p = { 0, 8, 0.2f };
  LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width), y;

  x = llm_plan_rms_norm (plan, x, ops_model_weight (model, LLM_DTYPE_F32, 1, width), 1e-5f);
  llm_plan_kv_write (plan, 0, llm_plan_matmul (plan, ops_model_weight (model, id, 64, width), x, LLM_NONE, LLM_NONE),
                     llm_plan_matmul (plan, ops_model_weight (model, id, 64, width), x, LLM_NONE, LLM_NONE));
  y = llm_plan_attention (plan, llm_plan_matmul (plan, ops_model_weight (model, id, 256, width), x, LLM_NONE, LLM_NONE), &p);
  ops_model_finish (model, llm_plan_matmul (plan, ops_model_weight (model, id, n_out, 256), llm_plan_select_rows (plan, y), LLM_NONE, LLM_NONE));
}

/* @n_rows rows in one batch are bit by bit what they are in parts of @part rows. */
static void
parts_are_same (const OpsModel *model, guint n_rows, guint part, guint width)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);
  g_autoptr (OpsBatch) together = ops_batch_new (n_rows, 1, 0, 2, OPS_N_TOKENS, 9);
  g_autofree float *a = NULL, *b = NULL;
  gsize n;

  for (guint first = 0; first < n_rows; first += part)
    {
      OpsBatch *batch = ops_batch_new (part, 1, first, 2, OPS_N_TOKENS, 9);

      for (guint r = 0; r < part; r++)
        batch->token[r] = together->token[first + r];
      g_ptr_array_add (parts, batch);
    }
  a = ops_run_on (ops_device, model, &together, 1, &n);
  b = ops_run_on (ops_device, model, (OpsBatch *const *) parts->pdata, parts->len, &n);
  for (guint r = 0; r < n_rows; r++) /* out rows come in reverse */
    g_assert_cmpmem (a + (gsize) (n_rows - 1 - r) * width, width * sizeof (float), b + ((gsize) r / part * part + part - 1 - r % part) * width,
                     width * sizeof (float));
}

/* Batch-mates change nothing, among the few that share one kernel (LLM_GEMV_ROWS), and among the many that share the others: lanes,
 * and from 32 rows on tiles. */
static void
test_rows_alone (gconstpointer data)
{
  const LlmDtypeInfo *dtype = data;
  LlmKvLayout kv = { 1, 2, 32, 32, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F16 };
  g_autoptr (OpsModel) model = ops_model_new (&kv, dtype->id);
  guint width = 70;

  layer (model, dtype, whole (dtype, 96), width);
  parts_are_same (model, LLM_GEMV_ROWS, 1, width);
  if (ops_slow)
    return;
  parts_are_same (model, 4, 2, width);
  parts_are_same (model, 21, 7, width);
  parts_are_same (model, 22, 11, width);
  parts_are_same (model, 64, 32, width);
}

void
ops_types_add_tests (void)
{
  static const struct {
    const char *name;
    GTestDataFunc func;
  } tests[] = {
    { "embed", test_embed }, { "matmul", test_matmul }, { "matmul/sums", test_sums }, { "matmul/after-rope", test_after_rope },
    { "experts", test_experts }, { "rows-alone", test_rows_alone },
  };

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (guint32 id = 0; id < 64; id++)
      {
        const LlmDtypeInfo *dtype = llm_dtype_info (id);
        g_autofree char *path = NULL;

        if (dtype == NULL || dtype->decode == NULL)
          continue;
        path = g_strdup_printf ("/ops/%s/%s", tests[i].name, dtype->name);
        g_test_add_data_func (path, dtype, tests[i].func);
      }
}
