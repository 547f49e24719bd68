/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine with a tiny model on the scalar CPU device, and a record of all that it tells.
 */
#pragma once

#include "engine/engine.h"
#include "format/gguf-builder.h"

G_BEGIN_DECLS

/* What came of one request. */
typedef struct {
  guint64 id;
  GString *text;
  GArray *tokens;       /* gint32, as the deltas told them */
  GArray *logprobs;     /* LlmTokenLogprobs; the pointers in it are gone */
  guint n_deltas, n_sorted; /* alternatives that came best first, in sum */
  guint states;         /* 1 << LlmRequestState, all there were */
  LlmRequestState state;
  gboolean done;
  LlmResult result;
  GError *error;
} Record;

typedef struct _Fixture Fixture;

Fixture *fixture_new (void);
void fixture_free (Fixture *self);
LlmEngine *fixture_engine (Fixture *self);
/* Called on the event's thread, before the record changes hands. */
void fixture_on_delta (Fixture *self, void (*func) (LlmEngine *engine, const Record *record));

/* @kv_bytes 0: room enough. */
LlmModel *fixture_load (Fixture *self, const char *digest, const LlmTestModel *options, guint window, guint64 kv_bytes, GError **error);
LlmModel *fixture_load_bytes (Fixture *self, const char *digest, GBytes *bytes, guint window, guint64 kv_bytes, GError **error);
gboolean fixture_unload (Fixture *self, const char *digest, GError **error);

/* A raw prompt, greedy, uid 1000, without EOG; to be changed before fixture_submit(). */
LlmJob *fixture_job (Fixture *self, const char *digest, const char *prompt, guint max_tokens);
void fixture_bias (LlmJob *job, gint32 token, float bias);
guint64 fixture_submit (Fixture *self, LlmJob *job);
/* The record when the request is done. Lent. */
const Record *fixture_wait (Fixture *self, guint64 id);
/* Waits until it is or was in @state. */
void fixture_wait_state (Fixture *self, guint64 id, LlmRequestState state);
const Record *fixture_run (Fixture *self, LlmJob *job);
guint64 fixture_statistic (Fixture *self, const char *key);

#define FIRST_SPECIAL 286 /* of the tiny model: EOS */
#define N_VOCAB 294

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

G_END_DECLS
