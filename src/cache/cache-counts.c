/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cache-counts.h.  A rebuild is an artifact that was made because there was one of another version only. */
#include "cache/cache-counts.h"

typedef struct {
  guint64 hits_memory, hits_file, hits_shared, misses[LLM_N_MISSES];
  guint64 made, failed, stored, store_failures, rebuilds, rebuild_failures;
  gint64 make_us, open_us;
} Counts;

struct _LlmCacheCounts {
  GHashTable *kinds; /* char * -> Counts * */
};

LlmCacheCounts *
llm_cache_counts_new (void)
{
  LlmCacheCounts *self = g_new0 (LlmCacheCounts, 1);

  self->kinds = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void
llm_cache_counts_free (LlmCacheCounts *self)
{
  g_hash_table_unref (self->kinds);
  g_free (self);
}

static Counts *
counts_of (LlmCacheCounts *self, const char *kind)
{
  Counts *counts = g_hash_table_lookup (self->kinds, kind);

  if (counts == NULL)
    {
      counts = g_new0 (Counts, 1);
      g_hash_table_insert (self->kinds, g_strdup (kind), counts);
    }
  return counts;
}

void
llm_cache_count_memory_hit (LlmCacheCounts *self, const char *kind)
{
  counts_of (self, kind)->hits_memory++;
}

void
llm_cache_count_shared (LlmCacheCounts *self, const char *kind)
{
  counts_of (self, kind)->hits_shared++;
}

void
llm_cache_count_stored (LlmCacheCounts *self, const char *kind, gboolean stored)
{
  Counts *counts = counts_of (self, kind);

  counts->stored += stored;
  counts->store_failures += !stored;
}

void
llm_cache_count_trip (LlmCacheCounts *self, const char *kind, const LlmCacheTrip *trip)
{
  Counts *counts = counts_of (self, kind);

  if (trip->miss == LLM_HIT)
    {
      counts->hits_file++;
      counts->open_us += trip->open_us;
    }
  else if (trip->miss < LLM_N_MISSES)
    counts->misses[trip->miss]++;
  counts->make_us += trip->make_us;
  counts->made += trip->made == LLM_CACHE_MADE;
  counts->failed += trip->made == LLM_CACHE_FAILED;
  if (trip->miss == LLM_MISS_VERSION)
    {
      counts->rebuilds += trip->made == LLM_CACHE_MADE;
      counts->rebuild_failures += trip->made == LLM_CACHE_FAILED;
    }
  if (trip->stored != LLM_CACHE_NOT_TRIED)
    llm_cache_count_stored (self, kind, trip->stored == LLM_CACHE_MADE);
}

static void
add (GVariantDict *dict, const char *key, guint64 value)
{
  g_variant_dict_insert (dict, key, "t", value);
}

static GVariant *
kind_to_variant (const Counts *counts, guint64 memory_bytes, guint64 file_bytes)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  add (&dict, "hits-memory", counts->hits_memory);
  add (&dict, "hits-file", counts->hits_file);
  add (&dict, "hits-shared", counts->hits_shared);
  for (guint i = 0; i < LLM_N_MISSES; i++)
    {
      g_autofree char *key = g_strdup_printf ("misses-%s", llm_miss_name (i));

      add (&dict, key, counts->misses[i]);
    }
  add (&dict, "made", counts->made);
  add (&dict, "failed", counts->failed);
  add (&dict, "stored", counts->stored);
  add (&dict, "store-failures", counts->store_failures);
  add (&dict, "rebuilds", counts->rebuilds);
  add (&dict, "rebuild-failures", counts->rebuild_failures);
  add (&dict, "make-us", (guint64) counts->make_us);
  add (&dict, "open-us", (guint64) counts->open_us);
  add (&dict, "memory-bytes", memory_bytes);
  add (&dict, "file-bytes", file_bytes);
  return g_variant_dict_end (&dict);
}

GVariant *
llm_cache_counts_to_variant (LlmCacheCounts *self, const LlmMemoryTier *memory, GHashTable *file_bytes)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GHashTableIter iter;
  gpointer kind, counts;

  g_hash_table_iter_init (&iter, self->kinds);
  while (g_hash_table_iter_next (&iter, &kind, &counts))
    {
      const guint64 *on_disk = file_bytes != NULL ? g_hash_table_lookup (file_bytes, kind) : NULL;

      g_variant_dict_insert_value (&dict, kind, kind_to_variant (counts, llm_memory_tier_bytes (memory, kind), on_disk != NULL ? *on_disk : 0));
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
