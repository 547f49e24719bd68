/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine behind the private bus: loaded models, the scheduler thread, requests.
 *
 * One engine thread owns the devices, the KV caches and every sequence, and runs
 * one batch after the other; a request joins at the next step (continuous batching,
 * Orca, OSDI'22), prompts are prefilled in chunks beside the decodes.  Requests are
 * rendered and tokenized on helper threads before they reach it.
 *
 * The calls below may come from any thread, never block on compute, and hand over
 * owned structs.  Events are called on the engine thread or a helper thread and must not block.
 * No prompt or generated text is ever logged.
 */
#pragma once

#include <gio/gio.h>

#include "base/error.h"
#include "compute/devices.h"
#include "engine/sampler.h"
#include "format/model-config.h"
#include "text/vocab.h"

G_BEGIN_DECLS

typedef struct _LlmEngine LlmEngine;
typedef struct _LlmModel LlmModel; /* immutable parts of a loaded model; reference-counted */

typedef enum {
  LLM_REQUEST_QUEUED,  /* waits for a place in the batch or for KV pages; position = how many are before it */
  LLM_REQUEST_PREFILL,
  LLM_REQUEST_DECODE,
  LLM_REQUEST_PAUSED,  /* by llm_engine_pause() */
  LLM_REQUEST_DONE,
} LlmRequestState;

const char *llm_request_state_name (LlmRequestState state); /* "queued" ... */

/* One request, owned by the engine after llm_engine_submit(). */
typedef struct {
  guint64 id;            /* chosen by the submitter, unique among the live ones */
  guint32 uid;
  guint64 client;        /* connection; KV pages are shared only within a uid */
  char *digest;          /* of a loaded model */

  GPtrArray *messages;   /* LlmMessage (chat/forms.h), or NULL: */
  char *prompt;          /* a text; through the chat form as one user message unless raw */
  gboolean raw;          /* prompt as it is (BOS as the model says) */
  gboolean echo;         /* the prompt's text comes first in the content */

  LlmSamplingParams sampling;
  guint max_tokens;      /* 0 = until the context is full */
  char **stop;           /* nullable, (owned) */
  char **dry_breakers;   /* nullable, (owned): DRY sees no repetition across a token with one of these; NULL: its usual ones */
  guint logprobs;        /* 0 = none, else how many alternatives per token */
  guint deadline_ms;     /* 0 = none; counted from submit; then finish-reason "cancelled" with the error Cancelled */
} LlmJob;

LlmJob *llm_job_new (void);
void llm_job_free (LlmJob *job);

typedef struct {
  const char *finish_reason; /* "stop" | "length" | "cancelled" (static) */
  guint prompt_tokens;
  guint cached_tokens;       /* of the prompt, taken from KV pages that were there */
  guint output_tokens;
  guint context_used;
  gint64 queue_us, load_us, prefill_us, decode_us;
} LlmResult;

/* A generated token with its alternatives, when logprobs were asked for. */
typedef struct {
  gint32 token;
  float logprob;             /* natural log, of the model's own distribution (before sampling parameters) */
  guint n_top;
  const gint32 *top_token;   /* [n_top], best first */
  const float *top_logprob;
} LlmTokenLogprobs;

typedef struct {
  /* @text: whole UTF-8, may be empty when only @logprobs come; bytes that may still become
   * a stop string are held back. @tokens: the ids this delta stands for. */
  void (*delta) (guint64 id, guint choice, const char *channel, const char *text, gsize len,
                 const gint32 *tokens, guint n_tokens, const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data);
  /* Of an embedding only LLM_REQUEST_PREFILL, when it begins. */
  void (*state) (guint64 id, LlmRequestState state, guint position, gpointer user_data);
  /* The last event of a request.  @error NULL on success. @result is always there. */
  void (*done) (guint64 id, const LlmResult *result, const GError *error, gpointer user_data);
} LlmEngineEvents;

typedef struct {
  char *device;              /* "" = best */
  guint context_window;      /* tokens; 0 = min (trained, LLM_DEFAULT_CONTEXT_WINDOW) */
  LlmDtype kv_type;          /* F16, F32 or Q8_0 (CPU) */
  guint64 kv_bytes;          /* KV pool; 0 = room for LLM_DEFAULT_KV_WINDOWS full windows, within the memory there is */
  LlmDevicesOptions devices;
} LlmLoadSettings;

LlmEngine *llm_engine_new (const LlmEngineEvents *events, gpointer user_data);
/* Cancels everything, joins the engine thread. */
void llm_engine_free (LlmEngine *self);

/* Maps @fds (read-only regular files or memfds: a model, or the parts of a split one in any order; duplicated, caller keeps its
 * own), builds the plan, compiles it, and makes the KV cache.  Errors: InvalidModel, NotSupported, OutOfMemory, Busy (too many models).  Loading a digest that is there
 * already succeeds at once. @progress is called on a helper thread. */
void llm_engine_load_async (LlmEngine *self, const char *digest, const int *fds, guint n_fds, const LlmLoadSettings *settings,
                            GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
LlmModel *llm_engine_load_finish (LlmEngine *self, GAsyncResult *result, GError **error);
/* Its requests end with Closed; memory is free when the callback comes. */
void llm_engine_unload_async (LlmEngine *self, const char *digest, GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_engine_unload_finish (LlmEngine *self, GAsyncResult *result, GError **error);

/* (transfer full, nullable) */
LlmModel *llm_engine_find_model (LlmEngine *self, const char *digest);

/* Takes @job.  Every outcome, errors included (ModelNotFound, ContextExceeded, InvalidMessage,
 * QueueFull ...), arrives as a done event, never before submit returns. */
void llm_engine_submit (LlmEngine *self, LlmJob *job);
void llm_engine_cancel (LlmEngine *self, guint64 id);
/* A paused request keeps its KV pages as long as nobody else needs them. */
void llm_engine_pause (LlmEngine *self, guint64 id, gboolean paused);

/* a{sv}: requests-queued/-running u, tokens-prefilled/-decoded/-embedded t, steps t, batch-rows t, preemptions t,
 * models aa{sv} (digest, device, memory-bytes, kv-pages-total/-used, context-window). (transfer full, not floating) */
GVariant *llm_engine_statistics (LlmEngine *self);

/* LlmModel, any thread */
LlmModel *llm_model_ref (LlmModel *self);
void llm_model_unref (LlmModel *self);
LlmVocab *llm_model_vocab (const LlmModel *self);            /* (transfer none) */
const LlmModelConfig *llm_model_config (const LlmModel *self);
guint llm_model_context_window (const LlmModel *self);
guint llm_model_batch_rows (const LlmModel *self);           /* of one run, at most */
guint64 llm_model_memory_bytes (const LlmModel *self);       /* weights mapped or uploaded + KV + scratch */
const char *llm_model_device_id (const LlmModel *self);
/* ids of the prompt exactly as a request would have them (GArray of gint32). */
GArray *llm_model_tokenize_messages (const LlmModel *self, const GPtrArray *messages, gboolean open_answer, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmJob, llm_job_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmModel, llm_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEngine, llm_engine_free)

G_END_DECLS
