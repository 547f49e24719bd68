/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Products as pieces for the pool: some weight rows of one matrix times all the input rows that go through it.  A plain
 * product has one such group of rows; a mixture of experts (Shazeer et al. 2017) one for each expert, so that the weights of
 * an expert are read once for all the rows that its route sends there.
 */
#include "compute/cpu/run-op.h"

#define PIECE_ROWS 64
#define PIECE_BYTES 65536 /* of weights, about: few microseconds of memory, so that a busy core holds up little */

/* ---- which rows go where ---- */

/* Input row @i of a product with @j'th expert: as floats, rounded, and its output. */
static void
set_row (LlmCpuJob *job, guint at, guint r, guint j)
{
  LlmCpuProducts *p = &job->self->products;
  guint k = (guint) job->w->n_cols, segments = job->x_width / k, row = r * segments + (segments > 1 ? j : 0);

  p->x[at] = job->x + (gsize) row * k;
  p->q8[at] = p->chunks + (gsize) row * p->n_chunks;
  p->y[at] = job->y + (gsize) r * job->y_width + (gsize) j * job->n_out;
}

static void
one_group (LlmCpuJob *job)
{
  LlmCpuProducts *p = &job->self->products;

  for (guint r = 0; r < job->n_rows; r++)
    set_row (job, r, r, 0);
  p->group[0] = (LlmCpuGroup) { .n_rows = job->n_rows };
  p->n_groups = 1;
}

/* The kernels of this product, by input rows. */
static LlmCpuRows
rows_of (const LlmCpuJob *job)
{
  return (LlmCpuRows) { job->self->tuning.few[job->op->w], job->self->tuning.tiles };
}

static guint
n_tiles_of (const LlmCpuJob *job, const LlmCpuGroup *group)
{
  return group->n_rows > rows_of (job).few ? (group->n_rows + LLM_LANES - 1) / LLM_LANES : 0;
}

/* Counting sort of the route's (row, j) by expert. */
static void
group_by_expert (LlmCpuJob *job)
{
  LlmCpuProducts *p = &job->self->products;
  guint n_used = job->op->p.expert.n_used, n_experts = job->op->p.expert.n_experts, first = 0, tile = 0;

  for (guint e = 0; e < n_experts; e++)
    p->group[e] = (LlmCpuGroup) { .weight = (gsize) e * job->n_out };
  for (guint i = 0; i < job->n_rows * n_used; i++)
    p->group[(guint) job->z[(gsize) (i / n_used) * job->z_width + i % n_used]].n_rows++;
  for (guint e = 0; e < n_experts; e++)
    {
      LlmCpuGroup *group = &p->group[e];

      group->first = first;
      group->tile = tile;
      first += group->n_rows;
      tile += n_tiles_of (job, group);
      group->n_rows = 0;
    }
  for (guint i = 0; i < job->n_rows * n_used; i++)
    {
      LlmCpuGroup *group = &p->group[(guint) job->z[(gsize) (i / n_used) * job->z_width + i % n_used]];

      set_row (job, group->first + group->n_rows++, i / n_used, i % n_used);
    }
  p->n_groups = 0; /* those that have rows */
  for (guint e = 0; e < n_experts; e++)
    if (p->group[e].n_rows > 0)
      p->group[p->n_groups++] = p->group[e];
}

/* ---- the form of the inputs ---- */

static void
quantise_piece (gpointer data, guint row)
{
  LlmCpuJob *job = data;
  LlmCpuProducts *p = &job->self->products;
  guint k = (guint) job->w->n_cols;

  job->self->device->kernels->quantise (job->x + (gsize) row * k, p->chunks + (gsize) row * p->n_chunks, k);
}

/* Where the lanes of a group begin. */
static gpointer
lanes_of (const LlmCpuProducts *p, const LlmCpuGroup *group)
{
  return (guint8 *) p->lanes + group->tile * p->n_chunks * p->lanes_bytes;
}

/* A chunk of the rows of a tile into their lanes: no two threads write to one cache line. Where lanes are of bf16, with the first
 * chunk the whole tile. */
static void
lanes_piece (gpointer data, guint piece)
{
  const LlmCpuJob *job = data;
  const LlmCpuKernels *kernels = job->self->device->kernels;
  const LlmCpuProducts *p = &job->self->products;
  const LlmCpuGroup *group = p->group;
  guint chunk = piece % p->n_chunks, tile = piece / p->n_chunks;

  while (tile >= n_tiles_of (job, group))
    tile -= n_tiles_of (job, group++);
  if (llm_cpu_by_tiles (kernels, rows_of (job), group->n_rows))
    {
      if (chunk == 0)
        llm_cpu_tiles_pack (kernels, p->x + group->first, group->n_rows, (guint) job->w->n_cols, tile, lanes_of (p, group));
      return;
    }
  for (guint lane = 0; lane < MIN (LLM_LANES, group->n_rows - tile * LLM_LANES); lane++)
    llm_cpu_to_lanes (p->q8[group->first + tile * LLM_LANES + lane] + chunk, 1, (LlmQ8Lanes *) lanes_of (p, group) + (gsize) tile * p->n_chunks + chunk,
                      lane);
}

/* Rounded once per value, and laid out in lanes where any group has rows enough. */
static void
prepare_inputs (LlmCpuJob *job)
{
  LlmCpuProducts *p = &job->self->products;
  LlmPool *pool = job->self->device->pool;
  guint k = (guint) job->w->n_cols, n_tiles = 0, fewest = G_MAXUINT;

  for (guint g = 0; g < p->n_groups; g++)
    {
      n_tiles += n_tiles_of (job, &p->group[g]);
      fewest = MIN (fewest, p->group[g].n_rows);
    }
  if (p->chunks_of != job->op->x && !llm_cpu_by_tiles (job->self->device->kernels, rows_of (job), fewest))
    {
      llm_pool_run (pool, quantise_piece, job, job->n_rows * (job->x_width / k));
      p->chunks_of = job->op->x;
      p->lanes_of = LLM_NONE;
    }
  if (n_tiles == 0 || (job->op->kind == LLM_OP_MATMUL && p->lanes_of == job->op->x))
    return;
  llm_pool_run (pool, lanes_piece, job, n_tiles * p->n_chunks);
  p->lanes_of = job->op->kind == LLM_OP_MATMUL ? job->op->x : LLM_NONE;
}

/* How many weight rows a piece has. */
static guint
piece_rows (const LlmCpuJob *job)
{
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  guint share = job->n_out / (2 * llm_pool_n_threads (job->self->device->pool));

  if (job->n_rows <= rows_of (job).few)
    return CLAMP ((guint) (PIECE_BYTES / row_bytes) & ~7u, 8, PIECE_ROWS);
  if (llm_cpu_by_tiles (job->self->device->kernels, rows_of (job), job->n_rows)) /* the inputs come from beyond the L2 cache for each */
    return CLAMP (share & ~31u, PIECE_ROWS, LLM_TILES_ROWS);
  return PIECE_ROWS;
}

/* ---- products ---- */

static void
add_rest (const LlmCpuJob *job, float *y, gsize bias, guint first, guint n)
{
  if (job->b != NULL)
    for (guint i = 0; i < n; i++)
      y[first + i] += llm_cpu_f32_at (job->b->data, bias + i);
  if (job->op->kind == LLM_OP_MATMUL && job->z != NULL)
    {
      const float *z = job->z + (y - job->y);

      for (guint i = 0; i < n; i++)
        y[first + i] += z[first + i];
    }
}

static void
product_piece (gpointer data, guint piece)
{
  LlmCpuJob *job = data;
  const LlmCpuProducts *p = &job->self->products;
  const LlmCpuGroup *group = &p->group[piece / job->n_tiles];
  guint first = piece % job->n_tiles * job->tile_rows, n = MIN (job->tile_rows, job->n_out - first);
  gsize row_bytes = job->w->n_bytes / job->w->n_rows;
  LlmCpuInput in = { p->x + group->first, p->q8 + group->first, lanes_of (p, group), p->n_chunks, lanes_of (p, group) };

  llm_cpu_product (job->self->device->kernels, rows_of (job), job->w->dtype, (const guint8 *) job->w->data + (group->weight + first) * row_bytes, row_bytes, n, &in,
                   group->n_rows, (guint) job->w->n_cols, p->y + group->first, first);
  if (job->b != NULL || job->op->kind == LLM_OP_MATMUL)
    for (guint r = 0; r < group->n_rows; r++)
      add_rest (job, p->y[group->first + r], group->weight + first, first, n);
}

void
llm_cpu_run_matmul (LlmCpuJob *job)
{
  LlmCpuProducts *p = &job->self->products;
  gboolean experts = job->op->kind == LLM_OP_EXPERT_MATMUL;
  guint n_used = experts ? job->op->p.expert.n_used : 1;

  job->n_out = job->y_width / n_used;
  p->n_chunks = ((guint) job->w->n_cols + LLM_CHUNK - 1) / LLM_CHUNK;
  if (experts)
    group_by_expert (job);
  else
    one_group (job);
  if (llm_cpu_coded (job->self->device->kernels, job->w->dtype) != NULL)
    prepare_inputs (job);
  job->tile_rows = piece_rows (job);
  job->n_tiles = (job->n_out + job->tile_rows - 1) / job->tile_rows;
  llm_pool_run (job->self->device->pool, product_piece, job, p->n_groups * job->n_tiles);
}
