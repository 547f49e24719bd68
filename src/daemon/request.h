/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One piece of work for one caller, and its private object on the bus.
 *
 * Its path names its caller, so that the connection filter (inbound.h) answers everybody else with
 * UnknownObject before anything is dispatched, Properties and Introspect included; the handlers look again.  State goes along the edges of one table, through one setter.
 * After its end it stays until Wait has replied, LLM_FINISHED_REQUEST_TTL_MS, or its caller's end.
 */
#pragma once

#include "daemon/broker.h"
#include "daemon/fd-writer.h"

G_BEGIN_DECLS

typedef enum { LLM_KIND_GENERATE, LLM_KIND_CHAT, LLM_KIND_STREAM, LLM_KIND_IMPORT, LLM_KIND_LOAD, LLM_KIND_EMBED, LLM_KIND_VERIFY } LlmRequestKind;

typedef struct _LlmImport LlmImport;

typedef enum {
  LLM_STATE_WAITING,
  LLM_STATE_COLLECTING, /* an import whose files are still coming */
  LLM_STATE_LOADING,
  LLM_STATE_QUEUED,
  LLM_STATE_PREFILL,
  LLM_STATE_DECODE,
  LLM_STATE_PAUSED,
  LLM_STATE_DONE,
  LLM_N_STATES
} LlmState;

/* Whether the table has the edge. Pure. */
gboolean llm_state_may_follow (LlmState from, LlmState to);
LlmState llm_state_from_name (const char *name); /* LLM_N_STATES: unknown */

struct _LlmRequest {
  guint refs;
  LlmBroker *broker;
  LlmCaller *caller;   /* NULL when it is gone */
  char *sender;
  guint32 uid;
  guint64 id;
  char *path;
  guint registration;
  LlmRequestKind kind;
  LlmState state;
  guint position;
  guint64 completed, total;
  GDBusMethodInvocation *reply; /* the method's, until it is answered (owned) */
  GPtrArray *waiters;           /* GDBusMethodInvocation of Wait (owned) */
  GCancellable *cancellable;
  GVariant *result;             /* after the end */
  GError *error;
  guint ttl_timer;
  LlmImport *import;            /* while it is one (import.c frees it) */

  /* generate, chat, stream (generate.c), embed */
  LlmStoreModel *model;
  LlmStoreLease *lease; /* on its files: the engine may have to be started again */
  GVariant *submit;     /* the engine's request */
  gboolean signals;     /* tokens go out as signals */
  LlmFdWriter *writer;  /* or here */
  GString *text;        /* or are gathered here */
  GPtrArray *logprobs;  /* GVariant (owned) */
  guint64 offset;
  gboolean in_use, submitted, emitted, blocked_by_fd, told_paused;
  guint attempts;
  guint64 load_us;
  guint deadline_ms, deadline_timer;

  /* embed (embedding.c) */
  GVariant *rows;       /* ay: float32, little-endian */
  gsize rows_written;   /* bytes of them that the writer has */
  guint stall_timer;
};

/* Makes and exports it; @reply: the call it belongs to, answered at the end (transfer full, nullable).
 * @handle_token: nullable. Errors: QuotaExceeded, QueueFull, InvalidArgs (the token is in use); @reply is not taken then. */
LlmRequest *llm_request_new (LlmBroker *broker, LlmCaller *caller, LlmRequestKind kind, const char *handle_token, GError **error);
LlmRequest *llm_request_ref (LlmRequest *self);
void llm_request_unref (LlmRequest *self);

void llm_request_set_state (LlmRequest *self, LlmState state, const char *why);
void llm_request_progress (LlmRequest *self, const char *phase, guint64 done, guint64 total);
/* The end: replies, Finished, waiters. @result (floating or not) on success, else @error (taken). Once; later calls do nothing. */
void llm_request_end (LlmRequest *self, GVariant *result, GError *error);
/* Ends it with Cancelled, telling the engine if it is there. */
void llm_request_cancel (LlmRequest *self, const char *why);
/* It never began: its call is answered with an error elsewhere. */
void llm_request_discard (LlmRequest *self);
/* Its caller is gone: ends it and frees it. */
void llm_request_orphan (LlmRequest *self);

/* generate.c */
void llm_generate_start (LlmRequest *self);
void llm_generate_ended (LlmRequest *self); /* frees what belongs to the run */
void llm_generate_on_delta (LlmBroker *broker, guint64 id, const char *channel, const char *text, GVariant *details);
void llm_generate_on_state (LlmBroker *broker, guint64 id, const char *state, guint position);
void llm_generate_on_done (LlmBroker *broker, guint64 id, GVariant *result);
void llm_generate_on_lost (LlmBroker *broker, const char *reason);
void llm_generate_update_flow (LlmRequest *self);
/* All of its output is with the writer, `result` is there: ends when the reader has taken it. */
void llm_generate_finish_output (LlmRequest *self);
/* How a finished generation answers its method call. */
void llm_generate_reply (LlmRequest *self, GDBusMethodInvocation *invocation);

/* import.c */
/* The files of an "ah" argument, charged to @uid; InvalidArgs, QuotaExceeded. (transfer full) */
GUnixFDList *llm_import_take_fds (LlmBroker *broker, guint32 uid, GDBusMessage *message, GVariant *handles, GError **error);
void llm_import_release_fds (LlmBroker *broker, guint32 uid, GUnixFDList *fds);
/* Both take @fds. @more: the import waits for llm_import_append(). */
void llm_import_start (LlmRequest *self, GUnixFDList *fds, const char *name, const char *source, const char *version, gboolean in_place, gboolean more);
gboolean llm_import_append (LlmRequest *self, GUnixFDList *fds, const char *name, gboolean more, GError **error);
void llm_import_request_ended (LlmImport *import);
void llm_import_bundled (LlmBroker *broker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmRequest, llm_request_unref)

G_END_DECLS
