/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kernel is faster for how many input rows, measured once on this CPU for each type and width of weights, and kept
 * in the compile cache.  Without a cache nothing is measured: then LLM_CPU_ROWS holds.
 */
#pragma once

#include "compute/cpu/kernels.h"
#include "compute/plan.h"

/* Where the kernels of an executable begin and end, as LlmCpuRows. One limit of tiles for all: they share their inputs. */
typedef struct {
  guint8 *few; /* [n_weights] (owned) */
  guint tiles;
} LlmCpuTuning;

typedef struct _LlmCpuDevice LlmCpuDevice;

/* For the products of @plan; milliseconds for each type and width that the cache does not know. Pages of weights are read. */
void llm_cpu_tune (LlmCpuDevice *device, const LlmPlan *plan, LlmCpuTuning *tuning);
