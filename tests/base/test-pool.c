/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every piece once, never a piece of another job, and no work when there is none. */
#include <stdatomic.h>
#include <time.h>

#include "base/limits.h"
#include "base/pool.h"

#define MAX_PIECES 1000

typedef struct {
  _Atomic guint done[MAX_PIECES];
} Job;

static void
count_piece (gpointer data, guint piece)
{
  atomic_fetch_add (&((Job *) data)->done[piece], 1);
}

static void
test_once (gconstpointer data)
{
  g_autoptr (LlmPool) pool = llm_pool_new (GPOINTER_TO_UINT (data));
  static const guint sizes[] = { 0, 1, 2, 3, 7, 64, MAX_PIECES };

  g_assert_cmpuint (llm_pool_n_threads (pool), ==, GPOINTER_TO_UINT (data));
  for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
    {
      g_autofree Job *job = g_new0 (Job, 1);

      llm_pool_run (pool, count_piece, job, sizes[s]);
      for (guint i = 0; i < MAX_PIECES; i++)
        g_assert_cmpuint (job->done[i], ==, i < sizes[s]);
    }
}

/* Short jobs back to back: a thread that is late must not touch the next one's pieces. Each job's data
 * are freed at once, so that a sanitizer sees it too. */
static void
test_back_to_back (void)
{
  g_autoptr (LlmPool) pool = llm_pool_new (4);

  for (guint n = 0; n < 5000; n++)
    {
      guint n_pieces = 1 + n % 9;
      g_autofree Job *job = g_new0 (Job, 1);

      llm_pool_run (pool, count_piece, job, n_pieces);
      for (guint i = 0; i < 10; i++)
        g_assert_cmpuint (job->done[i], ==, i < n_pieces);
    }
}

/* ---- threads that lose their core ---- */

typedef struct {
  Job job;
  GThread *caller;
  guint delay_us; /* of the other threads, in each piece */
  _Atomic guint n_others;
} Slow;

static void
slow_piece (gpointer data, guint piece)
{
  Slow *slow = data;

  if (g_thread_self () != slow->caller)
    {
      atomic_fetch_add (&slow->n_others, 1);
      g_usleep (slow->delay_us);
    }
  else
    g_usleep (20); /* or it were done before anybody else had a core */
  count_piece (&slow->job, piece);
}

/* A thread that holds up every job is left out for a while, and comes back: pieces are done once all the time. */
static void
test_late (void)
{
  g_autoptr (LlmPool) pool = llm_pool_new (3);
  guint n_late = 0, n_alone = 0;

  for (guint n = 0; n < 100000 && (n_late < 3 || n_alone == 0); n++)
    {
      Slow slow = { .caller = g_thread_self (), .delay_us = 3000 };

      llm_pool_run (pool, slow_piece, &slow, 50);
      for (guint i = 0; i < 51; i++)
        g_assert_cmpuint (slow.job.done[i], ==, i < 50);
      n_late += slow.n_others > 0;
      n_alone += slow.n_others == 0 && n_late > 0;
      g_usleep (20);
    }
  g_assert_cmpuint (n_late, >=, 3); /* more when no job was short of a thread meanwhile */
  g_assert_cmpuint (n_alone, >, 0);
}

static gpointer
spin (gpointer stop)
{
  while (!atomic_load ((_Atomic gboolean *) stop))
    ;
  return NULL;
}

/* More programs than cores. */
static void
test_load (void)
{
  static const guint counts[] = { 2, 3, 8 };
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  _Atomic gboolean stop = FALSE;
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("spin", spin, &stop);
  for (gsize c = 0; c < G_N_ELEMENTS (counts); c++)
    {
      g_autoptr (LlmPool) pool = llm_pool_new (counts[c]);

      for (guint n = 0; n < 100; n++)
        {
          guint n_pieces = (guint) g_rand_int_range (random, 0, 200);
          g_autofree Job *job = g_new0 (Job, 1);

          llm_pool_run (pool, count_piece, job, n_pieces);
          for (guint i = 0; i < 201; i++)
            g_assert_cmpuint (job->done[i], ==, i < n_pieces);
        }
    }
  atomic_store (&stop, TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
test_limit (void)
{
  g_autoptr (LlmPool) at = llm_pool_new (LLM_POOL_MAX_THREADS), over = llm_pool_new (LLM_POOL_MAX_THREADS + 1);

  g_assert_cmpuint (llm_pool_n_threads (at), ==, LLM_POOL_MAX_THREADS);
  g_assert_cmpuint (llm_pool_n_threads (over), ==, LLM_POOL_MAX_THREADS);
}

static void
test_default (void)
{
  g_autoptr (LlmPool) pool = llm_pool_new (0);

  g_assert_cmpuint (llm_pool_n_threads (pool), >=, 1);
  g_assert_cmpuint (llm_pool_n_threads (pool), <=, LLM_POOL_MAX_THREADS);
}

static double
cpu_seconds (void)
{
  struct timespec t;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
test_idle (void)
{
  g_autoptr (LlmPool) pool = llm_pool_new (4);
  g_autofree Job *job = g_new0 (Job, 1);
  double spent = 1;

  llm_pool_run (pool, count_piece, job, 100);
  for (guint i = 0; i < 100 && spent > 0.05; i++) /* a thread without a core has its spin still before it */
    {
      g_usleep (50000); /* the short spin is over by far */
      spent = cpu_seconds ();
      g_usleep (200000);
      spent = cpu_seconds () - spent;
    }
  g_assert_cmpfloat (spent, <=, 0.05); /* three spinning threads would take 0.2 on one core */
}

int
main (int argc, char **argv)
{
  static const guint counts[] = { 1, 2, 3, 8 };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      g_autofree char *path = g_strdup_printf ("/pool/once/%u", counts[i]);
      g_test_add_data_func (path, GUINT_TO_POINTER (counts[i]), test_once);
    }
  g_test_add_func ("/pool/back-to-back", test_back_to_back);
  g_test_add_func ("/pool/late", test_late);
  g_test_add_func ("/pool/load", test_load);
  g_test_add_func ("/pool/limit", test_limit);
  g_test_add_func ("/pool/default", test_default);
  g_test_add_func ("/pool/idle", test_idle);
  return g_test_run ();
}
