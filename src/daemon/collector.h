/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When garbage is collected (store/gc.h does it): at start, after an import or a deletion, when the disk is nearly full, at the
 * interval, and when an administrator asks.  One at a time; whoever wants one meanwhile gets the next.  Main loop only.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmBroker LlmBroker;
typedef struct _LlmCollector LlmCollector;

LlmCollector *llm_collector_new (LlmBroker *broker, const char *cache_dir, const char *engine_path);
/* Waits for a collection under way, which stops soon. */
void llm_collector_free (LlmCollector *self);

/* Something may have become garbage: collects soon, unless the policy says "manual". @why: for the log. */
void llm_collector_trigger (LlmCollector *self, const char *why);
/* Limits, policy or interval have changed. */
void llm_collector_settings_changed (LlmCollector *self);
/* Answers CollectGarbage when it is done. */
void llm_collector_call (LlmCollector *self, gboolean dry_run, GDBusMethodInvocation *invocation);
/* a{sv} as GetStatistics documents it. (floating) */
GVariant *llm_collector_statistics (LlmCollector *self);

G_END_DECLS
