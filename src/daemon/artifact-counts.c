/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See artifact-counts.h. */
#include "daemon/artifact-counts.h"

#include <string.h>

typedef struct {
  GHashTable *kinds; /* char * -> GHashTable: char * -> guint64 * */
} Sums;

struct _LlmArtifactCounts {
  Sums ended;
  GVariant *running; /* nullable */
};

LlmArtifactCounts *
llm_artifact_counts_new (void)
{
  LlmArtifactCounts *self = g_new0 (LlmArtifactCounts, 1);

  self->ended.kinds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  return self;
}

void
llm_artifact_counts_free (LlmArtifactCounts *self)
{
  g_hash_table_unref (self->ended.kinds);
  g_clear_pointer (&self->running, g_variant_unref);
  g_free (self);
}

void
llm_artifact_counts_note (LlmArtifactCounts *self, GVariant *artifacts)
{
  g_clear_pointer (&self->running, g_variant_unref);
  self->running = g_variant_ref (artifacts);
}

static GHashTable *
kind_of (Sums *sums, const char *kind)
{
  GHashTable *counters = g_hash_table_lookup (sums->kinds, kind);

  if (counters == NULL)
    {
      counters = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
      g_hash_table_insert (sums->kinds, g_strdup (kind), counters);
    }
  return counters;
}

static void
add_counter (GHashTable *counters, const char *key, guint64 value)
{
  guint64 *sum = g_hash_table_lookup (counters, key);

  if (sum == NULL)
    {
      sum = g_new0 (guint64, 1);
      g_hash_table_insert (counters, g_strdup (key), sum);
    }
  *sum = g_str_has_suffix (key, "-bytes") ? value : *sum + value; /* bytes are what there is now */
}

static void
add_engine (Sums *sums, GVariant *artifacts)
{
  GVariantIter kinds, counters;
  const char *kind, *key;
  GVariant *group, *value;

  g_variant_iter_init (&kinds, artifacts);
  while (g_variant_iter_loop (&kinds, "{&sv}", &kind, &group))
    {
      GHashTable *of = kind_of (sums, kind);

      if (!g_variant_is_of_type (group, G_VARIANT_TYPE_VARDICT))
        continue;
      g_variant_iter_init (&counters, group);
      while (g_variant_iter_loop (&counters, "{&sv}", &key, &value))
        if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
          add_counter (of, key, g_variant_get_uint64 (value));
    }
}

void
llm_artifact_counts_engine_ended (LlmArtifactCounts *self)
{
  GHashTableIter kinds;
  gpointer counters;

  if (self->running == NULL)
    return;
  add_engine (&self->ended, self->running);
  g_clear_pointer (&self->running, g_variant_unref);
  g_hash_table_iter_init (&kinds, self->ended.kinds);
  while (g_hash_table_iter_next (&kinds, NULL, &counters))
    g_hash_table_insert (counters, g_strdup ("memory-bytes"), g_new0 (guint64, 1));
}

static GVariant *
counters_to_variant (GHashTable *counters)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, counters);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_variant_dict_insert (&dict, key, "t", *(guint64 *) value);
  return g_variant_dict_end (&dict);
}

/* All that has ended, once more. */
static void
copy_ended (Sums *sums, const Sums *ended)
{
  GHashTableIter kinds, iter;
  gpointer kind, counters, key, value;

  g_hash_table_iter_init (&kinds, ended->kinds);
  while (g_hash_table_iter_next (&kinds, &kind, &counters))
    {
      g_hash_table_iter_init (&iter, counters);
      while (g_hash_table_iter_next (&iter, &key, &value))
        add_counter (kind_of (sums, kind), key, *(guint64 *) value);
    }
}

GVariant *
llm_artifact_counts_to_variant (LlmArtifactCounts *self)
{
  Sums sums = { g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref) };
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GHashTableIter kinds;
  gpointer kind, counters;

  copy_ended (&sums, &self->ended);
  if (self->running != NULL)
    add_engine (&sums, self->running);
  g_hash_table_iter_init (&kinds, sums.kinds);
  while (g_hash_table_iter_next (&kinds, &kind, &counters))
    g_variant_dict_insert_value (&dict, kind, counters_to_variant (counters));
  g_hash_table_unref (sums.kinds);
  return g_variant_dict_end (&dict);
}
