/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every op of the device in LLM_TEST_DEVICE ("cpu", "cpu:avx2", "vulkan0") against the scalar
 * definition: no further from it than the device states, and no row touched by those beside it.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/isa-emulator.h"
#include "compute/ops-compare.h"

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

/* Every op of a run is counted while the profile is on, and only then; what comes out does not change. */
static void
test_profile (void)
{
  LlmKvLayout layout = { 1, 1, 16, 16, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };
  g_autoptr (OpsModel) model = ops_model_new (&layout, 6);
  g_autoptr (OpsBatch) batch = ops_batch_new (20, 1, 0, 1, OPS_N_TOKENS, 1);
  LlmRunLimits limits = ops_limits (batch);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autoptr (LlmKvBuffer) kv = llm_device_kv_new (ops_device, &layout, 1, NULL);
  g_autofree float *plain = NULL, *after = NULL;
  const LlmOpProfile *profile;
  guint64 ns = 0;
  guint n_ops;

  attention_model (model, 2);
  executable = llm_device_compile (ops_device, model->plan, &limits, NULL);
  plain = ops_run (executable, kv, &batch->batch, 32);
  profile = llm_executable_profile (executable, &n_ops);
  for (guint run = 0; run < 2; run++)
    {
      g_autofree float *timed = NULL;

      g_assert_cmpuint (profile[0].calls, ==, run);
      llm_executable_set_profiling (executable, TRUE);
      timed = ops_run (executable, kv, &batch->batch, 32);
      llm_executable_set_profiling (executable, FALSE);
      after = (g_free (after), ops_run (executable, kv, &batch->batch, 32));
      g_assert_cmpmem (plain, batch->batch.n_out * 32 * sizeof (float), timed, batch->batch.n_out * 32 * sizeof (float));
      g_assert_cmpmem (plain, batch->batch.n_out * 32 * sizeof (float), after, batch->batch.n_out * 32 * sizeof (float));
    }
  for (guint i = 0; i < n_ops; i++)
    {
      LlmOpCost cost = llm_plan_op_cost (model->plan, i, batch->batch.n_rows, batch->batch.n_out, 10.5); /* 1 to 20 keys */

      g_assert_cmpuint (profile[i].calls, ==, 2);
      g_assert_cmpuint (profile[i].bytes, ==, 2 * cost.bytes);
      g_assert_cmpuint (profile[i].flops, ==, 2 * cost.flops);
      g_assert_cmpuint (profile[i].ns, <, 10 * (guint64) 1000000000);
      ns += profile[i].ns;
    }
  g_assert_cmpuint (ns, >, 0);
}

/* Two executables of the same weights; each lives without the other. */
static void
test_two_executables (void)
{
  g_autoptr (OpsModel) model = ops_model_new (NULL, 7);
  g_autoptr (OpsBatch) batch = ops_batch_new (5, 1, 0, 1, OPS_N_TOKENS, 1);
  LlmRunLimits limits = ops_limits (batch);
  g_autoptr (LlmExecutable) first = NULL, second = NULL;
  g_autoptr (LlmKvBuffer) kv = llm_device_kv_new (ops_device, &model->kv, 1, NULL);
  g_autofree float *one = NULL, *two = NULL, *again = NULL;
  LlmValueId x = ops_model_input (model, OPS_N_TOKENS, 64);

  ops_model_finish (model, llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_F32, 48, 64), x, LLM_NONE, LLM_NONE));
  first = llm_device_compile (ops_device, model->plan, &limits, NULL);
  second = llm_device_compile (ops_device, model->plan, &limits, NULL);
  if (llm_device_info (ops_device)->type != LLM_DEVICE_CPU) /* which maps them */
    g_assert_cmpuint (llm_executable_memory_bytes (second) + 48 * 64 * sizeof (float), <=, llm_executable_memory_bytes (first));
  one = ops_run (first, kv, &batch->batch, 48);
  two = ops_run (second, kv, &batch->batch, 48);
  g_clear_pointer (&first, llm_executable_free);
  again = ops_run (second, kv, &batch->batch, 48);
  g_assert_cmpmem (one, 5 * 48 * sizeof (float), two, 5 * 48 * sizeof (float));
  g_assert_cmpmem (one, 5 * 48 * sizeof (float), again, 5 * 48 * sizeof (float));
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
  if (g_str_equal (spec, "cpu:amx") || g_str_equal (spec, "cpu:avx-vnni"))
    llm_test_isa_emulate ();
  ops_slow = g_str_equal (spec, "cpu:avx-vnni") && llm_test_isa_emulates ("avx-vnni");
  ops_device = open_device (spec, &error);
  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    {
      g_print ("1..0 # SKIP %s: %s\n", spec, error->message);
      return 0;
    }
  g_assert_no_error (error);
  ops_scalar = open_device ("cpu:scalar", &error);
  g_assert_no_error (error);
  g_test_add_func ("/ops/elementwise", test_elementwise);
  g_test_add_func ("/ops/rms-norm", test_rms_norm);
  g_test_add_func ("/ops/rope", test_rope);
  g_test_add_func ("/ops/select-rows", test_select_rows);
  g_test_add_func ("/ops/attention", test_attention);
  g_test_add_func ("/ops/attention/far", test_attention_far);
  g_test_add_func ("/ops/no-out", test_no_out);
  g_test_add_func ("/ops/two-caches", test_two_caches);
  g_test_add_func ("/ops/profile", test_profile);
  ops_types_add_tests ();
  g_test_add_func ("/ops/two-executables", test_two_executables);
  ops_families_add_tests ();
  ops_attention_add_tests ();
  status = g_test_run ();
  llm_device_free (ops_device);
  llm_device_free (ops_scalar);
  return status;
}
