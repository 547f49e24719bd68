/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embed and EmbedToFd between the engine and their caller. They load and end as a generation does (generate.c);
 * what comes back is one block of numbers.
 */
#pragma once

#include "daemon/request.h"

/* Whether a call may have these texts (as). LimitsExceeded names the limit, InvalidMessage that there are none. */
gboolean llm_embedding_check_inputs (GVariant *inputs, GError **error);
/* The model is loaded: asks the engine. */
void llm_embedding_submit (LlmRequest *self);
/* (LlmFdWriterFlow of a LlmRequest) Goes on writing when there is room. */
void llm_embedding_on_flow (gboolean full, gpointer request);
/* How a finished one without an fd answers its method call. */
void llm_embedding_reply (LlmRequest *self, GDBusMethodInvocation *invocation);
/* Frees what belongs to the run. */
void llm_embedding_ended (LlmRequest *self);
