/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request dictionary of Submit -> LlmJob.
 */
#pragma once

#include "engine/engine.h"

/* InvalidArgs names the key; InvalidMessage the message. (transfer full) */
LlmJob *llm_job_from_variant (guint64 id, guint32 uid, guint64 client, const char *digest, GVariant *request, GError **error);
