/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each kind of op took of a run, by the device's own clock, and what it moved and computed.
 */
#pragma once

#include "bench/bench-runs.h"

G_BEGIN_DECLS

typedef struct {
  const char *op;    /* (static) "matmul" ..., and "host": all else, tokenizer and sampler too, as one call */
  const char *dtype; /* (static) of its weight; "" without one */
  guint64 calls, ns, bytes, flops;
} LlmBenchOp;

/* Runs @c once more with the profile on. Of a case that decodes, what came before all streams had their first token is
 * left out. GArray of LlmBenchOp, the slowest first; empty when the device has no profile. (transfer full) */
GArray *llm_bench_ops_measure (LlmBenchRunner *runner, const LlmBenchCase *c, GError **error);

/* What one pass over the plan moves and computes for @n_rows rows, @n_out of them with logits. */
LlmOpCost llm_bench_pass_cost (const LlmPlan *plan, guint n_rows, guint n_out, double kv_len);

G_END_DECLS
