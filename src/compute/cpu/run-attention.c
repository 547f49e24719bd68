/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attention over pages (Dao et al. 2022), shared out: long runs of rows of one slot in blocks of pairs that go
 * through all groups of keys, short ones in groups that are merged at the end.  See attention-block.h.
 */
#include <math.h>

#include "compute/cpu/attention-block.h"
#include "compute/cpu/kv-pages.h"

#define PART_BYTES 24576 /* of keys and values: about a microsecond, worth a thread */
#define MAX_PARTS 8
#define MIN_PIECES 8     /* of all short runs together, where there are groups enough */
#define MAX_SPAN 8
#define SHORT_RUN 8      /* rows, up to which the groups of a run are pieces of their own */
#define PARTIAL_BYTES (8 * 1024 * 1024) /* of their results, or one row's if those are more; runs beyond it go whole */

typedef struct {
  guint first_row, n_rows;
  guint first_group, n_groups; /* of all its rows */
  guint first_piece;
  gsize partial;               /* where its groups' results begin; unused when whole */
  gboolean whole;              /* a piece goes through all groups */
} Run;

struct _LlmCpuAttention {
  Run *runs; /* [max_rows] */
  guint n_runs, n_pieces, max_pairs;
  guint parts, span; /* of a group's key heads; groups that are one piece */
  gsize partial_row; /* floats that one row has for one group */
  float *partial;    /* [rows, groups, heads, LlmSeen and v_stride] of the runs that are not whole, run by run */
  gsize partial_size; /* floats */
  guint max_rows;
};

static guint
blocks_of (const LlmCpuAttention *a, const LlmKvLayout *kv, const LlmAttentionParams *p, guint n_rows)
{
  return (n_rows * (p->n_heads / kv->n_kv_heads) + a->max_pairs - 1) / a->max_pairs;
}

/* The run of piece (or row) @i. */
static const Run *
run_of (const LlmCpuAttention *a, guint i, gboolean by_row)
{
  guint low = 0, high = a->n_runs;

  while (high - low > 1)
    {
      guint middle = (low + high) / 2;

      if ((by_row ? a->runs[middle].first_row : a->runs[middle].first_piece) <= i)
        low = middle;
      else
        high = middle;
    }
  return &a->runs[low];
}

/* Where pair @at of all of @b has its result for group @group of @run: LlmSeen, then the values. */
static float *
partial_of (const LlmCpuAttention *a, const Run *run, guint group, const LlmBlock *b, guint at)
{
  guint row = llm_block_row (b, at) - run->first_row;

  return a->partial + run->partial + ((gsize) group * run->n_rows + row) * a->partial_row + llm_block_head (b, at) * (b->v_stride + 2);
}

/* All groups of some pairs. */
static void
whole_piece (LlmCpuJob *job, const Run *run, guint piece)
{
  const LlmCpuAttention *a = job->self->attention;
  const LlmKvLayout *kv = &job->self->kv->parent.layout;
  guint pairs = run->n_rows * (job->op->p.attention.n_heads / kv->n_kv_heads);
  guint block = blocks_of (a, kv, &job->op->p.attention, run->n_rows) - 1 - piece / kv->n_kv_heads; /* the longest first */
  float scratch[LLM_SCRATCH] __attribute__ ((aligned (64)));
  LlmBlock b;

  llm_block_init (&b, job, piece % kv->n_kv_heads, 1, run->first_row, block * a->max_pairs, MIN (a->max_pairs, pairs - block * a->max_pairs), scratch);
  for (guint group = run->first_group; group < run->first_group + run->n_groups; group++)
    if (llm_block_group (&b, group * LLM_GROUP))
      llm_block_merge (&b, b.part, b.values);
  llm_block_finish (&b);
}

/* Some key heads' part of one group of a short run. */
static void
group_of_heads (LlmCpuJob *job, const Run *run, guint group, LlmBlock *b)
{
  const LlmCpuAttention *a = job->self->attention;
  gboolean any = llm_block_group (b, (run->first_group + group) * LLM_GROUP);

  for (guint i = 0; i < b->n_heads * b->n && !any; i++)
    b->part[i] = (LlmSeen) { -INFINITY, 0 };
  if (run->n_groups == 1)
    {
      if (any)
        llm_block_merge (b, b->part, b->values);
      llm_block_finish (b);
      return;
    }
  for (guint i = 0; i < b->n_heads * b->n; i++)
    {
      float *out = partial_of (a, run, group, b, i);

      memcpy (out, &b->part[i], sizeof (LlmSeen));
      if (any)
        memcpy (out + 2, b->values + i * b->v_stride, b->v_stride * sizeof (float));
      else
        memset (out + 2, 0, b->v_stride * sizeof (float));
    }
}

/* Some groups of a short run, and a part of its key heads. */
static void
group_piece (LlmCpuJob *job, const Run *run, guint piece)
{
  const LlmCpuAttention *a = job->self->attention;
  const LlmKvLayout *kv = &job->self->kv->parent.layout;
  guint pairs = run->n_rows * (job->op->p.attention.n_heads / kv->n_kv_heads), part = piece % a->parts;
  guint first = piece / a->parts * a->span, last = MIN (first + a->span, run->n_groups);
  guint head = kv->n_kv_heads * part / a->parts, end = kv->n_kv_heads * (part + 1) / a->parts, n_heads;
  float scratch[LLM_SCRATCH] __attribute__ ((aligned (64)));
  LlmBlock b;

  for (; head < end; head += n_heads)
    {
      n_heads = CLAMP (a->max_pairs / pairs, 1, end - head);
      for (guint at = 0; at < pairs; at += b.n)
        {
          llm_block_init (&b, job, head, n_heads, run->first_row, at, MIN (a->max_pairs, pairs - at), scratch);
          b.last = MIN (b.last, (run->first_group + last) * LLM_GROUP);
          llm_block_prefetch (&b, (run->first_group + first) * LLM_GROUP);
          for (guint group = first; group < last; group++)
            group_of_heads (job, run, group, &b);
        }
    }
}

static void
attention_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  const Run *run = run_of (job->self->attention, piece, FALSE);

  if (run->whole)
    whole_piece (job, run, piece - run->first_piece);
  else
    group_piece (job, run, piece - run->first_piece);
}

/* Merges the groups of one row of a short run. */
static void
merge_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmCpuAttention *a = job->self->attention;
  const LlmKvLayout *kv = &job->self->kv->parent.layout;
  const Run *run = run_of (a, r, TRUE);
  guint per_head = job->op->p.attention.n_heads / kv->n_kv_heads;
  float scratch[LLM_SCRATCH] __attribute__ ((aligned (64)));
  LlmBlock b;

  for (guint head = 0; head < kv->n_kv_heads && !run->whole && run->n_groups > 1; head++)
    for (guint at = 0; at < per_head; at += b.n)
      {
        guint pair = (r - run->first_row) * per_head + at;

        llm_block_init (&b, job, head, 1, run->first_row, pair, MIN (a->max_pairs, per_head - at), scratch);
        for (guint group = 0; group < run->n_groups; group++)
          {
            for (guint i = 0; i < b.n; i++)
              {
                const float *in = partial_of (a, run, group, &b, i);

                memcpy (&b.part[i], in, sizeof (LlmSeen));
                memcpy (b.values + i * b.v_stride, in + 2, b.v_stride * sizeof (float));
              }
            llm_block_merge (&b, b.part, b.values);
          }
        llm_block_finish (&b);
      }
}

/* ---- how the rows of a batch are shared out ---- */

static guint
run_length (const LlmBatch *batch, guint first)
{
  guint n = 1;

  while (first + n < batch->n_rows && batch->slot[first + n] == batch->slot[first])
    n++;
  return n;
}

/* The groups of the keys that the rows of @run see. */
static void
find_groups (Run *run, const LlmBatch *batch, const LlmAttentionParams *p)
{
  guint from = G_MAXUINT, end = 0;

  for (guint r = run->first_row; r < run->first_row + run->n_rows; r++)
    {
      guint first, last;

      llm_cpu_keys_of_row (batch, p, r, &first, &last);
      from = MIN (from, first);
      end = MAX (end, last);
    }
  run->first_group = from / LLM_GROUP;
  run->n_groups = MAX ((end + LLM_GROUP - 1) / LLM_GROUP, run->first_group + 1) - run->first_group;
}

/* Pieces of every run; short runs with little to do in all are cut by their key heads, too. */
static void
share_out (LlmCpuAttention *a, LlmCpuJob *job)
{
  const LlmCpuKv *cache = job->self->kv;
  const LlmKvLayout *kv = &cache->parent.layout;
  const LlmAttentionParams *p = &job->op->p.attention;
  guint per_head = p->n_heads / kv->n_kv_heads, n_groups = 0;
  gsize work = 0, partial = 0;

  a->max_pairs = llm_block_max_pairs (kv);
  a->partial_row = p->n_heads * (LLM_PAD (kv->head_dim_v) + 2);
  a->n_runs = a->n_pieces = 0;
  for (guint r = 0; r < job->n_rows; r += a->runs[a->n_runs++].n_rows)
    {
      Run *run = &a->runs[a->n_runs];

      *run = (Run) { .first_row = r, .n_rows = run_length (job->self->batch, r), .partial = partial };
      find_groups (run, job->self->batch, p);
      run->whole = run->n_rows > SHORT_RUN || partial + (gsize) run->n_rows * run->n_groups * a->partial_row > a->partial_size;
      if (run->whole)
        continue;
      n_groups += run->n_groups;
      work += run->n_groups * LLM_GROUP / 2 * (cache->k_row + cache->v_row) * (1 + run->n_rows * per_head / 8);
      partial += (gsize) run->n_rows * run->n_groups * a->partial_row;
    }
  a->parts = n_groups > 0 ? (guint) CLAMP (MIN (work / PART_BYTES, MAX_PARTS) / n_groups, 1, kv->n_kv_heads) : 1;
  a->span = CLAMP (n_groups / MIN_PIECES, 1, MAX_SPAN);
  for (guint i = 0; i < a->n_runs; i++)
    {
      a->runs[i].first_piece = a->n_pieces;
      a->n_pieces += a->runs[i].whole ? blocks_of (a, kv, p, a->runs[i].n_rows) * kv->n_kv_heads : (a->runs[i].n_groups + a->span - 1) / a->span * a->parts;
    }
}

void
llm_cpu_run_attention (LlmCpuJob *job)
{
  LlmCpuAttention *a = job->self->attention;
  LlmPool *pool = job->self->device->pool;
  gboolean merge = FALSE;

  if (job->self->device->kernels->softmax_part == NULL)
    {
      llm_pool_run (pool, llm_cpu_attention_definition, job, job->n_rows * job->op->p.attention.n_heads);
      return;
    }
  share_out (a, job);
  llm_pool_run (pool, attention_piece, job, a->n_pieces);
  for (guint i = 0; i < a->n_runs && !merge; i++)
    merge = !a->runs[i].whole && a->runs[i].n_groups > 1;
  if (merge)
    llm_pool_run (pool, merge_row, job, job->n_rows);
}

/* ---- memory ---- */

LlmCpuAttention *
llm_cpu_attention_new (const LlmPlan *plan, const LlmRunLimits *limits)
{
  LlmCpuAttention *self = g_new0 (LlmCpuAttention, 1);
  const LlmKvLayout *kv = llm_plan_kv_layout (plan);
  gsize groups = (gsize) limits->max_pages_per_slot * kv->page_tokens / LLM_GROUP + 2, row = 0;

  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    if (llm_plan_op (plan, i)->kind == LLM_OP_ATTENTION)
      row = MAX (row, groups * llm_plan_op (plan, i)->p.attention.n_heads * (LLM_PAD (kv->head_dim_v) + 2));
  self->partial_size = MIN (limits->max_rows * row, MAX (row, PARTIAL_BYTES / sizeof (float)));
  self->partial = g_try_new (float, MAX (self->partial_size, 1));
  self->runs = g_try_new (Run, limits->max_rows);
  self->max_rows = limits->max_rows;
  if (self->runs == NULL || self->partial == NULL)
    {
      llm_cpu_attention_free (self);
      return NULL;
    }
  return self;
}

guint64
llm_cpu_attention_bytes (const LlmCpuAttention *self)
{
  return self->partial_size * sizeof (float) + self->max_rows * sizeof (Run);
}

void
llm_cpu_attention_free (LlmCpuAttention *self)
{
  if (self == NULL)
    return;
  g_free (self->runs);
  g_free (self->partial);
  g_free (self);
}
