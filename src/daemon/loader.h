/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which models are in the engine: loads on demand, once however many ask, and unloads what
 * has not been used for the keep-alive time.  Main loop only.
 */
#pragma once

#include "daemon/broker.h"

G_BEGIN_DECLS

typedef enum { LLM_LOAD_UNLOADED, LLM_LOAD_LOADING, LLM_LOAD_LOADED } LlmLoadState;

LlmLoader *llm_loader_new (LlmBroker *broker);
void llm_loader_free (LlmLoader *self);

/* Calls back when the model is in the engine, at once if it is. Result of finish: what Load returned, plus load-us t as this
 * caller has waited. (transfer full) */
void llm_loader_ensure_async (LlmLoader *self, LlmStoreModel *model, GAsyncReadyCallback callback, gpointer user_data);
GVariant *llm_loader_ensure_finish (LlmLoader *self, GAsyncResult *result, GError **error);
void llm_loader_unload_async (LlmLoader *self, LlmStoreModel *model, GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_loader_unload_finish (LlmLoader *self, GAsyncResult *result, GError **error);

/* A run on the model begins / has ended: the keep-alive clock stands still between. */
void llm_loader_use (LlmLoader *self, const char *digest);
void llm_loader_unuse (LlmLoader *self, const char *digest);

LlmLoadState llm_loader_state (LlmLoader *self, const char *digest);
guint64 llm_loader_memory_bytes (LlmLoader *self, const char *digest);
gboolean llm_loader_is_on_vulkan (LlmLoader *self, const char *digest);
/* Whether the file of a model that is loaded or being loaded is not what it was: the engine cannot survive that. */
gboolean llm_loader_has_damaged (LlmLoader *self);
/* Models were added, replaced or deleted: unloads those that nobody can name any more. */
void llm_loader_store_changed (LlmLoader *self);
/* The setting, or that of a model, has another value: the clocks of models that nobody uses start anew. */
void llm_loader_keep_alive_changed (LlmLoader *self);
/* The engine is gone: nothing is loaded. */
void llm_loader_lost (LlmLoader *self);

const char *llm_load_state_name (LlmLoadState state);

G_END_DECLS
