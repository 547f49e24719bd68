/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One linear look at JSON text before json-glib sees it: json-glib 1.6 recurses per
 * nesting level and crashes on "[" x 100,000.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* TRUE when @text is at most @max_bytes long, valid UTF-8, and nests at most
 * LLM_JSON_MAX_DEPTH deep (brackets inside strings do not count). Else
 * G_DBUS_ERROR_LIMITS_EXCEEDED or G_DBUS_ERROR_INVALID_ARGS with the byte offset. Pure. */
gboolean llm_json_guard (const char *text, gsize len, gsize max_bytes, GError **error);

G_END_DECLS
