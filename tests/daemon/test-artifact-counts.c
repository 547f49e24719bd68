/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters outlive the engines that count; bytes are those there are now. */
#include "daemon/artifact-counts.h"

static GVariant *
said (const char *text)
{
  return g_variant_ref_sink (g_variant_new_parsed (text));
}

static guint64
get (LlmArtifactCounts *counts, const char *kind, const char *key)
{
  g_autoptr (GVariant) all = g_variant_ref_sink (llm_artifact_counts_to_variant (counts));
  g_autoptr (GVariant) group = g_variant_lookup_value (all, kind, G_VARIANT_TYPE_VARDICT);
  guint64 value = G_MAXUINT64;

  if (group != NULL)
    g_variant_lookup (group, key, "t", &value);
  return value;
}

static void
test_engines (void)
{
  LlmArtifactCounts *counts = llm_artifact_counts_new ();
  g_autoptr (GVariant) first = said ("{'a': <{'made': <uint64 1>, 'memory-bytes': <uint64 10>, 'file-bytes': <uint64 20>}>}");
  g_autoptr (GVariant) later = said ("{'a': <{'made': <uint64 3>, 'memory-bytes': <uint64 30>, 'file-bytes': <uint64 60>}>, 'b': <{'made': <uint64 1>}>}");
  g_autoptr (GVariant) second = said ("{'a': <{'made': <uint64 5>, 'memory-bytes': <uint64 1>, 'file-bytes': <uint64 40>}>}");
  g_autoptr (GVariant) nonsense = said ("{'a': <'text'>, 'c': <{'made': <'text'>}>}");

  llm_artifact_counts_note (counts, first);
  llm_artifact_counts_note (counts, later); /* the same engine */
  g_assert_cmpuint (get (counts, "a", "made"), ==, 3);
  llm_artifact_counts_engine_ended (counts);
  llm_artifact_counts_engine_ended (counts);
  g_assert_cmpuint (get (counts, "a", "made"), ==, 3);
  g_assert_cmpuint (get (counts, "a", "memory-bytes"), ==, 0);
  g_assert_cmpuint (get (counts, "a", "file-bytes"), ==, 60);
  llm_artifact_counts_note (counts, second);
  g_assert_cmpuint (get (counts, "a", "made"), ==, 8);
  g_assert_cmpuint (get (counts, "a", "memory-bytes"), ==, 1);
  g_assert_cmpuint (get (counts, "a", "file-bytes"), ==, 40);
  g_assert_cmpuint (get (counts, "b", "made"), ==, 1);
  llm_artifact_counts_note (counts, nonsense);
  g_assert_cmpuint (get (counts, "c", "made"), ==, G_MAXUINT64);
  llm_artifact_counts_free (counts);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/artifact-counts/engines", test_engines);
  return g_test_run ();
}
