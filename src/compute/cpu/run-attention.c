/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What knows positions: rotary embedding, the pages of the KV cache, attention.
 */
#include <math.h>

#include "compute/cpu/run-op.h"
#include "compute/rope.h"

#define SCORES_ON_STACK 4096

/* ---- rope ---- */

static void
rope_table_piece (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  guint half = job->op->p.rope.dim / 2;

  llm_rope_fill (job->self->rope_table + (gsize) r * 2 * half, job->self->rope_of, half, job->self->batch->position[r],
                 job->op->p.rope.magnitude);
}

static void
rope_piece (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmRopeParams *p = &job->op->p.rope;
  guint half = p->dim / 2;
  const float *table = job->self->rope_table + (gsize) r * 2 * half;

  for (guint h = 0; h < p->n_heads; h++)
    job->self->device->kernels->rope (job->y + (gsize) r * job->x_width + (gsize) h * p->head_dim, table, half, p->interleaved);
}

void
llm_cpu_run_rope (LlmCpuJob *job, guint op_index)
{
  LlmCpuExecutable *self = job->self;

  if (self->rope_of != self->rope_freq[op_index])
    {
      self->rope_of = self->rope_freq[op_index];
      llm_cpu_run_rows (job, rope_table_piece, 16 * job->op->p.rope.dim);
    }
  if (self->products.chunks_of == job->op->x)
    self->products.chunks_of = LLM_NONE; /* changed in place */
  llm_cpu_run_rows (job, rope_piece, job->x_width);
}

/* ---- KV cache ---- */

/* Where the keys (or values) of position @t of @slot begin. */
static guint8 *
kv_row (const LlmCpuExecutable *self, guint layer, guint slot, guint t, gboolean values)
{
  const LlmCpuKv *kv = self->kv;
  guint page_tokens = kv->parent.layout.page_tokens;
  gsize page = self->batch->block_table[(gsize) slot * self->batch->block_table_stride + t / page_tokens];
  gsize token = page * page_tokens + t % page_tokens;

  return values ? kv->v_bytes + layer * kv->v_layer + token * kv->v_row : kv->bytes + layer * kv->k_layer + token * kv->k_row;
}

static void
store_row (const LlmCpuExecutable *self, guint8 *to, const float *x, guint n)
{
  if (self->kv->parent.layout.dtype == LLM_DTYPE_F16)
    self->device->kernels->to_half (x, (guint16 *) (gpointer) to, n);
  else
    memcpy (to, x, n * sizeof (float));
}

void
llm_cpu_kv_write_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  LlmCpuExecutable *self = job->self;
  guint layer = job->op->p.kv_write.layer, slot = self->batch->slot[r], t = self->batch->position[r];

  store_row (self, kv_row (self, layer, slot, t, FALSE), job->x + (gsize) r * job->x_width, job->x_width);
  store_row (self, kv_row (self, layer, slot, t, TRUE), job->z + (gsize) r * job->z_width, job->z_width);
}

/* The keys that row @r sees: [first, end). */
static void
keys_of_row (const LlmBatch *batch, const LlmAttentionParams *p, guint r, guint *first, guint *end)
{
  guint position = batch->position[r];

  *end = batch->n_keys != NULL ? batch->n_keys[r] : position + 1;
  *first = p->window > 0 && position >= p->window ? position + 1 - p->window : 0;
  *first = MIN (*first, *end);
}

/* Softmax in place, the largest subtracted (Milakov & Gimelshein 2018); @sink: one more score that has no value. */
static void
softmax (float *score, guint n, const float *sink)
{
  float max = sink != NULL ? *sink : -INFINITY;
  double sum = 0;

  for (guint t = 0; t < n; t++)
    max = MAX (max, score[t]);
  for (guint t = 0; t < n; t++)
    {
      score[t] = expf (score[t] - max);
      sum += (double) score[t];
    }
  if (sink != NULL)
    sum += (double) expf (*sink - max);
  for (guint t = 0; t < n; t++)
    score[t] = (float) ((double) score[t] / sum);
}

/* One piece: one row and query head. The keys come page by page. */
static void
attention_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  LlmCpuExecutable *self = job->self;
  const LlmKvLayout *layout = &self->kv->parent.layout;
  const LlmAttentionParams *p = &job->op->p.attention;
  const LlmCpuKernels *k = self->device->kernels;
  gboolean half = layout->dtype == LLM_DTYPE_F16;
  guint r = piece / p->n_heads, h = piece % p->n_heads, slot = self->batch->slot[r], page = layout->page_tokens, first, end, n;
  gsize head = h / (p->n_heads / layout->n_kv_heads), elem = half ? 2 : 4;
  const float *q = job->x + (gsize) r * job->x_width + (gsize) h * layout->head_dim_k;
  float *y = job->y + (gsize) r * job->y_width + (gsize) h * layout->head_dim_v;
  float on_stack[SCORES_ON_STACK], sink;
  g_autofree float *on_heap = NULL;
  float *score = on_stack;

  keys_of_row (self->batch, p, r, &first, &end);
  if (end - first > SCORES_ON_STACK) /* bounded by the context window */
    score = on_heap = g_new (float, end - first);
  for (guint t = first; t < end; t += n)
    {
      n = MIN (page - t % page, end - t);
      (half ? k->dots_f16 : k->dots_f32) (q, kv_row (self, p->layer, slot, t, FALSE) + head * layout->head_dim_k * elem, self->kv->k_row, n,
                                          layout->head_dim_k, p->scale, score + (t - first));
    }
  for (guint t = 0; t < end - first && p->cap > 0; t++)
    score[t] = p->cap * tanhf (score[t] / p->cap);
  if (job->w != NULL)
    sink = llm_cpu_f32_at (job->w->data, h);
  softmax (score, end - first, job->w != NULL ? &sink : NULL);
  memset (y, 0, layout->head_dim_v * sizeof (float));
  for (guint t = first; t < end; t += n)
    {
      n = MIN (page - t % page, end - t);
      (half ? k->mix_f16 : k->mix_f32) (y, score + (t - first), kv_row (self, p->layer, slot, t, TRUE) + head * layout->head_dim_v * elem,
                                        self->kv->v_row, n, layout->head_dim_v);
    }
}

void
llm_cpu_run_attention (LlmCpuJob *job)
{
  llm_pool_run (job->self->device->pool, attention_piece, job, job->n_rows * job->op->p.attention.n_heads);
}
