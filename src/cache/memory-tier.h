/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Artifacts in memory, shared by all models and clients: by whole key, least recently used ones go when the bytes are too many.
 * What somebody holds stays; that is all that references do.  The owner locks.
 */
#pragma once

#include "cache/artifact.h"

G_BEGIN_DECLS

typedef struct _LlmMemoryTier LlmMemoryTier;

LlmMemoryTier *llm_memory_tier_new (guint64 max_bytes);
void llm_memory_tier_free (LlmMemoryTier *self);
/* Now the most recently used one. (transfer full, nullable) */
LlmArtifact *llm_memory_tier_find (LlmMemoryTier *self, const char *key);
/* Replaces one of the same key. One that is larger than the tier is not kept. @kind: for the bytes below. */
void llm_memory_tier_insert (LlmMemoryTier *self, const char *key, const char *kind, LlmArtifact *artifact);
void llm_memory_tier_remove (LlmMemoryTier *self, const char *key);
guint64 llm_memory_tier_bytes (const LlmMemoryTier *self, const char *kind); /* NULL: of all */

G_END_DECLS
