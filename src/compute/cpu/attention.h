/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What attention needs from one run of an executable to the next.
 */
#pragma once

#include "compute/device.h"

typedef struct _LlmCpuAttention LlmCpuAttention;

/* NULL: no memory. */
LlmCpuAttention *llm_cpu_attention_new (const LlmPlan *plan, const LlmRunLimits *limits);
void llm_cpu_attention_free (LlmCpuAttention *self);
guint64 llm_cpu_attention_bytes (const LlmCpuAttention *self);
