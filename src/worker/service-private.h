/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the methods of the private interface share.  A method answers its call, now or later; what takes time
 * runs in the engine or on a GTask thread.
 */
#pragma once

#include <gio/gunixfdlist.h>

#include "cache/cache.h"
#include "worker/outbox.h"
#include "worker/service.h"

struct _LlmService {
  GDBusConnection *connection; /* (owned) */
  guint registration;
  gboolean inspect_only, confined, locked;
  int cache_folder;            /* (lent) or -1 */
  LlmCache *cache;             /* (owned) from Configure on */
  LlmDevicesOptions devices; /* isa owned */
  LlmOutbox *outbox;
  LlmEngine *engine;
};

/* The fds of an "ah" argument, in its order; InvalidArgs. (transfer full) */
GUnixFDList *llm_service_take_fds (GVariant *handles, GDBusMethodInvocation *invocation, GError **error);
/* Answers with @error (transfer full). */
void llm_service_take_error (GDBusMethodInvocation *invocation, GError *error);
/* @known: pairs of key and type. InvalidArgs names the key. */
gboolean llm_service_check_keys (GVariant *dict, const char *const known[][2], gsize n_known, GError **error);

typedef void LlmServiceMethod (LlmService *self, GVariant *params, GDBusMethodInvocation *invocation);

/* service-requests.c */
LlmServiceMethod llm_service_load, llm_service_unload, llm_service_submit, llm_service_embed, llm_service_pause, llm_service_cancel;
/* service-text.c */
LlmServiceMethod llm_service_tokenize, llm_service_detokenize, llm_service_count_tokens;
