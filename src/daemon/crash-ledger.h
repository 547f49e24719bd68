/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who was in flight when the engine crashed: (model digest, uid) pairs.
 *
 * LLM_CRASHES_TO_QUARANTINE crashes in flight, without a success between, quarantine a pair for
 * LLM_QUARANTINE_SECONDS.  Crashes with two different models on a Vulkan device make the CPU the better choice.
 * Pure: time comes in as an argument (microseconds, monotonic).
 */
#pragma once

#include <glib.h>

typedef struct _LlmCrashLedger LlmCrashLedger;

LlmCrashLedger *llm_crash_ledger_new (void);
void llm_crash_ledger_free (LlmCrashLedger *self);
void llm_crash_ledger_charge (LlmCrashLedger *self, const char *digest, guint32 uid, gboolean on_vulkan, gint64 now_us);
void llm_crash_ledger_succeeded (LlmCrashLedger *self, const char *digest, guint32 uid);
gboolean llm_crash_ledger_is_quarantined (LlmCrashLedger *self, const char *digest, guint32 uid, gint64 now_us);
gboolean llm_crash_ledger_prefers_cpu (const LlmCrashLedger *self);
guint llm_crash_ledger_n_quarantined (LlmCrashLedger *self, gint64 now_us);
