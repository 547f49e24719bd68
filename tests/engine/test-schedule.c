/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The schedule is a function, so its cases are a table; then whole lives of random requests
 * are played on it, to see that all of them end.
 */
#include "engine/schedule.h"

#include <string.h>

#define MAX_ITEMS 5
#define PAGE 4

typedef struct {
  const char *name;
  LlmScheduleLimits limits;
  guint n;
  LlmScheduleItem items[MAX_ITEMS]; /* known, computed, pages, own, running, paused */
  LlmScheduleStep steps[MAX_ITEMS]; /* rows, pages, admit, preempt */
} Case;

static const Case cases[] = {
  { "nobody", { 8, 4, PAGE, 10 }, 0, { { 0 } }, { { 0 } } },
  { "a prompt comes in chunks", { 8, 4, PAGE, 10 }, 1, { { 20, 0, 0, 0, FALSE, FALSE } }, { { 8, 2, TRUE, FALSE } } },
  { "its next chunk", { 8, 4, PAGE, 10 }, 1, { { 20, 8, 2, 2, TRUE, FALSE } }, { { 8, 2, FALSE, FALSE } } },
  { "its last chunk", { 8, 4, PAGE, 10 }, 1, { { 20, 16, 4, 4, TRUE, FALSE } }, { { 4, 1, FALSE, FALSE } } },
  { "a decode within its page", { 8, 4, PAGE, 0 }, 1, { { 7, 6, 2, 2, TRUE, FALSE } }, { { 1, 0, FALSE, FALSE } } },
  { "a decode that begins a page", { 8, 4, PAGE, 1 }, 1, { { 9, 8, 2, 2, TRUE, FALSE } }, { { 1, 1, FALSE, FALSE } } },
  { "decodes first, the prefill takes the rest", { 8, 4, PAGE, 10 }, 3,
    { { 30, 8, 2, 2, TRUE, FALSE }, { 6, 5, 2, 2, TRUE, FALSE }, { 7, 6, 2, 2, TRUE, FALSE } },
    { { 6, 2, FALSE, FALSE }, { 1, 0, FALSE, FALSE }, { 1, 0, FALSE, FALSE } } },
  { "the oldest prefill first", { 8, 4, PAGE, 10 }, 2, { { 30, 8, 2, 2, TRUE, FALSE }, { 30, 8, 2, 2, TRUE, FALSE } }, { { 8, 2, FALSE, FALSE }, { 0 } } },
  { "a newcomer joins beside a decode", { 8, 4, PAGE, 10 }, 2, { { 6, 5, 2, 2, TRUE, FALSE }, { 5, 0, 0, 0, FALSE, FALSE } },
    { { 1, 0, FALSE, FALSE }, { 5, 2, TRUE, FALSE } } },
  { "a newcomer with a prefix", { 8, 4, PAGE, 2 }, 1, { { 10, 8, 2, 0, FALSE, FALSE } }, { { 2, 1, TRUE, FALSE } } },
  { "no page for a newcomer", { 8, 4, PAGE, 1 }, 2, { { 6, 5, 2, 2, TRUE, FALSE }, { 5, 0, 0, 0, FALSE, FALSE } }, { { 1, 0, FALSE, FALSE }, { 0 } } },
  { "nobody overtakes one that waits for pages", { 8, 4, PAGE, 1 }, 3,
    { { 6, 5, 2, 2, TRUE, FALSE }, { 5, 0, 0, 0, FALSE, FALSE }, { 2, 0, 0, 0, FALSE, FALSE } }, { { 1, 0, FALSE, FALSE }, { 0 }, { 0 } } },
  { "as many as there are places", { 8, 2, PAGE, 10 }, 3,
    { { 6, 5, 2, 2, TRUE, FALSE }, { 2, 0, 0, 0, FALSE, FALSE }, { 2, 0, 0, 0, FALSE, FALSE } }, { { 1, 0, FALSE, FALSE }, { 2, 1, TRUE, FALSE }, { 0 } } },
  { "a paused one takes no place", { 8, 1, PAGE, 10 }, 2, { { 6, 5, 2, 2, TRUE, TRUE }, { 2, 0, 0, 0, FALSE, FALSE } }, { { 0 }, { 2, 1, TRUE, FALSE } } },
  { "more come back than there are places", { 8, 1, PAGE, 10 }, 2, { { 6, 5, 2, 2, TRUE, FALSE }, { 6, 5, 2, 2, TRUE, FALSE } },
    { { 1, 0, FALSE, FALSE }, { 0 } } },
  { "the youngest gives way", { 8, 4, PAGE, 0 }, 3,
    { { 9, 8, 2, 2, TRUE, FALSE }, { 6, 5, 2, 2, TRUE, FALSE }, { 6, 5, 2, 2, TRUE, FALSE } },
    { { 1, 1, FALSE, FALSE }, { 1, 0, FALSE, FALSE }, { 0, 0, FALSE, TRUE } } },
  { "a paused one gives way before it, though older", { 8, 4, PAGE, 0 }, 3,
    { { 6, 5, 2, 2, TRUE, TRUE }, { 9, 8, 2, 2, TRUE, FALSE }, { 6, 5, 2, 2, TRUE, FALSE } },
    { { 0, 0, FALSE, TRUE }, { 1, 1, FALSE, FALSE }, { 1, 0, FALSE, FALSE } } },
  { "the youngest takes from nobody", { 8, 4, PAGE, 0 }, 2, { { 6, 5, 2, 2, TRUE, FALSE }, { 9, 8, 2, 2, TRUE, FALSE } },
    { { 1, 0, FALSE, FALSE }, { 0 } } },
  { "shared pages do not come back by one victim", { 8, 4, PAGE, 0 }, 3,
    { { 9, 8, 2, 2, TRUE, FALSE }, { 9, 8, 2, 0, TRUE, FALSE }, { 9, 8, 2, 0, TRUE, FALSE } },
    { { 0 }, { 0, 0, FALSE, TRUE }, { 0, 0, FALSE, TRUE } } },
  { "one that waits gives back its prefix", { 8, 4, PAGE, 0 }, 2, { { 9, 8, 2, 2, TRUE, FALSE }, { 30, 8, 2, 2, FALSE, FALSE } },
    { { 1, 1, FALSE, FALSE }, { 0, 0, FALSE, TRUE } } },
  { "paused ones do not run", { 8, 4, PAGE, 4 }, 2, { { 6, 5, 2, 2, TRUE, TRUE }, { 5, 0, 0, 0, FALSE, TRUE } }, { { 0 }, { 0 } } },
  { "what pages there are are used", { 8, 4, PAGE, 1 }, 1, { { 20, 8, 2, 2, TRUE, FALSE } }, { { 4, 1, FALSE, FALSE } } },
};

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  LlmScheduleStep steps[MAX_ITEMS];
  guint rows = 0, got = llm_schedule (c->items, c->n, &c->limits, steps);

  for (guint i = 0; i < c->n; i++)
    {
      g_test_message ("%u: %u rows, %u pages, admit %d, preempt %d", i, steps[i].n_rows, steps[i].n_pages, steps[i].admit, steps[i].preempt);
      g_assert_cmpuint (steps[i].n_rows, ==, c->steps[i].n_rows);
      g_assert_cmpuint (steps[i].n_pages, ==, c->steps[i].n_pages);
      g_assert_cmpint (steps[i].admit, ==, c->steps[i].admit);
      g_assert_cmpint (steps[i].preempt, ==, c->steps[i].preempt);
      rows += steps[i].n_rows;
    }
  g_assert_cmpuint (got, ==, rows);
}

/* ---- whole lives ---- */

typedef struct {
  LlmScheduleItem items[64];
  guint left[64]; /* tokens still to generate */
  guint n, free_pages, total_pages;
  LlmScheduleLimits limits;
} World;

static void
remove_item (World *w, guint i)
{
  w->free_pages += w->items[i].n_pages;
  memmove (&w->items[i], &w->items[i + 1], (w->n - i - 1) * sizeof w->items[0]);
  memmove (&w->left[i], &w->left[i + 1], (w->n - i - 1) * sizeof w->left[0]);
  w->n--;
}

static void
apply (World *w, guint i, const LlmScheduleStep *step)
{
  LlmScheduleItem *item = &w->items[i];

  if (step->preempt)
    {
      g_assert_cmpuint (step->n_rows, ==, 0);
      w->free_pages += item->n_pages;
      item->n_pages = item->n_computed = 0;
      item->running = FALSE;
    }
  if (step->n_rows == 0)
    return;
  g_assert_false (item->paused);
  g_assert_cmpint (step->admit, ==, !item->running);
  g_assert_cmpuint (step->n_pages, <=, w->free_pages);
  item->running = TRUE;
  w->free_pages -= step->n_pages;
  item->n_pages += step->n_pages;
  item->n_computed += step->n_rows;
  g_assert_cmpuint (item->n_computed, <=, item->n_known);
  g_assert_cmpuint (item->n_computed, <=, item->n_pages * PAGE);
  if (item->n_computed == item->n_known && --w->left[i] > 0)
    item->n_known++;
}

/* What must hold in every step: something moves, and when nobody was ever paused, the oldest does. */
static void
play_step (World *w, gboolean pauses)
{
  LlmScheduleStep steps[64];
  guint rows, slots = 0, oldest = w->n;

  w->limits.free_pages = w->free_pages;
  for (guint i = 0; i < w->n; i++)
    w->items[i].n_own = w->items[i].n_pages;
  rows = llm_schedule (w->items, w->n, &w->limits, steps);
  g_assert_cmpuint (rows, <=, w->limits.max_rows);
  for (guint i = w->n; i-- > 0;)
    if (!w->items[i].paused)
      oldest = i;
  if (oldest < w->n)
    g_assert_cmpuint (pauses ? rows : steps[oldest].n_rows, >, 0);
  for (guint i = 0; i < w->n; i++)
    slots += steps[i].n_rows > 0;
  g_assert_cmpuint (slots, <=, w->limits.max_running);
  for (guint i = 0; i < w->n; i++)
    if (steps[i].preempt)
      apply (w, i, &steps[i]);
  for (guint i = 0; i < w->n; i++)
    if (!steps[i].preempt)
      apply (w, i, &steps[i]);
  for (guint i = w->n; i-- > 0;)
    if (w->left[i] == 0)
      remove_item (w, i);
}

static void
test_lives (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (99);

  for (guint round = 0; round < 200; round++)
    {
      guint window = 40, coming = 60, steps = 0;
      World w = { .limits = { (guint) g_rand_int_range (rand, 8, 32), (guint) g_rand_int_range (rand, 1, 8), PAGE, 0 } };

      w.free_pages = w.total_pages = window / PAGE + (guint) g_rand_int_range (rand, 0, 20);
      while (w.n > 0 || coming > 0)
        {
          while (coming > 0 && w.n < 40 && g_rand_int_range (rand, 0, 3) > 0)
            {
              guint prompt = (guint) g_rand_int_range (rand, 1, (gint) window - 8);

              w.left[w.n] = (guint) g_rand_int_range (rand, 1, (gint) (window - prompt));
              w.items[w.n++] = (LlmScheduleItem) { .n_known = prompt };
              coming--;
            }
          for (guint i = 0; i < w.n; i++)
            w.items[i].paused = round % 2 != 0 && steps < 500 && (w.items[i].paused ? g_rand_int_range (rand, 0, 4) > 0 : g_rand_int_range (rand, 0, 40) == 0);
          play_step (&w, round % 2 != 0);
          g_assert_cmpuint (++steps, <, 5000); /* all end */
        }
      g_assert_cmpuint (w.free_pages, ==, w.total_pages);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = g_strdup_printf ("/schedule/cases/%s", cases[i].name);
      g_test_add_data_func (name, &cases[i], test_case);
    }
  g_test_add_func ("/schedule/lives", test_lives);
  return g_test_run ();
}
