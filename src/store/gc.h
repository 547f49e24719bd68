/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collecting garbage: look (a thread), plan (pure), carry out.  A dry run is not carrying out.
 *
 * Artifacts go on the thread: losing one costs the time to make it again, and an unlinked file that is mapped stays valid.  Weights go in the
 * main loop, where it is asked again whether anybody holds them: imports, leases and names change there alone.
 */
#pragma once

#include "store/gc-plan.h"
#include "store/store.h"

G_BEGIN_DECLS

typedef struct {
  const char *cache_dir;
  const char *current;   /* folder of the engine that is installed */
  LlmGcLimits limits;
  GHashTable *costs;     /* kind of artifact -> double *: microseconds that making one takes; nullable */
  gboolean dry_run;
} LlmGcRequest;

typedef struct {
  LlmGcKind kind;
  LlmGcReason reason;
  char *path;     /* below $CACHE, or the blob's digest */
  guint64 bytes;
} LlmGcDone;

typedef struct {
  GPtrArray *done;         /* LlmGcDone (owned): what went, or would go */
  guint64 bytes;           /* of them */
  guint64 artifact_bytes;  /* of the artifacts that are left */
  guint n_entries;         /* files that were looked at */
  guint n_kept;            /* deletions that were planned and not made: in use meanwhile, or the disk refused */
} LlmGcReport;

void llm_gc_report_free (LlmGcReport *report);

/* One at a time. @request is copied but for @costs, which nobody changes until the callback. Nothing is an error: what cannot be
 * looked at or unlinked stays. The store must live until the callback; @cancellable makes
 * that come soon. */
void llm_store_collect_async (LlmStore *self, const LlmGcRequest *request, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
/* (transfer full) */
LlmGcReport *llm_store_collect_finish (LlmStore *self, GAsyncResult *result);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmGcReport, llm_gc_report_free)

G_END_DECLS
