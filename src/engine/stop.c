/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/stop.h"

#include <string.h>

void
llm_stop_init (LlmStop *self, char **stops)
{
  self->stops = stops;
  self->longest = 0;
  self->held = g_string_new (NULL);
  for (guint i = 0; stops != NULL && stops[i] != NULL; i++)
    self->longest = MAX (self->longest, strlen (stops[i]));
}

void
llm_stop_clear (LlmStop *self)
{
  g_string_free (self->held, TRUE);
}

/* The offset of the earliest stop string, or -1. */
static gssize
find_stop (const LlmStop *self)
{
  gssize best = -1;

  for (guint i = 0; self->stops != NULL && self->stops[i] != NULL; i++)
    {
      const char *at = self->stops[i][0] != '\0' ? strstr (self->held->str, self->stops[i]) : NULL;

      if (at != NULL && (best < 0 || at - self->held->str < best))
        best = at - self->held->str;
    }
  return best;
}

static gboolean
may_become_stop (const LlmStop *self, const char *tail, gsize len)
{
  for (guint i = 0; self->stops != NULL && self->stops[i] != NULL; i++)
    if (strncmp (self->stops[i], tail, len) == 0)
      return TRUE;
  return FALSE;
}

gboolean
llm_stop_push (LlmStop *self, const char *text, gsize len, GString *out)
{
  gssize stop;
  gsize keep_from;

  g_string_append_len (self->held, text, (gssize) len);
  stop = find_stop (self);
  if (stop >= 0)
    {
      g_string_append_len (out, self->held->str, stop);
      g_string_truncate (self->held, 0);
      return TRUE;
    }
  keep_from = self->held->len >= self->longest ? self->held->len - self->longest : 0;
  while (keep_from < self->held->len && !may_become_stop (self, self->held->str + keep_from, self->held->len - keep_from))
    keep_from++;
  g_string_append_len (out, self->held->str, (gssize) keep_from);
  g_string_erase (self->held, 0, (gssize) keep_from);
  return FALSE;
}

void
llm_stop_finish (LlmStop *self, GString *out)
{
  g_string_append_len (out, self->held->str, (gssize) self->held->len);
  g_string_truncate (self->held, 0);
}
