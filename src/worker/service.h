/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The object /org/local/LLM/Engine on the private connection.  Main loop only.
 */
#pragma once

#include <gio/gio.h>

typedef struct _LlmService LlmService;

/* @inspect_only: only Inspect answers. @cache_folder: where artifacts are kept, lent; -1: in memory. @confined: files are written there or nowhere
 * (confine.h). NULL with an error when the object cannot be registered. */
LlmService *llm_service_new (GDBusConnection *connection, gboolean inspect_only, int cache_folder, gboolean confined, GError **error);
void llm_service_free (LlmService *self);
