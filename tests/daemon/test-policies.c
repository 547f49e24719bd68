/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pure parts of the broker: state edges, who sees what, who may do what, crashes. */
#include "base/error.h"
#include "base/limits.h"
#include "daemon/authorizer.h"
#include "daemon/callers.h"
#include "daemon/crash-ledger.h"
#include "daemon/inbound.h"
#include "daemon/request.h"

static void
test_edges (void)
{
  for (guint s = 0; s < LLM_N_STATES; s++)
    {
      g_assert_false (llm_state_may_follow (LLM_STATE_DONE, s)); /* the end is the end */
      g_assert_cmpint (llm_state_may_follow (s, LLM_STATE_DONE), ==, s != LLM_STATE_DONE);
      g_assert_cmpint (llm_state_may_follow (s, LLM_STATE_WAITING), ==, s == LLM_STATE_COLLECTING);
    }
  g_assert_true (llm_state_may_follow (LLM_STATE_DECODE, LLM_STATE_LOADING)); /* the engine was lost */
  g_assert_false (llm_state_may_follow (LLM_STATE_WAITING, LLM_STATE_DECODE));
  g_assert_cmpint (llm_state_from_name ("prefill"), ==, LLM_STATE_PREFILL);
  g_assert_cmpint (llm_state_from_name ("nonsense"), ==, LLM_N_STATES);
}

static void
test_visible (void)
{
  static const struct {
    const char *path, *sender;
    gboolean visible;
  } cases[] = {
    { "/org/local/LLM", ":1.5", TRUE },
    { "/org/local/LLM/model/x", ":1.5", TRUE },
    { "/org/local/LLM/requests", ":1.5", TRUE },
    { "/org/local/LLM/request", ":1.5", FALSE },
    { "/org/local/LLM/request/1_5/r1", ":1.5", TRUE },
    { "/org/local/LLM/request/1_5", ":1.5", FALSE },
    { "/org/local/LLM/request/1_5/r1", ":1.6", FALSE },
    { "/org/local/LLM/request/1_5/r1", ":1.55", FALSE },
    { "/org/local/LLM/request/1_55/r1", ":1.5", FALSE },
    { "/org/local/LLM/request/1_5/r1", "org.local.Other", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (llm_inbound_is_visible (cases[i].path, cases[i].sender), ==, cases[i].visible);
}

static void
test_authorizer (void)
{
  for (guint action = LLM_ACTION_USE; action <= LLM_ACTION_CONFIGURE; action++)
    {
      g_assert_cmpint (llm_authorizer_decide (action, TRUE, 1000, 500), ==, LLM_VERDICT_ALLOW);
      g_assert_cmpint (llm_authorizer_decide (action, FALSE, 0, 500), ==, LLM_VERDICT_ALLOW);
      g_assert_cmpint (llm_authorizer_decide (action, FALSE, 500, 500), ==, LLM_VERDICT_ALLOW);
      g_assert_cmpint (llm_authorizer_decide (action, FALSE, 1000, 500), ==, action == LLM_ACTION_USE ? LLM_VERDICT_ALLOW : LLM_VERDICT_ASK_POLKIT);
    }
  g_assert_cmpint (llm_authorizer_decide (99, FALSE, 1000, 500), ==, LLM_VERDICT_DENY);
}

static void
test_ledger (void)
{
  LlmCrashLedger *ledger = llm_crash_ledger_new ();
  gint64 later = LLM_QUARANTINE_SECONDS * (gint64) G_USEC_PER_SEC;

  llm_crash_ledger_charge (ledger, "a", 1, FALSE, 0);
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "a", 1, 0));
  llm_crash_ledger_charge (ledger, "a", 1, FALSE, 1);
  g_assert_true (llm_crash_ledger_is_quarantined (ledger, "a", 1, 1));
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "a", 2, 1));
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "b", 1, 1));
  g_assert_cmpuint (llm_crash_ledger_n_quarantined (ledger, 1), ==, 1);
  g_assert_true (llm_crash_ledger_is_quarantined (ledger, "a", 1, later));
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "a", 1, 1 + later));
  llm_crash_ledger_charge (ledger, "a", 1, FALSE, 2 + later); /* begins anew */
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "a", 1, 2 + later));
  llm_crash_ledger_succeeded (ledger, "a", 1);
  llm_crash_ledger_charge (ledger, "a", 1, FALSE, 3 + later);
  g_assert_false (llm_crash_ledger_is_quarantined (ledger, "a", 1, 3 + later));
  g_assert_false (llm_crash_ledger_prefers_cpu (ledger));
  llm_crash_ledger_charge (ledger, "a", 1, TRUE, 0);
  llm_crash_ledger_charge (ledger, "a", 2, TRUE, 0);
  g_assert_false (llm_crash_ledger_prefers_cpu (ledger)); /* one model may be at fault */
  llm_crash_ledger_charge (ledger, "b", 1, TRUE, 0);
  g_assert_true (llm_crash_ledger_prefers_cpu (ledger));
  llm_crash_ledger_free (ledger);
}

/* A user's share of the disk: all of it, and not a byte more. */
static void
test_disk_share (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (llm_disk_share_allows (1000, 0, LLM_MAX_STORE_BYTES_PER_UID, NULL));
  g_assert_true (llm_disk_share_allows (1000, LLM_MAX_STORE_BYTES_PER_UID - 1, 1, NULL));
  g_assert_true (llm_disk_share_allows (1000, LLM_MAX_STORE_BYTES_PER_UID, 0, NULL));
  g_assert_false (llm_disk_share_allows (1000, LLM_MAX_STORE_BYTES_PER_UID, 1, NULL));
  g_assert_false (llm_disk_share_allows (1000, G_MAXUINT64, G_MAXUINT64, NULL));
  g_assert_false (llm_disk_share_allows (1000, 0, LLM_MAX_STORE_BYTES_PER_UID + 1, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/policies/edges", test_edges);
  g_test_add_func ("/policies/visible", test_visible);
  g_test_add_func ("/policies/authorizer", test_authorizer);
  g_test_add_func ("/policies/ledger", test_ledger);
  g_test_add_func ("/policies/disk-share", test_disk_share);
  return g_test_run ();
}
