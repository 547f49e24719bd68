/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/cpu/attention-block.h"

#include <math.h>

#include "base/limits.h"
#include "compute/cpu/kv-pages.h"

#define SEGMENT 32     /* keys whose floats are to stay in the L1 cache */
#define EXPAND_FROM 12 /* pairs from which it pays to turn keys into floats once */
#define SCORE_STRIDE (LLM_GROUP + SEGMENT)

G_STATIC_ASSERT (LLM_MODEL_MAX_HEAD_DIM * (SEGMENT + 9 * 3) + 9 * SCORE_STRIDE <= LLM_SCRATCH);

guint
llm_block_max_pairs (const LlmKvLayout *kv)
{
  guint k = LLM_PAD (kv->head_dim_k), v = LLM_PAD (kv->head_dim_v);

  return MIN (LLM_MAX_PAIRS, (LLM_SCRATCH - SEGMENT * MAX (k, v)) / (k + 2 * v + SCORE_STRIDE));
}

static const LlmKvKernels *
kernels_of (const LlmCpuKernels *kernels, LlmDtype dtype)
{
  return dtype == LLM_DTYPE_F16 ? &kernels->kv_f16 : dtype == LLM_DTYPE_F32 ? &kernels->kv_f32 : &kernels->kv_q8_0;
}

void
llm_block_init (LlmBlock *b, LlmCpuJob *job, guint kv_head, guint n_heads, guint first_row, guint first_pair, guint n, float *scratch)
{
  LlmCpuExecutable *self = job->self;
  const LlmKvLayout *kv = &self->kv->parent.layout;
  guint dim_k = kv->head_dim_k, all = n_heads * n;

  b->job = job;
  b->kernels = kernels_of (self->device->kernels, kv->dtype);
  b->kv_head = kv_head;
  b->n_heads = n_heads;
  b->n = n;
  b->first_row = first_row;
  b->first_pair = first_pair;
  b->per_head = job->op->p.attention.n_heads / kv->n_kv_heads;
  b->q_stride = LLM_PAD (dim_k);
  b->v_stride = LLM_PAD (kv->head_dim_v);
  b->q = scratch;
  b->all = b->q + all * b->q_stride;
  b->values = b->all + all * b->v_stride;
  b->score = b->values + all * b->v_stride;
  b->floats = b->score + all * SCORE_STRIDE;
  memset (b->all, 0, all * b->v_stride * sizeof (float));
  b->last = 0;
  for (guint i = 0; i < n; i++)
    {
      llm_cpu_keys_of_row (self->batch, &job->op->p.attention, llm_block_row (b, i), &b->from[i], &b->end[i]);
      b->last = MAX (b->last, b->end[i]);
    }
  for (guint i = 0; i < all; i++)
    {
      float *q = b->q + i * b->q_stride;

      memcpy (q, job->x + (gsize) llm_block_row (b, i) * job->x_width + (gsize) llm_block_head (b, i) * dim_k, dim_k * sizeof (float));
      memset (q + dim_k, 0, (b->q_stride - dim_k) * sizeof (float));
      b->seen[i] = (LlmSeen) { -INFINITY, 0 };
    }
}

/* ---- one group ---- */

/* The keys (or values) of the block's first key head at position @t. */
static const guint8 *
token_row (const LlmBlock *b, guint t, gboolean values)
{
  const LlmCpuExecutable *self = b->job->self;
  gsize head = (values ? self->kv->v_row : self->kv->k_row) / self->kv->parent.layout.n_kv_heads;

  return llm_cpu_kv_row (self, b->job->op->p.attention.layer, self->batch->slot[b->first_row], t, values) + b->kv_head * head;
}

/* While key head @h is at work: its share of the @n tokens that come next, with all key heads of the block. Inlined: gcc drops
 * calls of a function that does nothing else. */
static inline __attribute__ ((always_inline)) void
prefetch (const LlmBlock *b, guint h, guint t, guint n, gboolean values)
{
  const LlmCpuKv *kv = b->job->self->kv;
  gsize row = values ? kv->v_row : kv->k_row, bytes = row / kv->parent.layout.n_kv_heads * b->n_heads;
  const guint8 *at = token_row (b, t, values);

  for (guint i = n * h / b->n_heads; i < n * (h + 1) / b->n_heads; i++)
    for (gsize byte = 0; byte < bytes; byte += 64)
      __builtin_prefetch (at + i * row + byte, 0, 2);
}

/* The keys (or values) of @n tokens from @t on, all of one page, as the kernels take them; of key head @h of the block. */
static const guint8 *
load_segment (const LlmBlock *b, guint h, guint t, guint n, gboolean values, gsize *stride, const LlmKvKernels **kernels, guint *dim)
{
  const LlmCpuExecutable *self = b->job->self;
  const LlmKvLayout *kv = &self->kv->parent.layout;
  gsize row = values ? self->kv->v_row : self->kv->k_row;
  const guint8 *at = token_row (b, t, values) + h * (row / kv->n_kv_heads);

  *stride = row;
  *kernels = b->kernels;
  *dim = values ? kv->head_dim_v : kv->head_dim_k;
  if (b->kernels->scores == NULL || (b->kernels->expand != NULL && b->n >= EXPAND_FROM))
    {
      b->kernels->expand (at, row, n, *dim, b->floats, LLM_PAD (*dim));
      *dim = LLM_PAD (*dim);
      *stride = *dim * sizeof (float);
      *kernels = &self->device->kernels->kv_f32;
      return (const guint8 *) b->floats;
    }
  return at;
}

/* From @t on, to the end of its segment and page. */
static guint
segment_length (const LlmBlock *b, guint t, guint end)
{
  guint page = b->job->self->kv->parent.layout.page_tokens;

  return MIN (MIN (SEGMENT - t % SEGMENT, page - t % page), end - t);
}

/* Whether pair @i sees one of the keys from @from to @end. */
static gboolean
sees (const LlmBlock *b, guint i, guint from, guint end)
{
  return MAX (b->from[i], from) < MIN (b->end[i], end);
}

/* The @score of keys out of sight of pair @i become none; @from to @end are those computed, of the group that begins at @group. */
static void
mask (const LlmBlock *b, guint i, float *score, guint group, guint from, guint end)
{
  guint first = CLAMP (b->from[i], from, end), last = CLAMP (b->end[i], first, end);

  for (guint t = (from - group) & ~15u; t < first - group; t++)
    score[t] = -INFINITY;
  for (guint t = last - group; t < LLM_PAD (end - group); t++)
    score[t] = -INFINITY;
}

/* The keys of the group at @group that some pair sees: [from, end); FALSE: none. */
static gboolean
range_of (const LlmBlock *b, guint group, guint *from, guint *end)
{
  *from = group + LLM_GROUP;
  *end = group;
  for (guint i = 0; i < b->n; i++)
    if (sees (b, i, group, group + LLM_GROUP))
      {
        *from = MIN (*from, MAX (b->from[i], group));
        *end = MAX (*end, MIN (b->end[i], group + LLM_GROUP));
      }
  return *from < *end;
}

static void
group_scores (LlmBlock *b, guint group, guint from, guint end)
{
  const LlmAttentionParams *p = &b->job->op->p.attention;

  for (guint t = from, n; t < end; t += n)
    {
      n = segment_length (b, t, end);
      for (guint h = 0; h < b->n_heads; h++)
        {
          LlmScores s = { .n_rows = b->n, .n = n, .q_stride = b->q_stride, .score_stride = SCORE_STRIDE, .scale = p->scale, .cap = p->cap };
          const LlmKvKernels *kernels;
          const guint8 *keys = load_segment (b, h, t, n, FALSE, &s.k_stride, &kernels, &s.dim);

          if (t + n < end)
            prefetch (b, h, t + n, segment_length (b, t + n, end), FALSE);
          else
            prefetch (b, h, from, segment_length (b, from, end), TRUE);
          kernels->scores (&s, b->q + h * b->n * b->q_stride, keys, b->score + h * b->n * SCORE_STRIDE + (t - group));
        }
    }
}

/* Nothing has been before: all at once. */
void
llm_block_prefetch (const LlmBlock *b, guint group)
{
  guint from, end;

  if (range_of (b, group, &from, &end))
    for (guint h = 0; h < b->n_heads; h++)
      prefetch (b, h, from, segment_length (b, from, end), FALSE);
}

static void
group_softmax (LlmBlock *b, guint group, guint from, guint end)
{
  guint at = (from - group) & ~15u;

  for (guint i = 0; i < b->n_heads * b->n; i++)
    {
      float *score = b->score + (gsize) i * SCORE_STRIDE;

      b->part[i] = (LlmSeen) { -INFINITY, 0 };
      if (!sees (b, i % b->n, from, end))
        {
          memset (score, 0, LLM_GROUP * sizeof (float));
          continue;
        }
      mask (b, i % b->n, score, group, from, end);
      b->job->self->device->kernels->softmax_part (score + at, LLM_PAD (end - group) - at, &b->part[i].max, &b->part[i].sum);
    }
}

static void
group_values (LlmBlock *b, guint group, guint from, guint end)
{
  memset (b->values, 0, b->n_heads * b->n * b->v_stride * sizeof (float));
  for (guint t = from, n; t < end; t += n)
    {
      n = segment_length (b, t, end);
      for (guint h = 0; h < b->n_heads; h++)
        {
          LlmMix m = { .n_rows = b->n, .n = n, .y_stride = b->v_stride, .a_stride = SCORE_STRIDE };
          const LlmKvKernels *kernels;
          const guint8 *values = load_segment (b, h, t, n, TRUE, &m.v_stride, &kernels, &m.dim);

          if (t + n < end)
            prefetch (b, h, t + n, segment_length (b, t + n, end), TRUE);
          else if (end < b->last)
            prefetch (b, h, end, segment_length (b, end, b->last), FALSE);
          kernels->mix (&m, b->values + h * b->n * b->v_stride, b->score + h * b->n * SCORE_STRIDE + (t - group), values);
        }
    }
}

/* The group of keys that begins at @group: b->values and b->part of every pair; a sum of 0 for one that sees none.
 * FALSE: no pair sees any. */
gboolean
llm_block_group (LlmBlock *b, guint group)
{
  guint from, end;

  if (!range_of (b, group, &from, &end))
    return FALSE;
  group_scores (b, group, from, end);
  group_softmax (b, group, from, end);
  group_values (b, group, from, end);
  return TRUE;
}

/* ---- groups together ---- */

/* Adds a group's @part and @values ([n, v_stride]) to what has been seen. */
void
llm_block_merge (LlmBlock *b, const LlmSeen *part, const float *values)
{
  const LlmCpuKernels *kernels = b->job->self->device->kernels;
  guint n = b->n_heads * b->n;
  float by[2 * LLM_MAX_PAIRS];

  for (guint i = 0; i < n; i++)
    {
      float max = MAX (b->seen[i].max, part[i].max);

      by[2 * i] = b->seen[i].sum != 0 ? b->seen[i].max - max : -INFINITY;
      by[2 * i + 1] = part[i].sum != 0 ? part[i].max - max : -INFINITY;
      b->seen[i].max = max;
    }
  kernels->exps (by, 2 * n);
  for (guint i = 0; i < n; i++)
    {
      b->seen[i].sum = b->seen[i].sum * by[2 * i] + part[i].sum * by[2 * i + 1];
      kernels->blend (b->all + i * b->v_stride, by[2 * i], values + i * b->v_stride, by[2 * i + 1], (guint) b->v_stride);
    }
}

/* y = values / sum; a sink is one more score that has no value. */
void
llm_block_finish (LlmBlock *b)
{
  LlmCpuJob *job = b->job;
  guint dim = job->self->kv->parent.layout.head_dim_v;

  for (guint i = 0; i < b->n_heads * b->n; i++)
    {
      float *y = job->y + (gsize) llm_block_row (b, i) * job->y_width + (gsize) llm_block_head (b, i) * dim, by = 1, sum = b->seen[i].sum;

      if (job->w != NULL)
        {
          float sink = llm_cpu_f32_at (job->w->data, llm_block_head (b, i)), max = MAX (sink, b->seen[i].max);

          by = sum != 0 ? expf (b->seen[i].max - max) : 0;
          sum = sum * by + expf (sink - max);
        }
      by = sum != 0 ? by / sum : 0;
      for (guint c = 0; c < dim; c++)
        y[c] = b->all[i * b->v_stride + c] * by;
    }
}
