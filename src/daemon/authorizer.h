/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what: one table, deny by default.  In a session everything is the user's own;
 * on the system bus administrators are root, the service's own user, and whom polkit lets. Main loop only.
 */
#pragma once

#include <gio/gio.h>

typedef enum {
  LLM_ACTION_USE,    /* generate, chat, embed, read */
  LLM_ACTION_IMPORT, /* import, load: the active local session */
  LLM_ACTION_MANAGE, /* unload, delete: administrators */
  LLM_ACTION_CONFIGURE, /* settings, garbage collection: administrators */
} LlmAction;

typedef enum { LLM_VERDICT_ALLOW, LLM_VERDICT_DENY, LLM_VERDICT_ASK_POLKIT } LlmVerdict;

/* The table. Pure. */
LlmVerdict llm_authorizer_decide (LlmAction action, gboolean session, guint32 uid, guint32 own_uid);

/* Decides, asking polkit when the table says so. AccessDenied says who may. */
void llm_authorizer_check_async (GDBusConnection *connection, LlmAction action, gboolean session, const char *sender, guint32 uid,
                                 GAsyncReadyCallback callback, gpointer user_data);
gboolean llm_authorizer_check_finish (GAsyncResult *result, GError **error);
