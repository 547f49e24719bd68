/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embeds texts through the engine and prints what came: for reference.py.
 *
 *   run-embed MODEL DEVICE mean|cls|last|default DIMENSIONS TEXT...
 *
 * DEVICE: cpu, cpu:scalar, vulkan0.  One line of JSON: {"tokens": [[...]...], "rows": [[...]...]}, all texts in one call. Not normalised.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/embed.h"

static void
ignore_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens,
              const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data)
{
}

static void
ignore_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
}

static void
ignore_done (guint64 id, const LlmResult *result, const GError *error, gpointer user_data)
{
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *result;
}

static void
print_tokens (LlmModel *model, char **texts)
{
  g_print ("{\"tokens\": [");
  for (guint i = 0; texts[i] != NULL; i++)
    {
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

      llm_tokenize (llm_model_vocab (model), texts[i], strlen (texts[i]), LLM_TOKENIZE_ADD_SPECIAL, ids, NULL);
      g_print ("%s[", i > 0 ? ", " : "");
      for (guint t = 0; t < ids->len; t++)
        g_print ("%s%d", t > 0 ? ", " : "", g_array_index (ids, gint32, t));
      g_print ("]");
    }
}

static void
print_rows (const LlmEmbedding *e)
{
  g_print ("], \"rows\": [");
  for (guint i = 0; i < e->n_rows; i++)
    for (guint c = 0; c < e->dimensions; c++)
      g_print ("%s%.9g%s", c > 0 ? ", " : i > 0 ? ", [" : "[", (double) e->rows[i * e->dimensions + c], c + 1 == e->dimensions ? "]" : "");
  g_print ("]}\n");
}

int
main (int argc, char **argv)
{
  static const LlmEngineEvents events = { ignore_delta, ignore_state, ignore_done };
  static const char *const poolings[] = { "default", "mean", "cls", "last", NULL };
  LlmLoadSettings settings = { .kv_type = LLM_DTYPE_F32, .devices = { .n_threads = 2, .software = TRUE } };
  g_auto (GStrv) device = g_strsplit (argc > 2 ? argv[2] : "", ":", 2);
  g_autoptr (LlmEngine) engine = llm_engine_new (&events, NULL);
  g_autoptr (GAsyncResult) loaded = NULL, embedded = NULL;
  g_autoptr (LlmModel) model = NULL;
  g_autoptr (LlmEmbedding) embedding = NULL;
  g_autoptr (GError) error = NULL;
  LlmEmbedJob *job = llm_embed_job_new ();
  int fd = argc > 5 ? open (argv[1], O_RDONLY | O_CLOEXEC) : -1;

  g_assert (fd >= 0);
  settings.device = device[0];
  settings.devices.isa = device[1];
  llm_engine_load_async (engine, "model", &fd, 1, &settings, NULL, keep_result, &loaded);
  close (fd);
  model = llm_engine_load_finish (engine, wait_for (&loaded), &error);
  g_assert_no_error (error);
  job->digest = g_strdup ("model");
  job->inputs = g_strdupv (argv + 5);
  job->normalize = FALSE;
  for (job->pooling = LLM_POOLING_NONE; strcmp (poolings[job->pooling], argv[3]) != 0;)
    g_assert (poolings[++job->pooling] != NULL);
  job->dimensions = (guint) atoi (argv[4]);
  llm_engine_embed_async (engine, job, keep_result, &embedded);
  embedding = llm_engine_embed_finish (engine, wait_for (&embedded), &error);
  g_assert_no_error (error);
  print_tokens (model, argv + 5);
  print_rows (embedding);
  return 0;
}
