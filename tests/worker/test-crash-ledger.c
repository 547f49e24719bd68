/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is quarantined after which crashes, at which moment it ends, and when the CPU is preferred.
 */
#include "base/limits.h"
#include "daemon/crash-ledger.h"

#define SECOND ((gint64) G_USEC_PER_SEC)
#define QUARANTINE (LLM_QUARANTINE_SECONDS * SECOND)

typedef struct {
  LlmCrashLedger *ledger;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->ledger = llm_crash_ledger_new ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  llm_crash_ledger_free (f->ledger);
}

static void
test_limit (Fixture *f, gconstpointer data)
{
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 0));
  for (guint i = 1; i < LLM_CRASHES_TO_QUARANTINE; i++)
    llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, i);
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 10));
  g_assert_cmpuint (llm_crash_ledger_n_quarantined (f->ledger, 10), ==, 0);
  llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, LLM_CRASHES_TO_QUARANTINE);
  g_assert_true (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 10));
  g_assert_cmpuint (llm_crash_ledger_n_quarantined (f->ledger, 10), ==, 1);
}

static void
test_pairs (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < LLM_CRASHES_TO_QUARANTINE; i++)
    llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 0);
  llm_crash_ledger_charge (f->ledger, "a", 2, FALSE, 0);
  llm_crash_ledger_charge (f->ledger, "b", 1, FALSE, 0);
  g_assert_true (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 0));
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 2, 0)); /* another user may use the model */
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "b", 1, 0)); /* the user may use another model */
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 11, 0));
  g_assert_cmpuint (llm_crash_ledger_n_quarantined (f->ledger, 0), ==, 1);
}

static void
test_time (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < LLM_CRASHES_TO_QUARANTINE; i++)
    llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 5 * SECOND);
  g_assert_true (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 5 * SECOND + QUARANTINE - 1));
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 5 * SECOND + QUARANTINE));
  g_assert_cmpuint (llm_crash_ledger_n_quarantined (f->ledger, 5 * SECOND + QUARANTINE), ==, 0);
  llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 5 * SECOND + QUARANTINE); /* counts from the beginning again */
  g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 5 * SECOND + QUARANTINE));
}

/* Crashes far apart are not the second of two. */
static void
test_old_crash (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 5; i++)
    {
      llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, i * QUARANTINE);
      g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, i * QUARANTINE));
    }
  llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 5 * QUARANTINE - 1);
  g_assert_true (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 5 * QUARANTINE));
}

static void
test_success (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 3 * LLM_CRASHES_TO_QUARANTINE; i++)
    {
      llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 0);
      g_assert_false (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 0));
      llm_crash_ledger_succeeded (f->ledger, "a", 1);
    }
  llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 0);
  llm_crash_ledger_succeeded (f->ledger, "a", 2); /* somebody else's success */
  llm_crash_ledger_succeeded (f->ledger, "b", 1);
  llm_crash_ledger_charge (f->ledger, "a", 1, FALSE, 0);
  g_assert_true (llm_crash_ledger_is_quarantined (f->ledger, "a", 1, 0));
}

static void
test_prefers_cpu (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 5; i++)
    llm_crash_ledger_charge (f->ledger, "a", i, TRUE, 0); /* one bad model is not a bad driver */
  g_assert_false (llm_crash_ledger_prefers_cpu (f->ledger));
  llm_crash_ledger_charge (f->ledger, "b", 1, FALSE, 0); /* not on Vulkan */
  g_assert_false (llm_crash_ledger_prefers_cpu (f->ledger));
  llm_crash_ledger_charge (f->ledger, "c", 1, TRUE, 0);
  g_assert_true (llm_crash_ledger_prefers_cpu (f->ledger));
}

#define TEST(name, func) g_test_add ("/crash-ledger/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("limit", test_limit);
  TEST ("pairs", test_pairs);
  TEST ("time", test_time);
  TEST ("old-crash", test_old_crash);
  TEST ("success", test_success);
  TEST ("prefers-cpu", test_prefers_cpu);
  return g_test_run ();
}
