/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pool.h"

#include <sched.h>
#include <stdatomic.h>

#include "base/limits.h"

/* About 20 us of pause instructions: longer than the gap between two ops, far
 * shorter than a scheduling quantum of the program that may want this core. */
#define SPIN_ROUNDS 400

/* Who holds up a barrier for longer has lost its core amid a piece, and gets it back after a quantum of the program that took
 * it. It rests for a while then: what is left of its core does not make up for such waits. */
#define LATE_US 200
#define LATE_PIECES 4 /* and at least for that many pieces */
#define REST_LEAST_US 2000
#define REST_MOST_US 128000
#define TRUSTED_US 50000 /* without being late: the next rest is a short one again */

/* A run of the pieces. Each thread begins with one of its own, so that it reads memory in one stream, and goes on with what is
 * left of the others': on two cores pieces of 64 KiB from one counter reach 38 GB/s where whole halves reach 51. */
typedef struct {
  /* (generation << 32 | next piece): a piece is claimed by compare-and-swap on
   * both, so that a thread which comes late can never take a piece of a newer
   * job while it still holds the function of an older one. */
  _Alignas (64) _Atomic guint64 ticket;
  _Atomic guint end;
} Range;

typedef struct {
  LlmPool *pool;
  guint index; /* the caller is 0 */
  GThread *thread; /* (owned) */
  _Atomic gboolean inside;  /* the job under way */
  _Atomic gboolean resting; /* takes part in none; set by the caller, under the lock */
  gint64 rest_until_us, rest_us; /* the caller's alone */
} Worker;

struct _LlmPool {
  guint n_threads;
  Worker *workers; /* [n_threads - 1] */
  guint n_resting; /* the caller's alone */

  LlmPoolFunc func; /* of the job under way; written before `job` is raised */
  gpointer data;
  Range *ranges; /* [n_threads] */
  _Atomic guint n_ranges;
  _Atomic guint running; /* threads inside the job, caller apart */
  _Atomic guint job;     /* generation; odd or even does not matter */
  _Atomic gboolean stop;

  GMutex lock;  /* guards sleeping only */
  GCond wake;   /* a job was raised, or stop */
  GCond rested; /* somebody rests no more, or stop */
  GCond done;   /* running fell to 0 while the caller sleeps */
  _Atomic guint sleepers;
  _Atomic gboolean caller_sleeps;
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

/* Returns how many pieces it did. */
static guint
work_range (LlmPool *self, Range *range, guint generation)
{
  guint64 t = atomic_load_explicit (&range->ticket, memory_order_acquire);
  guint n_done = 0;

  for (;;)
    {
      guint piece = (guint) t;

      if ((guint) (t >> 32) != generation || piece >= atomic_load_explicit (&range->end, memory_order_relaxed))
        return n_done;
      if (atomic_compare_exchange_weak_explicit (&range->ticket, &t, t + 1, memory_order_acq_rel, memory_order_acquire))
        {
          self->func (self->data, piece);
          n_done++;
          t = atomic_load_explicit (&range->ticket, memory_order_acquire);
        }
    }
}

/* The range of thread @index first. */
static guint
work (LlmPool *self, guint index, guint generation)
{
  guint n = atomic_load (&self->n_ranges), n_done = 0;

  for (guint i = 0; i < n; i++)
    n_done += work_range (self, &self->ranges[(index + i) % n], generation);
  return n_done;
}

/* ---- the threads ---- */

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

static void
rest (Worker *worker)
{
  LlmPool *self = worker->pool;

  g_mutex_lock (&self->lock);
  while (atomic_load (&worker->resting) && !atomic_load (&self->stop))
    g_cond_wait (&self->rested, &self->lock);
  g_mutex_unlock (&self->lock);
}

static void
take_part (Worker *worker, guint job)
{
  LlmPool *self = worker->pool;

  /* `running` is raised before the ticket is looked at; the caller waits
   * for it to fall before it changes func and data. */
  atomic_fetch_add (&self->running, 1);
  atomic_store (&worker->inside, TRUE);
  work (self, worker->index, job);
  atomic_store (&worker->inside, FALSE);
  if (atomic_fetch_sub (&self->running, 1) == 1 && atomic_load (&self->caller_sleeps))
    {
      g_mutex_lock (&self->lock);
      g_cond_signal (&self->done);
      g_mutex_unlock (&self->lock);
    }
}

static gpointer
thread_main (gpointer user_data)
{
  Worker *worker = user_data;
  LlmPool *self = worker->pool;
  guint seen = 0;

  while (!atomic_load (&self->stop))
    {
      guint job = await_job (self, seen);

      if (job == seen)
        continue;
      seen = job;
      if (atomic_load (&worker->resting))
        rest (worker);
      else
        take_part (worker, job);
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
  g_cond_init (&self->rested);
  g_cond_init (&self->done);
  self->workers = g_new0 (Worker, self->n_threads);
  self->ranges = g_aligned_alloc0 (self->n_threads, sizeof (Range), _Alignof (Range));
  for (guint i = 0; i + 1 < self->n_threads; i++)
    {
      self->workers[i].pool = self;
      self->workers[i].index = i + 1;
      self->workers[i].thread = g_thread_new ("llm-pool", thread_main, &self->workers[i]);
    }
  return self;
}

void
llm_pool_free (LlmPool *self)
{
  g_mutex_lock (&self->lock);
  atomic_store (&self->stop, TRUE);
  g_cond_broadcast (&self->wake);
  g_cond_broadcast (&self->rested);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i + 1 < self->n_threads; i++)
    g_thread_join (self->workers[i].thread);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->wake);
  g_cond_clear (&self->rested);
  g_cond_clear (&self->done);
  g_free (self->workers);
  g_aligned_free (self->ranges);
  g_free (self);
}

guint
llm_pool_n_threads (const LlmPool *self)
{
  return self->n_threads;
}

/* ---- the caller ---- */

/* Those still inside the job rest, the longer the sooner this comes after their last rest. */
static void
send_to_rest (LlmPool *self, gint64 now_us)
{
  for (guint i = 0; i + 1 < self->n_threads; i++)
    {
      Worker *w = &self->workers[i];

      if (!atomic_load (&w->inside) || atomic_load (&w->resting))
        continue;
      w->rest_us = now_us - w->rest_until_us > TRUSTED_US ? REST_LEAST_US : MIN (2 * w->rest_us, REST_MOST_US);
      w->rest_until_us = now_us + w->rest_us;
      atomic_store (&w->resting, TRUE);
      self->n_resting++;
    }
}

static void
end_rests (LlmPool *self, gint64 now_us)
{
  guint n_before = self->n_resting;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i + 1 < self->n_threads; i++)
    if (atomic_load (&self->workers[i].resting) && now_us >= self->workers[i].rest_until_us)
      {
        atomic_store (&self->workers[i].resting, FALSE);
        self->n_resting--;
      }
  if (self->n_resting < n_before)
    g_cond_broadcast (&self->rested);
  g_mutex_unlock (&self->lock);
}

/* Until no other thread is inside the job. @patience_us: how long the others may need for what they have begun.
 * No sched_yield(): a scheduler may make who yields wait for all others' quanta. */
static void
await_threads (LlmPool *self, gint64 patience_us)
{
  gint64 late_at;

  for (guint i = 0; i < SPIN_ROUNDS; i++)
    {
      if (atomic_load (&self->running) == 0)
        return;
      relax ();
    }
  late_at = g_get_monotonic_time () + LATE_US + patience_us;
  g_mutex_lock (&self->lock);
  atomic_store (&self->caller_sleeps, TRUE);
  while (atomic_load (&self->running) > 0)
    if (late_at == 0)
      g_cond_wait (&self->done, &self->lock);
    else if (!g_cond_wait_until (&self->done, &self->lock, late_at))
      {
        send_to_rest (self, g_get_monotonic_time ());
        late_at = 0;
      }
  atomic_store (&self->caller_sleeps, FALSE);
  g_mutex_unlock (&self->lock);
}

static void
raise_job (LlmPool *self, guint generation, guint n_pieces)
{
  guint n = MIN (self->n_threads, n_pieces);

  for (guint r = 0; r < n; r++)
    {
      atomic_store (&self->ranges[r].end, (guint) ((guint64) n_pieces * (r + 1) / n));
      atomic_store_explicit (&self->ranges[r].ticket, (guint64) generation << 32 | (guint) ((guint64) n_pieces * r / n), memory_order_release);
    }
  atomic_store (&self->n_ranges, n);
  atomic_store (&self->job, generation);
  if (atomic_load (&self->sleepers) == 0)
    return;
  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->wake);
  g_mutex_unlock (&self->lock);
}

static void
run_together (LlmPool *self, LlmPoolFunc func, gpointer data, guint n_pieces, gint64 began_us)
{
  guint generation = atomic_load (&self->job) + 1, n_done;

  if (generation == 0) /* 0 means "no job seen yet" in a new thread */
    generation = 1;
  self->func = func;
  self->data = data;
  raise_job (self, generation, n_pieces);
  n_done = work (self, 0, generation);
  /* All pieces are claimed: close the tickets, so that a thread which arrives from
   * here on takes nothing while the next job is being written. */
  for (guint r = 0; r < self->n_ranges; r++)
    atomic_store (&self->ranges[r].ticket, (guint64) generation << 32 | G_MAXUINT32);
  if (atomic_load (&self->running) > 0)
    await_threads (self, LATE_PIECES * (g_get_monotonic_time () - began_us) / MAX (n_done, 1));
}

void
llm_pool_run (LlmPool *self, LlmPoolFunc func, gpointer data, guint n_pieces)
{
  gint64 now_us;

  if (self->n_threads > 1 && n_pieces > 1)
    {
      now_us = g_get_monotonic_time ();
      if (self->n_resting > 0)
        end_rests (self, now_us);
      if (self->n_resting + 1 < self->n_threads)
        {
          run_together (self, func, data, n_pieces, now_us);
          return;
        }
    }
  for (guint i = 0; i < n_pieces; i++)
    func (data, i);
}
