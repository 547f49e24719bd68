/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops that see one row at a time, and nothing of the KV cache.
 *
 * Waking the pool costs about a microsecond: a piece is worth more than that, and what is not runs
 * on the calling thread alone.  How an op is cut never depends on the threads.
 */
#include "compute/cpu/run-op.h"

#define GLU_PIECE 4096   /* elements: one or two microseconds */
#define PLAIN_PIECE 16384

typedef struct {
  LlmCpuJob *job;
  LlmPoolFunc func; /* of one row */
  guint rows;       /* of a piece */
} RowPieces;

static void
rows_piece (gpointer data, guint piece)
{
  RowPieces *pieces = data;
  guint first = piece * pieces->rows, end = MIN (first + pieces->rows, pieces->job->n_rows);

  for (guint r = first; r < end; r++)
    pieces->func (pieces->job, r);
}

void
llm_cpu_run_rows (LlmCpuJob *job, LlmPoolFunc func, guint row_elements)
{
  RowPieces pieces = { job, func, MAX (1, PLAIN_PIECE / MAX (row_elements, 1)) };

  llm_pool_run (job->self->device->pool, rows_piece, &pieces, (job->n_rows + pieces.rows - 1) / pieces.rows);
}

/* ---- element by element: rows stand behind each other, so all are one row ---- */

/* The @piece of @size elements; returns how many there are. */
static gsize
elements_of (const LlmCpuJob *job, guint piece, gsize size, gsize *at)
{
  gsize n = (gsize) job->n_rows * job->x_width;

  *at = piece * size;
  return MIN (size, n - *at);
}

static void
glu_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  gsize at, n = elements_of (job, piece, GLU_PIECE, &at);

  job->self->device->kernels->glu (job->op->p.glu.act, job->x + at, job->z != NULL ? job->z + at : NULL, job->y + at, n);
}

static void
add_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  gsize at, n = elements_of (job, piece, PLAIN_PIECE, &at);

  job->self->device->kernels->add (job->x + at, job->z + at, job->y + at, n);
}

static void
scale_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  gsize at, n = elements_of (job, piece, GLU_PIECE, &at);

  job->self->device->kernels->scale (&job->op->p.scale, job->x + at, job->y + at, n);
}

void
llm_cpu_run_elements (LlmCpuJob *job)
{
  LlmOpKind kind = job->op->kind;
  LlmPoolFunc func = kind == LLM_OP_GLU ? glu_piece : kind == LLM_OP_ADD ? add_piece : scale_piece;
  gsize size = kind == LLM_OP_ADD ? PLAIN_PIECE : GLU_PIECE, n = (gsize) job->n_rows * job->x_width;

  llm_pool_run (job->self->device->pool, func, job, (guint) ((n + size - 1) / size));
}

/* ---- row by row ---- */

void
llm_cpu_embed_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmBatch *batch = job->self->batch;
  const LlmEmbedParams *p = &job->op->p.embed;
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  gsize i = p->source == LLM_EMBED_TOKEN ? (gsize) batch->token[r] : p->source == LLM_EMBED_POSITION ? batch->position[r] : 0;
  float *y = job->y + (gsize) r * job->y_width;

  job->w->dtype->decode ((const guint8 *) job->w->data + i * row_bytes, y, job->y_width);
  for (guint c = 0; c < job->y_width && p->scale != 1; c++)
    y[c] *= p->scale;
}

/* Zhang & Sennrich 2019 */
void
llm_cpu_rms_norm_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  guint group = (guint) job->w->n_cols;
  gsize at = (gsize) r * job->x_width;

  for (guint g = 0; g < job->x_width; g += group)
    job->self->device->kernels->rms_norm (job->x + at + g, job->w->data, job->op->p.norm.eps, job->y + at + g, group);
}

/* Ba et al. 2016 */
void
llm_cpu_layer_norm_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  gsize at = (gsize) r * job->x_width;

  job->self->device->kernels->layer_norm (job->x + at, job->w->data, job->b != NULL ? job->b->data : NULL, job->op->p.norm.eps, job->y + at, job->x_width);
}

void
llm_cpu_select_row (gpointer data, guint o)
{
  LlmCpuJob *job = data;

  memcpy (job->y + (gsize) o * job->y_width, job->x + (gsize) job->self->batch->out_row[o] * job->x_width, job->x_width * sizeof (float));
}
