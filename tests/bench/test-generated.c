/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/generate-model: its models of all families and tensor types are whole files, their weights have the size they
 * should have, and they run without a number that is none.
 */
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "bench/bench-runs.h"

static char *
path_of (gconstpointer file)
{
  return g_build_filename (g_getenv ("LLM_TEST_FOLDER"), file, NULL);
}

static LlmGguf *
open_file (const char *path, int *fd)
{
  g_autoptr (GError) error = NULL;
  LlmGguf *gguf;

  *fd = open (path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (*fd, >=, 0);
  gguf = llm_gguf_open (*fd, &error);
  g_assert_no_error (error);
  return gguf;
}

/* Standard deviation 1 / sqrt (row), mean 0; groups of 32 may have means of their own. */
static void
check_weights (int fd, const LlmGgufTensor *t)
{
  guint64 n = t->dims[0] * t->dims[1] * t->dims[2];
  g_autofree guint8 *blocks = g_malloc (t->n_bytes);
  g_autofree float *w = g_new (float, n);
  double sum = 0, squares = 0, deviation;

  g_assert_cmpint (pread (fd, blocks, t->n_bytes, (off_t) t->offset), ==, (gssize) t->n_bytes);
  t->dtype->decode (blocks, w, n);
  for (guint64 i = 0; i < n; i++)
    {
      g_assert_true (isfinite (w[i]));
      sum += w[i];
      squares += (double) w[i] * w[i];
    }
  deviation = sqrt (squares / (double) n) * sqrt ((double) t->dims[0]);
  if (!(deviation > 0.7 && deviation < 1.4) || fabs (sum / sqrt (squares * (double) n)) > MAX (0.05, 4 / sqrt ((double) n / MIN (t->dtype->block_elems, 32))))
    g_error ("%s (%s): deviation %g instead of 1, mean %g instead of 0", t->name, t->dtype->name, deviation, sum / (double) n);
}

static void
test_weights (gconstpointer file)
{
  g_autofree char *path = path_of (file);
  g_autoptr (LlmGguf) gguf = NULL;
  guint n_checked = 0;
  int fd;

  gguf = open_file (path, &fd);
  for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
    {
      const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);

      if (t->n_dims < 2 || t->dtype->decode == NULL || strstr (t->name, ".bias") != NULL)
        continue;
      check_weights (fd, t);
      n_checked++;
    }
  close (fd);
  if (n_checked == 0)
    g_test_skip ("its types are not supported yet");
}

static void
test_run (gconstpointer file)
{
  g_autofree char *path = path_of (file);
  LlmBenchSettings settings = { .device = "cpu", .n_threads = 1, .kv_type = LLM_DTYPE_F16, .context_window = 128, .kv_tokens = 256 };
  LlmBenchCase c = { 2, 0, 40, 8 };
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmBenchRunner) runner = llm_bench_runner_new (path, &settings, &error);
  LlmBenchTimes times;
  double least;

  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    {
      g_test_skip (error->message);
      return;
    }
  g_assert_no_error (error);
  if (!llm_model_config (llm_bench_runner_model (runner))->causal)
    {
      c.embed = TRUE;
      llm_bench_runner_run (runner, &c, 0, &times, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (times.prompt_tokens, ==, 80);
      return;
    }
  llm_bench_runner_run (runner, &c, 0, &times, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (times.output_tokens, ==, 16);
  g_assert_cmpuint (times.prompt_tokens, ==, 80);
  least = llm_bench_runner_least_logprob (runner);
  /* neither all weight on one token nor the same on all of them: greedy takes the best of 2560 */
  if (!(least < -0.01 && least > -7))
    g_error ("%s: the least log-probability of a token is %g; -7 to -0.01 would be right", (const char *) file, least);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = g_dir_make_tmp ("llm-generated-XXXXXX", NULL);
  char *command[] = { (char *) g_getenv ("LLM_PYTHON"), (char *) g_getenv ("LLM_GENERATE_ALL"), (char *) g_getenv ("LLM_GENERATE_MODEL"), folder, NULL };
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  GDir *dir;
  int status, result;

  g_test_init (&argc, &argv, NULL);
  g_assert_true (g_spawn_sync (NULL, command, NULL, 0, NULL, NULL, NULL, NULL, &status, &error));
  g_spawn_check_wait_status (status, &error);
  if (g_error_matches (error, G_SPAWN_EXIT_ERROR, 77))
    {
      g_print ("1..0 # SKIP no numpy\n");
      return 0;
    }
  g_assert_no_error (error);
  g_setenv ("LLM_TEST_FOLDER", folder, TRUE);
  dir = g_dir_open (folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *weights = g_strdup_printf ("/generated/weights/%s", name), *run = g_strdup_printf ("/generated/run/%s", name);

      g_ptr_array_add (names, g_strdup (name));
      g_test_add_data_func (weights, names->pdata[names->len - 1], test_weights);
      g_test_add_data_func (run, names->pdata[names->len - 1], test_run);
    }
  g_dir_close (dir);
  g_assert_cmpuint (names->len, >=, 12 + 25);
  result = g_test_run ();
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (folder, names->pdata[i], NULL);
      unlink (path);
    }
  rmdir (folder);
  return result;
}
