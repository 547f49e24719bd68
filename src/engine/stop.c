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

/* The offset of the stop string that is complete first (of two that end together, the longer one), or -1. How the text
 * came in pieces makes no difference then. The text may hold NUL characters. */
static gssize
find_stop (const LlmStop *self)
{
  const char *text = self->held->str, *best = NULL, *best_end = NULL;

  for (guint i = 0; self->stops != NULL && self->stops[i] != NULL; i++)
    {
      gsize len = strlen (self->stops[i]);
      const char *at = len > 0 ? memmem (text, self->held->len, self->stops[i], len) : NULL;

      if (at != NULL && (best == NULL || at + len < best_end || (at + len == best_end && at < best)))
        {
          best = at;
          best_end = at + len;
        }
    }
  return best != NULL ? best - text : -1;
}

static gboolean
may_become_stop (const LlmStop *self, const char *tail, gsize len)
{
  for (guint i = 0; self->stops != NULL && self->stops[i] != NULL; i++)
    if (len < strlen (self->stops[i]) && memcmp (self->stops[i], tail, len) == 0)
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
