/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client library: org.local.LLM without the D-Bus.
 *
 * Blocking calls that run the caller's default main context while they wait, so that
 * signals arrive and a GCancellable works; on cancellation the service is told.  One thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmClient LlmClient;

/* @session: the session bus; else the system bus, or what LLM_BUS ("session" or "system") says. */
LlmClient *llm_client_new (gboolean session, GError **error);
void llm_client_free (LlmClient *self);

/* A method of /org/local/LLM. @params floating or NULL. Errors carry their D-Bus names, without the "GDBus.Error" prefix in
 * the message. (transfer full) */
GVariant *llm_client_call (LlmClient *self, const char *method, GVariant *params, GError **error);
/* One of another interface of it. */
GVariant *llm_client_call_interface (LlmClient *self, const char *interface, const char *method, GVariant *params, GError **error);
/* A property of /org/local/LLM. (transfer full) */
GVariant *llm_client_get (LlmClient *self, const char *property, GError **error);
/* The devices: a{oa{sa{sv}}} of the ObjectManager. (transfer full) */
GVariant *llm_client_objects (LlmClient *self, GError **error);

/* A method of the model @name's object that answers at once. @params floating. (transfer full) */
GVariant *llm_client_call_model (LlmClient *self, const char *name, const char *method, GVariant *params, GError **error);

typedef void (*LlmClientToken) (const char *channel, const char *text, gpointer user_data);
typedef void (*LlmClientProgress) (const char *phase, guint64 done, guint64 total, gpointer user_data);

/* Streams the answer to @messages (aa{sv}). Returns its result a{sv}. (transfer full) */
GVariant *llm_client_stream (LlmClient *self, const char *model, GVariant *messages, GVariant *options, LlmClientToken token, gpointer user_data,
                             GCancellable *cancellable, GError **error);
/* Embeds @inputs (as). Returns the rows as Embed's options say, float32, little-endian; *@result: a{sv}. (transfer full) */
GBytes *llm_client_embed (LlmClient *self, const char *model, GVariant *inputs, GVariant *options, GVariant **result, GCancellable *cancellable,
                          GError **error);
/* Imports the file, or all parts of the split model, @paths (NULL-terminated), as many in a call as the service takes. Progress
 * is over the bytes of all. @options: a{sv} (floating) or NULL. Returns the result a{sv}. (transfer full) */
GVariant *llm_client_import (LlmClient *self, const char *const *paths, const char *name, GVariant *options, LlmClientProgress progress, gpointer user_data,
                             GCancellable *cancellable, GError **error);
/* Hashes the files of the model @name again. Returns the result a{sv}, or IntegrityFailed. (transfer full) */
GVariant *llm_client_verify (LlmClient *self, const char *name, LlmClientProgress progress, gpointer user_data, GCancellable *cancellable, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmClient, llm_client_free)

G_END_DECLS
