/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embeddings: texts -> one row each of the last layer's normalised hidden state, pooled.
 *
 * Texts of many calls share a run; the runs stand between the steps of generation on the engine thread, so
 * that neither starves.  A decoder makes a second executable for them, and a KV buffer, when the first
 * call comes.  Threads and events as in engine.h.
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

/* One call, owned by the engine after llm_engine_embed_async(). */
typedef struct {
  guint64 id;          /* unique among the live requests and embeddings: for llm_engine_cancel() */
  guint32 uid;
  char *digest;        /* of a loaded model */
  char **inputs;       /* texts, with BOS, EOS, CLS, SEP as the vocabulary says; (owned) */
  LlmPooling pooling;  /* NONE: as the model says, else the mean for an encoder, the last row for a decoder */
  guint dimensions;    /* the first so many of each row (Kusupati et al. 2022); 0: all */
  gboolean normalize;  /* to a length of 1; after the cut */
  gboolean truncate;   /* a longer input loses its end, else it is ContextExceeded */
  guint64 max_bytes;   /* of all rows, at most LLM_EMBED_MAX_RESULT_BYTES; 0: that */
  guint deadline_ms;   /* 0 = none; counted from the call; then Cancelled */
} LlmEmbedJob;

typedef struct {
  guint n_rows;
  guint dimensions;
  float *rows;         /* (owned) [n_rows, dimensions] */
  guint prompt_tokens; /* of all inputs */
  gint64 queue_us;
} LlmEmbedding;

/* Normalises; the rest is 0. */
LlmEmbedJob *llm_embed_job_new (void);
void llm_embed_job_free (LlmEmbedJob *job);
void llm_embedding_free (LlmEmbedding *embedding);

/* Takes @job. Errors: ModelNotFound, QueueFull, InvalidMessage (an input without tokens), ContextExceeded, InvalidArgs
 * (dimensions), LimitsExceeded (max_bytes), OutOfMemory, Cancelled, Closed. */
void llm_engine_embed_async (LlmEngine *self, LlmEmbedJob *job, GAsyncReadyCallback callback, gpointer user_data);
LlmEmbedding *llm_engine_embed_finish (LlmEngine *self, GAsyncResult *result, GError **error);

/* Tokens of the longest input that @self takes. Any thread. */
guint llm_model_embed_window (const LlmModel *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEmbedJob, llm_embed_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEmbedding, llm_embedding_free)

G_END_DECLS
