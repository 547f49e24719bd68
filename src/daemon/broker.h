/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker: everything of local-llmd that lives as long as it does, wired together.
 * Main loop only.
 */
#pragma once

#include "daemon/artifact-counts.h"
#include "daemon/callers.h"
#include "daemon/collector.h"
#include "daemon/crash-ledger.h"
#include "daemon/engine-client.h"
#include "daemon/flow.h"
#include "daemon/inbound.h"
#include "daemon/settings.h"
#include "daemon/update.h"
#include "store/store.h"

G_BEGIN_DECLS

typedef struct _LlmBroker LlmBroker;
typedef struct _LlmRequest LlmRequest;
typedef struct _LlmLoader LlmLoader;
typedef struct _LlmModels LlmModels;
typedef struct _LlmDeviceObjects LlmDeviceObjects;

typedef struct {
  gboolean session;
  const char *state_dir;
  const char *cache_dir; /* $CACHE: folders of compiled artifacts */
  const char *engine_path;
  const char *models_dir;
  const char *config_dir; /* the administrator's defaults and locks; system mode only */
} LlmBrokerOptions;

struct _LlmBroker {
  GDBusConnection *connection; /* (owned) */
  gboolean session;
  char *models_dir;
  LlmStore *store;
  LlmSettings *settings;
  LlmEngineClient *engine;
  LlmArtifactCounts *artifacts;
  LlmCrashLedger *ledger;
  LlmCallers *callers;
  LlmInbound *inbound;
  LlmFlow *flow;
  LlmLoader *loader;
  LlmModels *models;
  LlmDeviceObjects *devices;
  LlmSettingsObject *settings_object;
  LlmCollector *collector;
  LlmUpdate *update;
  guint manager_registration;
  GHashTable *requests;  /* id -> LlmRequest (owned reference) */
  guint64 last_request_id;
  guint bundled_pending; /* bundled models that are not registered yet */
  GQueue waiting_calls;  /* calls that need the model list while bundled_pending > 0 */
  char *degraded;        /* why, or NULL */
  gboolean lost_by_file; /* the engine was lost last because a model's file had changed under it: nobody's fault */
  struct {
    guint64 requests_total, requests_failed, engine_starts, engine_losses;
  } count;
};

/* Opens the store, exports the objects, and registers bundled models in the background. */
LlmBroker *llm_broker_new (GDBusConnection *connection, const LlmBrokerOptions *options, GError **error);
void llm_broker_free (LlmBroker *self);

/* ---- what the parts tell each other ---- */

/* Asks the engine, if it runs, what it did, keeps what it says of artifacts, and calls @done with all of it (a{sv}), or NULL. */
typedef void (*LlmBrokerStatistics) (LlmBroker *self, GVariant *engine, gpointer user_data);
void llm_broker_ask_engine (LlmBroker *self, LlmBrokerStatistics done, gpointer user_data);

/* Replies with @error, typed for the bus. Takes @error. */
void llm_broker_return_error (GDBusMethodInvocation *invocation, GError *error);
/* One signal of org.local.LLM to @client alone. Counts towards its flow control. */
void llm_broker_signal (LlmBroker *self, const char *client, const char *name, GVariant *params);
/* A property of the main object has changed. */
void llm_broker_notify (LlmBroker *self, const char *property, GVariant *value);
char *llm_broker_health (LlmBroker *self);

/* The model "" or @name stands for. ModelNotFound, InvalidArgs. (transfer full) */
LlmStoreModel *llm_broker_resolve (LlmBroker *self, const char *name, GError **error);
char *llm_broker_default_model (LlmBroker *self); /* "" when there is none */

/* manager.c */
gboolean llm_manager_export (LlmBroker *self, GError **error);
/* A call of org.local.LLM that had to wait for the model list. Takes the invocation. */
void llm_manager_dispatch (LlmBroker *self, GDBusMethodInvocation *invocation);

G_END_DECLS
