/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aa{sv} -> messages, every entry checked: what a client sent is not to be trusted.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "chat/forms.h"

static const char *const role_names[] = { "system", "user", "assistant" };

static void
message_free (gpointer data)
{
  LlmMessage *message = data;

  g_free (message->content);
  g_free (message);
}

static gboolean G_GNUC_PRINTF (3, 4)
invalid (GError **error, gsize index, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "message %" G_GSIZE_FORMAT ": %s", index, what);
  return FALSE;
}

static gboolean
read_role (GVariant *value, gsize index, LlmRole *role, GError **error)
{
  const char *name = g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_get_string (value, NULL) : NULL;

  if (name == NULL)
    return invalid (error, index, "role is of type %s; a string is needed", g_variant_get_type_string (value));
  for (guint i = 0; i < G_N_ELEMENTS (role_names); i++)
    if (strcmp (role_names[i], name) == 0)
      {
        *role = (LlmRole) i;
        return TRUE;
      }
  return invalid (error, index, "unknown role; system, user and assistant are known");
}

static gboolean
read_message (GVariant *dict, gsize index, LlmMessage *message, GError **error)
{
  gboolean has_role = FALSE;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, dict);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      gboolean ok;

      if (strcmp (key, "role") == 0)
        ok = has_role = read_role (value, index, &message->role, error);
      else if (strcmp (key, "content") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
        {
          g_free (message->content);
          message->content = g_variant_dup_string (value, NULL);
          ok = TRUE;
        }
      else if (strcmp (key, "content") == 0)
        ok = invalid (error, index, "content is of type %s; a string is needed", g_variant_get_type_string (value));
      else
        ok = invalid (error, index, "unknown key \"%.*s\"; role and content are known", llm_error_quote (key, -1), key);
      if (!ok)
        {
          g_variant_unref (value);
          return FALSE;
        }
    }
  if (!has_role)
    return invalid (error, index, "role is missing; system, user or assistant is needed");
  if (message->content == NULL)
    return invalid (error, index, "content is missing; a string is needed");
  return TRUE;
}

GPtrArray *
llm_messages_from_variant (GVariant *messages, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (message_free);
  gsize n;

  if (!g_variant_is_of_type (messages, G_VARIANT_TYPE ("aa{sv}")))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "messages are of type %s; aa{sv} is needed", g_variant_get_type_string (messages));
      return NULL;
    }
  n = g_variant_n_children (messages);
  if (n == 0 || n > LLM_MAX_MESSAGES)
    {
      if (n == 0)
        g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "there are no messages; at least one with role and content is needed");
      else
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "there are %" G_GSIZE_FORMAT " messages; at most %d are allowed", n, LLM_MAX_MESSAGES);
      return NULL;
    }
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GVariant) dict = g_variant_get_child_value (messages, i);
      LlmMessage *message = g_new0 (LlmMessage, 1);

      g_ptr_array_add (list, message);
      if (!read_message (dict, i, message, error))
        return NULL;
    }
  return g_steal_pointer (&list);
}
