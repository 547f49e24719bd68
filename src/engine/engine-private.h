/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the engine share: models, requests, and who may touch them.
 */
#pragma once

#include "chat/forms.h"
#include "engine/arch.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/stop.h"
#include "engine/weights.h"

typedef struct _LlmEmbed LlmEmbed;       /* one call for embeddings (embed-private.h) */
typedef struct _LlmEmbedder LlmEmbedder; /* what a model needs for them */

/* Immutable once loaded, but for the part that belongs to the engine thread. */
struct _LlmModel {
  gatomicrefcount refs;
  char *digest;
  char *device_id;
  LlmGguf *gguf;
  LlmModelConfig *config;
  LlmVocab *vocab;
  LlmWeights *weights;
  LlmPlan *plan;
  LlmChatForm form;
  guint context_window;
  guint batch_rows;    /* of one run, at most */
  guint64 memory_bytes;

  /* engine thread; gone after unload */
  LlmDevice *device; /* (lent by the engine) */
  LlmExecutable *executable;
  LlmKvBuffer *kv;
  LlmKvPool *pool;
  LlmEmbedder *embedder;
  GPtrArray *requests; /* LlmActive (lent), in order of arrival */
  GPtrArray *embeds;   /* LlmEmbed (lent), in order of arrival */
};

/* Any thread: parses, maps and plans; no device yet. */
LlmModel *llm_model_open (const char *digest, const int *fds, guint n_fds, const LlmLoadSettings *settings, GError **error);
/* Engine thread: compiles for @device and makes the KV cache. */
gboolean llm_model_install (LlmModel *self, LlmDevice *device, const LlmLoadSettings *settings, GError **error);
void llm_model_uninstall (LlmModel *self);

/* One request from submit to done. `job` and what stands above the line is set before the engine thread sees it. */
typedef struct {
  LlmJob *job;        /* (owned) */
  LlmModel *model;    /* (owned, nullable) */
  GArray *tokens;     /* gint32: prompt, then generated */
  guint n_prompt;
  GError *error;      /* (owned) why it cannot run */
  gint64 submitted_us;
  gint cancelled, paused; /* atomic, any thread */

  /* engine thread */
  LlmRequestState state;
  guint reported_position;
  gboolean admitted;
  gboolean was_scheduled;
  guint n_computed, n_cached;
  GArray *pages;      /* guint32 */
  guint n_published;  /* pages whose contents the pool knows */
  guint64 serial;     /* of the last of them */
  LlmSampler *sampler;
  LlmDetok *detok;
  LlmStop stop;
  GArray *delta_tokens;     /* gint32, not told yet */
  GArray *delta_logprobs;   /* LlmTokenLogprobs */
  GPtrArray *logprob_memory;
  gint64 first_scheduled_us, first_token_us;
  guint n_output;
} LlmActive;

LlmActive *llm_active_new (LlmJob *job);
void llm_active_free (LlmActive *self);
/* Renders and tokenizes; any thread; the outcome is in tokens or error. */
void llm_active_prepare (LlmActive *self);

/* step.c, engine thread. One batch of @model; FALSE: nothing could run. */
typedef struct {
  const LlmEngineEvents *events;
  gpointer user_data;
  void (*finished) (LlmEngine *engine, LlmActive *active, const char *finish_reason, GError *error); /* takes error */
  void (*embedded) (LlmEngine *engine, LlmEmbed *embed, GError *error); /* NULL: it is done; takes error */
  LlmEngine *engine;
  guint64 n_prefilled, n_decoded, n_steps, n_rows, n_preempted, n_embedded;
} LlmStepper;
gboolean llm_step (LlmStepper *self, LlmModel *model);
void llm_step_set_state (LlmStepper *self, LlmActive *active, LlmRequestState state, guint position);
/* Gives pages back; the tokens stay. */
void llm_active_drop_pages (LlmActive *self);
/* Text that is still held back, at the end. */
void llm_step_flush (LlmStepper *self, LlmActive *active);
void llm_step_echo (LlmStepper *self, LlmActive *active);
