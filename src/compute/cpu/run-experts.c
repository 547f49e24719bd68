/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mixture of experts (Shazeer et al. 2017): a row goes through the few experts that its route names.
 */
#include <math.h>

#include "compute/cpu/run-op.h"

/* The index of the largest of @x that is not in @taken yet; the lower among equals. */
static guint
next_largest (const float *x, guint n, const float *taken, guint n_taken)
{
  guint best = n;

  for (guint i = 0; i < n; i++)
    {
      gboolean is_taken = FALSE;

      for (guint j = 0; j < n_taken && !is_taken; j++)
        is_taken = taken[j] == (float) i;
      if (!is_taken && (best == n || x[i] > x[best] || isnan (x[best])))
        best = i;
    }
  return best;
}

void
llm_cpu_route_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  const LlmRouteParams *p = &job->op->p.route;
  const float *x = job->x + (gsize) r * job->x_width;
  float *index = job->y + (gsize) r * job->y_width, *weight = index + p->n_used;
  double sum = 0;
  float max;

  for (guint j = 0; j < p->n_used; j++)
    index[j] = (float) next_largest (x, job->x_width, index, j);
  max = x[(guint) index[0]];
  for (guint j = 0; j < p->n_used; j++)
    sum += exp ((double) (weight[j] = x[(guint) index[j]] - max));
  if (!p->normalise)
    {
      sum = 0;
      for (guint i = 0; i < job->x_width; i++)
        sum += exp ((double) (x[i] - max));
    }
  for (guint j = 0; j < p->n_used; j++)
    weight[j] = p->scale * (float) (exp ((double) weight[j]) / sum);
}

void
llm_cpu_expert_mix_row (gpointer data, guint r)
{
  LlmCpuJob *job = data;
  guint k = job->op->p.expert.n_used;
  const float *x = job->x + (gsize) r * job->x_width, *weight = job->z + (gsize) r * job->z_width + k;
  float *y = job->y + (gsize) r * job->y_width;

  memset (y, 0, job->y_width * sizeof (float));
  for (guint j = 0; j < k; j++)
    job->self->device->kernels->add_scaled (weight[j], x + (gsize) j * job->y_width, y, job->y_width);
}
