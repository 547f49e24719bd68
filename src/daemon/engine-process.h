/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One engine process and its connection.  Main loop only.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct {
  GSubprocess *process;
  GDBusConnection *connection;
} LlmEngineProcess;

void llm_engine_process_free (LlmEngineProcess *self); /* kills it */

/* Starts @path (with --inspect-only) on a socketpair, in an environment of what drivers and sanitizers need
 * and nothing else, and connects. @cache_dir: $CACHE, nullable; the engine gets its own build's folder in it. EngineLost. */
void llm_engine_process_start_async (const char *path, gboolean inspect_only, const char *cache_dir, GCancellable *cancellable, GAsyncReadyCallback callback,
                                     gpointer user_data);
LlmEngineProcess *llm_engine_process_start_finish (GAsyncResult *result, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEngineProcess, llm_engine_process_free)

G_END_DECLS
