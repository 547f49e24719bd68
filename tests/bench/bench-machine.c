/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ceiling is the best of several tries: another program on the machine can only make it lower.
 * Threads take small pieces of the work, as those of the CPU device do.
 */
#include "bench/bench-machine.h"

#include <string.h>

#define READ_BYTES (256u << 20) /* far beyond every cache */
#define READ_PIECE (4u << 20)
#define PART_PIECE (64u << 10)
#define READ_AHEAD 1024         /* bytes, into L2 */
#define READ_TRIES 5
#define PEAK_TRIES 6
#define PEAK_PIECES 8           /* a thread */
#define PEAK_STEPS 65536        /* a piece: fractions of a millisecond, long beside the waking of a thread */

typedef struct {
  const guint8 *data;
  gsize piece_bytes;
  gint sum; /* so that nothing is left out */
} Reading;

static void
keep_sum (Reading *self, const guint64 *sum)
{
  guint64 all = 0;

  for (int k = 0; k < 8; k++)
    all += sum[k];
  g_atomic_int_add (&self->sum, (gint) all);
}

/* Four streams of 64 bytes a step, each with a prefetch of READ_AHEAD. */
static void
read_four (gpointer user_data, guint piece)
{
  Reading *self = user_data;
  const gsize words = self->piece_bytes / 4 / sizeof (guint64);
  const guint64 *p = (gconstpointer) (self->data + piece * self->piece_bytes);
  guint64 sum[8] = { 0 };

  for (gsize i = 0; i < words; i += 8)
    for (gsize s = 0; s < 4; s++)
      {
        const guint64 *q = p + s * words + i;

        __builtin_prefetch ((const char *) q + READ_AHEAD, 0, 2);
        for (int k = 0; k < 8; k++)
          sum[k] += q[k];
      }
  keep_sum (self, sum);
}

/* One stream, and what the CPU fetches ahead by itself. */
static void
read_one (gpointer user_data, guint piece)
{
  Reading *self = user_data;
  const guint64 *p = (gconstpointer) (self->data + piece * self->piece_bytes);
  guint64 sum[8] = { 0 };

  for (gsize i = 0; i < self->piece_bytes / sizeof (guint64); i += 8)
    for (int k = 0; k < 8; k++)
      sum[k] += p[i + k];
  keep_sum (self, sum);
}

/* CPUs differ in which of the two is faster. */
static const LlmPoolFunc ways[] = { read_four, read_one };

static double
measure_read (LlmPool *pool, guint effort)
{
  guint8 *data = g_malloc (READ_BYTES);
  Reading reading = { data, READ_PIECE, 0 };
  double best = 0;

  memset (data, 1, READ_BYTES);
  for (guint t = 0; t < READ_TRIES * effort; t++)
    {
      gint64 began = g_get_monotonic_time ();

      llm_pool_run (pool, ways[t % G_N_ELEMENTS (ways)], &reading, READ_BYTES / READ_PIECE);
      best = MAX (best, READ_BYTES / 1e3 / (double) MAX (g_get_monotonic_time () - began, 1));
    }
  g_free (data);
  return best;
}

double
llm_bench_machine_read (LlmBenchMachine *self, const LlmBenchBytes *bytes, guint n)
{
  double best = 0;

  for (guint w = 0; w < G_N_ELEMENTS (ways); w++)
    {
      gint64 began = g_get_monotonic_time ();
      double total = 0;

      for (guint i = 0; i < n; i++)
        {
          Reading reading = { bytes[i].data, PART_PIECE, 0 };

          llm_pool_run (self->pool, ways[w], &reading, (guint) (bytes[i].n / PART_PIECE));
          total += (double) (bytes[i].n / PART_PIECE * PART_PIECE);
        }
      best = MAX (best, total / 1e3 / (double) MAX (g_get_monotonic_time () - began, 1));
    }
  return best;
}

static void
peak_piece (gpointer user_data, guint piece)
{
  const LlmBenchPeak *peak = user_data;

  peak->run (PEAK_STEPS);
}

static double
measure_peak (LlmPool *pool, const LlmBenchPeak *peak, guint effort)
{
  guint n_pieces = llm_pool_n_threads (pool) * PEAK_PIECES;
  double best = 0;

  for (guint t = 0; t < PEAK_TRIES * effort; t++)
    {
      gint64 began = g_get_monotonic_time ();

      llm_pool_run (pool, peak_piece, (gpointer) peak, n_pieces);
      best = MAX (best, (double) n_pieces * PEAK_STEPS * peak->ops_per_step / 1e3 / (double) MAX (g_get_monotonic_time () - began, 1));
    }
  return best;
}

/* "model name" of /proc/cpuinfo. */
static char *
cpu_name (void)
{
  g_autofree char *text = NULL;
  char *line, *colon;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) || (line = strstr (text, "model name")) == NULL
      || (colon = strchr (line, ':')) == NULL)
    return g_strdup ("CPU");
  return g_strstrip (g_strndup (colon + 1, strcspn (colon + 1, "\n")));
}

LlmBenchMachine *
llm_bench_machine_new (guint n_threads, const char *isa, guint effort)
{
  LlmBenchMachine *self = g_new0 (LlmBenchMachine, 1);

  self->cpu = cpu_name ();
  self->peaks = llm_bench_peaks_find (isa);
  self->isa = self->peaks->isa;
  self->pool = llm_pool_new (n_threads);
  self->n_threads = llm_pool_n_threads (self->pool);
  llm_bench_machine_measure (self, effort);
  return self;
}

void
llm_bench_machine_measure (LlmBenchMachine *self, guint effort)
{
  self->read_gb_s = MAX (self->read_gb_s, measure_read (self->pool, effort));
  self->int8_gop_s = MAX (self->int8_gop_s, measure_peak (self->pool, &self->peaks->int8, effort));
  self->f32_gflop_s = MAX (self->f32_gflop_s, measure_peak (self->pool, &self->peaks->f32, effort));
}

void
llm_bench_machine_free (LlmBenchMachine *self)
{
  llm_pool_free (self->pool);
  g_free (self->cpu);
  g_free (self);
}
