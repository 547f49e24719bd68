/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every op of the device in LLM_TEST_DEVICE ("cpu", "cpu:avx2", "vulkan0") against the scalar
 * definition: no further from it than the device states, and no row touched by those beside it.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/ops-compare.h"

static const LlmDtype dtypes[] = { LLM_DTYPE_F32, LLM_DTYPE_F16, LLM_DTYPE_Q8_0, LLM_DTYPE_Q4_0 };

static guint
odd_width (LlmDtype dtype, guint n)
{
  guint block = llm_dtype_info (dtype)->block_elems;

  return MAX (n / block, 1) * block;
}

static void
test_embed (void)
{
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    for (guint width = 1; width < 300; width += 97)
      {
        g_autoptr (OpsModel) model = ops_model_new (NULL, width);

        ops_model_finish (model, llm_plan_embed (model->plan, ops_model_weight (model, dtypes[d], OPS_N_TOKENS, odd_width (dtypes[d], width))));
        ops_compare_one (llm_dtype_info (dtypes[d])->name, model, 9, dtypes[d]);
      }
}

static void
test_matmul (void)
{
  static const guint rows[] = { 1, 2, 3, 4, 5, 8, 33 };
  static const guint shapes[][2] = { { 1, 32 }, { 31, 97 }, { 33, 160 }, { 70, 512 }, { 5, 4096 + 37 } };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
      {
        g_autoptr (OpsModel) model = ops_model_new (NULL, s);
        LlmValueId x = ops_model_input (model, OPS_N_TOKENS, odd_width (dtypes[d], shapes[s][1]));
        LlmWeightId w = ops_model_weight (model, dtypes[d], shapes[s][0], odd_width (dtypes[d], shapes[s][1]));

        ops_model_finish (model, llm_plan_matmul (model->plan, w, x, LLM_NONE, LLM_NONE));
        for (guint r = shapes[s][0] == 1 ? 2 : 0; r < G_N_ELEMENTS (rows); r++) /* one number has no deviation */
          ops_compare_one (llm_dtype_info (dtypes[d])->name, model, rows[r], dtypes[d]);
      }
}

/* Bias, residual, and the product of the rows that were selected first. */
static void
test_matmul_sums (void)
{
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, d);
      LlmPlan *plan = model->plan;
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 64), z = ops_model_input (model, OPS_N_TOKENS, 45);
      LlmWeightId w = ops_model_weight (model, dtypes[d], 45, 64), b = ops_model_weight (model, LLM_DTYPE_F32, 1, 45);
      LlmValueId y = llm_plan_matmul (plan, w, x, b, z);

      y = llm_plan_add (plan, y, llm_plan_matmul (plan, w, x, LLM_NONE, y)); /* the same input again */
      y = llm_plan_matmul (plan, ops_model_weight (model, LLM_DTYPE_F32, 50, 45), llm_plan_select_rows (plan, y), LLM_NONE, LLM_NONE);
      ops_model_finish (model, y);
      ops_compare_one (llm_dtype_info (dtypes[d])->name, model, 7, dtypes[d]);
    }
}

/* A value that changes in place between two products must be read anew. */
static void
test_matmul_after_rope (void)
{
  LlmRopeParams rope = { 2, 32, 32, FALSE, 100, 1 };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, d);
      LlmPlan *plan = model->plan;
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 64), y;
      LlmWeightId w = ops_model_weight (model, dtypes[d], 40, 64);

      y = llm_plan_matmul (plan, w, x, LLM_NONE, LLM_NONE);
      llm_plan_rope (plan, x, LLM_NONE, &rope);
      ops_model_finish (model, llm_plan_matmul (plan, w, x, LLM_NONE, y));
      ops_compare_one (llm_dtype_info (dtypes[d])->name, model, 30, dtypes[d]);
    }
}

static void
test_elementwise (void)
{
  for (guint width = 1; width < 700; width += 117)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, width);
      LlmPlan *plan = model->plan;
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width), z = ops_model_input (model, OPS_N_TOKENS, width), y;

      y = llm_plan_glu (plan, LLM_ACT_SILU, x, z);
      ops_model_finish (model, llm_plan_add (plan, y, z));
      ops_compare_one ("glu, add", model, 1 + (width == 1) + width % 5, LLM_DTYPE_F32);
    }
}

static void
test_rms_norm (void)
{
  for (guint width = 2; width < 1200; width += 213)
    {
      g_autoptr (OpsModel) model = ops_model_new (NULL, width);
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, width);

      ops_model_finish (model, llm_plan_rms_norm (model->plan, x, ops_model_weight (model, LLM_DTYPE_F32, 1, width), 1e-5f));
      ops_compare_one ("rms-norm", model, 6, LLM_DTYPE_F32);
    }
}

/* Both pairings, fewer dims than the head has, factors, and two tables in one plan; near and far. */
static void
test_rope (void)
{
  static const guint dims[][2] = { { 8, 8 }, { 64, 64 }, { 80, 40 }, { 128, 128 }, { 256, 64 } };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (dims); i++)
    for (guint first = 0; first <= 131040; first += 131040)
      {
        g_autoptr (OpsModel) model = ops_model_new (NULL, i);
        g_autoptr (OpsBatch) batch = ops_batch_new (7, 3, first, 4096, OPS_N_TOKENS, i);
        LlmRopeParams p = { 3, dims[i / 2][0], dims[i / 2][1], i % 2 != 0, 500000, 1 };
        LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 3 * p.head_dim), z = ops_model_input (model, OPS_N_TOKENS, 3 * p.head_dim);
        LlmWeightId factors = ops_model_weight (model, LLM_DTYPE_F32, 1, p.dim / 2);
        float *f = (float *) (gpointer) g_ptr_array_index (model->data, model->data->len - 1);

        for (guint k = 0; k < p.dim / 2; k++)
          {
            float one = 1 + (float) k;

            memcpy ((guint8 *) f + 1 + 4 * k, &one, sizeof one);
          }
        llm_plan_rope (model->plan, x, LLM_NONE, &p);
        p.scale = 4;
        llm_plan_rope (model->plan, z, factors, &p);
        p.scale = 1;
        llm_plan_rope (model->plan, x, LLM_NONE, &p);
        ops_model_finish (model, llm_plan_add (model->plan, x, z));
        ops_compare ("rope", model, &batch, 1, LLM_DTYPE_F32);
      }
}

/* Rows in no order, some twice, and none. */
static void
test_select_rows (void)
{
  static const guint32 wanted[] = { 4, 0, 4, 2 };
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (5, 1, 0, 1, OPS_N_TOKENS, 1);

  ops_model_finish (model, ops_model_input (model, OPS_N_TOKENS, 37));
  memcpy (batch->out_row, wanted, sizeof wanted);
  batch->batch.n_out = G_N_ELEMENTS (wanted);
  ops_compare ("select-rows", model, &batch, 1, LLM_DTYPE_F32);
}

static void
attention_model (OpsModel *model, guint n_heads)
{
  const LlmKvLayout *kv = &model->kv;
  LlmPlan *plan = model->plan;
  LlmValueId y = LLM_NONE;

  for (guint layer = 0; layer < kv->n_layers; layer++)
    {
      LlmValueId q = ops_model_input (model, OPS_N_TOKENS, n_heads * kv->head_dim_k), k = ops_model_input (model, OPS_N_TOKENS, kv->n_kv_heads * kv->head_dim_k);
      LlmValueId v = ops_model_input (model, OPS_N_TOKENS, kv->n_kv_heads * kv->head_dim_v), out;
      LlmRopeParams rope = { kv->n_kv_heads, kv->head_dim_k, kv->head_dim_k, FALSE, 10000, 1 };
      LlmAttentionParams p = { layer, n_heads, 1 / sqrtf ((float) kv->head_dim_k) };

      llm_plan_rope (plan, k, LLM_NONE, &rope); /* else equal tokens have equal keys */
      llm_plan_kv_write (plan, layer, k, v);
      out = llm_plan_attention (plan, q, &p);
      y = y == LLM_NONE ? out : llm_plan_add (plan, y, out);
    }
  ops_model_finish (model, y);
}

/* A prompt in one run, then single steps, over the border of a page; several slots in turn. */
static void
test_attention (void)
{
  static const struct {
    guint n_heads, n_kv_heads, k, v, n_slots;
  } cases[] = { { 1, 1, 8, 8, 1 }, { 4, 4, 16, 16, 3 }, { 6, 2, 24, 40, 2 }, { 8, 1, 64, 64, 1 }, { 9, 3, 80, 80, 4 }, { 2, 1, 256, 128, 2 } };

  for (guint c = 0; c < 2 * G_N_ELEMENTS (cases); c++)
    {
      guint i = c / 2, n_slots = cases[i].n_slots, prompt = 61;
      LlmKvLayout kv = { 2, cases[i].n_kv_heads, cases[i].k, cases[i].v, LLM_KV_PAGE_TOKENS, c % 2 != 0 ? LLM_DTYPE_F16 : LLM_DTYPE_F32 };
      g_autoptr (OpsModel) model = ops_model_new (&kv, c);
      g_autoptr (GPtrArray) batches = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);

      attention_model (model, cases[i].n_heads);
      g_ptr_array_add (batches, ops_batch_new (prompt * n_slots, n_slots, 0, 4, OPS_N_TOKENS, 1));
      for (guint step = 0; step < 5; step++)
        g_ptr_array_add (batches, ops_batch_new (n_slots, n_slots, prompt + step, 4, OPS_N_TOKENS, 2 + step));
      ops_compare (c % 2 != 0 ? "attention, F16 pages" : "attention, F32 pages", model, (OpsBatch *const *) batches->pdata, batches->len, kv.dtype);
    }
}

/* Beyond what scores fit on a stack; the pages before are zeros. */
static void
test_attention_far (void)
{
  LlmKvLayout kv = { 1, 1, 16, 16, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F16 };
  g_autoptr (OpsModel) model = ops_model_new (&kv, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (3, 2, 9000, 300, OPS_N_TOKENS, 3);

  attention_model (model, 2);
  ops_compare ("attention far away", model, &batch, 1, kv.dtype);
}

/* Every row of a batch is bit by bit what it is alone. */
static void
test_rows_alone (void)
{
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    {
      LlmKvLayout kv = { 1, 2, 32, 32, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F16 };
      g_autoptr (OpsModel) model = ops_model_new (&kv, d);
      g_autoptr (GPtrArray) alone = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);
      g_autoptr (OpsBatch) together = ops_batch_new (13, 1, 0, 1, OPS_N_TOKENS, 9);
      g_autofree float *a = NULL, *b = NULL;
      LlmPlan *plan = model->plan;
      LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 96), y;
      LlmAttentionParams p = { 0, 4, 0.2f };
      guint width = 70;
      gsize n;

      x = llm_plan_rms_norm (plan, x, ops_model_weight (model, LLM_DTYPE_F32, 1, 96), 1e-5f);
      llm_plan_kv_write (plan, 0, llm_plan_matmul (plan, ops_model_weight (model, dtypes[d], 64, 96), x, LLM_NONE, LLM_NONE),
                         llm_plan_matmul (plan, ops_model_weight (model, dtypes[d], 64, 96), x, LLM_NONE, LLM_NONE));
      y = llm_plan_attention (plan, llm_plan_matmul (plan, ops_model_weight (model, dtypes[d], 128, 96), x, LLM_NONE, LLM_NONE), &p);
      ops_model_finish (model, llm_plan_matmul (plan, ops_model_weight (model, dtypes[d], width, 128), llm_plan_select_rows (plan, y), LLM_NONE, LLM_NONE));
      for (guint r = 0; r < together->batch.n_rows; r++)
        {
          OpsBatch *one = ops_batch_new (1, 1, r, 1, OPS_N_TOKENS, 1);

          one->token[0] = together->token[r];
          g_ptr_array_add (alone, one);
        }
      a = ops_run_on (ops_device, model, &together, 1, &n);
      b = ops_run_on (ops_device, model, (OpsBatch *const *) alone->pdata, alone->len, &n);
      for (guint r = 0; r < together->batch.n_rows; r++) /* out rows come in reverse */
        g_assert_cmpmem (a + (gsize) (together->batch.n_rows - 1 - r) * width, width * sizeof (float), b + (gsize) r * width, width * sizeof (float));
    }
}

/* No logits wanted: the cache is filled all the same. */
static void
test_no_out (void)
{
  LlmKvLayout kv = { 1, 1, 16, 16, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };
  g_autoptr (OpsModel) model = ops_model_new (&kv, 5);
  OpsBatch *batches[2] = { ops_batch_new (40, 1, 0, 2, OPS_N_TOKENS, 1), ops_batch_new (1, 1, 40, 2, OPS_N_TOKENS, 2) };

  attention_model (model, 2);
  batches[0]->batch.n_out = 0;
  ops_compare ("nothing out", model, batches, 2, LLM_DTYPE_F32);
  ops_batch_free (batches[0]);
  ops_batch_free (batches[1]);
}

/* A second cache with the same executable, and the first one again. */
static void
test_two_caches (void)
{
  LlmKvLayout layout = { 1, 1, 16, 16, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };
  g_autoptr (OpsModel) model = ops_model_new (&layout, 6);
  g_autoptr (OpsBatch) prompt = ops_batch_new (20, 1, 0, 1, OPS_N_TOKENS, 1);
  g_autoptr (OpsBatch) step = ops_batch_new (1, 1, 20, 1, OPS_N_TOKENS, 2);
  LlmRunLimits limits = ops_limits (prompt);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autofree float *full = NULL, *empty = NULL, *again = NULL;

  attention_model (model, 2);
  executable = llm_device_compile (ops_device, model->plan, &limits, NULL);
  g_assert_nonnull (executable);
  for (guint round = 0; round < 2; round++) /* the second round's caches may stand where the first's stood */
    {
      g_autoptr (LlmKvBuffer) one = llm_device_kv_new (ops_device, &layout, 1, NULL);
      g_autoptr (LlmKvBuffer) two = llm_device_kv_new (ops_device, &layout, 1, NULL);

      g_free (ops_run (executable, one, &prompt->batch, 32));
      g_free (full);
      g_free (empty);
      g_free (again);
      full = ops_run (executable, one, &step->batch, 32);
      empty = ops_run (executable, two, &step->batch, 32);
      again = ops_run (executable, one, &step->batch, 32);
      g_assert_cmpmem (full, 32 * sizeof (float), again, 32 * sizeof (float));
      g_assert_true (memcmp (full, empty, 32 * sizeof (float)) != 0);
    }
}

static LlmDevice *
open_device (const char *spec, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (spec, ":", 2);
  LlmDevicesOptions options = { 2, parts[0] != NULL ? parts[1] : NULL, TRUE };

  return llm_devices_open (parts[0] != NULL ? parts[0] : "cpu", &options, error);
}

int
main (int argc, char **argv)
{
  const char *spec = g_getenv ("LLM_TEST_DEVICE") != NULL ? g_getenv ("LLM_TEST_DEVICE") : "cpu";
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  ops_device = open_device (spec, &error);
  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    {
      g_print ("1..0 # SKIP %s: %s\n", spec, error->message);
      return 77;
    }
  g_assert_no_error (error);
  ops_scalar = open_device ("cpu:scalar", &error);
  g_assert_no_error (error);
  g_test_add_func ("/ops/embed", test_embed);
  g_test_add_func ("/ops/matmul", test_matmul);
  g_test_add_func ("/ops/matmul/sums", test_matmul_sums);
  g_test_add_func ("/ops/matmul/after-rope", test_matmul_after_rope);
  g_test_add_func ("/ops/elementwise", test_elementwise);
  g_test_add_func ("/ops/rms-norm", test_rms_norm);
  g_test_add_func ("/ops/rope", test_rope);
  g_test_add_func ("/ops/select-rows", test_select_rows);
  g_test_add_func ("/ops/attention", test_attention);
  g_test_add_func ("/ops/attention/far", test_attention_far);
  g_test_add_func ("/ops/rows-alone", test_rows_alone);
  g_test_add_func ("/ops/no-out", test_no_out);
  g_test_add_func ("/ops/two-caches", test_two_caches);
  ops_families_add_tests ();
  status = g_test_run ();
  llm_device_free (ops_device);
  llm_device_free (ops_scalar);
  return status;
}
