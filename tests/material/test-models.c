/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whole models against what others computed: models-expected/1 (trained) and arch-golden/1 (random weights).
 * LLM_TEST_DEVICE chooses the device: "cpu" (best kernels), "cpu:scalar", "cpu:avx2", "vulkan0".
 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "compute/isa-emulator.h"
#include "engine/arch.h"
#include "engine/engine.h"
#include "material/material.h"

#define EXACT_NOISE 1e-4      /* README of the material: f32 */
#define EXACT_NOISE_HALF 0.03 /* f16 */
#define GELU_OF_HALVES 3e-3   /* the oracle of the goldens rounds GELU to halves on its way in and out: 1.2e-3 with exact GELU, 1.1e-4 with
                               * its rounding, measured on gemma2 */
#define QUANT_LOGIT 0.6
#define QUANT_NLL 0.02

/* A model on a device with one sequence of pages 0, 1, 2 ... */
typedef struct {
  LlmGguf *gguf;
  LlmModelConfig *config;
  LlmWeights *weights;
  LlmPlan *plan;
  LlmDevice *device;
  LlmExecutable *executable;
  LlmKvBuffer *kv;
  guint32 pages[64];
  guint at;
} Fixture;

static void
fixture_free (Fixture *f)
{
  g_clear_pointer (&f->kv, llm_kv_buffer_free);
  g_clear_pointer (&f->executable, llm_executable_free);
  g_clear_pointer (&f->device, llm_device_free);
  g_clear_pointer (&f->plan, llm_plan_free);
  g_clear_pointer (&f->weights, llm_weights_free);
  g_clear_pointer (&f->config, llm_model_config_free);
  g_clear_pointer (&f->gguf, llm_gguf_unref);
  g_free (f);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

static LlmDevice *
open_device (GError **error)
{
  const char *name = g_getenv ("LLM_TEST_DEVICE");
  g_auto (GStrv) parts = g_strsplit (name != NULL ? name : "cpu", ":", 2);
  LlmDevicesOptions options = { .isa = parts[1], .software = TRUE };

  return llm_devices_open (parts[0], &options, error);
}

static Fixture *
fixture_new (const char *path, GError **error)
{
  g_autoptr (Fixture) f = g_new0 (Fixture, 1);
  g_autoptr (GBytes) bytes = llm_material_read (path);
  int fd = llm_material_memfd (bytes);
  LlmRunLimits limits = { 64, 1, G_N_ELEMENTS (f->pages), 64 };
  LlmArchOptions options = { LLM_DTYPE_F32 };
  gboolean ok;

  for (guint i = 0; i < G_N_ELEMENTS (f->pages); i++)
    f->pages[i] = i;
  ok = (f->gguf = llm_gguf_open (fd, error)) != NULL && (f->config = llm_model_config_new (f->gguf, error)) != NULL
       && (f->weights = llm_weights_new (f->gguf, &fd, error)) != NULL
       && (f->plan = llm_arch_plan_new (f->config, f->weights, &options, error)) != NULL && (f->device = open_device (error)) != NULL
       && (f->executable = llm_device_compile (f->device, f->plan, &limits, error)) != NULL
       && (f->kv = llm_device_kv_new (f->device, llm_plan_kv_layout (f->plan), G_N_ELEMENTS (f->pages), error)) != NULL;
  close (fd);
  return ok ? g_steal_pointer (&f) : NULL;
}

/* Feeds @n tokens; the logits of the last @n_out of them. */
static const float *
feed (Fixture *f, const gint32 *tokens, guint n, guint n_out)
{
  g_autoptr (GError) error = NULL;
  const float *logits = NULL;
  guint32 position[64], slot[64] = { 0 }, out[64];
  LlmBatch batch = { n, tokens, position, slot, 1, f->pages, G_N_ELEMENTS (f->pages), n_out, out };

  g_assert_cmpuint (n, <=, 64);
  for (guint i = 0; i < n; i++)
    position[i] = f->at + i;
  for (guint i = 0; i < n_out; i++)
    out[i] = n - n_out + i;
  f->at += n;
  llm_executable_submit (f->executable, f->kv, &batch, &error);
  g_assert_no_error (error);
  llm_executable_wait (f->executable, &logits, &error);
  g_assert_no_error (error);
  return logits;
}

static gint32
arg_max (const float *logits, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  return (gint32) best;
}

static GArray *
ints (JsonObject *object, const char *member)
{
  JsonArray *list = json_object_get_array_member (object, member);
  GArray *out = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      gint32 v = (gint32) json_array_get_int_element (list, i);
      g_array_append_val (out, v);
    }
  return out;
}

static double
max_difference (const float *logits, JsonArray *expected)
{
  double worst = 0;

  for (guint i = 0; i < json_array_get_length (expected); i++)
    worst = MAX (worst, fabs ((double) logits[i] - json_array_get_double_element (expected, i)));
  return worst;
}

/* Greedy tokens must be those of the reference wherever its margin exceeds the noise. After a tie that went the
 * other way it goes on with the reference's token. */
static void
check_greedy (Fixture *f, const float *logits, const GArray *want, JsonArray *margins, double noise)
{
  guint same = 0, i;

  for (i = 0; i < want->len && f->at < f->config->context_length; i++)
    {
      gint32 token = arg_max (logits, f->config->n_vocab), wanted = g_array_index (want, gint32, i);

      if (token != wanted && json_array_get_double_element (margins, i) > noise)
        g_error ("greedy token %u is %d, want %d, which leads by %g; %g are noise", i, token, wanted, json_array_get_double_element (margins, i), noise);
      same += token == wanted;
      if (i + 1 < want->len)
        logits = feed (f, &wanted, 1, 1);
    }
  g_test_message ("%u of %u greedy tokens are the same", same, i);
}

static gboolean
skip_unsupported (const GError *error)
{
  if (!g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    return FALSE;
  g_test_skip (error->message);
  return TRUE;
}

typedef struct {
  char *path;
  JsonObject *object; /* of a parser that lives as long as the program */
} Case;

static double
mean_nll (Fixture *f, const GArray *ids)
{
  double sum = 0;
  guint n_vocab = f->config->n_vocab;

  for (guint i = 0; i + 1 < ids->len; i++)
    {
      const float *logits = feed (f, &g_array_index (ids, gint32, i), 1, 1);

      sum -= (double) llm_logprobs (logits, n_vocab, g_array_index (ids, gint32, i + 1), 0, NULL, NULL);
    }
  return sum / (ids->len - 1);
}

static void
test_trained (gconstpointer data)
{
  const Case *c = data;
  gboolean exact = json_object_get_boolean_member (c->object, "exact");
  JsonArray *prompts = json_object_get_array_member (c->object, "prompts");
  JsonObject *nll = json_object_has_member (c->object, "nll") ? json_object_get_object_member (c->object, "nll") : NULL;
  double noise = strstr (c->path, "f16") != NULL ? EXACT_NOISE_HALF : EXACT_NOISE;

  for (guint i = 0; i < json_array_get_length (prompts); i++)
    {
      JsonObject *prompt = json_array_get_object_element (prompts, i), *reference = json_object_get_object_member (prompt, "reference");
      g_autoptr (GArray) ids = ints (prompt, "prompt_ids"), want = ints (reference, "greedy_ids");
      g_autoptr (GError) error = NULL;
      g_autoptr (Fixture) f = fixture_new (c->path, &error);
      const float *logits;
      double difference;

      if (skip_unsupported (error))
        return;
      g_assert_no_error (error);
      logits = feed (f, (const gint32 *) (gpointer) ids->data, ids->len, 1);
      difference = max_difference (logits, json_object_get_array_member (reference, "logits_after_prompt"));
      g_test_message ("prompt %u: logits off by %.6f", i, difference);
      g_assert_cmpfloat (difference, <, exact ? noise : QUANT_LOGIT);
      if (exact)
        check_greedy (f, logits, want, json_object_get_array_member (reference, "greedy_margin"), noise);
    }
  if (nll != NULL)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (Fixture) f = fixture_new (c->path, &error);
      g_autoptr (GArray) ids = ints (nll, "ids");
      double got = mean_nll (f, ids), want = json_object_get_double_member (nll, "mean_nll_reference");

      g_test_message ("nll %.6f, reference %.6f", got, want);
      g_assert_cmpfloat (fabs (got - want), <, QUANT_NLL);
    }
}

static gboolean
has_gelu (const LlmPlan *plan)
{
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    if (llm_plan_op (plan, i)->kind == LLM_OP_GLU && llm_plan_op (plan, i)->p.glu.act == LLM_ACT_GELU_TANH)
      return TRUE;
  return FALSE;
}

static void
test_golden (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (Fixture) f = fixture_new (c->path, &error);
  g_autoptr (GArray) ids = ints (c->object, "ids"), positions = ints (c->object, "logit_positions");
  JsonArray *expected = json_object_get_array_member (c->object, "logits");
  JsonObject *after = json_object_has_member (c->object, "greedy_after") ? json_object_get_object_member (c->object, "greedy_after") : NULL;
  const float *logits = NULL;
  JsonObject *recorded = json_object_get_object_member (c->object, "llama_cpp_on_shipped_file");
  double allowed = MAX (1e-3, 3 * json_object_get_double_member (recorded, "max_abs_diff")), worst = 0;
  guint first;

  if (skip_unsupported (error))
    return;
  g_assert_no_error (error);
  if (has_gelu (f->plan))
    allowed = MAX (allowed, GELU_OF_HALVES);
  first = (guint) g_array_index (positions, gint32, 0) + 1;
  for (guint k = 0; k < positions->len; k++)
    {
      guint until = (guint) g_array_index (positions, gint32, k) + 1;

      logits = feed (f, &g_array_index (ids, gint32, k == 0 ? 0 : f->at), k == 0 ? first : until - f->at, 1);
      worst = MAX (worst, max_difference (logits, json_array_get_array_element (expected, k)));
    }
  g_test_message ("logits off by %.6f, allowed %.6f", worst, allowed);
  g_assert_cmpfloat (worst, <=, allowed);
  if (after != NULL && f->at == ids->len)
    {
      g_autoptr (GArray) want = ints (after, "ids");

      check_greedy (f, logits, want, json_object_get_array_member (after, "margin"), allowed);
    }
}

static JsonObject *
load_json (const char *path, const char *format)
{
  JsonParser *parser = json_parser_new (); /* lives on */

  return llm_material_json (parser, path, format);
}

static void
add_case (const char *prefix, const char *folder, const char *model, JsonObject *object, GTestDataFunc func)
{
  Case *c = g_new0 (Case, 1);
  g_autofree char *name = g_strconcat (prefix, model, NULL);

  c->path = g_build_filename (folder, model, NULL);
  c->object = object;
  g_test_add_data_func (name, c, func);
}

static void
test_missing (void)
{
  g_autofree char *folder = llm_material_folder ("models");

  g_assert_null (folder);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmDevice) device = NULL;
  g_autofree char *folder = NULL, *synthetic = NULL, *expected = NULL;
  g_autoptr (GPtrArray) goldens = NULL;

  g_test_init (&argc, &argv, NULL);
  if (g_getenv ("LLM_TEST_DEVICE") != NULL && g_str_has_prefix (g_getenv ("LLM_TEST_DEVICE"), "cpu:")) /* not "cpu", the best there is */
    llm_test_isa_emulate ();
  device = open_device (&error);
  if (device == NULL)
    {
      g_print ("1..0 # SKIP %s\n", error->message);
      return 0;
    }
  folder = g_build_filename (g_getenv ("LLM_MATERIAL") != NULL ? g_getenv ("LLM_MATERIAL") : LLM_DEFAULT_MATERIAL, "models", NULL);
  synthetic = g_build_filename (folder, "synthetic", NULL);
  expected = g_build_filename (folder, "expected.json", NULL);
  goldens = llm_material_list (synthetic, ".golden.json");
  if (g_file_test (expected, G_FILE_TEST_EXISTS))
    {
      JsonArray *cases = json_object_get_array_member (load_json (expected, "models-expected/1"), "cases");

      for (guint i = 0; i < json_array_get_length (cases); i++)
        {
          JsonObject *object = json_array_get_object_element (cases, i);
          add_case ("/material/models/", folder, json_object_get_string_member (object, "model"), object, test_trained);
        }
    }
  else
    g_test_add_func ("/material/models/missing", test_missing);
  for (guint i = 0; i < goldens->len; i++)
    {
      JsonObject *object = load_json (goldens->pdata[i], "arch-golden/1");
      add_case ("/material/goldens/", synthetic, json_object_get_string_member (object, "model"), object, test_golden);
    }
  return g_test_run ();
}
