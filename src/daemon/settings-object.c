/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.local.LLM.Settings at /org/local/LLM: everybody reads, administrators write, and who listens hears of
 * every change, whoever made it.
 */
#include <string.h>

#include "base/limits.h"
#include "base/names.h"
#include "daemon/authorizer.h"
#include "daemon/broker.h"
#include "public-interface.h"

struct _LlmSettingsObject {
  LlmBroker *broker;
  guint registration;
};

/* ---- writing: the caller, the authorizer, the value ---- */

typedef struct {
  LlmBroker *broker;
  GDBusMethodInvocation *invocation;
  char *sender;
} Write;

static void
write_end (Write *w, GError *error)
{
  if (error != NULL)
    llm_broker_return_error (w->invocation, error);
  else
    g_dbus_method_invocation_return_value (w->invocation, NULL);
  g_free (w->sender);
  g_free (w);
}

static void
on_authorized (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Write *w = user_data;
  GVariant *params = g_dbus_method_invocation_get_parameters (w->invocation);
  gboolean resets = strcmp (g_dbus_method_invocation_get_method_name (w->invocation), "Reset") == 0;
  g_autoptr (GVariant) value = NULL;
  const char *key;
  GError *error = NULL;

  if (!llm_authorizer_check_finish (result, &error))
    {
      write_end (w, error);
      return;
    }
  g_variant_get_child (params, 0, "&s", &key);
  if (!resets)
    g_variant_get_child (params, 1, "v", &value);
  if (resets)
    llm_settings_reset (w->broker->settings, key, &error);
  else
    llm_settings_set (w->broker->settings, key, value, &error);
  write_end (w, error);
}

static void
on_caller (LlmCaller *caller, const GError *error, gpointer user_data)
{
  Write *w = user_data;

  if (caller == NULL)
    write_end (w, g_error_copy (error));
  else
    llm_authorizer_check_async (w->broker->connection, LLM_ACTION_CONFIGURE, w->broker->session, w->sender, caller->uid, on_authorized, w);
}

/* ---- reading ---- */

static void
on_described (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusMethodInvocation *invocation = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) description = llm_settings_describe_finish (NULL, result, &error);

  if (description != NULL)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", description));
  else
    llm_broker_return_error (invocation, error);
}

static void
get (LlmBroker *broker, const char *key, GDBusMethodInvocation *invocation)
{
  GError *error = NULL;
  g_autoptr (GVariant) value = llm_settings_get (broker->settings, key, &error);

  if (value != NULL)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(v)", value));
  else
    llm_broker_return_error (invocation, error);
}

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  LlmBroker *broker = ((LlmSettingsObject *) user_data)->broker;
  g_autoptr (GVariant) all = NULL;
  const char *key = "";
  Write *w;

  if (strcmp (method, "List") == 0)
    {
      all = llm_settings_list (broker->settings);
      g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", all));
      return;
    }
  g_variant_get_child (params, 0, "&s", &key);
  if (strcmp (method, "Get") == 0)
    get (broker, key, invocation);
  else if (strcmp (method, "Describe") == 0)
    llm_settings_describe_async (broker->settings, key, on_described, invocation);
  else
    {
      w = g_new0 (Write, 1);
      *w = (Write) { broker, invocation, g_strdup (sender) };
      llm_callers_get (broker->callers, sender, on_caller, w);
    }
}

/* ---- the object ---- */

void
llm_settings_object_changed (LlmSettingsObject *self, const char *key, GVariant *value)
{
  g_dbus_connection_emit_signal (self->broker->connection, NULL, LLM_OBJECT_PATH, LLM_IFACE_SETTINGS, "Changed", g_variant_new ("(sv)", key, value), NULL);
}

LlmSettingsObject *
llm_settings_object_new (LlmBroker *broker, GError **error)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, NULL, NULL, { 0 } };
  LlmSettingsObject *self = g_new0 (LlmSettingsObject, 1);

  self->broker = broker;
  self->registration = g_dbus_connection_register_object (broker->connection, LLM_OBJECT_PATH, (GDBusInterfaceInfo *) &org_local_llmsettings_interface, &vtable,
                                                          self, NULL, error);
  if (self->registration != 0)
    return self;
  g_free (self);
  return NULL;
}

void
llm_settings_object_free (LlmSettingsObject *self)
{
  g_dbus_connection_unregister_object (self->broker->connection, self->registration);
  g_free (self);
}
