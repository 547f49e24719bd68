/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/engine-version.h"

#include <string.h>

static gboolean
is_version (const char *text, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum (text[i]) && strchr (".+~_", text[i]) == NULL)
      return FALSE;
  return n > 0 && g_ascii_isdigit (text[0]);
}

char *
llm_engine_version_of (const char *folder)
{
  const char *dash = folder[0] == 'v' ? strchr (folder, '-') : NULL;

  if (dash == NULL || !is_version (folder + 1, (gsize) (dash - folder - 1)) || dash[1] == '\0')
    return NULL;
  for (const char *c = dash + 1; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c))
      return NULL;
  return g_strndup (folder + 1, (gsize) (dash - folder - 1));
}

/* "~", then the end, then digits, then the rest. */
static int
rank (char c)
{
  return c == '~' ? 0 : c == '\0' ? 1 : g_ascii_isdigit (c) ? 2 : 3;
}

static int
compare_numbers (const char **a, const char **b)
{
  gsize na, nb;
  int order;

  *a += strspn (*a, "0");
  *b += strspn (*b, "0");
  na = strspn (*a, "0123456789");
  nb = strspn (*b, "0123456789");
  order = na != nb ? (na < nb ? -1 : 1) : strncmp (*a, *b, na);
  *a += na;
  *b += nb;
  return order;
}

int
llm_engine_version_compare (const char *a, const char *b)
{
  while (*a != '\0' || *b != '\0')
    {
      int order = rank (*a) - rank (*b);

      if (order == 0 && g_ascii_isdigit (*a))
        order = compare_numbers (&a, &b);
      else if (order == 0)
        order = (guchar) *a++ - (guchar) *b++;
      if (order != 0)
        return order;
    }
  return 0;
}
