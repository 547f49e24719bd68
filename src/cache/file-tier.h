/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of the cache, below the folder of one engine build: <device>/<kind>-<hash>.
 *
 * A file is written as tmp-<pid>-<n> in the build's folder (locked while it is being written), synced, renamed, and its folder synced: under its name it is whole or not there.
 * Whatever is wrong with one is a miss, and the file goes.  Every call names files relative to the folder's fd.  Any thread.
 */
#pragma once

#include "cache/artifact.h"
#include "cache/cache-key.h"

G_BEGIN_DECLS

typedef struct _LlmFileTier LlmFileTier;

/* @folder: of this build, duplicated. Removes what crashes left, and looks which artifacts are there for other devices, drivers and builds. */
LlmFileTier *llm_file_tier_new (int folder, const char *engine);
void llm_file_tier_free (LlmFileTier *self);
/* NULL with the cause; the file is gone then, if there was one and it may be removed. */
LlmArtifact *llm_file_tier_open (LlmFileTier *self, LlmCacheKey *key, LlmMiss *miss);
/* FALSE: it is not on disk (full, read-only, an error), and nothing is left of it. */
gboolean llm_file_tier_store (LlmFileTier *self, LlmCacheKey *key, const LlmArtifact *artifact);
void llm_file_tier_remove (LlmFileTier *self, LlmCacheKey *key);
/* Bytes of the build's artifacts by kind: char * -> guint64 *. (transfer full) */
GHashTable *llm_file_tier_bytes (LlmFileTier *self);

G_END_DECLS
