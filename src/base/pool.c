/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pool.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/limits.h"

/* About 20 us of pause instructions: longer than the gap between two ops, far
 * shorter than a scheduling quantum of the program that may want this core. */
#define SPIN_ROUNDS 400

struct _LlmPool {
  guint n_threads;
  GThread **threads; /* (owned) [n_threads - 1] */

  LlmPoolFunc func; /* of the job under way; written before `job` is raised */
  gpointer data;
  _Atomic guint n_pieces;

  /* (generation << 32 | next piece): a piece is claimed by compare-and-swap on
   * both, so that a thread which comes late can never take a piece of a newer
   * job while it still holds the function of an older one. */
  _Atomic guint64 ticket;
  _Atomic guint running; /* threads inside the job, caller apart */
  _Atomic guint job;     /* generation; odd or even does not matter */
  _Atomic gboolean stop;

  GMutex lock; /* guards sleeping only */
  GCond wake;  /* a job was raised, or stop */
  _Atomic guint sleepers;
};

static inline void
relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause ();
#else
  atomic_signal_fence (memory_order_seq_cst);
#endif
}

static void
work (LlmPool *self, guint generation)
{
  guint64 t = atomic_load_explicit (&self->ticket, memory_order_acquire);

  for (;;)
    {
      guint piece = (guint) t;

      if ((guint) (t >> 32) != generation || piece >= self->n_pieces)
        return;
      if (atomic_compare_exchange_weak_explicit (&self->ticket, &t, t + 1, memory_order_acq_rel, memory_order_acquire))
        {
          self->func (self->data, piece);
          t = atomic_load_explicit (&self->ticket, memory_order_acquire);
        }
    }
}

static guint
await_job (LlmPool *self, guint seen)
{
  guint job;

  for (guint i = 0; i < SPIN_ROUNDS; i++)
    {
      job = atomic_load (&self->job);
      if (job != seen || atomic_load (&self->stop))
        return job;
      relax ();
    }

  g_mutex_lock (&self->lock);
  atomic_fetch_add (&self->sleepers, 1);
  while ((job = atomic_load (&self->job)) == seen && !atomic_load (&self->stop))
    g_cond_wait (&self->wake, &self->lock);
  atomic_fetch_sub (&self->sleepers, 1);
  g_mutex_unlock (&self->lock);
  return job;
}

static gpointer
thread_main (gpointer user_data)
{
  LlmPool *self = user_data;
  guint seen = 0;

  while (!atomic_load (&self->stop))
    {
      guint job = await_job (self, seen);

      if (job == seen)
        continue;
      seen = job;
      /* `running` is raised before the ticket is looked at; the caller waits
       * for it to fall before it changes func and data. */
      atomic_fetch_add (&self->running, 1);
      work (self, job);
      atomic_fetch_sub (&self->running, 1);
    }
  return NULL;
}

static guint
usable_cpus (void)
{
  cpu_set_t set;

  if (sched_getaffinity (0, sizeof set, &set) == 0)
    return MAX (1, CPU_COUNT (&set));
  return MAX (1, g_get_num_processors ());
}

LlmPool *
llm_pool_new (guint n_threads)
{
  LlmPool *self = g_new0 (LlmPool, 1);

  self->n_threads = MIN (n_threads > 0 ? n_threads : usable_cpus (), LLM_POOL_MAX_THREADS);
  g_mutex_init (&self->lock);
  g_cond_init (&self->wake);
  self->threads = g_new0 (GThread *, self->n_threads);
  for (guint i = 0; i + 1 < self->n_threads; i++)
    self->threads[i] = g_thread_new ("llm-pool", thread_main, self);
  return self;
}

void
llm_pool_free (LlmPool *self)
{
  g_mutex_lock (&self->lock);
  atomic_store (&self->stop, TRUE);
  g_cond_broadcast (&self->wake);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i + 1 < self->n_threads; i++)
    g_thread_join (self->threads[i]);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->wake);
  g_free (self->threads);
  g_free (self);
}

guint
llm_pool_n_threads (const LlmPool *self)
{
  return self->n_threads;
}

void
llm_pool_run (LlmPool *self, LlmPoolFunc func, gpointer data, guint n_pieces)
{
  guint generation;

  if (self->n_threads == 1 || n_pieces <= 1)
    {
      for (guint i = 0; i < n_pieces; i++)
        func (data, i);
      return;
    }

  self->func = func;
  self->data = data;
  self->n_pieces = n_pieces;
  generation = atomic_load (&self->job) + 1;
  if (generation == 0) /* 0 means "no job seen yet" in a new thread */
    generation = 1;
  atomic_store_explicit (&self->ticket, (guint64) generation << 32, memory_order_release);
  atomic_store (&self->job, generation);
  if (atomic_load (&self->sleepers) > 0)
    {
      g_mutex_lock (&self->lock);
      g_cond_broadcast (&self->wake);
      g_mutex_unlock (&self->lock);
    }

  work (self, generation);
  /* All pieces are claimed: close the ticket, so that a thread which arrives from
   * here on takes nothing while the next job is being written. */
  atomic_store (&self->ticket, (guint64) generation << 32 | G_MAXUINT32);
  for (guint i = 0; atomic_load (&self->running) > 0; i++)
    if (i < SPIN_ROUNDS)
      relax ();
    else
      sched_yield ();
}
