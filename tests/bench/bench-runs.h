/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model in the engine of the service, and requests that run on it together.
 *
 * One thread, that of the main loop; a run blocks it until the last of its requests is done.
 */
#pragma once

#include "engine/embed.h"
#include "engine/engine-private.h"

G_BEGIN_DECLS

typedef struct {
  const char *device, *isa; /* (lent, nullable) */
  guint n_threads;
  LlmDtype kv_type;
  guint context_window;     /* what one sequence needs */
  guint64 kv_tokens;        /* what all sequences of a run need together */
} LlmBenchSettings;

/* One run: @n_streams requests at once, each with @depth tokens that are the same in every run of a case (after the
 * first one they come from the KV cache), @prompt that are new, and @decode to generate. @embed: @n_streams texts of @prompt
 * tokens in one call for embeddings. */
typedef struct {
  guint n_streams, depth, prompt, decode;
  gboolean embed;
} LlmBenchCase;

typedef struct {
  guint prompt_tokens, cached_tokens, output_tokens; /* of all streams */
  double prefill_s;     /* from when the first prompt was taken up to the first token of the last stream */
  double decode_s;      /* from the first token of the first stream to the last of all */
  double first_token_s; /* longest wait from submit to the first token */
  gint64 end_us;        /* of the last stream, by the monotonic clock */
} LlmBenchTimes;

typedef struct _LlmBenchRunner LlmBenchRunner;

/* Loads @path. Errors: those of llm_engine_load_finish(), or of the file. */
LlmBenchRunner *llm_bench_runner_new (const char *path, const LlmBenchSettings *settings, GError **error);
void llm_bench_runner_free (LlmBenchRunner *self);
double llm_bench_runner_load_s (const LlmBenchRunner *self);
/* Of the KV cache, when it is full. */
guint64 llm_bench_runner_kv_bytes (const LlmBenchRunner *self);
LlmModel *llm_bench_runner_model (LlmBenchRunner *self); /* (transfer none) */
/* @run counts the runs of a case: what is new in a prompt depends on it. */
gboolean llm_bench_runner_run (LlmBenchRunner *self, const LlmBenchCase *c, guint run, LlmBenchTimes *times, GError **error);
/* Called on the engine thread, between two passes, when all streams of a run have their first token; NULL: nobody is. */
void llm_bench_runner_on_decoding (LlmBenchRunner *self, void (*func) (gpointer user_data), gpointer user_data);
/* The least log-probability that a generated token had since the last call; NaN when one was no number. */
double llm_bench_runner_least_logprob (LlmBenchRunner *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmBenchRunner, llm_bench_runner_free)

G_END_DECLS
