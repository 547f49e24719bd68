/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing keys and values into the pages of the KV cache.
 */
#include "compute/cpu/kv-pages.h"

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

  store_row (self, llm_cpu_kv_row (self, layer, slot, t, FALSE), job->x + (gsize) r * job->x_width, job->x_width);
  store_row (self, llm_cpu_kv_row (self, layer, slot, t, TRUE), job->z + (gsize) r * job->z_width, job->z_width);
}
