/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one GError domain of the product and its D-Bus names.
 *
 * Codes cross the bus as org.local.LLM.Error.<Name>.  What D-Bus has a standard
 * name for (InvalidArgs, AccessDenied, LimitsExceeded, UnknownObject) is
 * reported in G_DBUS_ERROR instead.  A message says what was wrong, where, and
 * what would be right; it never quotes prompt or generated text.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define LLM_ERROR (llm_error_quark ())

typedef enum {
  LLM_ERROR_MODEL_NOT_FOUND,
  LLM_ERROR_INVALID_MODEL,
  LLM_ERROR_NOT_SUPPORTED,
  LLM_ERROR_INVALID_MESSAGE,
  LLM_ERROR_INVALID_SCHEMA,
  LLM_ERROR_CONTEXT_EXCEEDED,
  LLM_ERROR_BUSY,
  LLM_ERROR_QUEUE_FULL,
  LLM_ERROR_QUOTA_EXCEEDED,
  LLM_ERROR_OUT_OF_MEMORY,
  LLM_ERROR_ENGINE_LOST,
  LLM_ERROR_CANCELLED,
  LLM_ERROR_CLOSED,
  LLM_ERROR_NETWORK,
  LLM_ERROR_INTEGRITY_FAILED,
  LLM_ERROR_DISK_FULL,
  LLM_N_ERRORS /*< skip >*/
} LlmError;

/* How many bytes of @text (of @len, or -1: up to its NUL) a message quotes, for "%.*s": at most 64, and
 * whole characters, for a message that is not UTF-8 cannot cross D-Bus. */
int llm_error_quote (const char *text, gssize len);

/* g_set_error() that returns FALSE, for "return llm_error_fail (...)". */
gboolean llm_error_fail (GError **error, GQuark domain, int code, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Registers the D-Bus names on first use; any thread. */
GQuark llm_error_quark (void);

/* The D-Bus error name of any GError: ours, the standard ones, or
 * org.freedesktop.DBus.Error.Failed.  (transfer full) */
char *llm_error_dbus_name (const GError *error);

/* The reverse: a GError for a D-Bus error name and message as they crossed the
 * private bus in a dictionary.  Unknown names become G_IO_ERROR_DBUS_ERROR.
 * (transfer full) */
GError *llm_error_from_dbus (const char *name, const char *message);

G_END_DECLS
