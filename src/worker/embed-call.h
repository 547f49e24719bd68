/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request dictionary of Embed -> LlmEmbedJob, and what came of it -> the reply.
 */
#pragma once

#include "engine/embed.h"

/* InvalidArgs names the key. (transfer full) */
LlmEmbedJob *llm_embed_job_from_variant (guint64 id, guint32 uid, const char *digest, GVariant *request, GError **error);
/* (aya{sv}); the rows go along. (transfer full, floating) */
GVariant *llm_embedding_to_variant (LlmEmbedding *embedding);
