/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine as its two sides see it: the doors (engine.c, any thread) and the engine thread (engine-thread.c).
 *
 * Two ways in: `inbox` hands over owned things (prepared requests, models to install or
 * take out), and the flags of a request (cancelled, paused) are atomic.  `live` maps ids to requests
 * from submit to done, under `lock`; a request is freed only by the engine thread, after it has left
 * `live`.  One way out: the events.
 */
#pragma once

#include "engine/embed-private.h"

struct _LlmEngine {
  LlmEngineEvents events;
  gpointer user_data;
  LlmStepper stepper;
  GThread *thread;
  GThreadPool *preparers, *loaders;
  GThreadPool *embed_preparers; /* of their own: a thousand texts to tokenize keep no prompt waiting */

  GMutex lock;
  GCond wake;
  /* under lock */
  GQueue inbox;         /* LlmEngineCommand */
  GHashTable *live;     /* id -> LlmActive (lent) */
  GHashTable *embeds;   /* id -> LlmEmbed (lent) */
  GHashTable *models;   /* digest -> LlmModel (owned) */
  GHashTable *loading;  /* digest -> GPtrArray of the GTasks that wait for it to be loaded */
  gboolean poked;       /* a flag of some request has changed */
  gboolean quit;

  /* engine thread */
  GPtrArray *installed; /* LlmModel (owned) */
  GHashTable *devices;  /* id as asked for -> LlmDevice (owned) */
};

/* A model on its way in. */
typedef struct {
  char *digest;
  GArray *fds; /* int (owned) */
  LlmLoadSettings settings;
  LlmModel *model; /* (owned) once it is open */
} LlmEngineLoad;

typedef enum { LLM_COMMAND_REQUEST, LLM_COMMAND_EMBED, LLM_COMMAND_INSTALL, LLM_COMMAND_UNLOAD } LlmEngineCommandKind;

typedef struct {
  LlmEngineCommandKind kind;
  LlmActive *active;
  LlmEmbed *embed;
  LlmEngineLoad *load;      /* (owned) */
  GTask *task;     /* (owned) of an unload */
  LlmModel *model; /* (owned) of an unload */
} LlmEngineCommand;

/* Any thread. @command: copied. */
void llm_engine_post (LlmEngine *self, LlmEngineCommand command);
/* The load is over: all who asked for the model get the outcome. Any thread; frees @load. */
void llm_engine_settle_load (LlmEngine *self, LlmEngineLoad *load, const GError *error);

/* The engine thread, until `quit`. */
gpointer llm_engine_thread (gpointer engine);
/* The last event of a request or an embedding; frees it. Takes @error. Engine thread. */
void llm_engine_finish (LlmEngine *self, LlmActive *active, const char *finish_reason, GError *error);
void llm_engine_finish_embed (LlmEngine *self, LlmEmbed *embed, GError *error);
