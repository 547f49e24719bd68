/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attention where it is easily wrong: every tail of a head, groups and pages and windows that end together
 * and just beside, scores from nothing to far beyond exp, short runs beside long ones; and that the bits of a
 * row come from its own keys alone, whatever the batch and the threads.
 */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "compute/ops-compare.h"

typedef struct {
  guint n_heads, n_kv_heads, dim_k, dim_v;
  LlmDtype dtype;
  guint window;
  float cap, q_scale, k_scale;
  gboolean sinks;
} Shape;

static OpsModel *
model_of (const Shape *s, guint32 seed)
{
  LlmKvLayout kv = { 1, s->n_kv_heads, s->dim_k, s->dim_v, LLM_KV_PAGE_TOKENS, s->dtype };
  LlmAttentionParams p = { 0, s->n_heads, 1 / sqrtf ((float) s->dim_k), s->window, s->cap };
  LlmRopeParams rope = { s->n_kv_heads, s->dim_k, s->dim_k & ~1u, FALSE, 10000, 1 };
  OpsModel *model = ops_model_new (&kv, seed);
  LlmPlan *plan = model->plan;
  LlmValueId q = ops_model_input (model, OPS_N_TOKENS, s->n_heads * s->dim_k), k = ops_model_input (model, OPS_N_TOKENS, s->n_kv_heads * s->dim_k);
  LlmValueId v = ops_model_input (model, OPS_N_TOKENS, s->n_kv_heads * s->dim_v);
  LlmWeightId sinks = LLM_NONE;

  if (s->dim_k > 1)
    llm_plan_rope (plan, k, LLM_NONE, &rope);
  if (s->k_scale != 0)
    k = llm_plan_scale (plan, k, s->k_scale, 0);
  if (s->q_scale != 0)
    q = llm_plan_scale (plan, q, s->q_scale, 0);
  llm_plan_kv_write (plan, 0, k, v);
  if (s->sinks)
    {
      const float beyond = 1e4f;

      sinks = ops_model_weight (model, LLM_DTYPE_F32, 1, s->n_heads);
      memcpy ((guint8 *) g_ptr_array_index (model->data, model->data->len - 1) + 1, &beyond, sizeof beyond); /* all there is to see for head 0 */
    }
  ops_model_finish (model, llm_plan_attention_with_sinks (plan, q, sinks, &p));
  return model;
}

/* @n rows of @slot from position @first on, at row @at of the batch. */
static void
place (OpsBatch *batch, guint at, guint slot, guint first, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      batch->slot[at + i] = slot;
      batch->position[at + i] = first + i;
    }
}

/* A prompt for each of two slots, then a batch of single rows, a short run and a long one. */
static GPtrArray *
batches_of (guint prompt)
{
  GPtrArray *batches = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);
  OpsBatch *batch = ops_batch_new (2 * prompt, 3, 0, 20, OPS_N_TOKENS, 1);

  place (batch, 0, 1, 0, prompt);
  place (batch, prompt, 0, 0, prompt);
  g_ptr_array_add (batches, batch);
  batch = ops_batch_new (1 + 3 + 40 + 1, 3, 0, 20, OPS_N_TOKENS, 2);
  place (batch, 0, 0, prompt, 1);
  place (batch, 1, 1, prompt, 3);
  place (batch, 4, 2, 0, 40);
  place (batch, 44, 0, prompt + 1, 1);
  g_ptr_array_add (batches, batch);
  return batches;
}

static void
compare_shape (const char *what, const Shape *shape, guint prompt, double stated)
{
  g_autoptr (OpsModel) model = model_of (shape, shape->dim_k);
  g_autoptr (GPtrArray) batches = batches_of (prompt);

  ops_compare_within (what, model, (OpsBatch *const *) batches->pdata, batches->len, stated > 0 ? stated : llm_device_noise (ops_device, llm_dtype_info (shape->dtype)));
}

/* The software Vulkan device is slow: every third case must do there. */
static gboolean
is_left_out (guint i)
{
  return i % 3 != 0 && llm_device_info (ops_device)->type != LLM_DEVICE_CPU;
}

static void
test_tails (void)
{
  for (guint dim = 1; dim <= 49; dim += dim < 33 ? 1 : 5)
    {
      Shape shape = { 3, 1, dim, 50 - dim, dim % 2 ? LLM_DTYPE_F16 : LLM_DTYPE_F32 };

      if (!is_left_out (dim))
        compare_shape ("tail", &shape, 37, 0);
    }
}

static void
test_windows (void)
{
  static const guint windows[] = { 1, 31, 32, 33, 96, 127, 128, 129, 160, 256, 299, 300, 301 };

  for (guint i = 0; i < G_N_ELEMENTS (windows); i++)
    {
      Shape shape = { 4, 2, 16, 16, i % 2 ? LLM_DTYPE_F16 : LLM_DTYPE_F32, windows[i], .sinks = i % 3 == 0 };

      if (!is_left_out (i))
        compare_shape ("window", &shape, 300, 0);
    }
}

/* Prompts that end on, before and behind the borders of pages and groups. */
static void
test_lengths (void)
{
  static const guint prompts[] = { 1, 7, 31, 32, 63, 127, 128, 129, 255, 256, 257, 500 };

  for (guint i = 0; i < G_N_ELEMENTS (prompts); i++)
    {
      Shape shape = { 8, i % 2 ? 8 : 2, 32, 32, i % 3 ? LLM_DTYPE_F16 : LLM_DTYPE_F32, .cap = i % 4 == 3 ? 3 : 0 };

      if (!is_left_out (i))
        compare_shape ("length", &shape, prompts[i], 0);
    }
}

/* The softmax picks one key, or takes all alike; keys below the smallest normal half. Near scores of 1e4 a rounding
 * of 2^-24 is a thousandth, and so is what two keys that come close to each other get; a small half that is rounded
 * the other way is off by some hundredths. */
static void
test_magnitudes (void)
{
  static const Shape shapes[] = {
    { 4, 2, 32, 32, LLM_DTYPE_F32, .q_scale = 1e4f }, { 4, 2, 32, 32, LLM_DTYPE_F16, .q_scale = -1e4f, .sinks = TRUE },
    { 4, 2, 32, 32, LLM_DTYPE_F32, .q_scale = 1e-39f }, { 4, 2, 32, 32, LLM_DTYPE_F16, .k_scale = 1e-6f, .q_scale = 1e6f },
    { 4, 2, 32, 32, LLM_DTYPE_F16, .q_scale = 30, .cap = 50 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    compare_shape ("magnitude", &shapes[i], 200, shapes[i].k_scale != 0 ? 5e-2 : i < 2 ? 1e-2 : 0);
}

static void
test_many_heads (void)
{
  static const Shape shapes[] = {
    { 71, 1, 64, 64, LLM_DTYPE_F16 }, { 32, 32, 64, 64, LLM_DTYPE_F16 }, { 14, 2, 64, 64, LLM_DTYPE_F16 }, { 2, 1, 1024, 1024, LLM_DTYPE_F16 },
    { 20, 1, 512, 256, LLM_DTYPE_F32 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (!is_left_out (i))
      compare_shape ("heads", &shapes[i], 140, 0);
}

/* Blocks of 8 bits: as far from the definition as a key that is rounded the other way, and near what F32 pages give. */
static void
test_q8_0 (void)
{
  static const guint dims[][2] = { { 32, 32 }, { 64, 96 }, { 128, 128 } };
  const double stated = 0.02;

  if (llm_device_info (ops_device)->type != LLM_DEVICE_CPU)
    {
      g_test_skip ("Q8_0 pages are of the CPU device");
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (dims); i++)
    {
      Shape shape = { 6, 2, dims[i][0], dims[i][1], LLM_DTYPE_Q8_0, .window = i == 1 ? 100 : 0 }, exact = shape;
      g_autoptr (OpsModel) model = model_of (&shape, 1), other = NULL;
      g_autoptr (GPtrArray) batches = batches_of (180);
      g_autofree float *got = NULL, *expected = NULL;
      double error = 0, size = 0;
      gsize n;

      ops_compare_within ("Q8_0 pages", model, (OpsBatch *const *) batches->pdata, batches->len, stated);
      exact.dtype = LLM_DTYPE_F32;
      other = model_of (&exact, 1);
      got = ops_run_on (ops_device, model, (OpsBatch *const *) batches->pdata, batches->len, &n);
      expected = ops_run_on (ops_scalar, other, (OpsBatch *const *) batches->pdata, batches->len, &n);
      for (gsize j = 0; j < n; j++)
        {
          error += pow ((double) got[j] - (double) expected[j], 2);
          size += pow ((double) expected[j], 2);
        }
      g_test_message ("Q8_0 beside F32: %.2g", sqrt (error / size));
      g_assert_cmpfloat (sqrt (error / size), <, 0.02);
      g_assert_cmpfloat (error, >, 0);
    }
}

/* What @on gives for a prompt in batches of @step rows. */
static float *
in_steps (LlmDevice *on, const OpsModel *model, guint n, guint step, gsize *n_out)
{
  g_autoptr (GPtrArray) batches = g_ptr_array_new_with_free_func ((GDestroyNotify) ops_batch_free);
  g_autoptr (OpsBatch) whole = ops_batch_new (n, 1, 0, 20, OPS_N_TOKENS, 3);

  for (guint at = 0; at < n; at += step)
    {
      OpsBatch *batch = ops_batch_new (MIN (step, n - at), 1, at, 20, OPS_N_TOKENS, 1);

      memcpy (batch->token, whole->token + at, batch->batch.n_rows * sizeof *batch->token);
      for (guint r = 0; r < batch->batch.n_rows; r++)
        batch->out_row[r] = r;
      g_ptr_array_add (batches, batch);
    }
  return ops_run_on (on, model, (OpsBatch *const *) batches->pdata, batches->len, n_out);
}

static void
test_same_bits (void)
{
  static const Shape shapes[] = {
    { 8, 2, 64, 64, LLM_DTYPE_F16 }, { 3, 3, 40, 24, LLM_DTYPE_F32, 150 }, { 9, 1, 32, 32, LLM_DTYPE_Q8_0, .sinks = TRUE, .cap = 20 },
    { 32, 1, 24, 24, LLM_DTYPE_F16, 33 },
  };
  static const guint steps[] = { 1, 5, 8, 9, 64, 150 };
  const LlmDeviceInfo *info = llm_device_info (ops_device);

  for (guint i = 0; i < G_N_ELEMENTS (shapes) && info->type == LLM_DEVICE_CPU; i++)
    {
      g_autoptr (OpsModel) model = model_of (&shapes[i], i);
      gsize n;
      g_autofree float *whole = in_steps (ops_device, model, 300, 300, &n);

      for (guint s = 0; s < G_N_ELEMENTS (steps); s++)
        {
          LlmDevicesOptions options = { 1 + s % 3, info->driver, TRUE };
          LlmDevice *other = llm_devices_open ("cpu", &options, NULL);
          g_autofree float *got = in_steps (other, model, 300, steps[s], &n);

          g_assert_cmpmem (got, n * sizeof (float), whole, n * sizeof (float));
          llm_device_free (other);
        }
    }
}

void
ops_attention_add_tests (void)
{
  g_test_add_func ("/ops/attention/tails", test_tails);
  g_test_add_func ("/ops/attention/windows", test_windows);
  g_test_add_func ("/ops/attention/lengths", test_lengths);
  g_test_add_func ("/ops/attention/magnitudes", test_magnitudes);
  g_test_add_func ("/ops/attention/many-heads", test_many_heads);
  g_test_add_func ("/ops/attention/q8-0", test_q8_0);
  g_test_add_func ("/ops/attention/same-bits", test_same_bits);
}
