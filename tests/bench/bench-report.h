/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The figures of a run of the bench, for people and for programs.
 */
#pragma once

#include "bench/bench-machine.h"
#include "bench/bench-ops.h"

G_BEGIN_DECLS

typedef struct {
  LlmBenchCase c;
  gboolean prefill;       /* else decode */
  guint n_runs;
  guint n_tokens;         /* that a rate is of: new prompt tokens, or tokens after the first, of all streams */
  double rate;            /* tokens a second: median of the runs */
  double lowest, highest;
  double of_read;         /* decode: GB/s over that of plain reads of all weights right before, median of the runs; 0 = not measured */
  double first_token_ms;  /* median; prefill only */
  LlmOpCost pass;         /* of all weights and activations, one pass */
  double passes;          /* a second, at the median rate */
  GArray *ops;            /* LlmBenchOp (owned, nullable) */
} LlmBenchResult;

typedef struct {
  const char *path;       /* (lent) */
  const LlmBenchMachine *machine;
  LlmModel *model;
  double load_s;
  guint64 peak_rss;       /* bytes */
  guint64 kv_bytes;       /* of the KV cache, when it is full */
  GArray *results;        /* LlmBenchResult */
} LlmBenchReport;

/* "pp512", "tg128", "tg128x8@d2048", "emb512x8": the field's names; x: streams, @d: tokens before. (transfer full) */
char *llm_bench_case_name (const LlmBenchResult *result);
/* (transfer full) */
char *llm_bench_report_text (const LlmBenchReport *self);
char *llm_bench_report_json (const LlmBenchReport *self);

G_END_DECLS
