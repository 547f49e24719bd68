/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/schedule.h"

#include <string.h>

typedef struct {
  const LlmScheduleItem *items;
  LlmScheduleStep *steps;
  guint n, rows_left, slots_left, free_pages, n_running, page_tokens, max_running;
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

/* Lets newcomer @i in, if there is a place, and pages for all it knows and one token more. */
static gboolean
admit (State *s, guint i)
{
  const LlmScheduleItem *item = &s->items[i];
  guint needed = pages_for (item->n_known + 1, s->page_tokens);

  if (s->n_running >= s->max_running)
    return FALSE;
  needed = needed > item->n_pages ? needed - item->n_pages : 0;
  while (needed > s->free_pages && preempt_one (s, i))
    ;
  if (needed > s->free_pages)
    return FALSE;
  s->steps[i].admit = TRUE;
  s->n_running++;
  return TRUE;
}

/* Neither paused nor served nor preempted in this step. */
static gboolean
is_open (const State *s, guint i)
{
  return !s->items[i].paused && s->steps[i].n_rows == 0 && !s->steps[i].preempt;
}

/* The oldest has the first choice of pages, so that it always moves; of rows it leaves one for every decode. */
static void
grant_oldest (State *s)
{
  guint oldest = 0, n_decodes = 0;

  while (oldest < s->n && !is_open (s, oldest))
    oldest++;
  if (oldest == s->n || (!s->items[oldest].running && !admit (s, oldest)))
    return;
  for (guint i = oldest + 1; i < s->n; i++)
    n_decodes += s->items[i].running && is_open (s, i) && rows_wanted (s, i) == 1;
  grant (s, oldest, MIN (rows_wanted (s, oldest), s->rows_left > n_decodes ? s->rows_left - n_decodes : 1));
}

guint
llm_schedule (const LlmScheduleItem *items, guint n, const LlmScheduleLimits *limits, LlmScheduleStep *steps)
{
  State s = { items, steps, n, limits->max_rows, limits->max_running, limits->free_pages, 0, limits->page_tokens, limits->max_running };

  memset (steps, 0, n * sizeof *steps);
  for (guint i = 0; i < n; i++) /* a paused one takes nobody's place; when it comes back there may be too many for a while */
    s.n_running += items[i].running && !items[i].paused;
  grant_oldest (&s);
  for (guint i = 0; i < n && s.rows_left > 0 && s.slots_left > 0; i++) /* decodes */
    if (items[i].running && is_open (&s, i) && rows_wanted (&s, i) == 1)
      grant (&s, i, 1);
  for (guint i = 0; i < n && s.rows_left > 0 && s.slots_left > 0; i++) /* prefills under way */
    if (items[i].running && is_open (&s, i) && rows_wanted (&s, i) > 1)
      grant (&s, i, MIN (rows_wanted (&s, i), s.rows_left));
  for (guint i = 0; i < n && s.rows_left > 0 && s.slots_left > 0; i++) /* newcomers, in order */
    if (!items[i].running && is_open (&s, i))
      {
        if (!admit (&s, i))
          break; /* nobody overtakes: a large prompt gets its turn */
        grant (&s, i, MIN (rows_wanted (&s, i), s.rows_left));
      }
  return limits->max_rows - s.rows_left;
}
