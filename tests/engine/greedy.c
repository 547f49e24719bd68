/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/greedy.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "compute/cpu/kernels.h"
#include "engine/schedule.h"

#define PAGES 8 /* of a stream */
#define N_KERNELS 3

/* What a batch went by. */
enum { FEW = 1, MANY = 2, TILES = 4 };

struct _GreedyModel {
  GreedyStreams streams;
  LlmGguf *gguf;
  LlmModelConfig *config;
  LlmWeights *weights;
  LlmPlan *plan;
  guint first_row[GREEDY_MAX_STREAMS], n_rows; /* a row for every token that is fed */
  gint32 *tokens;                              /* [n_rows] */
  float *logits;                               /* [n_rows, n_vocab] of the scalar device */
};

typedef struct {
  float *logits;   /* [n_rows, n_vocab] */
  guint8 *kernels; /* [n_rows]: all that had to do with this row's logits; 0: it has none */
} Run;

static void
run_free (Run *self)
{
  g_free (self->logits);
  g_free (self->kernels);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Run, run_free)

static guint
best_of (const float *logits, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/* ---- one run ---- */

typedef struct {
  GreedyModel *model;
  const GreedyScript *script;
  const char *isa;
  guint first, n;      /* streams */
  LlmDevice *device;
  LlmExecutable *executable;
  LlmKvBuffer *kv;
  guint n_computed[GREEDY_MAX_STREAMS], n_pages[GREEDY_MAX_STREAMS], kernels[GREEDY_MAX_STREAMS];
  gboolean running[GREEDY_MAX_STREAMS];
  guint step;
  gboolean choose;     /* the tokens are not known yet */
  Run *run;
} Player;

/* Tokens that stream @s feeds. */
static guint
length_of (const Player *p, guint s)
{
  const GreedyStreams *streams = &p->model->streams;
  gboolean leaves = p->script->leave && s % 2 == 1;

  return streams->n_prompt[s] - 1 + (leaves ? (streams->n_output + 1) / 2 : streams->n_output);
}

static guint
kernel_of (const Player *p, guint n_rows)
{
  if (n_rows <= LLM_GEMV_ROWS)
    return FEW;
  if (p->model->config->n_experts > 0)
    return FEW | MANY; /* each expert has some of the rows */
  return llm_cpu_by_tiles (llm_cpu_kernels_find (p->isa, NULL), LLM_CPU_ROWS, n_rows) ? TILES : MANY;
}

/* Streams that are there, the oldest first. */
static guint
present (const Player *p, guint *streams)
{
  guint n = 0;

  for (guint i = 0; i < p->n; i++)
    {
      guint s = p->first + (i + p->script->turn) % p->n;

      if (p->step >= i * p->script->gap && p->n_computed[s] < length_of (p, s))
        streams[n++] = s;
    }
  return n;
}

static void
plan_step (const Player *p, const guint *streams, guint n, LlmScheduleStep *steps)
{
  LlmScheduleItem items[GREEDY_MAX_STREAMS];
  LlmScheduleLimits limits = { p->script->max_rows, p->script->max_running, LLM_KV_PAGE_TOKENS, PAGES * GREEDY_MAX_STREAMS };

  for (guint i = 0; i < n; i++)
    {
      guint s = streams[i];

      items[i] = (LlmScheduleItem) {
        .n_known = MAX (p->model->streams.n_prompt[s], p->n_computed[s] + 1), .n_computed = p->n_computed[s], .n_pages = p->n_pages[s],
        .n_own = p->n_pages[s], .running = p->running[s],
      };
    }
  llm_schedule (items, n, &limits, steps);
  for (guint i = 0; i < n; i++)
    g_assert_false (steps[i].preempt);
}

typedef struct {
  LlmBatch batch;
  gint32 token[LLM_BATCH_MAX_ROWS];
  guint32 position[LLM_BATCH_MAX_ROWS], slot[LLM_BATCH_MAX_ROWS], out_row[LLM_BATCH_MAX_ROWS], table[GREEDY_MAX_STREAMS * PAGES];
  guint out_stream[LLM_BATCH_MAX_ROWS];
} Rows;

/* @n_rows more tokens of stream @s; its pages lie between those of the others. */
static void
add_rows (const Player *p, Rows *rows, guint s, guint n_rows)
{
  LlmBatch *b = &rows->batch;
  guint slot = b->n_slots++;

  for (guint i = 0; i < PAGES; i++)
    rows->table[slot * PAGES + i] = i * GREEDY_MAX_STREAMS + s;
  for (guint i = 0; i < n_rows; i++)
    {
      guint r = b->n_rows++, position = p->n_computed[s] + i;

      rows->token[r] = p->model->tokens[p->model->first_row[s] + position];
      rows->position[r] = position;
      rows->slot[r] = slot;
      if (!p->script->all_out && (i + 1 < n_rows || position + 1 < p->model->streams.n_prompt[s]))
        continue;
      rows->out_stream[b->n_out] = s;
      rows->out_row[b->n_out++] = r;
    }
}

static void
keep_logits (Player *p, const Rows *rows, const float *logits)
{
  guint n_vocab = p->model->config->n_vocab;

  for (guint o = 0; o < rows->batch.n_out; o++, logits += n_vocab)
    {
      guint s = rows->out_stream[o], position = rows->position[rows->out_row[o]], row = p->model->first_row[s] + position;

      memcpy (p->run->logits + (gsize) row * n_vocab, logits, n_vocab * sizeof (float));
      p->run->kernels[row] = (guint8) (p->kernels[s] | kernel_of (p, rows->batch.n_out));
      if (p->choose && position + 1 >= p->model->streams.n_prompt[s] && position + 1 < length_of (p, s))
        p->model->tokens[row + 1] = (gint32) best_of (logits, n_vocab);
    }
}

/* FALSE: all is done. */
static gboolean
play_step (Player *p)
{
  guint streams[GREEDY_MAX_STREAMS], n = present (p, streams);
  LlmScheduleStep steps[GREEDY_MAX_STREAMS];
  g_autofree Rows *rows = g_new0 (Rows, 1);
  g_autoptr (GError) error = NULL;
  const float *logits = NULL;

  p->step++;
  if (n == 0)
    return p->step <= p->n * p->script->gap;
  plan_step (p, streams, n, steps);
  rows->batch = (LlmBatch) { 0, rows->token, rows->position, rows->slot, 0, rows->table, PAGES, 0, rows->out_row };
  for (guint i = 0; i < n; i++)
    if (steps[i].n_rows > 0)
      add_rows (p, rows, streams[i], steps[i].n_rows);
  g_assert_cmpuint (rows->batch.n_rows, >, 0);
  llm_executable_submit (p->executable, p->kv, &rows->batch, &error);
  g_assert_no_error (error);
  llm_executable_wait (p->executable, &logits, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n; i++)
    if (steps[i].n_rows > 0)
      p->kernels[streams[i]] |= kernel_of (p, rows->batch.n_rows);
  keep_logits (p, rows, logits);
  for (guint i = 0; i < n; i++)
    {
      p->n_computed[streams[i]] += steps[i].n_rows;
      p->n_pages[streams[i]] += steps[i].n_pages;
      p->running[streams[i]] |= steps[i].admit;
    }
  return TRUE;
}

static Run *
play (GreedyModel *self, const char *isa, guint n_threads, const GreedyScript *script, guint first, guint n, gboolean choose)
{
  LlmRunLimits limits = { script->max_rows, GREEDY_MAX_STREAMS, PAGES, script->max_rows };
  LlmDevicesOptions options = { n_threads, isa };
  g_autoptr (GError) error = NULL;
  Player p = { .model = self, .script = script, .isa = isa, .first = first, .n = n, .choose = choose, .run = g_new0 (Run, 1) };

  p.run->logits = g_new0 (float, (gsize) self->n_rows * self->config->n_vocab);
  p.run->kernels = g_new0 (guint8, self->n_rows);
  p.device = llm_devices_open ("cpu", &options, &error);
  g_assert_no_error (error);
  p.executable = llm_device_compile (p.device, self->plan, &limits, &error);
  g_assert_no_error (error);
  p.kv = llm_device_kv_new (p.device, llm_plan_kv_layout (self->plan), PAGES * GREEDY_MAX_STREAMS, &error);
  g_assert_no_error (error);
  while (play_step (&p))
    ;
  llm_kv_buffer_free (p.kv);
  llm_executable_free (p.executable);
  llm_device_free (p.device);
  return p.run;
}

/* ---- the reference ---- */

void
greedy_model_free (GreedyModel *self)
{
  g_clear_pointer (&self->plan, llm_plan_free);
  g_clear_pointer (&self->weights, llm_weights_free);
  g_clear_pointer (&self->config, llm_model_config_free);
  g_clear_pointer (&self->gguf, llm_gguf_unref);
  g_free (self->tokens);
  g_free (self->logits);
  g_free (self);
}

static gboolean
open_model (GreedyModel *self, const char *path, GError **error)
{
  LlmArchOptions options = { .kv_type = self->streams.kv_type };
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  if ((self->gguf = llm_gguf_open (fd, error)) != NULL && (self->config = llm_model_config_new (self->gguf, error)) != NULL
      && (self->weights = llm_weights_new (self->gguf, &fd, error)) != NULL)
    self->plan = llm_arch_plan_new (self->config, self->weights, &options, error);
  close (fd);
  return self->plan != NULL;
}

GreedyModel *
greedy_model_new (const char *path, const GreedyStreams *streams, GError **error)
{
  static const GreedyScript together = { "together", LLM_BATCH_MAX_ROWS, GREEDY_MAX_STREAMS, .all_out = TRUE };
  g_autoptr (GreedyModel) self = g_new0 (GreedyModel, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  g_autoptr (Run) run = NULL;

  self->streams = *streams;
  if (!open_model (self, path, error))
    return NULL;
  for (guint s = 0; s < streams->n_streams; s++)
    {
      self->first_row[s] = self->n_rows;
      self->n_rows += streams->n_prompt[s] - 1 + streams->n_output;
      g_assert_cmpuint (self->n_rows - self->first_row[s], <=, PAGES * LLM_KV_PAGE_TOKENS);
    }
  self->tokens = g_new0 (gint32, self->n_rows);
  for (guint r = 0; r < self->n_rows; r++)
    self->tokens[r] = g_rand_int_range (rand, 0, (gint32) self->config->n_vocab);
  run = play (self, "scalar", 2, &together, 0, streams->n_streams, TRUE);
  self->logits = g_steal_pointer (&run->logits);
  return g_steal_pointer (&self);
}

/* ---- comparisons ---- */

/* How row @row of @got stands to @want, within @noise. */
static void
check_token (const GreedyModel *self, const char *what, guint row, const float *got, const float *want, double noise, GreedyCount *count)
{
  guint n = self->config->n_vocab, best, second;
  double mean = 0, deviation = 0, worst = 0, margin;

  for (guint i = 0; i < n; i++)
    mean += (double) want[i] / n;
  for (guint i = 0; i < n; i++)
    {
      g_assert_true (isfinite (got[i]));
      deviation += ((double) want[i] - mean) * ((double) want[i] - mean) / n;
      worst = MAX (worst, fabs ((double) got[i] - (double) want[i]));
    }
  deviation = sqrt (deviation);
  best = best_of (want, n);
  second = best == 0;
  for (guint i = 0; i < n; i++)
    if (i != best && want[i] > want[second])
      second = i;
  margin = ((double) want[best] - (double) want[second]) / deviation;
  count->worst = MAX (count->worst, worst / deviation);
  if (worst > noise * deviation)
    g_error ("%s: row %u: a logit is off by %g deviations; %g is allowed", what, row, worst / deviation, noise);
  count->n_rows++;
  count->n_decided += margin > 2 * noise;
  if (best_of (got, n) == best)
    return;
  if (margin > 2 * noise)
    g_error ("%s: row %u: token %u instead of %u, which leads by %g deviations", what, row, best_of (got, n), best, margin);
  count->n_forks++;
}

/* @known: rows by every kernel alone, from runs before. */
static void
check_bits (const GreedyModel *self, const char *what, guint row, const float *got, guint kernels, float **const known[N_KERNELS], GreedyTally *tally)
{
  gsize bytes = self->config->n_vocab * sizeof (float);

  for (guint k = 0; k < N_KERNELS; k++)
    if (kernels != 1u << k)
      continue;
    else if (known[k][row] == NULL)
      known[k][row] = g_memdup2 (got, bytes);
    else if (memcmp (known[k][row], got, bytes) != 0)
      g_error ("%s: row %u: the same kernel (%u), other bits", what, row, k);
    else
      tally->n_same[k]++;
}

static void
check_threads (const GreedyModel *self, const char *what, const Run *one, const Run *more)
{
  guint n = self->config->n_vocab;

  for (guint row = 0; row < self->n_rows; row++)
    {
      g_assert_cmpuint (one->kernels[row], ==, more->kernels[row]);
      if (memcmp (one->logits + (gsize) row * n, more->logits + (gsize) row * n, n * sizeof (float)) != 0)
        g_error ("%s: row %u: other bits than with one thread", what, row);
    }
}

typedef struct {
  GreedyModel *model;
  const char *isa;
  const GreedyNoise *noise;
  guint first, n;
  Run *alone;
  float **known[N_KERNELS]; /* see check_bits() */
  GreedyTally *tally;
} Check;

static void
check_script (const Check *c, const GreedyScript *script, const Run *one)
{
  GreedyModel *model = c->model;
  g_autofree char *what = g_strdup_printf ("%s, %s", c->isa, script->name);

  for (guint row = 0; row < model->n_rows; row++)
    {
      gsize at = (gsize) row * model->config->n_vocab;
      const float *got = one->logits + at;

      if (one->kernels[row] == 0)
        continue;
      c->tally->n_rows++;
      if (c->noise->definition > 0 || strcmp (c->isa, "scalar") == 0)
        check_token (model, what, row, got, model->logits + at, c->noise->definition, &c->tally->definition);
      check_token (model, what, row, got, c->alone->logits + at, c->noise->alone, &c->tally->alone);
      check_bits (model, what, row, got, one->kernels[row], c->known, c->tally);
    }
  for (guint n_threads = 2; n_threads <= script->max_threads; n_threads++)
    {
      g_autofree char *which = g_strdup_printf ("%s, %u threads", what, n_threads);
      g_autoptr (Run) more = play (model, c->isa, n_threads, script, c->first, c->n, FALSE);

      check_threads (model, which, one, more);
    }
  c->tally->n_runs += MAX (script->max_threads, 1);
}

void
greedy_check (GreedyModel *self, const char *isa, const GreedyNoise *noise, const GreedyScript *scripts, guint n_scripts, guint first, guint n,
              GreedyTally *tally)
{
  static const GreedyScript by_row = { "one row at a time", 1, GREEDY_MAX_STREAMS, .all_out = TRUE };
  g_autoptr (Run) alone = play (self, isa, 1, &by_row, first, n, FALSE);
  Check c = { self, isa, noise, first, n, alone, { NULL }, tally };

  for (guint k = 0; k < N_KERNELS; k++)
    c.known[k] = g_new0 (float *, self->n_rows);
  check_script (&c, &by_row, alone);
  for (guint i = 0; i < n_scripts; i++)
    {
      g_autoptr (Run) run = play (self, isa, 1, &scripts[i], first, n, FALSE);

      check_script (&c, &scripts[i], run);
    }
  for (guint k = 0; k < N_KERNELS; k++)
    {
      for (guint row = 0; row < self->n_rows; row++)
        g_free (c.known[k][row]);
      g_free (c.known[k]);
    }
}
