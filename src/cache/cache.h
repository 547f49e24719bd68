/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compile cache: artifacts that take longer to make than to read, each with its key.
 *
 * Two tiers with the same meaning, memory and files.  An entry belongs to the cache: who made it may go; a reference keeps it from being
 * evicted, nothing else.  Two who ask for one key at the same time make it once.  What is wrong with a file is a miss, counted by
 * cause, never an error of the caller's.  Without a folder, or with one that is full or read-only, everything works, slower.
 *
 * Any thread; a call may make an artifact or wait for somebody who does, so it blocks, and a maker must not ask for its own key.
 */
#pragma once

#include <gio/gio.h>

#include "cache/artifact.h"
#include "cache/cache-key.h"

G_BEGIN_DECLS

typedef struct _LlmCache LlmCache;

/* What a kind of artifact is. */
typedef struct {
  const char *name;
  guint version; /* of its payload */
  /* Nullable where artifacts come by put. (transfer full); NULL with the error, which everybody gets who waits; the next one who asks makes it again. */
  GBytes *(*make) (gpointer user_data, GError **error);
  /* Nullable: whether a payload is one that make() could have made, as far as reading it is safe. A file where it is not is a damaged one. */
  gboolean (*check) (gconstpointer payload, gsize size, gpointer user_data);
} LlmCacheKind;

/* @folder: of this engine build, $CACHE/v..., duplicated; -1: memory alone. @engine: "v<version>-<build id>". */
LlmCache *llm_cache_new (int folder, const char *engine, guint64 memory_bytes);
LlmCache *llm_cache_ref (LlmCache *self);
void llm_cache_unref (LlmCache *self);

LlmCacheKey *llm_cache_kind_key (const LlmCacheKind *kind, const char *device);

/* Compile: makes the artifact unless it is there. FALSE: make() failed. */
gboolean llm_cache_make (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data, GError **error);
/* Instantiate: the artifact if it is there, else NULL. (transfer full) */
LlmArtifact *llm_cache_open (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data);
/* The artifact if it is in memory; counts nothing. (transfer full, nullable) */
LlmArtifact *llm_cache_peek (LlmCache *self, LlmCacheKey *key);
/* Both: opens, or makes. (transfer full) */
LlmArtifact *llm_cache_get (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, gpointer user_data, GError **error);
/* Puts in what came about elsewhere in @make_us (a driver's pipelines), in place of what was there. FALSE: it is in memory only. */
gboolean llm_cache_put (LlmCache *self, const LlmCacheKind *kind, LlmCacheKey *key, GBytes *payload, gint64 make_us);

/* a{sv}: kind -> a{sv}: hits-memory hits-file hits-shared misses-<cause> made failed stored store-failures rebuilds rebuild-failures t,
 * make-us open-us t (sums; opens are of files), memory-bytes file-bytes t. (transfer full, not floating) */
GVariant *llm_cache_statistics (LlmCache *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmCache, llm_cache_unref)

G_END_DECLS
