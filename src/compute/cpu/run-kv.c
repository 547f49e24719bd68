/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing keys and values into the pages of the KV cache.
 */
#include <math.h>

#include "compute/cpu/kv-pages.h"

#define BLOCK 32
#define TO_WHOLE 12582912.0f /* 1.5 * 2^23: added and taken away, rounds to the nearest whole number, even at half */

/* Blocks of Q8_0: f16 d = largest / 127, then q = x / d, rounded. */
static void
store_q8_0 (guint8 *to, const float *x, guint n)
{
  for (guint b = 0; b < n / BLOCK; b++, x += BLOCK, to += 2 + BLOCK)
    {
      float largest = 0, by;
      guint16 d;

      for (guint i = 0; i < BLOCK; i++)
        largest = MAX (largest, fabsf (x[i]));
      by = largest > 0 ? 127 / largest : 0;
      d = llm_float_to_half (largest / 127);
      memcpy (to, &d, sizeof d);
      for (guint i = 0; i < BLOCK; i++)
        to[2 + i] = (guint8) (gint8) (CLAMP (x[i] * by, -127, 127) + TO_WHOLE - TO_WHOLE);
    }
}

static void
store_row (const LlmCpuExecutable *self, guint8 *to, const float *x, guint n)
{
  if (self->kv->parent.layout.dtype == LLM_DTYPE_Q8_0)
    store_q8_0 (to, x, n);
  else if (self->kv->parent.layout.dtype == LLM_DTYPE_F16)
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
