/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine could do at best: the ceilings that the figures of a model are held against.
 */
#pragma once

#include "base/pool.h"
#include "bench/bench-peaks.h"

G_BEGIN_DECLS

typedef struct {
  char *cpu;            /* (owned) model name */
  guint n_threads;
  const char *isa;      /* (static) the instructions of the two peaks */
  double read_gb_s;     /* 10^9 bytes a second, all threads together, from memory */
  double int8_gop_s;    /* 10^9 operations a second, 8-bit products summed in 32 bits; a multiply-add is 2 */
  double f32_gflop_s;

  LlmPool *pool;        /* (owned) */
  const LlmBenchPeaks *peaks;
} LlmBenchMachine;

/* @n_threads 0: one per usable CPU. @isa: as the CPU device names them; NULL or another name: the best.
 * Takes the best of a number of tries that grows with @effort; 25 take seconds. */
LlmBenchMachine *llm_bench_machine_new (guint n_threads, const char *isa, guint effort);
/* Once more: a figure that is better takes the place of the old one. */
void llm_bench_machine_measure (LlmBenchMachine *self, guint effort);
typedef struct {
  gconstpointer data; /* 8 bytes aligned */
  gsize n;
} LlmBenchBytes;

/* 10^9 bytes a second that all threads read of @bytes, in whole pieces of 64 KiB; the faster of two ways. */
double llm_bench_machine_read (LlmBenchMachine *self, const LlmBenchBytes *bytes, guint n);
void llm_bench_machine_free (LlmBenchMachine *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmBenchMachine, llm_bench_machine_free)

G_END_DECLS
