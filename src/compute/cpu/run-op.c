/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every op as pieces for the pool.  A piece touches its own part of the output only.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/device-cpu.h"
#include "compute/rope.h"

#define WEIGHT_TILE 32 /* weight rows of one matmul piece: they stay in the L1/L2 cache while the input rows pass */
#define SCORES_ON_STACK 4096

typedef struct {
  LlmCpuExecutable *self;
  const LlmOp *op;
  guint n_rows;
  const float *x, *z;
  float *y;
  guint x_width, y_width;
  const LlmWeight *w, *b;
} Job;

static float *
rows_of (LlmCpuExecutable *self, LlmValueId v)
{
  return v != LLM_NONE ? self->buffer[llm_plan_value (self->parent.plan, v)->buffer] : NULL;
}

static guint
width_of (LlmCpuExecutable *self, LlmValueId v)
{
  return v != LLM_NONE ? llm_plan_value (self->parent.plan, v)->width : 0;
}

static float
f32_at (const void *data, guint i)
{
  float f;

  memcpy (&f, (const guint8 *) data + 4 * (gsize) i, sizeof f);
  return f;
}

/* ---- row by row ---- */

static void
embed_piece (gpointer data, guint r)
{
  Job *job = data;
  const LlmBatch *batch = job->self->batch;
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;

  job->w->dtype->decode ((const guint8 *) job->w->data + (gsize) batch->token[r] * row_bytes, job->y + (gsize) r * job->y_width, job->y_width);
}

/* Zhang & Sennrich 2019 */
static void
rms_norm_piece (gpointer data, guint r)
{
  Job *job = data;
  const float *x = job->x + (gsize) r * job->x_width;
  float *y = job->y + (gsize) r * job->y_width;
  double sum = 0;
  float scale;

  for (guint i = 0; i < job->x_width; i++)
    sum += (double) x[i] * (double) x[i];
  scale = (float) (1 / sqrt (sum / job->x_width + (double) job->op->p.rms_norm.eps));
  for (guint i = 0; i < job->x_width; i++)
    y[i] = x[i] * scale * f32_at (job->w->data, i);
}

static void
glu_piece (gpointer data, guint r)
{
  Job *job = data;
  gsize at = (gsize) r * job->x_width;

  for (guint i = 0; i < job->x_width; i++)
    {
      float a = job->x[at + i];

      job->y[at + i] = a / (1 + expf (-a)) * job->z[at + i];
    }
}

static void
add_piece (gpointer data, guint r)
{
  Job *job = data;
  gsize at = (gsize) r * job->x_width;

  for (guint i = 0; i < job->x_width; i++)
    job->y[at + i] = job->x[at + i] + job->z[at + i];
}

static void
select_piece (gpointer data, guint o)
{
  Job *job = data;

  memcpy (job->y + (gsize) o * job->y_width, job->x + (gsize) job->self->batch->out_row[o] * job->x_width, job->x_width * sizeof (float));
}

/* ---- matmul ---- */

static void
quantise_piece (gpointer data, guint r)
{
  Job *job = data;

  job->self->device->kernels->quantise (job->x + (gsize) r * job->x_width, job->self->q8 + (gsize) r * (job->x_width / 32), job->x_width);
}

static const LlmMatmulRow *
matmul_row (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype)
{
  switch (dtype->id)
    {
    case LLM_DTYPE_F32:
      return &kernels->f32;
    case LLM_DTYPE_F16:
      return &kernels->f16;
    case LLM_DTYPE_Q8_0:
      return &kernels->q8_0;
    default:
      return &kernels->q4_0;
    }
}

static void
matmul_piece (gpointer data, guint piece)
{
  Job *job = data;
  const LlmMatmulRow *row = matmul_row (job->self->device->kernels, job->w->dtype);
  guint first = piece * WEIGHT_TILE;
  guint n = MIN (WEIGHT_TILE, (guint) job->w->n_rows - first);
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  const guint8 *x = row->quantised ? (const guint8 *) job->self->q8 : (const guint8 *) job->x;
  gsize x_stride = row->quantised ? job->x_width / 32 * sizeof (LlmQ8Block) : job->x_width * sizeof (float);

  row->run ((const guint8 *) job->w->data + first * row_bytes, row_bytes, n, x, x_stride, job->n_rows, job->x_width, job->y + first, job->y_width);
  for (guint r = 0; r < job->n_rows && (job->b != NULL || job->z != NULL); r++)
    for (guint i = first; i < first + n; i++)
      {
        float *y = &job->y[(gsize) r * job->y_width + i];

        if (job->b != NULL)
          *y += f32_at (job->b->data, i);
        if (job->z != NULL)
          *y += job->z[(gsize) r * job->y_width + i];
      }
}

static void
run_matmul (Job *job)
{
  LlmCpuExecutable *self = job->self;
  LlmPool *pool = self->device->pool;

  if (matmul_row (self->device->kernels, job->w->dtype)->quantised && self->q8_of != job->op->x)
    {
      llm_pool_run (pool, quantise_piece, job, job->n_rows);
      self->q8_of = job->op->x;
    }
  llm_pool_run (pool, matmul_piece, job, ((guint) job->w->n_rows + WEIGHT_TILE - 1) / WEIGHT_TILE);
}

/* ---- rope ---- */

static void
rope_table_piece (gpointer data, guint r)
{
  Job *job = data;
  guint half = job->op->p.rope.dim / 2;

  llm_rope_fill (job->self->rope_table + (gsize) r * 2 * half, job->self->rope_of, half, job->self->batch->position[r]);
}

static void
rope_piece (gpointer data, guint r)
{
  Job *job = data;
  const LlmRopeParams *p = &job->op->p.rope;
  guint half = p->dim / 2;
  const float *table = job->self->rope_table + (gsize) r * 2 * half;

  for (guint h = 0; h < p->n_heads; h++)
    {
      float *x = job->y + (gsize) r * job->x_width + (gsize) h * p->head_dim;

      for (guint i = 0; i < half; i++)
        {
          float *a = p->interleaved ? &x[2 * i] : &x[i], *b = p->interleaved ? &x[2 * i + 1] : &x[i + half];
          float a0 = *a, b0 = *b;

          *a = a0 * table[2 * i] - b0 * table[2 * i + 1];
          *b = a0 * table[2 * i + 1] + b0 * table[2 * i];
        }
    }
}

static void
run_rope (Job *job, guint op_index)
{
  LlmCpuExecutable *self = job->self;

  if (self->rope_of != self->rope_freq[op_index])
    {
      self->rope_of = self->rope_freq[op_index];
      llm_pool_run (self->device->pool, rope_table_piece, job, job->n_rows);
    }
  if (self->q8_of == job->op->x)
    self->q8_of = LLM_NONE; /* changed in place */
  llm_pool_run (self->device->pool, rope_piece, job, job->n_rows);
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

static void
kv_write_piece (gpointer data, guint r)
{
  Job *job = data;
  LlmCpuExecutable *self = job->self;
  guint layer = job->op->p.kv_write.layer, slot = self->batch->slot[r], t = self->batch->position[r];
  guint z_width = width_of (self, job->op->z);

  store_row (self, kv_row (self, layer, slot, t, FALSE), job->x + (gsize) r * job->x_width, job->x_width);
  store_row (self, kv_row (self, layer, slot, t, TRUE), job->z + (gsize) r * z_width, z_width);
}

/* Softmax over the keys up to the row's own position, max subtracted (Milakov & Gimelshein 2018), then the
 * weighted sum of the values. One piece: one row and query head. */
static void
attention_piece (gpointer data, guint piece)
{
  Job *job = data;
  LlmCpuExecutable *self = job->self;
  const LlmKvLayout *layout = &self->kv->parent.layout;
  const LlmAttentionParams *p = &job->op->p.attention;
  const LlmCpuKernels *k = self->device->kernels;
  gboolean half = layout->dtype == LLM_DTYPE_F16;
  guint r = piece / p->n_heads, h = piece % p->n_heads, slot = self->batch->slot[r], n = self->batch->position[r] + 1;
  gsize head = h / (p->n_heads / layout->n_kv_heads), elem = half ? 2 : 4;
  const float *q = job->x + (gsize) r * job->x_width + (gsize) h * layout->head_dim_k;
  float *y = job->y + (gsize) r * job->y_width + (gsize) h * layout->head_dim_v;
  float on_stack[SCORES_ON_STACK];
  g_autofree float *on_heap = n > SCORES_ON_STACK ? g_new (float, n) : NULL; /* n is bounded by the context window */
  float *score = on_heap != NULL ? on_heap : on_stack;
  float max = -INFINITY;
  double sum = 0;
  guint page = layout->page_tokens;

  for (guint t = 0; t < n; t += page)
    (half ? k->dots_f16 : k->dots_f32) (q, kv_row (self, p->layer, slot, t, FALSE) + head * layout->head_dim_k * elem, self->kv->k_row, MIN (page, n - t),
                                        layout->head_dim_k, p->scale, score + t);
  for (guint t = 0; t < n; t++)
    max = MAX (max, score[t]);
  for (guint t = 0; t < n; t++)
    {
      score[t] = expf (score[t] - max);
      sum += (double) score[t];
    }
  for (guint t = 0; t < n; t++)
    score[t] = (float) ((double) score[t] / sum);
  memset (y, 0, layout->head_dim_v * sizeof (float));
  for (guint t = 0; t < n; t += page)
    (half ? k->mix_f16 : k->mix_f32) (y, score + t, kv_row (self, p->layer, slot, t, TRUE) + head * layout->head_dim_v * elem, self->kv->v_row,
                                      MIN (page, n - t), layout->head_dim_v);
}

/* ---- all ---- */

void
llm_cpu_run_op (LlmCpuExecutable *self, guint i)
{
  static const LlmPoolFunc by_row[LLM_N_OPS] = {
    [LLM_OP_EMBED] = embed_piece, [LLM_OP_RMS_NORM] = rms_norm_piece, [LLM_OP_KV_WRITE] = kv_write_piece,
    [LLM_OP_GLU] = glu_piece, [LLM_OP_ADD] = add_piece, [LLM_OP_SELECT_ROWS] = select_piece,
  };
  const LlmPlan *plan = self->parent.plan;
  const LlmOp *op = llm_plan_op (plan, i);
  LlmValueId shape = op->y != LLM_NONE ? op->y : op->x;
  Job job = {
    .self = self, .op = op,
    .n_rows = llm_plan_value (plan, shape)->rows == LLM_ROWS_OUT ? self->batch->n_out : self->batch->n_rows,
    .x = rows_of (self, op->x), .z = rows_of (self, op->z), .y = rows_of (self, op->y),
    .x_width = width_of (self, op->x), .y_width = width_of (self, op->y),
    .w = op->w != LLM_NONE ? llm_plan_weight_at (plan, op->w) : NULL, .b = op->b != LLM_NONE ? llm_plan_weight_at (plan, op->b) : NULL,
  };

  if (job.n_rows == 0)
    return;
  if (op->kind == LLM_OP_MATMUL)
    run_matmul (&job);
  else if (op->kind == LLM_OP_ROPE)
    run_rope (&job, i);
  else if (op->kind == LLM_OP_ATTENTION)
    llm_pool_run (self->device->pool, attention_piece, &job, job.n_rows * op->p.attention.n_heads);
  else
    llm_pool_run (self->device->pool, by_row[op->kind], &job, job.n_rows);
}
