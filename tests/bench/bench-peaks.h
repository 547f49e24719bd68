/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loops of nothing but multiply-adds in registers, one pair per instruction set.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  void (*run) (guint n_steps);
  guint ops_per_step; /* a multiply-add is 2 */
} LlmBenchPeak;

typedef struct {
  const char *isa;
  LlmBenchPeak int8, f32;
} LlmBenchPeaks;

/* The one called @isa; NULL or a name that is not known: the best this CPU has. */
const LlmBenchPeaks *llm_bench_peaks_find (const char *isa);

G_END_DECLS
