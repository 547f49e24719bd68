/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What embed.c (one call), embed-step.c (one run) and engine.c (the thread) share.
 */
#pragma once

#include "engine/embed.h"
#include "engine/engine-private.h"

/* One call from its beginning to its end. What stands above the line is set before the engine thread sees it. */
struct _LlmEmbed {
  LlmEmbedJob *job;   /* (owned) */
  LlmModel *model;    /* (owned, nullable) */
  GTask *task;        /* (owned) */
  GError *error;      /* (owned) why it cannot run */
  gint64 submitted_us;
  gint cancelled;     /* atomic, any thread */
  LlmPooling pooling;
  guint n_inputs, dimensions;
  GArray *tokens;     /* gint32, of all inputs */
  guint *begins;      /* [n_inputs + 1], in tokens */
  float *rows;        /* [n_inputs, dimensions] */

  /* engine thread */
  gint64 started_us;  /* 0: waits */
  guint n_begun, n_done;
};

LlmEmbed *llm_embed_new (LlmEmbedJob *job, GAsyncReadyCallback callback, gpointer user_data);
void llm_embed_free (LlmEmbed *self);
/* Checks and tokenizes; any thread; the outcome is in tokens or error. */
void llm_embed_prepare (LlmEmbed *self);
/* Returns its outcome to who asked. Takes @error. */
void llm_embed_settle (LlmEmbed *self, GError *error);

/* Engine thread. One run for the embeddings of @model; FALSE: there are none. */
gboolean llm_embed_step (LlmStepper *self, LlmModel *model);
/* It will not go on: cancelled, or its model goes. */
void llm_embedder_forget (LlmEmbedder *self, const LlmEmbed *embed);

/* The devices' side of a model's embeddings. @plan, @executable, @kv of a decoder are its own, made when they are needed. */
LlmEmbedder *llm_embedder_new (LlmModel *model);
void llm_embedder_free (LlmEmbedder *self);
/* Any thread. */
guint64 llm_embedder_memory_bytes (const LlmEmbedder *self);
