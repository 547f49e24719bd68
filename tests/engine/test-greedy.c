/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Greedy text on every instruction set, any number of threads, and with whatever neighbours: greedy.h, on models of
 * random weights of several families and types.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compute/cpu/kernels.h"
#include "compute/isa-emulator.h"
#include "engine/greedy.h"

/* Models of rounded weights round the inputs of their products to 8 bits, 32 at a time: by a step of their largest / 127,
 * which is 2.1 deviations / 127 of normal ones, so that each is off by step / sqrt (12), 0.5%, and so is the product.
 * Two layers have eight products one after the other, and the probabilities of attention follow a difference of scores that
 * are off themselves: 2% to 3.5% in sum, as measured; and the largest of several million differences is five to six times that. */
#define ROUNDED_NOISE 0.18
#define ROUNDED_KV_NOISE 0.25 /* keys and values rounded to 8 bits, too; on either side */
/* Two kernels of one device: sums in another order differ by 2^-24 only, but one input of thousands lies half way between two
 * steps, is rounded up after the one and down after the other, and what follows from it is rounded anew: at worst, both
 * have errors of their own. The tests see 0.1. */
#define KERNEL_NOISE 0.15
/* Models of floats: sums in another order, and halves rounded to another neighbour after them. One kernel serves all rows. */
#define FLOAT_NOISE 2e-3
#define SAME 0

typedef struct {
  const char *name, *options;
  LlmDtype kv_type;
  GreedyNoise noise;
  gboolean emulated; /* small enough for instructions that are emulated */
} Case;

static const Case cases[] = {
  { "llama-f32", "--family llama --type F32 --width 64 --ff 96 --heads 4 --kv-heads 2 --layers 2", LLM_DTYPE_F32, { FLOAT_NOISE, SAME }, FALSE },
  { "llama-q4_0", "--family llama --type Q4_0 --width 64 --ff 96 --heads 4 --kv-heads 1 --layers 2", LLM_DTYPE_F16, { ROUNDED_NOISE, KERNEL_NOISE }, FALSE },
  { "llama-q4_k_m", "--family llama --type Q4_K_M --width 256 --ff 256 --heads 4 --kv-heads 2 --layers 1", LLM_DTYPE_F16, { ROUNDED_NOISE, KERNEL_NOISE }, FALSE },
  { "qwen2-q8_0", "--family qwen2 --type Q8_0 --width 64 --ff 96 --heads 2 --kv-heads 2 --layers 2", LLM_DTYPE_Q8_0, { ROUNDED_KV_NOISE, KERNEL_NOISE }, FALSE },
  { "gemma2-q5_0", "--family gemma2 --type Q5_0 --width 64 --ff 96 --heads 4 --kv-heads 2 --layers 2 --window 9", LLM_DTYPE_F16, { ROUNDED_NOISE, KERNEL_NOISE }, FALSE },
  { "gemma3-q6_k", "--family gemma3 --type Q6_K --width 256 --ff 256 --heads 4 --kv-heads 1 --layers 2 --window 40", LLM_DTYPE_F32, { ROUNDED_NOISE, KERNEL_NOISE }, FALSE },
  { "phi3-bf16", "--family phi3 --type BF16 --width 64 --ff 96 --heads 4 --kv-heads 4 --layers 2", LLM_DTYPE_F16, { FLOAT_NOISE, SAME }, FALSE },
  { "mixtral-q4_0", "--family mixtral --type Q4_0 --width 64 --ff 64 --heads 4 --kv-heads 2 --layers 2 --experts 4", LLM_DTYPE_F16, { 0, KERNEL_NOISE }, FALSE },
  { "qwen3moe-f16", "--family qwen3moe --type F16 --width 64 --ff 64 --heads 4 --kv-heads 2 --layers 2 --experts 8", LLM_DTYPE_F16, { FLOAT_NOISE, SAME }, FALSE },
  { "gpt-oss-mxfp4", "--family gpt-oss --type MXFP4_MOE --width 64 --ff 64 --heads 4 --kv-heads 2 --layers 2 --experts 4 --experts-used 4 --window 9",
    LLM_DTYPE_F16, { ROUNDED_NOISE, KERNEL_NOISE }, FALSE },
  { "small-llama-q4_0", "--family llama --type Q4_0 --output-type F32 --width 64 --ff 64 --heads 4 --kv-heads 2 --layers 1", LLM_DTYPE_F16,
    { ROUNDED_NOISE, KERNEL_NOISE }, TRUE },
  { "small-gemma2-q8_0", "--family gemma2 --type Q8_0 --embedding-type F32 --width 64 --ff 64 --heads 2 --kv-heads 1 --layers 2 --window 9", LLM_DTYPE_F32,
    { ROUNDED_NOISE, KERNEL_NOISE }, TRUE },
};

/* Row counts on both sides of every kernel's limit: 6 and 7, 31 to 33; and a prompt with keys for two groups of attention. */
static const GreedyScript scripts[] = {
  { "alone", 512, 1 },
  { "six rows", 6, 16, .gap = 3, .turn = 1, .max_threads = 4 },
  { "five rows and leaving", 5, 16, .gap = 1, .turn = 5, .leave = TRUE, .all_out = TRUE },
  { "seven rows", 7, 16, .turn = 2, .all_out = TRUE },
  { "eight rows", 8, 16, .gap = 2, .turn = 7 },
  { "31 rows", 31, 16, .turn = 3, .all_out = TRUE },
  { "32 rows", 32, 16, .turn = 4, .all_out = TRUE },
  { "33 rows and leaving", 33, 16, .gap = 2, .turn = 6, .leave = TRUE, .max_threads = 4 },
  { "together", 512, 16, .turn = 8, .all_out = TRUE, .max_threads = 3 },
  { "one after the other", 512, 16, .gap = 4, .turn = 9 },
};
static const GreedyScript few_scripts[] = {
  { "six rows and leaving", 6, 16, .gap = 2, .turn = 1, .leave = TRUE },
  { "seven rows", 7, 16, .turn = 2, .all_out = TRUE },
  { "together", 512, 16, .all_out = TRUE, .max_threads = 2 },
  { "together, in another order", 512, 16, .turn = 3, .all_out = TRUE },
};

static const char *const sets[] = { "scalar", "avx2", "avx-vnni", "avx512-vnni", "amx" };

static char *
make_model (const char *folder, const Case *c)
{
  char *path = g_strdup_printf ("%s/%s.gguf", folder, c->name);
  g_autofree char *line = g_strdup_printf ("%s -B %s --quiet %s %s", g_getenv ("LLM_PYTHON"), g_getenv ("LLM_GENERATE_MODEL"), c->options, path);
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_spawn_command_line_sync (line, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_spawn_check_wait_status (status, &error);
  g_assert_no_error (error);
  return path;
}

static void
check_set (GreedyModel *model, const Case *c, const char *isa)
{
  gboolean slow = llm_test_isa_emulates (isa) || strcmp (isa, "scalar") == 0;
  gboolean few = slow || (strcmp (isa, "avx2") == 0 && llm_cpu_kernels_find ("avx512-vnni", NULL) != NULL);
  GreedyNoise noise = c->noise;
  GreedyTally t = { 0 };

  if (llm_cpu_kernels_find (isa, NULL) == NULL)
    {
      g_test_message ("%s: not on this machine", isa);
      return;
    }
  if (llm_test_isa_emulates (isa) && !c->emulated)
    return;
  if (strcmp (isa, "scalar") == 0)
    noise = (GreedyNoise) { SAME, SAME };
  greedy_check (model, isa, &noise, few ? few_scripts : scripts, few ? G_N_ELEMENTS (few_scripts) : G_N_ELEMENTS (scripts), slow ? 7 : 0, slow ? 5 : 12, &t);
  g_test_message ("%s: %u runs, %u rows; same bits: %u, %u, %u", isa, t.n_runs, t.n_rows, t.n_same[0], t.n_same[1], t.n_same[2]);
  g_test_message ("  the definition's: %u tokens decided, %u others, noise %.2g; alone: %u, %u, %.2g", t.definition.n_decided, t.definition.n_forks,
                  t.definition.worst, t.alone.n_decided, t.alone.n_forks, t.alone.worst);
  g_assert_cmpuint (t.n_same[0], >, t.n_rows / 20);
  g_assert_cmpuint (t.alone.n_decided, >, t.n_rows / 4);
  g_assert_true (t.n_same[2] > 0 || strcmp (isa, "amx") != 0);
}

static void
test_model (gconstpointer data)
{
  static const GreedyStreams streams = { 12, { 140, 33, 9, 1, 50, 5, 24, 3, 12, 17, 2, 7 }, 12 };
  const Case *c = data;
  g_autofree char *path = make_model (g_getenv ("LLM_TEST_FOLDER"), c);
  GreedyStreams own = streams;
  g_autoptr (GError) error = NULL;
  g_autoptr (GreedyModel) model = NULL;

  own.kv_type = c->kv_type;
  model = greedy_model_new (path, &own, &error);
  g_assert_no_error (error);
  unlink (path);
  for (guint i = 0; i < G_N_ELEMENTS (sets); i++)
    check_set (model, c, sets[i]);
}

static gboolean
have_numpy (void)
{
  g_autofree char *line = g_strdup_printf ("%s -c 'import numpy'", g_getenv ("LLM_PYTHON"));
  int status = 0;

  return g_spawn_command_line_sync (line, NULL, NULL, &status, NULL) && status == 0;
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  if (g_getenv ("LLM_GENERATE_MODEL") == NULL || !have_numpy ())
    {
      g_print ("1..0 # SKIP no numpy, or LLM_GENERATE_MODEL names no tool; run this through meson\n");
      return 0;
    }
  llm_test_isa_emulate ();
  folder = g_dir_make_tmp ("llm-greedy-XXXXXX", NULL);
  g_setenv ("LLM_TEST_FOLDER", folder, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = g_strdup_printf ("/greedy/%s", cases[i].name);
      g_test_add_data_func (name, &cases[i], test_model);
    }
  result = g_test_run ();
  rmdir (folder);
  return result;
}
