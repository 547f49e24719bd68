/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/part-name.h"

#include <string.h>

#define DIGITS 5
#define TAIL "-00000-of-00000.gguf"

static gboolean
read_number (const char *digits, guint *out)
{
  *out = 0;
  for (guint i = 0; i < DIGITS; i++)
    {
      if (!g_ascii_isdigit (digits[i]))
        return FALSE;
      *out = *out * 10 + (guint) (digits[i] - '0');
    }
  return TRUE;
}

gboolean
llm_part_name_parse (const char *path, char **stem, guint *no, guint *count)
{
  gsize len = strlen (path);
  const char *tail = path + len - MIN (len, strlen (TAIL));

  if (len <= strlen (TAIL) || tail[-1] == '/' || tail[0] != '-' || strncmp (tail + 1 + DIGITS, "-of-", 4) != 0
      || strcmp (tail + strlen (TAIL) - strlen (".gguf"), ".gguf") != 0)
    return FALSE;
  if (!read_number (tail + 1, no) || !read_number (tail + 1 + DIGITS + 4, count) || *no == 0 || *no > *count)
    return FALSE;
  *stem = g_strndup (path, (gsize) (tail - path));
  return TRUE;
}

char *
llm_part_name_format (const char *stem, guint no, guint count)
{
  return g_strdup_printf ("%s-%05u-of-%05u.gguf", stem, no, count);
}
