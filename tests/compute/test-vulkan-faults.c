/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device that fails at the n-th call, for every n from its opening to its second run: a typed
 * error, nothing leaked, and after a lack of memory in a run the next one is right.
 */
#include <dlfcn.h>
#include <string.h>

#include "base/error.h"
#include "compute/fault-layer.h"
#include "compute/ops-fixture.h"

#define N_TOKENS 11
#define BLOCK 256
#define WIDTH 16
#define MAX_CALLS 2000
#define N_KINDS 24 /* of calls that the layer can fail */

static FaultArm arm;
static FaultFired fired;

static const LlmKvLayout layout = { 1, 1, WIDTH, WIDTH, 16, LLM_DTYPE_F16 };

/* Like a small model. */
static OpsModel *
model_new (void)
{
  OpsModel *model = ops_model_new (&layout, 4);
  LlmPlan *plan = model->plan;
  LlmRopeParams rope = { 1, WIDTH, WIDTH, FALSE, 10000, 1 };
  LlmValueId x = llm_plan_embed (plan, ops_model_weight (model, LLM_DTYPE_IQ3_S, N_TOKENS, BLOCK)); /* has a code book */

  x = llm_plan_matmul (plan, ops_model_weight (model, LLM_DTYPE_F32, WIDTH, BLOCK), x, LLM_NONE, LLM_NONE);
  for (guint layer = 0; layer < layout.n_layers; layer++)
    {
      LlmAttentionParams attention = { layer, 1, 0.25f };
      LlmWeightId w = ops_model_weight (model, LLM_DTYPE_F32, WIDTH, WIDTH);
      LlmValueId normed = llm_plan_rms_norm (plan, x, ops_model_weight (model, LLM_DTYPE_F32, 1, WIDTH), 1e-5f);
      LlmValueId q = llm_plan_matmul (plan, w, normed, LLM_NONE, LLM_NONE);
      LlmValueId k = llm_plan_matmul (plan, w, normed, LLM_NONE, LLM_NONE);

      llm_plan_rope (plan, k, LLM_NONE, &rope);
      llm_plan_kv_write (plan, layer, k, normed);
      x = llm_plan_add (plan, x, llm_plan_glu (plan, LLM_ACT_SILU, normed, llm_plan_attention (plan, q, &attention)));
    }
  ops_model_finish (model, x);
  return model;
}

/* One run; a lack of memory is met by another try.  (transfer full), or NULL with the first error that is final. */
static float *
run_once (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, gboolean *failed, GError **error)
{
  for (guint attempt = 0;; attempt++)
    {
      g_autoptr (GError) local = NULL;
      const float *logits = NULL;

      if (llm_executable_submit (executable, kv, batch, &local) && llm_executable_wait (executable, &logits, &local))
        return g_memdup2 (logits, sizeof (float) * batch->n_out * WIDTH);
      g_assert_nonnull (local);
      if (attempt > 0 || !g_error_matches (local, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      *failed = TRUE;
    }
}

/* All there is: opens, compiles, runs a prompt and, profiled, a step.  The step's logits. (transfer full) */
static float *
life (gboolean *failed, GError **error)
{
  g_autoptr (OpsModel) model = model_new ();
  g_autoptr (OpsBatch) prompt = ops_batch_new (9, 1, 0, 1, N_TOKENS, 1);
  g_autoptr (OpsBatch) step = ops_batch_new (1, 1, 9, 1, N_TOKENS, 2);
  LlmDevicesOptions options = { .software = TRUE };
  LlmRunLimits limits = ops_limits (prompt);
  g_autoptr (LlmDevice) device = llm_devices_open ("vulkan0", &options, error);
  g_autoptr (LlmExecutable) executable = device != NULL ? llm_device_compile (device, model->plan, &limits, error) : NULL;
  g_autoptr (LlmKvBuffer) kv = executable != NULL ? llm_device_kv_new (device, &layout, 2, error) : NULL;
  g_autofree float *first = kv != NULL ? run_once (executable, kv, &prompt->batch, failed, error) : NULL;

  if (first != NULL)
    llm_executable_set_profiling (executable, TRUE);
  return first != NULL ? run_once (executable, kv, &step->batch, failed, error) : NULL;
}

static void
check_error (const GError *error, VkResult result, const char *call)
{
  /* the loader asks for the devices: a driver that cannot be asked is no device */
  gboolean unlisted = strcmp (call, "CreateInstance") == 0 || strcmp (call, "EnumeratePhysicalDevices") == 0;
  LlmError code = unlisted ? LLM_ERROR_NOT_SUPPORTED : result == VK_ERROR_DEVICE_LOST ? LLM_ERROR_ENGINE_LOST : LLM_ERROR_OUT_OF_MEMORY;

  if (!g_error_matches (error, LLM_ERROR, (int) code))
    g_error ("%s: %s", call, error != NULL ? error->message : "no error");
}

static void
test_every_call (gconstpointer data)
{
  VkResult result = GPOINTER_TO_INT (data);
  gboolean failed = FALSE;
  g_autoptr (GError) none = NULL;
  g_autofree float *right = NULL;
  g_autoptr (GHashTable) calls = g_hash_table_new (g_str_hash, g_str_equal);

  arm (0, result);
  right = life (&failed, &none);
  g_assert_no_error (none);
  for (guint n = 1;; n++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree float *logits = NULL;

      g_assert_cmpuint (n, <, MAX_CALLS);
      failed = FALSE;
      arm (n, result);
      logits = life (&failed, &error);
      if (logits != NULL)
        g_assert_cmpmem (logits, WIDTH * sizeof (float), right, WIDTH * sizeof (float));
      if (fired () == NULL)
        {
          g_assert_no_error (error);
          g_test_message ("%u calls of %u kinds", n - 1, g_hash_table_size (calls));
          break;
        }
      g_hash_table_add (calls, (gpointer) fired ());
      /* a lack of memory may be overcome: in a run, by another; in a wait, by waiting on */
      if (logits == NULL)
        check_error (error, result, fired ());
      else
        g_assert_true (result != VK_ERROR_DEVICE_LOST && (failed || strcmp (fired (), "WaitForFences") == 0));
    }
  g_assert_cmpuint (g_hash_table_size (calls), ==, N_KINDS); /* else the layer does not stand between */
}

/* A mistake that the validation layer must report; the wrapper's own test. */
static int
misuse (void)
{
  VkApplicationInfo application = { VK_STRUCTURE_TYPE_APPLICATION_INFO, NULL, "misuse", 1, "misuse", 1, VK_API_VERSION_1_2 };
  VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application };
  VkPhysicalDeviceProperties2 properties = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO };
  VkPhysicalDevice physical;
  VkInstance instance;
  guint32 n = 1;

  if (vkCreateInstance (&info, NULL, &instance) != VK_SUCCESS)
    return 0;
  if (vkEnumeratePhysicalDevices (instance, &n, &physical) >= 0 && n == 1)
    vkGetPhysicalDeviceProperties2 (physical, &properties);
  vkDestroyInstance (instance, NULL);
  return 0;
}

int
main (int argc, char **argv)
{
  const char *path = g_getenv ("LLM_FAULT_LAYER");
  void *layer = path != NULL ? dlopen (path, RTLD_NOW) : NULL;
  int status;

  if (argc > 1 && strcmp (argv[1], "--misuse") == 0)
    return misuse ();
  g_test_init (&argc, &argv, NULL);
  if (layer == NULL)
    {
      g_print ("1..0 # SKIP LLM_FAULT_LAYER names no layer; run this through meson\n");
      return 0;
    }
  arm = (FaultArm) dlsym (layer, "fault_arm");
  fired = (FaultFired) dlsym (layer, "fault_fired");
  g_test_add_data_func ("/vulkan/faults/lost", GINT_TO_POINTER (VK_ERROR_DEVICE_LOST), test_every_call);
  g_test_add_data_func ("/vulkan/faults/memory", GINT_TO_POINTER (VK_ERROR_OUT_OF_DEVICE_MEMORY), test_every_call);
  status = g_test_run ();
  dlclose (layer);
  return status;
}
