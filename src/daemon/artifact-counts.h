/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the compile caches of all engines did since the broker started: an engine's own counters end with it.
 * Main loop only.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmArtifactCounts LlmArtifactCounts;

LlmArtifactCounts *llm_artifact_counts_new (void);
void llm_artifact_counts_free (LlmArtifactCounts *self);
/* What the engine that runs says now: kind -> a{sv} of t, as in GetStatistics. */
void llm_artifact_counts_note (LlmArtifactCounts *self, GVariant *artifacts);
/* It runs no longer; what it said last is kept, but for what it had in memory. */
void llm_artifact_counts_engine_ended (LlmArtifactCounts *self);
/* The sum of all engines; "file-bytes" is what was there last. (transfer full, floating) */
GVariant *llm_artifact_counts_to_variant (LlmArtifactCounts *self);

G_END_DECLS
