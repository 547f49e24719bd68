/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the methods of /org/local/LLM share.  A method: find the object, check the options through the table,
 * charge the quota, hand an owned request on, complete.  FALSE with an error: the call is answered with it.
 */
#pragma once

#include "daemon/broker.h"
#include "daemon/callers.h"
#include "daemon/options.h"

typedef struct {
  LlmBroker *broker;
  LlmCaller *caller;
  GVariant *params;
  GDBusMethodInvocation *invocation;
} LlmManagerCall;

/* Child @i of the parameters, through the table. (transfer full) */
GVariant *llm_manager_options_at (const LlmManagerCall *call, gsize i, LlmOptionsTable table, GError **error);
const char *llm_manager_string_at (const LlmManagerCall *call, gsize i);

/* manager-generate.c */
gboolean llm_manager_generate (LlmManagerCall *call, GError **error);
gboolean llm_manager_generate_to_fd (LlmManagerCall *call, GError **error);
gboolean llm_manager_chat (LlmManagerCall *call, GError **error);
gboolean llm_manager_stream (LlmManagerCall *call, GError **error);
gboolean llm_manager_embed (LlmManagerCall *call, GError **error);
gboolean llm_manager_embed_to_fd (LlmManagerCall *call, GError **error);
/* manager-text.c */
gboolean llm_manager_count_tokens (LlmManagerCall *call, GError **error);
gboolean llm_manager_tokenize (LlmManagerCall *call, GError **error);
gboolean llm_manager_detokenize (LlmManagerCall *call, GError **error);
/* manager-models.c */
gboolean llm_manager_availability (LlmManagerCall *call, GError **error);
gboolean llm_manager_list_models (LlmManagerCall *call, GError **error);
gboolean llm_manager_get_model (LlmManagerCall *call, GError **error);
gboolean llm_manager_import (LlmManagerCall *call, GError **error);
gboolean llm_manager_collect_garbage (LlmManagerCall *call, GError **error);
