/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cache.h.  One lock; files are read and artifacts made outside of it, by the one whose flight it is. */
#include "cache/cache.h"

#include <string.h>

#include "cache/cache-counts.h"
#include "cache/file-tier.h"
#include "cache/memory-tier.h"

struct _LlmCache {
  gatomicrefcount refs;
  GMutex lock;
  GCond landed;           /* some flight has */
  LlmMemoryTier *memory;  /* under the lock, as what follows */
  GHashTable *flights;    /* whole key -> Flight (of the maker's stack) */
  LlmCacheCounts *counts;
  LlmFileTier *files;     /* nullable */
};

/* Somebody who opens or makes the artifact of a key; the others wait for it. */
typedef struct {
  guint waiting;
  gboolean has_landed;
  LlmArtifact *artifact; /* (owned) */
  GError *error;         /* of make() */
} Flight;

LlmCache *
llm_cache_new (int folder, const char *engine, guint64 memory_bytes)
{
  LlmCache *self = g_new0 (LlmCache, 1);

  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  g_cond_init (&self->landed);
  self->memory = llm_memory_tier_new (memory_bytes);
  self->flights = g_hash_table_new (g_str_hash, g_str_equal);
  self->counts = llm_cache_counts_new ();
  self->files = folder >= 0 ? llm_file_tier_new (folder, engine) : NULL;
  return self;
}

LlmCache *
llm_cache_ref (LlmCache *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
llm_cache_unref (LlmCache *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_assert (g_hash_table_size (self->flights) == 0);
  g_hash_table_unref (self->flights);
  llm_memory_tier_free (self->memory);
  llm_cache_counts_free (self->counts);
  g_clear_pointer (&self->files, llm_file_tier_free);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->landed);
  g_free (self);
}

LlmCacheKey *
llm_cache_kind_key (const LlmCacheKind *kind, const char *device)
{
  return llm_cache_key_new (kind->name, kind->version, device);
}

/* The memory's name of a key: whole, with its device. */
static char *
whole_key (LlmCacheKey *key)
{
  return g_strdup_printf ("%s\n%s", llm_cache_key_device (key), llm_cache_key_text (key));
}

/* ---- what the one in flight does, without the lock ---- */

static LlmArtifact *
open_file (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data, LlmMiss *miss)
{
  LlmArtifact *artifact = NULL;
  gconstpointer payload;
  gsize size;

  *miss = LLM_MISS_ABSENT;
  if (self->files != NULL)
    artifact = llm_file_tier_open (self->files, key, miss);
  if (artifact == NULL || kind->check == NULL)
    return artifact;
  payload = llm_artifact_data (artifact, &size);
  if (kind->check (payload, size, user_data))
    return artifact;
  llm_artifact_unref (artifact);
  llm_file_tier_remove (self->files, key);
  *miss = LLM_MISS_DAMAGED;
  return NULL;
}

#define WORTH_MAPPING (64 * 1024) /* bytes; below, a page or two of the heap are cheaper */

/* Puts @artifact into its file.  A large one is used from there afterwards: the system may drop mapped pages when memory is short, the heap's it may not. */
static LlmArtifact *
store (LlmCache *self, LlmCacheKey *key, LlmArtifact *artifact, LlmCacheOutcome *outcome)
{
  LlmArtifact *mapped = NULL;
  LlmMiss miss;
  gsize size;

  *outcome = llm_file_tier_store (self->files, key, artifact) ? LLM_CACHE_MADE : LLM_CACHE_FAILED;
  llm_artifact_data (artifact, &size);
  if (*outcome == LLM_CACHE_MADE && size >= WORTH_MAPPING)
    mapped = llm_file_tier_open (self->files, key, &miss);
  if (mapped == NULL)
    return artifact;
  llm_artifact_unref (artifact);
  return mapped;
}

static LlmArtifact *
fly (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gboolean may_make, gpointer user_data, LlmCacheTrip *trip, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  LlmArtifact *artifact = open_file (self, kind, key, user_data, &trip->miss);
  GBytes *payload;

  trip->open_us = g_get_monotonic_time () - start;
  if (artifact != NULL || !may_make)
    return artifact;
  start = g_get_monotonic_time ();
  payload = kind->make (user_data, error);
  trip->make_us = g_get_monotonic_time () - start;
  trip->made = payload != NULL ? LLM_CACHE_MADE : LLM_CACHE_FAILED;
  if (payload == NULL)
    return NULL;
  artifact = llm_artifact_new (payload);
  if (self->files != NULL)
    artifact = store (self, key, artifact, &trip->stored);
  return artifact;
}

/* ---- under the lock ---- */

static void
flight_leave (Flight *flight)
{
  if (flight->waiting-- > 0)
    return;
  g_clear_pointer (&flight->artifact, llm_artifact_unref);
  g_clear_error (&flight->error);
  g_free (flight);
}

/* Waits for somebody else's flight. FALSE: it came home with nothing, and without having tried to make it. */
static gboolean
wait_for (LlmCache *self, Flight *flight, const char *kind, LlmArtifact **artifact, GError **error)
{
  gboolean decided;

  flight->waiting++;
  while (!flight->has_landed)
    g_cond_wait (&self->landed, &self->lock);
  decided = flight->artifact != NULL || flight->error != NULL;
  *artifact = flight->artifact != NULL ? llm_artifact_ref (flight->artifact) : NULL;
  if (flight->error != NULL)
    g_propagate_error (error, g_error_copy (flight->error));
  if (*artifact != NULL)
    llm_cache_count_shared (self->counts, kind);
  flight_leave (flight);
  return decided;
}

static LlmArtifact *
take_off (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, const char *whole, gboolean may_make, gpointer user_data, GError **error)
{
  Flight *flight = g_new0 (Flight, 1);
  LlmCacheTrip trip = { 0 };
  LlmArtifact *artifact;
  GError *local_error = NULL;

  g_hash_table_insert (self->flights, (gpointer) whole, flight);
  g_mutex_unlock (&self->lock);
  artifact = fly (self, kind, key, may_make, user_data, &trip, &local_error);
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->flights, whole);
  llm_cache_count_trip (self->counts, kind->name, &trip);
  flight->has_landed = TRUE;
  if (artifact != NULL)
    {
      flight->artifact = llm_artifact_ref (artifact);
      llm_memory_tier_insert (self->memory, whole, kind->name, artifact);
    }
  else if (local_error != NULL)
    {
      flight->error = g_error_copy (local_error);
      g_propagate_error (error, local_error);
    }
  g_cond_broadcast (&self->landed);
  flight_leave (flight);
  return artifact;
}

static LlmArtifact *
find (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gboolean may_make, gpointer user_data, GError **error)
{
  g_autofree char *whole = whole_key (key);
  LlmArtifact *artifact;
  Flight *flight;

  g_mutex_lock (&self->lock);
  for (;;)
    {
      artifact = llm_memory_tier_find (self->memory, whole);
      if (artifact != NULL)
        {
          llm_cache_count_memory_hit (self->counts, kind->name);
          break;
        }
      flight = g_hash_table_lookup (self->flights, whole);
      if (flight == NULL)
        {
          artifact = take_off (self, kind, key, whole, may_make, user_data, error);
          break;
        }
      if (wait_for (self, flight, kind->name, &artifact, error))
        break;
    }
  g_mutex_unlock (&self->lock);
  return artifact;
}

gboolean
llm_cache_make (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data, GError **error)
{
  g_autoptr (LlmArtifact) artifact = find (self, kind, key, TRUE, user_data, error);

  return artifact != NULL;
}

LlmArtifact *
llm_cache_open (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data)
{
  g_autoptr (GError) error = NULL; /* of somebody who makes it meanwhile */

  return find (self, kind, key, FALSE, user_data, &error);
}

LlmArtifact *
llm_cache_get (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data, GError **error)
{
  return find (self, kind, key, TRUE, user_data, error);
}

LlmArtifact *
llm_cache_peek (LlmCache *self, LlmCacheKey *key)
{
  g_autofree char *whole = whole_key (key);
  LlmArtifact *artifact;

  g_mutex_lock (&self->lock);
  artifact = llm_memory_tier_find (self->memory, whole);
  g_mutex_unlock (&self->lock);
  return artifact;
}

gboolean
llm_cache_put (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, GBytes *payload, gint64 make_us)
{
  g_autofree char *whole = whole_key (key);
  g_autoptr (LlmArtifact) artifact = llm_artifact_new (g_bytes_ref (payload));
  LlmCacheTrip trip = { .miss = LLM_NOT_LOOKED, .made = LLM_CACHE_MADE, .make_us = make_us };

  if (self->files != NULL)
    trip.stored = llm_file_tier_store (self->files, key, artifact) ? LLM_CACHE_MADE : LLM_CACHE_FAILED;
  g_mutex_lock (&self->lock);
  llm_memory_tier_insert (self->memory, whole, kind->name, artifact);
  llm_cache_count_trip (self->counts, kind->name, &trip);
  g_mutex_unlock (&self->lock);
  return trip.stored == LLM_CACHE_MADE;
}

GVariant *
llm_cache_statistics (LlmCache *self)
{
  g_autoptr (GHashTable) file_bytes = self->files != NULL ? llm_file_tier_bytes (self->files) : NULL;
  GVariant *statistics;

  g_mutex_lock (&self->lock);
  statistics = llm_cache_counts_to_variant (self->counts, self->memory, file_bytes);
  g_mutex_unlock (&self->lock);
  return statistics;
}
