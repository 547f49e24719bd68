/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/schedule.h"

#include <string.h>

typedef struct {
  const LlmScheduleItem *items;
  LlmScheduleStep *steps;
  guint n, rows_left, slots_left, free_pages, n_running, page_tokens;
} State;

static guint
pages_for (guint n_tokens, guint page_tokens)
{
  return (n_tokens + page_tokens - 1) / page_tokens;
}

static gboolean
is_running (const State *s, guint i)
{
  return (s->items[i].running || s->steps[i].admit) && !s->steps[i].preempt;
}

/* Takes the pages of the youngest request after @oldest, of a paused one before all. A waiting one may hold pages
 * too, of a prefix it found. FALSE: there is none. */
static gboolean
preempt_one (State *s, guint oldest)
{
  guint victim = s->n;

  for (guint i = 0; i < s->n; i++)
    if (!s->steps[i].preempt && s->steps[i].n_rows == 0 && i != oldest && s->items[i].n_pages > 0
        && (s->items[i].paused || i > oldest)
        && (victim == s->n || s->items[i].paused || !s->items[victim].paused))
      victim = i;
  if (victim == s->n)
    return FALSE;
  s->n_running -= is_running (s, victim) && !s->items[victim].paused;
  s->steps[victim].preempt = TRUE;
  s->free_pages += s->items[victim].n_own;
  return TRUE;
}

/* Gives item @i up to @rows rows, with pages; less when pages are short. */
static void
grant (State *s, guint i, guint rows)
{
  const LlmScheduleItem *item = &s->items[i];
  guint wanted = pages_for (item->n_computed + rows, s->page_tokens);
  guint more = wanted > item->n_pages ? wanted - item->n_pages : 0;

  while (more > s->free_pages && preempt_one (s, i))
    ;
  if (more > s->free_pages)
    {
      more = s->free_pages;
      rows = MIN (rows, (item->n_pages + more) * s->page_tokens - item->n_computed);
      if (rows == 0)
        return;
    }
  s->steps[i].n_rows = rows;
  s->steps[i].n_pages = more;
  s->free_pages -= more;
  s->rows_left -= rows;
  s->slots_left--;
}

static guint
rows_wanted (const State *s, guint i)
{
  return s->items[i].n_known - s->items[i].n_computed;
}

guint
llm_schedule (const LlmScheduleItem *items, guint n, const LlmScheduleLimits *limits, LlmScheduleStep *steps)
{
  State s = { items, steps, n, limits->max_rows, limits->max_running, limits->free_pages, 0, limits->page_tokens };

  memset (steps, 0, n * sizeof *steps);
  for (guint i = 0; i < n; i++) /* a paused one takes nobody's place; when it comes back there may be too many for a while */
    s.n_running += items[i].running && !items[i].paused;
  for (guint i = 0; i < n && s.rows_left > 0 && s.slots_left > 0; i++) /* decodes */
    if (is_running (&s, i) && !items[i].paused && rows_wanted (&s, i) == 1)
      grant (&s, i, 1);
  for (guint i = 0; i < n && s.rows_left > 0 && s.slots_left > 0; i++) /* prefills under way */
    if (is_running (&s, i) && !items[i].paused && rows_wanted (&s, i) > 1)
      grant (&s, i, MIN (rows_wanted (&s, i), s.rows_left));
  for (guint i = 0; i < n && s.rows_left > 0 && s.n_running < limits->max_running; i++) /* newcomers, in order */
    {
      guint needed = pages_for (items[i].n_known + 1, s.page_tokens);

      if (items[i].running || items[i].paused || steps[i].preempt)
        continue;
      needed = needed > items[i].n_pages ? needed - items[i].n_pages : 0;
      while (needed > s.free_pages && preempt_one (&s, i))
        ;
      if (needed > s.free_pages)
        break; /* nobody overtakes: a large prompt gets its turn */
      steps[i].admit = TRUE;
      s.n_running++;
      grant (&s, i, MIN (rows_wanted (&s, i), s.rows_left));
    }
  return limits->max_rows - s.rows_left;
}
