/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every device refuses, shown on the null device: each index of a batch at its limit and one
 * over it; and how devices are listed, named and opened.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/ops-fixture.h"

#define N_TOKENS 19
#define STRIDE 3

typedef struct {
  LlmDevice *device;
  OpsModel *model;
  LlmExecutable *executable;
  LlmKvBuffer *kv;
  OpsBatch *batch;
} Fixture;

/* 4 rows, 2 slots of 3 pages. */
static void
fixture_init (Fixture *f)
{
  LlmRunLimits limits = { 4, 2, STRIDE, 4 };
  g_autoptr (GError) error = NULL;

  f->device = llm_null_device_new ();
  f->model = ops_model_new (NULL, 1);
  ops_model_finish (f->model, ops_model_input (f->model, N_TOKENS, 8));
  f->executable = llm_device_compile (f->device, f->model->plan, &limits, &error);
  g_assert_no_error (error);
  f->kv = llm_device_kv_new (f->device, &f->model->kv, 2 * STRIDE, &error);
  g_assert_no_error (error);
  f->batch = ops_batch_new (4, 2, 0, STRIDE, N_TOKENS, 1);
}

static void
fixture_clear (Fixture *f)
{
  ops_batch_free (f->batch);
  llm_kv_buffer_free (f->kv);
  llm_executable_free (f->executable);
  ops_model_free (f->model);
  llm_device_free (f->device);
}

static void
accepts (Fixture *f)
{
  g_free (ops_run (f->executable, f->kv, &f->batch->batch, 8));
}

static void
refuses (Fixture *f, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (llm_executable_submit (f->executable, f->kv, &f->batch->batch, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_rows (void)
{
  Fixture f;

  fixture_init (&f);
  accepts (&f);
  f.batch->batch.n_rows = 5;
  refuses (&f, "batch: 5 rows; 1 to 4 are allowed");
  f.batch->batch.n_rows = 0;
  f.batch->batch.n_out = 0;
  refuses (&f, "batch: 0 rows; 1 to 4 are allowed");
  fixture_clear (&f);
}

static void
test_slots (void)
{
  Fixture f;

  fixture_init (&f);
  f.batch->batch.n_slots = 3;
  refuses (&f, "batch: 3 slots; 1 to 2 are allowed");
  f.batch->batch.n_slots = 0;
  refuses (&f, "batch: 0 slots; 1 to 2 are allowed");
  f.batch->batch.n_slots = 2;
  f.batch->slot[3] = 2;
  refuses (&f, "batch: row 3: slot 2 of 2");
  f.batch->slot[3] = 1;
  accepts (&f);
  fixture_clear (&f);
}

static void
test_tokens (void)
{
  Fixture f;

  fixture_init (&f);
  f.batch->token[2] = N_TOKENS - 1;
  accepts (&f);
  f.batch->token[2] = N_TOKENS;
  refuses (&f, "batch: row 2: token 19; tokens are 0 to 18");
  f.batch->token[2] = -1;
  refuses (&f, "batch: row 2: token -1; tokens are 0 to 18");
  fixture_clear (&f);
}

static void
test_positions (void)
{
  Fixture f;

  fixture_init (&f);
  f.batch->position[1] = STRIDE * LLM_KV_PAGE_TOKENS - 1;
  accepts (&f);
  f.batch->position[1] = STRIDE * LLM_KV_PAGE_TOKENS;
  refuses (&f, "batch: row 1: position 96; the block table reaches to 95");
  f.batch->position[1] = G_MAXUINT32;
  refuses (&f, "batch: row 1: position 4294967295; the block table reaches to 95");
  fixture_clear (&f);
}

/* A table of positions: 7 rows. */
static void
test_position_table (void)
{
  Fixture f;
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (LlmExecutable) executable = NULL;
  LlmRunLimits limits;
  LlmExecutable *old;

  fixture_init (&f);
  limits = ops_limits (f.batch);
  ops_model_finish (model, llm_plan_embed_from (model->plan, ops_model_weight (model, LLM_DTYPE_F32, 7, 8), LLM_EMBED_POSITION, 1));
  executable = llm_device_compile (f.device, model->plan, &limits, NULL);
  old = f.executable;
  f.executable = executable;
  f.batch->token[0] = G_MAXINT32 - 1; /* nobody looks */
  f.batch->position[1] = 6;
  accepts (&f);
  f.batch->position[1] = 7;
  refuses (&f, "batch: row 1: position 7; positions are 0 to 6");
  f.executable = old;
  fixture_clear (&f);
}

static void
test_keys (void)
{
  guint32 n_keys[4] = { 1, 1, 1, 1 };
  Fixture f;

  fixture_init (&f);
  f.batch->batch.n_keys = n_keys;
  n_keys[2] = STRIDE * LLM_KV_PAGE_TOKENS;
  accepts (&f);
  n_keys[2]++;
  refuses (&f, "batch: row 2: 97 keys; 1 to 96 are allowed");
  n_keys[2] = 0;
  refuses (&f, "batch: row 2: 0 keys; 1 to 96 are allowed");
  n_keys[2] = LLM_KV_PAGE_TOKENS + 1;
  f.batch->block_table[f.batch->slot[2] * STRIDE + 1] = 2 * STRIDE;
  refuses (&f, f.batch->slot[2] == 0 ? "batch: row 2: block 1 of slot 0 is page 6 of 6" : "batch: row 2: block 1 of slot 1 is page 6 of 6");
  n_keys[2] = LLM_KV_PAGE_TOKENS;
  accepts (&f);
  fixture_clear (&f);
}

/* A page out of range counts only where the row's position reaches it. */
static void
test_pages (void)
{
  Fixture f;

  fixture_init (&f);
  f.batch->block_table[STRIDE + 2] = 2 * STRIDE;
  accepts (&f);
  f.batch->position[1] = 2 * LLM_KV_PAGE_TOKENS - 1;
  accepts (&f);
  f.batch->position[1] = 2 * LLM_KV_PAGE_TOKENS;
  refuses (&f, "batch: row 1: block 2 of slot 1 is page 6 of 6");
  f.batch->block_table[STRIDE + 2] = 2 * STRIDE - 1;
  accepts (&f);
  f.batch->block_table[STRIDE] = G_MAXUINT32; /* not the last page either */
  refuses (&f, "batch: row 1: block 0 of slot 1 is page 4294967295 of 6");
  fixture_clear (&f);
}

static void
test_out_rows (void)
{
  Fixture f;

  fixture_init (&f);
  f.batch->out_row[0] = 4;
  refuses (&f, "batch: out row 0 is row 4 of 4");
  f.batch->out_row[0] = 3;
  accepts (&f);
  f.batch->batch.n_out = 5;
  refuses (&f, "batch: 5 out rows; at most 4 are allowed");
  f.batch->batch.n_out = 4;
  f.batch->batch.n_rows = 3;
  refuses (&f, "batch: 4 out rows; at most 3 are allowed");
  f.batch->batch.n_out = 0;
  accepts (&f);
  fixture_clear (&f);
}

/* A block table wider than the limits is read no further than they go. */
static void
test_stride (void)
{
  Fixture f;

  fixture_init (&f);
  ops_batch_free (f.batch);
  f.batch = ops_batch_new (2, 1, STRIDE * LLM_KV_PAGE_TOKENS, 2 * STRIDE, N_TOKENS, 1);
  refuses (&f, "batch: row 0: position 96; the block table reaches to 95");
  f.batch->position[0] = f.batch->position[1] = 95;
  accepts (&f);
  fixture_clear (&f);
}

static void
test_null_logits (void)
{
  Fixture f;
  g_autofree float *logits = NULL;

  fixture_init (&f);
  logits = ops_run (f.executable, f.kv, &f.batch->batch, 8);
  for (guint i = 0; i < 4 * 8; i++)
    g_assert_cmpfloat (logits[i], ==, 0);
  g_assert_cmpint (llm_device_info (f.device)->type, ==, LLM_DEVICE_NULL);
  g_assert_cmpuint (llm_kv_buffer_bytes (f.kv), ==, 2 * STRIDE * LLM_KV_PAGE_TOKENS * (8 + 8) * 4);
  fixture_clear (&f);
}

static void
test_kv_sizes (void)
{
  g_autoptr (LlmDevice) null = llm_null_device_new ();
  LlmDevicesOptions options = { 1, NULL, FALSE };
  g_autoptr (LlmDevice) cpu = llm_devices_open ("cpu", &options, NULL);
  LlmKvLayout layout = { 1024, 1024, 1024, 1024, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };
  LlmDevice *devices[] = { null, cpu };

  for (guint i = 0; i < G_N_ELEMENTS (devices); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (llm_device_kv_new (devices[i], &layout, 0, &error));
      g_assert_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY);
      g_clear_error (&error);
      layout.n_layers = G_MAXUINT;
      g_assert_null (llm_device_kv_new (devices[i], &layout, G_MAXUINT, &error)); /* wraps */
      g_assert_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY);
      g_clear_error (&error);
      layout.n_layers = 1024;
    }
  {
    g_autoptr (GError) error = NULL;

    g_assert_null (llm_device_kv_new (cpu, &layout, 1000000, &error)); /* more than an address space */
    g_assert_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY);
  }
}

/* The widest run there is. */
static void
test_run_limits (void)
{
  LlmRunLimits limits = { LLM_BATCH_MAX_ROWS, LLM_BATCH_MAX_SLOTS, 1, LLM_BATCH_MAX_ROWS };
  LlmDevicesOptions options = { 2, NULL, FALSE };
  g_autoptr (LlmDevice) device = llm_devices_open ("cpu", &options, NULL);
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (LLM_BATCH_MAX_ROWS, LLM_BATCH_MAX_SLOTS, 0, 1, N_TOKENS, 1);
  g_autoptr (OpsBatch) over = ops_batch_new (LLM_BATCH_MAX_ROWS + 1, LLM_BATCH_MAX_SLOTS, 0, 1, N_TOKENS, 1);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autoptr (LlmKvBuffer) kv = NULL;
  g_autoptr (GError) error = NULL;

  ops_model_finish (model, ops_model_input (model, N_TOKENS, 8));
  executable = llm_device_compile (device, model->plan, &limits, &error);
  g_assert_no_error (error);
  kv = llm_device_kv_new (device, &model->kv, LLM_BATCH_MAX_SLOTS, &error);
  g_assert_no_error (error);
  g_free (ops_run (executable, kv, &batch->batch, 8));
  g_assert_false (llm_executable_submit (executable, kv, &over->batch, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

static void
test_profile (void)
{
  LlmDevicesOptions options = { 1, NULL, FALSE };
  g_autoptr (LlmDevice) device = llm_devices_open ("cpu", &options, NULL);
  g_autoptr (OpsModel) model = ops_model_new (NULL, 1);
  g_autoptr (OpsBatch) batch = ops_batch_new (3, 1, 0, 1, N_TOKENS, 1);
  LlmRunLimits limits = ops_limits (batch);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autoptr (LlmKvBuffer) kv = NULL;
  const LlmOpProfile *profile;
  guint n_ops = 0;

  ops_model_finish (model, ops_model_input (model, N_TOKENS, 8));
  executable = llm_device_compile (device, model->plan, &limits, NULL);
  kv = llm_device_kv_new (device, &model->kv, 1, NULL);
  g_free (ops_run (executable, kv, &batch->batch, 8));
  profile = llm_executable_profile (executable, &n_ops);
  g_assert_cmpuint (n_ops, ==, 2);
  g_assert_cmpuint (profile[0].calls, ==, 0); /* off at first */
  llm_executable_set_profiling (executable, TRUE);
  g_free (ops_run (executable, kv, &batch->batch, 8));
  g_free (ops_run (executable, kv, &batch->batch, 8));
  g_assert_cmpuint (profile[0].calls, ==, 2);
  g_assert_cmpuint (profile[0].bytes, ==, 2 * llm_plan_op_cost (model->plan, 0, 3, 3, 2).bytes);
}

static void
test_open (void)
{
  LlmDevicesOptions options = { 1, NULL, FALSE };
  g_autoptr (GPtrArray) infos = llm_devices_list (&options);
  g_autoptr (LlmDevice) cpu = llm_devices_open ("cpu", &options, NULL);
  g_autoptr (LlmDevice) best = llm_devices_open ("auto", &options, NULL);
  g_autoptr (LlmDevice) same = llm_devices_open ("", &options, NULL);
  g_autoptr (GError) error = NULL;
  gboolean listed = FALSE;

  for (guint i = 0; i < infos->len; i++)
    listed |= strcmp (((LlmDeviceInfo *) infos->pdata[i])->id, "cpu") == 0;
  g_assert_true (listed);
  g_assert_cmpint (llm_device_info (cpu)->type, ==, LLM_DEVICE_CPU);
  g_assert_cmpstr (llm_device_info (best)->id, ==, ((LlmDeviceInfo *) infos->pdata[0])->id);
  g_assert_cmpstr (llm_device_info (same)->id, ==, llm_device_info (best)->id);
  g_assert_cmpuint (strlen (llm_device_info (cpu)->uuid), ==, 32);
  g_assert_null (llm_devices_open ("abacus", &options, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "abacus"));
  g_assert_nonnull (strstr (error->message, "cpu"));
}

static void
test_isa (void)
{
  LlmDevicesOptions options = { 1, "scalar", FALSE };
  g_autoptr (LlmDevice) scalar = llm_devices_open ("cpu", &options, NULL);
  g_autoptr (LlmDevice) by_env = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (llm_device_info (scalar)->driver, ==, "scalar");
  g_assert_cmpfloat (llm_device_noise (scalar, llm_dtype_info (LLM_DTYPE_Q4_0)), ==, 0);
  options.isa = "sse9";
  g_assert_null (llm_devices_open ("cpu", &options, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "\"sse9\""));
  g_assert_nonnull (strstr (error->message, "scalar"));
  options.isa = NULL;
  g_setenv ("LLM_CPU_ISA", "scalar", TRUE);
  by_env = llm_devices_open ("cpu", &options, NULL);
  g_unsetenv ("LLM_CPU_ISA");
  g_assert_cmpstr (llm_device_info (by_env)->driver, ==, "scalar");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device/batch/rows", test_rows);
  g_test_add_func ("/device/batch/slots", test_slots);
  g_test_add_func ("/device/batch/tokens", test_tokens);
  g_test_add_func ("/device/batch/positions", test_positions);
  g_test_add_func ("/device/batch/position-table", test_position_table);
  g_test_add_func ("/device/batch/keys", test_keys);
  g_test_add_func ("/device/batch/pages", test_pages);
  g_test_add_func ("/device/batch/out-rows", test_out_rows);
  g_test_add_func ("/device/batch/stride", test_stride);
  g_test_add_func ("/device/null-logits", test_null_logits);
  g_test_add_func ("/device/kv-sizes", test_kv_sizes);
  g_test_add_func ("/device/run-limits", test_run_limits);
  g_test_add_func ("/device/profile", test_profile);
  g_test_add_func ("/device/open", test_open);
  g_test_add_func ("/device/isa", test_isa);
  return g_test_run ();
}
