/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Engine events -> signals on the private connection, coalesced.
 *
 * The first text of a request goes out at once; later pieces are gathered for LLM_DELTA_COALESCE_MS or
 * until they make LLM_DELTA_COALESCE_BYTES.  Events come on the engine thread and are handed over to the main
 * loop as owned structs; everything else here is main loop.
 */
#pragma once

#include "engine/engine.h"

typedef struct _LlmOutbox LlmOutbox;

LlmOutbox *llm_outbox_new (GDBusConnection *connection);
void llm_outbox_free (LlmOutbox *self);
/* For llm_engine_new(): user_data is the outbox. */
extern const LlmEngineEvents llm_outbox_events;
/* A request begins; @model (nullable) lends the texts of its tokens for logprobs. */
void llm_outbox_begin (LlmOutbox *self, guint64 id, LlmModel *model);
/* Of what ends without a done event: an embedding, which has states alone. */
void llm_outbox_end (LlmOutbox *self, guint64 id);
