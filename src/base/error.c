/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <string.h>

#include "base/names.h"

#define QUOTED_BYTES 64

static const GDBusErrorEntry entries[] = {
  { LLM_ERROR_MODEL_NOT_FOUND, LLM_ERROR_PREFIX "ModelNotFound" },
  { LLM_ERROR_INVALID_MODEL, LLM_ERROR_PREFIX "InvalidModel" },
  { LLM_ERROR_NOT_SUPPORTED, LLM_ERROR_PREFIX "NotSupported" },
  { LLM_ERROR_INVALID_MESSAGE, LLM_ERROR_PREFIX "InvalidMessage" },
  { LLM_ERROR_INVALID_SCHEMA, LLM_ERROR_PREFIX "InvalidSchema" },
  { LLM_ERROR_CONTEXT_EXCEEDED, LLM_ERROR_PREFIX "ContextExceeded" },
  { LLM_ERROR_BUSY, LLM_ERROR_PREFIX "Busy" },
  { LLM_ERROR_QUEUE_FULL, LLM_ERROR_PREFIX "QueueFull" },
  { LLM_ERROR_QUOTA_EXCEEDED, LLM_ERROR_PREFIX "QuotaExceeded" },
  { LLM_ERROR_OUT_OF_MEMORY, LLM_ERROR_PREFIX "OutOfMemory" },
  { LLM_ERROR_ENGINE_LOST, LLM_ERROR_PREFIX "EngineLost" },
  { LLM_ERROR_CANCELLED, LLM_ERROR_PREFIX "Cancelled" },
  { LLM_ERROR_CLOSED, LLM_ERROR_PREFIX "Closed" },
  { LLM_ERROR_NETWORK, LLM_ERROR_PREFIX "Network" },
  { LLM_ERROR_INTEGRITY_FAILED, LLM_ERROR_PREFIX "IntegrityFailed" },
  { LLM_ERROR_DISK_FULL, LLM_ERROR_PREFIX "DiskFull" },
};

G_STATIC_ASSERT (G_N_ELEMENTS (entries) == LLM_N_ERRORS);

GQuark
llm_error_quark (void)
{
  static gsize quark = 0;

  g_dbus_error_register_error_domain ("llm-error-quark", &quark, entries, G_N_ELEMENTS (entries));
  return (GQuark) quark;
}

int
llm_error_quote (const char *text, gssize len)
{
  gsize n = len < 0 ? strlen (text) : (gsize) len, most = MIN (n, QUOTED_BYTES);

  while (most > 0 && most < n && ((guint8) text[most] & 0xc0) == 0x80)
    most--;
  return (int) most;
}

char *
llm_error_dbus_name (const GError *error)
{
  g_autofree char *remote = NULL;

  (void) LLM_ERROR;
  if (error->domain == LLM_ERROR || error->domain == G_DBUS_ERROR)
    return g_dbus_error_encode_gerror (error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return g_strdup (LLM_ERROR_PREFIX "Cancelled");
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NO_SPACE))
    return g_strdup (LLM_ERROR_PREFIX "DiskFull");
  remote = g_dbus_error_get_remote_error (error);
  if (remote != NULL)
    return g_steal_pointer (&remote);
  return g_strdup ("org.freedesktop.DBus.Error.Failed");
}

GError *
llm_error_from_dbus (const char *name, const char *message)
{
  GError *error;

  (void) LLM_ERROR;
  error = g_dbus_error_new_for_dbus_error (name, message);
  g_dbus_error_strip_remote_error (error);
  return error;
}

gboolean
llm_error_fail (GError **error, GQuark domain, int code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (domain, code, format, args);
  va_end (args);
  return FALSE;
}
