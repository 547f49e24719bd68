/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json-guard.h"

#include "base/limits.h"

static gboolean
depth_fits (const char *text, gsize len, gsize *at)
{
  gboolean in_string = FALSE;
  guint depth = 0;

  for (gsize i = 0; i < len; i++)
    {
      char c = text[i];

      if (in_string)
        {
          if (c == '\\')
            i++;
          else if (c == '"')
            in_string = FALSE;
        }
      else if (c == '"')
        in_string = TRUE;
      else if ((c == '[' || c == '{') && ++depth > LLM_JSON_MAX_DEPTH)
        {
          *at = i;
          return FALSE;
        }
      else if ((c == ']' || c == '}') && depth > 0)
        depth--;
    }
  return TRUE;
}

gboolean
llm_json_guard (const char *text, gsize len, gsize max_bytes, GError **error)
{
  const char *end;
  gsize at;

  if (len > max_bytes)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                   "JSON of %" G_GSIZE_FORMAT " bytes; at most %" G_GSIZE_FORMAT " are taken", len, max_bytes);
      return FALSE;
    }
  if (!g_utf8_validate_len (text, len, &end))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                   "JSON is not valid UTF-8 at byte %" G_GSIZE_FORMAT, (gsize) (end - text));
      return FALSE;
    }
  if (!depth_fits (text, len, &at))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                   "JSON nests deeper than %u levels at byte %" G_GSIZE_FORMAT, (guint) LLM_JSON_MAX_DEPTH, at);
      return FALSE;
    }
  return TRUE;
}
