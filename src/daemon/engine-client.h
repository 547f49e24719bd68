/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's end of the private connection: starts the engine when it is needed, notices
 * when it is gone, and carries calls and signals.  Main loop only; nothing blocks.
 */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

typedef struct _LlmEngineClient LlmEngineClient;

typedef struct {
  void (*ready) (GVariant *info, gpointer user_data); /* what Configure returned */
  void (*delta) (guint64 id, const char *channel, const char *text, GVariant *details, gpointer user_data);
  void (*state) (guint64 id, const char *state, guint position, gpointer user_data);
  void (*done) (guint64 id, GVariant *result, gpointer user_data);
  /* The process is gone without having been asked to; @reason says how. Calls under way have failed with EngineLost by now. */
  void (*lost) (const char *reason, gpointer user_data);
} LlmEngineClientEvents;

/* @path: the program. @configure: a{sv} for Configure (floating references are sunk). */
/* ... @cache_dir: $CACHE, nullable. */
LlmEngineClient *llm_engine_client_new (const char *path, const char *cache_dir, GVariant *configure, const LlmEngineClientEvents *events, gpointer user_data);
/* Kills the engine; calls under way end with Cancelled before this returns or soon after, and so does every later call. */
void llm_engine_client_shut_down (LlmEngineClient *self);
/* As shut_down; nobody may call it afterwards. */
void llm_engine_client_free (LlmEngineClient *self);

/* For its next start; floating references are sunk. */
void llm_engine_client_set_configuration (LlmEngineClient *self, GVariant *configure);

gboolean llm_engine_client_is_running (LlmEngineClient *self);
/* Lets it end, as when its last model has been unloaded for a while. */
void llm_engine_client_stop (LlmEngineClient *self);

/* Calls @method, starting the engine first if need be. Errors: EngineLost, Busy (too many calls wait), and what the engine
 * answers, typed. @params: floating or not; @fds nullable. */
void llm_engine_client_call_async (LlmEngineClient *self, const char *method, GVariant *params, GUnixFDList *fds, GAsyncReadyCallback callback,
                                   gpointer user_data);
/* (transfer full) */
GVariant *llm_engine_client_call_finish (LlmEngineClient *self, GAsyncResult *result, GError **error);

/* Inspects a model's files in a throw-away instance. A crash or LLM_INSPECT_TIMEOUT_MS is InvalidModel. */
void llm_engine_client_inspect_async (LlmEngineClient *self, GUnixFDList *fds, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
GVariant *llm_engine_client_inspect_finish (LlmEngineClient *self, GAsyncResult *result, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEngineClient, llm_engine_client_free)

G_END_DECLS
