/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/cpu/tuning.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "compute/cpu/device-cpu.h"

#define PIECE_ROWS 32 /* weight rows */
#define PIECES 2      /* a thread */
#define TRIES 21
#define GAIN 1.05     /* that the kernel of fewer rows may cost more, so that chance changes nothing */

static const guint16 tiles_from[] = { 16, 32, 64, 128 };

#define MOST_ROWS 128 /* of inputs that are tried */

/* What is kept. */
typedef struct {
  guint32 few;   /* 1..LLM_GEMV_ROWS */
  guint32 tiles; /* one of tiles_from[]; G_MAXUINT32: never, or there are none */
} Limits;

typedef struct {
  LlmCpuDevice *device;
  const LlmWeight *w;
} Subject;

/* A product under test. */
typedef struct {
  const Subject *subject;
  guint n_x;
  LlmCpuRows by;
  guint try;
  LlmCpuInput in;
  float *y[MOST_ROWS]; /* (in outputs) */
  float *x, *outputs;
  LlmQ8Chunk *chunks;
  LlmQ8Lanes *lanes;
  guint16 *bf16;
  const float *x_rows[MOST_ROWS];
  const LlmQ8Chunk *q8_rows[MOST_ROWS];
} Trial;

/* ---- what is multiplied ---- */

static guint
n_pieces (const Trial *t)
{
  return PIECES * llm_pool_n_threads (t->subject->device->pool);
}

static void
trial_clear (Trial *t)
{
  g_free (t->x);
  g_free (t->outputs);
  g_free (t->chunks);
  g_free (t->lanes);
  g_free (t->bf16);
}

static gboolean
trial_init (Trial *t, const Subject *subject)
{
  const LlmCpuKernels *kernels = subject->device->kernels;
  guint rows = kernels->tiles != NULL ? MOST_ROWS : LLM_LANES, k = (guint) subject->w->n_cols, n_chunks = (k + LLM_CHUNK - 1) / LLM_CHUNK;

  *t = (Trial) { .subject = subject };
  t->x = g_try_new (float, (gsize) rows * k);
  t->outputs = g_try_new (float, (gsize) rows * PIECE_ROWS * n_pieces (t));
  t->chunks = g_try_new (LlmQ8Chunk, (gsize) rows * n_chunks);
  t->lanes = g_try_new0 (LlmQ8Lanes, (gsize) rows / LLM_LANES * n_chunks);
  t->bf16 = kernels->tiles != NULL ? g_try_new (guint16, (gsize) rows * n_chunks * LLM_CHUNK) : NULL;
  if (t->x == NULL || t->outputs == NULL || t->chunks == NULL || t->lanes == NULL || (kernels->tiles != NULL && t->bf16 == NULL))
    {
      trial_clear (t);
      return FALSE;
    }
  for (gsize i = 0; i < (gsize) rows * k; i++)
    t->x[i] = (float) (i * 2654435761u % 2048) / 1024 - 1;
  for (guint r = 0; r < rows; r++)
    {
      t->x_rows[r] = t->x + (gsize) r * k;
      t->q8_rows[r] = t->chunks + (gsize) r * n_chunks;
      t->y[r] = t->outputs + (gsize) r * PIECE_ROWS * n_pieces (t);
      kernels->quantise (t->x_rows[r], t->chunks + (gsize) r * n_chunks, k);
      llm_cpu_to_lanes (t->q8_rows[r], n_chunks, t->lanes + (gsize) (r / LLM_LANES) * n_chunks, r % LLM_LANES);
    }
  t->in = (LlmCpuInput) { t->x_rows, t->q8_rows, t->lanes, n_chunks, t->bf16 };
  return TRUE;
}

/* Other weight rows in every try, as in a pass over all of them. */
static const guint8 *
piece_at (const Trial *t, guint piece)
{
  const LlmWeight *w = t->subject->w;
  gsize n = MAX (w->n_rows / PIECE_ROWS, 1);

  return (const guint8 *) w->data + ((gsize) t->try * n_pieces (t) + piece) % n * PIECE_ROWS * (w->n_bytes / w->n_rows);
}

static void
read_piece (gpointer data, guint piece)
{
  const Trial *t = data;
  const LlmWeight *w = t->subject->w;
  const volatile guint8 *p = piece_at (t, piece);
  gsize n = w->n_bytes / w->n_rows * MIN (PIECE_ROWS, w->n_rows), page = (gsize) sysconf (_SC_PAGESIZE);

  for (gsize i = 0; i < n; i += page)
    (void) p[i];
}

static void
multiply_piece (gpointer data, guint piece)
{
  Trial *t = data;
  const LlmWeight *w = t->subject->w;

  llm_cpu_product (t->subject->device->kernels, t->by, w->dtype, piece_at (t, piece), w->n_bytes / w->n_rows, (guint) MIN (PIECE_ROWS, w->n_rows), &t->in, t->n_x,
                   (guint) w->n_cols, t->y, (gsize) piece * PIECE_ROWS);
}

/* ---- measuring ---- */

static int
compare (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

static gint64
now_ns (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * (gint64) 1000000000 + ts.tv_nsec;
}

/* Whether the kernel @a is as fast for @n_x input rows as @b: medians of tries in turn. */
static gboolean
is_as_fast (Trial *t, guint n_x, LlmCpuRows a, LlmCpuRows b)
{
  LlmPool *pool = t->subject->device->pool;
  gint64 ns[2][TRIES];

  t->n_x = n_x;
  if (t->bf16 != NULL)
    for (guint tile = 0; tile * LLM_LANES < n_x; tile++)
      llm_cpu_tiles_pack (t->subject->device->kernels, t->x_rows, n_x, (guint) t->subject->w->n_cols, tile, t->bf16);
  for (guint i = 0; i < 2 * TRIES; i++)
    {
      gint64 began;

      t->by = i % 2 == 0 ? a : b;
      t->try = i;
      llm_pool_run (pool, read_piece, t, n_pieces (t));
      began = now_ns ();
      llm_pool_run (pool, multiply_piece, t, n_pieces (t));
      ns[i % 2][i / 2] = now_ns () - began;
    }
  qsort (ns[0], TRIES, sizeof ns[0][0], compare);
  qsort (ns[1], TRIES, sizeof ns[1][0], compare);
  return (double) ns[0][TRIES / 2] <= GAIN * (double) ns[1][TRIES / 2];
}

static GBytes *
measure (gpointer user_data, GError **error)
{
  const Subject *subject = user_data;
  const LlmCpuRows fused = { LLM_GEMV_ROWS, G_MAXUINT }, panels = { 0, G_MAXUINT }, tiles = { 0, 1 };
  Limits limits = { 1, G_MAXUINT32 };
  Trial t;

  if (!trial_init (&t, subject))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory to measure products");
      return NULL;
    }
  for (guint n = 2; n <= LLM_GEMV_ROWS; n++)
    if (is_as_fast (&t, n, fused, panels))
      limits.few = n;
  for (guint i = G_N_ELEMENTS (tiles_from); subject->device->kernels->tiles != NULL && i-- > 0;)
    if (is_as_fast (&t, tiles_from[i], tiles, panels))
      limits.tiles = tiles_from[i];
  trial_clear (&t);
  return g_bytes_new (&limits, sizeof limits);
}

static gboolean
check (gconstpointer payload, gsize size, gpointer user_data)
{
  gboolean known = FALSE;
  Limits limits;

  if (size != sizeof limits)
    return FALSE;
  memcpy (&limits, payload, sizeof limits);
  for (guint i = 0; i < G_N_ELEMENTS (tiles_from); i++)
    known |= limits.tiles == tiles_from[i];
  return limits.few >= 1 && limits.few <= LLM_GEMV_ROWS && (known || limits.tiles == G_MAXUINT32);
}

static const LlmCacheKind kind = { "cpu-tuning", 1, measure, check };

/* ---- a plan's ---- */

static gboolean
find_limits (LlmCpuDevice *device, const LlmWeight *w, Limits *limits)
{
  g_autoptr (LlmCacheKey) key = llm_cache_kind_key (&kind, device->parent.cache_folder);
  g_autoptr (LlmArtifact) artifact = NULL;
  Subject subject = { device, w };
  gsize size;

  llm_cache_key_add (key, "cpu", device->parent.info.name);
  llm_cache_key_add (key, "kernels", device->kernels->name);
  llm_cache_key_add_uint (key, "threads", llm_pool_n_threads (device->pool));
  llm_cache_key_add (key, "type", w->dtype->name);
  llm_cache_key_add_uint (key, "columns", w->n_cols);
  artifact = llm_cache_get (device->parent.cache, &kind, key, &subject, NULL);
  if (artifact != NULL)
    memcpy (limits, llm_artifact_data (artifact, &size), sizeof *limits);
  return artifact != NULL;
}

/* A weight whose limit is known, of the same type and width as @n; LLM_NONE: none is. */
static LlmWeightId
same_as (const LlmPlan *plan, const guint8 *few, LlmWeightId n)
{
  const LlmWeight *w = llm_plan_weight_at (plan, n);

  for (LlmWeightId i = 0; i < llm_plan_n_weights (plan); i++)
    if (few[i] > 0 && llm_plan_weight_at (plan, i)->dtype == w->dtype && llm_plan_weight_at (plan, i)->n_cols == w->n_cols)
      return i;
  return LLM_NONE;
}

void
llm_cpu_tune (LlmCpuDevice *device, const LlmPlan *plan, LlmCpuTuning *tuning)
{
  guint n = llm_plan_n_weights (plan), tiles = 0;

  tuning->few = g_new0 (guint8, MAX (n, 1));
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      const LlmWeight *w = op->w != LLM_NONE ? llm_plan_weight_at (plan, op->w) : NULL;
      Limits limits = { LLM_CPU_ROWS.few, LLM_CPU_ROWS.tiles };
      LlmWeightId same;

      if ((op->kind != LLM_OP_MATMUL && op->kind != LLM_OP_EXPERT_MATMUL) || llm_cpu_coded (device->kernels, w->dtype) == NULL || tuning->few[op->w] > 0)
        continue;
      same = same_as (plan, tuning->few, op->w);
      if (same == LLM_NONE && device->parent.cache != NULL && find_limits (device, w, &limits))
        tiles = MAX (tiles, limits.tiles);
      tuning->few[op->w] = same != LLM_NONE ? tuning->few[same] : (guint8) limits.few;
    }
  tuning->tiles = tiles > 0 ? tiles : LLM_CPU_ROWS.tiles;
}
