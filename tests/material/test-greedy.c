/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Greedy text of trained models on every instruction set, any number of threads, and with whatever neighbours:
 * engine/greedy.h, with the noise that tests/engine/test-greedy.c derives.
 */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "compute/cpu/kernels.h"
#include "engine/greedy.h"
#include "material/material.h"

/* More layers than those have, of fewer columns; 0.13 is what these tests see. */
#define ROUNDED_NOISE 0.2

static const GreedyScript scripts[] = {
  { "six rows", 6, 16, .gap = 3, .turn = 1, .max_threads = 4 },
  { "eight rows", 8, 16, .gap = 2, .turn = 5, .all_out = TRUE },
  { "33 rows and leaving", 33, 16, .gap = 2, .turn = 2, .leave = TRUE, .max_threads = 3 },
  { "together", 512, 16, .turn = 3, .all_out = TRUE },
  { "one after the other", 512, 16, .gap = 4, .turn = 4 },
};

static void
test_model (gconstpointer data)
{
  static const char *const sets[] = { "avx2", "avx-vnni", "avx512-vnni", "amx" };
  static const GreedyStreams streams = { 8, { 34, 5, 1, 48, 12, 3, 20, 7 }, 40, LLM_DTYPE_F16 };
  static const GreedyNoise noise = { ROUNDED_NOISE, ROUNDED_NOISE };
  g_autoptr (GError) error = NULL;
  g_autoptr (GreedyModel) model = greedy_model_new (data, &streams, &error);

  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    {
      g_test_skip (error->message);
      return;
    }
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (sets); i++)
    {
      GreedyTally t = { 0 };

      if (llm_cpu_kernels_find (sets[i], NULL) == NULL)
        continue;
      greedy_check (model, sets[i], &noise, scripts, G_N_ELEMENTS (scripts), 0, streams.n_streams, &t);
      g_test_message ("%s: %u runs, %u rows; the definition's: %u tokens decided, %u others, noise %.2g; alone: %u, %u, %.2g", sets[i], t.n_runs, t.n_rows,
                      t.definition.n_decided, t.definition.n_forks, t.definition.worst, t.alone.n_decided, t.alone.n_forks, t.alone.worst);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GPtrArray) paths = NULL;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (g_getenv ("LLM_MATERIAL") != NULL ? g_getenv ("LLM_MATERIAL") : LLM_DEFAULT_MATERIAL, "models", NULL);
  paths = llm_material_list (folder, ".gguf");
  if (paths->len == 0)
    {
      g_print ("1..0 # SKIP no model in %s\n", folder);
      return 0;
    }
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *base = g_path_get_basename (paths->pdata[i]), *name = g_strconcat ("/greedy/", base, NULL);
      g_test_add_data_func (name, paths->pdata[i], test_model);
    }
  return g_test_run ();
}
