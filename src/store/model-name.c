/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of models: "org/family:tag".  The same text is a bus argument, a path below
 * models/ and a path element on the bus, so its alphabet is small and no part can be "..".
 */
#include "store/store.h"

#include <string.h>

#include "base/limits.h"

static gboolean
part_is_valid (const char *part)
{
  if (part[0] == '\0' || part[0] == '.')
    return FALSE;
  for (const char *p = part; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("._-", *p) == NULL)
      return FALSE;
  return TRUE;
}

static char *
refuse (const char *why, GError **error)
{
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
               "invalid model name: %s; a name is \"name\" or \"name:tag\" of letters, digits, '.', '_' and '-', "
               "with '/' between parts, none of which begins with '.', at most %u bytes", why, (guint) LLM_MAX_MODEL_NAME_BYTES);
  return NULL;
}

char *
llm_store_normalize_name (const char *name, GError **error)
{
  g_auto (GStrv) halves = NULL;
  g_auto (GStrv) parts = NULL;
  const char *tag;

  if (strlen (name) > LLM_MAX_MODEL_NAME_BYTES)
    return refuse ("it is too long", error);
  halves = g_strsplit (name, ":", 3);
  if (g_strv_length (halves) == 0)
    return refuse ("it is empty", error);
  if (g_strv_length (halves) > 2)
    return refuse ("it has more than one ':'", error);
  tag = halves[1] != NULL ? halves[1] : "latest";
  if (!part_is_valid (tag))
    return refuse ("the tag is empty or has a character that is not allowed", error);
  parts = g_strsplit (halves[0], "/", -1);
  for (guint i = 0; i == 0 || parts[i] != NULL; i++)
    if (parts[i] == NULL || !part_is_valid (parts[i]))
      return refuse ("a part is empty or has a character that is not allowed", error);
  return g_strconcat (halves[0], ":", tag, NULL);
}
