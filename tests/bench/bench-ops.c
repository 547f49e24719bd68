/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/bench-ops.h"

#include <string.h>

/* The profile when counting begins. */
typedef struct {
  const LlmExecutable *executable;
  LlmOpProfile *profile; /* (owned) by plan op index */
  gint64 at_us;
} Start;

/* On the engine thread, or while it sleeps between two runs. */
static void
take_start (gpointer user_data)
{
  Start *start = user_data;
  guint n;
  const LlmOpProfile *profile = llm_executable_profile (start->executable, &n);

  g_free (start->profile);
  start->profile = g_memdup2 (profile, sizeof *profile * n);
  start->at_us = g_get_monotonic_time ();
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

static void
add_all (GArray *ops, const Start *start)
{
  const LlmPlan *plan = start->executable->plan;
  guint n;
  const LlmOpProfile *now = llm_executable_profile (start->executable, &n);

  for (guint i = 0; i < n; i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      const LlmOpProfile *before = &start->profile[i];
      LlmBenchOp *o;

      if (now[i].calls == before->calls || now[i].ns == before->ns)
        continue;
      o = find (ops, llm_op_name (op->kind), op->w != LLM_NONE ? llm_plan_weight_at (plan, op->w)->dtype->name : "");
      o->calls += now[i].calls - before->calls;
      o->ns += now[i].ns - before->ns;
      o->bytes += now[i].bytes - before->bytes;
      o->flops += now[i].flops - before->flops;
    }
}

static gint
slower_first (gconstpointer a, gconstpointer b)
{
  guint64 x = ((const LlmBenchOp *) a)->ns, y = ((const LlmBenchOp *) b)->ns;

  return (x < y) - (x > y);
}

/* What is left of @us: scheduling, sampling, text, events. */
static void
add_host (GArray *ops, gint64 us)
{
  gint64 ns = us * 1000;

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
  LlmExecutable *executable = llm_bench_runner_model (runner)->executable;
  Start start = { executable, NULL, 0 };
  LlmBenchTimes times;
  gboolean ok;

  llm_executable_set_profiling (executable, TRUE);
  take_start (&start);
  llm_bench_runner_on_decoding (runner, c->decode > 1 ? take_start : NULL, &start);
  ok = llm_bench_runner_run (runner, c, G_MAXUINT / 2000, &times, error);
  llm_bench_runner_on_decoding (runner, NULL, NULL);
  llm_executable_set_profiling (executable, FALSE);
  if (ok)
    {
      add_all (ops, &start);
      add_host (ops, times.end_us - start.at_us);
      g_array_sort (ops, slower_first);
    }
  g_free (start.profile);
  return ok ? g_steal_pointer (&ops) : NULL;
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
