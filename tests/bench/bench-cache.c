/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the compile cache is worth: for every kind of artifact that loading a model needs, the time to make it, to open its file and to find it
 * in memory, and the time to load the model with each.  Whatever kinds there are, they tell by the cache's own counters.
 *
 *   bench-cache [--device ID | --vocabulary] MODEL.gguf...
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "engine/engine.h"
#include "engine/model-tables.h"

#define REPEAT 5
#define LOOK_UPS 2000

static char *device = NULL;
static gboolean software, vocabulary_only;
static const GOptionEntry entries[] = {
  { "device", 'd', 0, G_OPTION_ARG_STRING, &device, "cpu, vulkan0 ... (the best)", "ID" },
  { "software", 0, 0, G_OPTION_ARG_NONE, &software, "Vulkan drivers that run on the CPU, too", NULL },
  { "vocabulary", 0, 0, G_OPTION_ARG_NONE, &vocabulary_only, "The files have no weights: their vocabularies alone", NULL },
  { NULL }
};

/* ---- one load ---- */

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
on_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens, const LlmTokenLogprobs *logprobs,
          guint n_logprobs, gpointer user_data)
{
}

static void
on_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
}

static void
on_done (guint64 id, const LlmResult *result, const GError *error, gpointer user_data)
{
}

/* The trie of @vocab, and the time to find it in memory. */
static gboolean
walk_trie (const char *path, LlmCache *cache, const LlmVocab *vocab, double *memory_us, GError **error)
{
  LlmTokenTrie trie;
  g_autoptr (LlmArtifact) artifact = llm_model_tables_trie (cache, path, vocab, &trie, error);
  gint64 start = g_get_monotonic_time ();

  for (guint i = 0; i < LOOK_UPS && artifact != NULL; i++)
    llm_artifact_unref (llm_model_tables_trie (cache, path, vocab, &trie, NULL));
  *memory_us = (double) (g_get_monotonic_time () - start) / LOOK_UPS;
  return artifact != NULL;
}

static double
load_vocabulary (const char *path, LlmCache *cache, double *memory_us)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_open_parts (&fd, 1, &error);
  gint64 start = g_get_monotonic_time (), took;
  g_autoptr (LlmVocab) vocab = gguf != NULL ? llm_model_tables_vocab (cache, path, gguf, &error) : NULL;

  took = g_get_monotonic_time () - start;
  close (fd);
  if (vocab != NULL && walk_trie (path, cache, vocab, memory_us, &error))
    return (double) took / 1000;
  g_printerr ("%s: %s\n", path, error->message);
  return NAN;
}

/* Loads @path into a new engine, and makes the trie of its tokens; ms. NAN: it cannot be loaded, and that was said. */
static double
load (const char *path, LlmCache *cache, double *memory_us)
{
  static const LlmEngineEvents events = { on_delta, on_state, on_done };
  g_autoptr (LlmEngine) engine = llm_engine_new (&events, NULL);
  LlmLoadSettings settings = { .device = device, .kv_type = LLM_DTYPE_F16, .context_window = 512, .devices = { .software = software, .cache = cache } };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmModel) model = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gint64 start = g_get_monotonic_time (), took;

  llm_engine_load_async (engine, path, &fd, 1, &settings, NULL, on_loaded, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  model = llm_engine_load_finish (engine, result, &error);
  took = g_get_monotonic_time () - start;
  close (fd);
  if (model != NULL && walk_trie (path, cache, llm_model_vocab (model), memory_us, &error))
    return (double) took / 1000;
  g_printerr ("%s: %s\n", path, error->message);
  return NAN;
}

/* ---- a folder for the cache ---- */

static void
remove_all (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (path, name, NULL);

      remove_all (below);
    }
  g_clear_pointer (&dir, g_dir_close);
  g_remove (path);
}

static LlmCache *
new_cache (const char *root)
{
  g_autofree char *path = g_build_filename (root, "v0-bench", NULL);
  LlmCache *cache;
  int fd;

  g_mkdir (path, 0755);
  fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cache = llm_cache_new (fd, "v0-bench", LLM_CACHE_MEMORY_BYTES);
  close (fd);
  return cache;
}

/* ---- figures ---- */

typedef struct {
  double make_ms, open_ms, bytes; /* least of all */
} Kind;

static double
counter (GVariant *kind, const char *key)
{
  guint64 value = 0;

  g_variant_lookup (kind, key, "t", &value);
  return (double) value;
}

static void
least (double *best, double sum_us, double n)
{
  if (n > 0)
    *best = fmin (*best, sum_us / n / 1000);
}

static void
note_kinds (GHashTable *kinds, LlmCache *cache)
{
  g_autoptr (GVariant) statistics = llm_cache_statistics (cache);
  GVariantIter iter;
  const char *name;
  GVariant *group;

  g_variant_iter_init (&iter, statistics);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &group))
    {
      Kind *kind = g_hash_table_lookup (kinds, name);

      if (kind == NULL)
        {
          kind = g_new0 (Kind, 1);
          kind->make_ms = kind->open_ms = INFINITY;
          g_hash_table_insert (kinds, g_strdup (name), kind);
        }
      least (&kind->make_ms, counter (group, "make-us"), counter (group, "made"));
      least (&kind->open_ms, counter (group, "open-us"), counter (group, "hits-file"));
      kind->bytes = fmax (kind->bytes, counter (group, "file-bytes"));
    }
}

static gboolean
bench (const char *path)
{
  double (*run) (const char *, LlmCache *, double *) = vocabulary_only ? load_vocabulary : load;
  g_autoptr (GHashTable) kinds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  double cold = INFINITY, file = INFINITY, memory = INFINITY, look_up = INFINITY, us = 0;
  GHashTableIter iter;
  gpointer name, value;

  for (guint i = 0; i < REPEAT; i++)
    {
      g_autofree char *root = g_dir_make_tmp ("llm-bench-cache-XXXXXX", NULL);
      g_autoptr (LlmCache) first = new_cache (root), second = NULL;

      cold = fmin (cold, run (path, first, &us));
      note_kinds (kinds, first);
      memory = fmin (memory, run (path, first, &us));
      look_up = fmin (look_up, us);
      second = new_cache (root);
      file = fmin (file, run (path, second, &us));
      note_kinds (kinds, second);
      remove_all (root);
      if (isinf (cold))
        return FALSE;
    }
  g_print ("%s\n  load: cold %.1f ms, from files %.1f ms, from memory %.1f ms; a look-up in memory %.2f us\n", path, cold, file, memory, look_up);
  g_print ("  %-17s %10s %10s %8s %10s %10s\n", "kind", "make/ms", "file/ms", "ratio", "memory", "KiB");
  g_hash_table_iter_init (&iter, kinds);
  while (g_hash_table_iter_next (&iter, &name, &value))
    {
      const Kind *kind = value;

      g_print ("  %-17s %10.3f %10.3f %7.0fx %9.0fx %10.1f\n", (char *) name, kind->make_ms, kind->open_ms, kind->make_ms / kind->open_ms,
               kind->make_ms * 1000 / look_up, kind->bytes / 1024);
    }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("MODEL.gguf...");
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc < 2)
    {
      g_printerr ("%s\n", error != NULL ? error->message : "a model is needed; --help tells more");
      return 2;
    }
  for (int i = 1; i < argc; i++)
    ok = bench (argv[i]) && ok;
  return ok ? 0 : 1;
}
