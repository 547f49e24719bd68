/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/bench-ops.h"

#include <string.h>

/* The profile belongs to the engine thread, which sleeps between two runs. */
static LlmOpProfile *
snapshot (const LlmExecutable *executable, guint *n)
{
  return g_memdup2 (llm_executable_profile (executable, n), sizeof (LlmOpProfile) * llm_plan_n_ops (executable->plan));
}

static LlmBenchOp *
find (GArray *ops, const char *op, const char *dtype)
{
  LlmBenchOp fresh = { op, dtype, 0, 0, 0, 0 };

  for (guint i = 0; i < ops->len; i++)
    {
      LlmBenchOp *o = &g_array_index (ops, LlmBenchOp, i);

      if (strcmp (o->op, op) == 0 && strcmp (o->dtype, dtype) == 0)
        return o;
    }
  g_array_append_val (ops, fresh);
  return &g_array_index (ops, LlmBenchOp, ops->len - 1);
}

/* @sign -1 takes away. */
static void
add (GArray *ops, const LlmPlan *plan, const LlmOpProfile *before, const LlmOpProfile *after, gint64 sign)
{
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      LlmBenchOp *o;

      if (after[i].calls == before[i].calls)
        continue;
      o = find (ops, llm_op_name (op->kind), op->w != LLM_NONE ? llm_plan_weight_at (plan, op->w)->dtype->name : "");
      o->calls += (guint64) sign * (after[i].calls - before[i].calls);
      o->ns += (guint64) sign * (after[i].ns - before[i].ns);
      o->bytes += (guint64) sign * (after[i].bytes - before[i].bytes);
      o->flops += (guint64) sign * (after[i].flops - before[i].flops);
    }
}

static gint
slower_first (gconstpointer a, gconstpointer b)
{
  gint64 x = (gint64) ((const LlmBenchOp *) a)->ns, y = (gint64) ((const LlmBenchOp *) b)->ns;

  return (x < y) - (x > y);
}

static gboolean
profiled_run (LlmBenchRunner *runner, const LlmBenchCase *c, gint64 sign, GArray *ops, LlmBenchTimes *times, GError **error)
{
  LlmExecutable *executable = llm_bench_runner_model (runner)->executable;
  g_autofree LlmOpProfile *before = NULL, *after = NULL;
  gboolean ok;
  guint n;

  before = snapshot (executable, &n);
  llm_executable_set_profiling (executable, TRUE);
  ok = llm_bench_runner_run (runner, c, G_MAXUINT / 2000, times, error);
  llm_executable_set_profiling (executable, FALSE);
  after = snapshot (executable, &n);
  if (ok)
    add (ops, executable->plan, before, after, sign);
  return ok;
}

/* What is left of @seconds: scheduling, sampling, text, events. */
static void
add_host (GArray *ops, double seconds)
{
  gint64 ns = (gint64) (seconds * 1e9);

  for (guint i = 0; i < ops->len; i++)
    ns -= (gint64) g_array_index (ops, LlmBenchOp, i).ns;
  if (ops->len > 0 && ns > 0)
    {
      LlmBenchOp host = { "host", "", 1, (guint64) ns, 0, 0 };
      g_array_append_val (ops, host);
    }
}

GArray *
llm_bench_ops_measure (LlmBenchRunner *runner, const LlmBenchCase *c, GError **error)
{
  g_autoptr (GArray) ops = g_array_new (FALSE, FALSE, sizeof (LlmBenchOp));
  LlmBenchCase prompt_only = *c;
  LlmBenchTimes times, not_counted;

  prompt_only.decode = 1;
  if (!profiled_run (runner, c, 1, ops, &times, error) || (c->decode > 1 && !profiled_run (runner, &prompt_only, -1, ops, &not_counted, error)))
    return NULL;
  add_host (ops, c->decode > 1 ? times.decode_s : times.prefill_s);
  for (guint i = ops->len; i-- > 0;)
    { /* what took less than the noise between the two runs is nothing */
      const LlmBenchOp *o = &g_array_index (ops, LlmBenchOp, i);

      if ((gint64) o->calls <= 0 || (gint64) o->ns <= 0)
        g_array_remove_index (ops, i);
    }
  g_array_sort (ops, slower_first);
  return g_steal_pointer (&ops);
}

LlmOpCost
llm_bench_pass_cost (const LlmPlan *plan, guint n_rows, guint n_out, double kv_len)
{
  LlmOpCost sum = { 0 };

  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      LlmOpCost cost = llm_plan_op_cost (plan, i, n_rows, n_out, kv_len);

      sum.bytes += cost.bytes;
      sum.flops += cost.flops;
    }
  return sum;
}
