/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The angles of rotary embedding, made by the host in double for every device: a float product of a
 * large position would be off by a visible angle.
 */
#pragma once

#include "compute/plan.h"

/* [dim / 2] of a rope op: the angle of pair i at position p is p times the i-th. (transfer full, g_free) */
double *llm_rope_frequencies (const LlmPlan *plan, const LlmOp *op);
/* The first op of @plan with the same frequencies and magnitude as op @i, a rope op; @i itself when there is none before. */
guint llm_rope_first_same (const LlmPlan *plan, guint i);
/* @magnitude times cos, sin of each pair at @position: [2 * half]. */
void llm_rope_fill (float *table, const double *frequencies, guint half, guint32 position, float magnitude);
