/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first start after an update: the engine is not the one of the last run, so that what it had compiled for the models is worth nothing.
 *
 * Models that were loaded when the last run ended are loaded again, one after the other, in the background, which makes their artifacts
 * before somebody waits for them; requests are served meanwhile.  Health says "updating" until that is done.  Main loop only.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmBroker LlmBroker;
typedef struct _LlmUpdate LlmUpdate;

/* Compares the engine @engine_path with that of the last run, and writes the new one down. */
LlmUpdate *llm_update_new (LlmBroker *broker, const char *engine_path);
void llm_update_free (LlmUpdate *self);

/* The models of the store are known: begins, the first time. */
void llm_update_begin (LlmUpdate *self);
/* A model was loaded or unloaded: writes down which are. */
void llm_update_loads_changed (LlmUpdate *self);
/* "version-build id" of the engine of the last run when it was another one, else "". */
const char *llm_update_from (LlmUpdate *self);
/* How many models are still to come. */
guint llm_update_pending (LlmUpdate *self);

G_END_DECLS
