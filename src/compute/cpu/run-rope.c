/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rotary embedding: a table of cosines and sines of the rows' positions, shared by the ops that turn
 * with the same frequencies, and the turning.
 */
#include "compute/cpu/run-op.h"
#include "compute/rope.h"

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
  if (self->products.lanes_of == job->op->x)
    self->products.lanes_of = LLM_NONE;
  llm_cpu_run_rows (job, rope_piece, job->x_width);
}
