/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/progress.h"

#define INTERVAL_US (G_USEC_PER_SEC / 10)

typedef struct {
  GTask *task; /* (owned): the callback cannot come after the task's */
  const LlmProgress *progress; /* of its data */
  guint64 done, total;
} Report;

static gboolean
deliver (gpointer user_data)
{
  const Report *report = user_data;

  report->progress->callback (report->done, report->total, report->progress->user_data);
  return G_SOURCE_REMOVE;
}

static void
report_free (gpointer user_data)
{
  Report *report = user_data;

  g_object_unref (report->task);
  g_free (report);
}

void
llm_progress_report (guint64 done, guint64 size, gpointer user_data)
{
  LlmProgress *self = user_data;
  gint64 now = g_get_monotonic_time ();
  g_autoptr (GSource) source = NULL;
  Report *report;

  done += self->before;
  if (self->callback == NULL || (done < self->total && now - self->last < INTERVAL_US))
    return;
  self->last = now;
  report = g_new (Report, 1);
  *report = (Report) { g_object_ref (self->task), self, done, self->total };
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, deliver, report, report_free);
  g_source_attach (source, g_task_get_context (self->task));
}
