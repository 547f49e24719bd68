/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is calling: unique name -> uid, and what ends when a caller does.  Quotas are kept
 * here too, per uid.  Main loop only.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmCallers LlmCallers;

typedef struct {
  char *name;       /* unique name */
  guint32 uid;
  guint64 serial;   /* of this connection, for the engine */
  GPtrArray *requests; /* LlmRequest (lent) */
} LlmCaller;

typedef void (*LlmCallerGone) (LlmCaller *caller, gpointer user_data);
typedef void (*LlmCallerReady) (LlmCaller *caller, const GError *error, gpointer user_data);

/* @gone: before the caller is freed; it must leave `requests` empty. */
LlmCallers *llm_callers_new (GDBusConnection *connection, LlmCallerGone gone, gpointer user_data);
void llm_callers_free (LlmCallers *self);
/* Calls back at once when the caller is known, else when the bus has said who it is. */
void llm_callers_get (LlmCallers *self, const char *name, LlmCallerReady ready, gpointer user_data);
LlmCaller *llm_callers_find (LlmCallers *self, const char *name);
guint llm_callers_count (LlmCallers *self);

/* Quotas: what a uid has under way. FALSE: QuotaExceeded or QueueFull says the limit. */
gboolean llm_callers_charge_request (LlmCallers *self, guint32 uid, GError **error);
void llm_callers_refund_request (LlmCallers *self, guint32 uid);
gboolean llm_callers_charge_fd (LlmCallers *self, guint32 uid, GError **error);
void llm_callers_refund_fd (LlmCallers *self, guint32 uid);
/* @bytes that an import is about to bring, on top of @stored that are there and what others of the user's imports bring. */
gboolean llm_callers_charge_disk (LlmCallers *self, guint32 uid, guint64 stored, guint64 bytes, GError **error);
void llm_callers_refund_disk (LlmCallers *self, guint32 uid, guint64 bytes);
/* Whether @bytes more than @has are within a user's share of the disk. Pure. */
gboolean llm_disk_share_allows (guint32 uid, guint64 has, guint64 bytes, GError **error);
guint llm_callers_n_requests (LlmCallers *self);

G_END_DECLS
