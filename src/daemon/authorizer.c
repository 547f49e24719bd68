/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/authorizer.h"

#include <unistd.h>

#define POLKIT_TIMEOUT_MS 120000 /* somebody may have to type a password */

static const struct {
  LlmVerdict for_users;
  const char *polkit_action;
  const char *who;
} table[] = {
  [LLM_ACTION_USE] = { LLM_VERDICT_ALLOW, NULL, "every local user" },
  [LLM_ACTION_IMPORT] = { LLM_VERDICT_ASK_POLKIT, "org.local.LLM.import", "the user of the active local session" },
  [LLM_ACTION_MANAGE] = { LLM_VERDICT_ASK_POLKIT, "org.local.LLM.manage", "an administrator" },
  [LLM_ACTION_CONFIGURE] = { LLM_VERDICT_ASK_POLKIT, "org.local.LLM.configure", "an administrator" },
};

LlmVerdict
llm_authorizer_decide (LlmAction action, gboolean session, guint32 uid, guint32 own_uid)
{
  if ((guint) action >= G_N_ELEMENTS (table))
    return LLM_VERDICT_DENY;
  return session || uid == 0 || uid == own_uid ? LLM_VERDICT_ALLOW : table[action].for_users;
}

static void
deny (GTask *task, LlmAction action)
{
  g_task_return_new_error (task, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED, "this is for %s", table[action].who);
}

static void
on_polkit (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GVariant) reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  gboolean authorized = FALSE;

  if (reply != NULL)
    g_variant_get (reply, "((bba{ss}))", &authorized, NULL, NULL);
  if (authorized)
    g_task_return_boolean (task, TRUE);
  else
    deny (task, (LlmAction) GPOINTER_TO_INT (g_task_get_task_data (task))); /* without polkit too */
}

static void
ask_polkit (GDBusConnection *connection, LlmAction action, const char *sender, GTask *task)
{
  GVariantBuilder subject, details;

  g_variant_builder_init (&subject, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&subject, "{sv}", "name", g_variant_new_string (sender));
  g_variant_builder_init (&details, G_VARIANT_TYPE ("a{ss}"));
  g_dbus_connection_call (connection, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                          "CheckAuthorization",
                          g_variant_new ("((sa{sv})sa{ss}us)", "system-bus-name", &subject, table[action].polkit_action, &details, 1, ""),
                          G_VARIANT_TYPE ("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE, POLKIT_TIMEOUT_MS, NULL, on_polkit, task);
}

void
llm_authorizer_check_async (GDBusConnection *connection, LlmAction action, gboolean session, const char *sender, guint32 uid,
                            GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  LlmVerdict verdict = llm_authorizer_decide (action, session, uid, getuid ());

  g_task_set_task_data (task, GINT_TO_POINTER (action), NULL);
  if (verdict == LLM_VERDICT_ASK_POLKIT)
    {
      ask_polkit (connection, action, sender, task);
      return;
    }
  if (verdict == LLM_VERDICT_ALLOW)
    g_task_return_boolean (task, TRUE);
  else
    deny (task, action);
  g_object_unref (task);
}

gboolean
llm_authorizer_check_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
