/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The models of the store as objects, and the ObjectManager at /org/local/LLM over models and
 * devices.  Main loop only.
 */
#pragma once

#include "daemon/broker.h"

G_BEGIN_DECLS

LlmModels *llm_models_new (LlmBroker *broker);
void llm_models_free (LlmModels *self);
/* Makes the objects agree with the store: new ones appear, deleted ones go, replaced ones change. */
void llm_models_sync (LlmModels *self);
void llm_models_aliases_changed (LlmModels *self);
/* Verify has found damage. */
void llm_models_damage_changed (LlmModels *self);
void llm_models_load_changed (LlmModels *self, const char *digest);
char *llm_models_path (const char *name); /* (transfer full) */
GVariant *llm_models_properties (LlmModels *self, const LlmStoreModel *model); /* a{sv}, floating */
GVariant *llm_models_list (LlmModels *self, GVariant *filter);                  /* a(osa{sv}), floating */
GVariant *llm_models_loaded_paths (LlmModels *self);                            /* ao, floating */

/* model-calls.c: a method of @model's object. Takes @invocation. */
void llm_model_call (LlmBroker *broker, LlmStoreModel *model, GDBusMethodInvocation *invocation);

/* device-objects.c: known once the engine has been configured. */
LlmDeviceObjects *llm_device_objects_new (LlmBroker *broker);
void llm_device_objects_free (LlmDeviceObjects *self);
void llm_device_objects_update (LlmDeviceObjects *self, GVariant *engine_info);
/* Adds them to a{oa{sa{sv}}}. */
void llm_device_objects_add_to (LlmDeviceObjects *self, GVariantBuilder *objects);

G_END_DECLS
