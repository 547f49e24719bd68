/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the cache did, by kind.  The owner locks.
 */
#pragma once

#include "cache/artifact.h"
#include "cache/memory-tier.h"

G_BEGIN_DECLS

typedef struct _LlmCacheCounts LlmCacheCounts;

typedef enum { LLM_CACHE_NOT_TRIED, LLM_CACHE_MADE, LLM_CACHE_FAILED } LlmCacheOutcome;

/* How one look-up that memory did not answer went. */
typedef struct {
  LlmMiss miss; /* LLM_HIT: there was a file; LLM_NOT_LOOKED: it was put in */
  LlmCacheOutcome made, stored;
  gint64 open_us, make_us;
} LlmCacheTrip;

LlmCacheCounts *llm_cache_counts_new (void);
void llm_cache_counts_free (LlmCacheCounts *self);
void llm_cache_count_memory_hit (LlmCacheCounts *self, const char *kind);
void llm_cache_count_shared (LlmCacheCounts *self, const char *kind); /* of another's work */
void llm_cache_count_trip (LlmCacheCounts *self, const char *kind, const LlmCacheTrip *trip);
void llm_cache_count_stored (LlmCacheCounts *self, const char *kind, gboolean stored);
/* As llm_cache_statistics(); @file_bytes nullable. */
GVariant *llm_cache_counts_to_variant (LlmCacheCounts *self, const LlmMemoryTier *memory, GHashTable *file_bytes);

G_END_DECLS
