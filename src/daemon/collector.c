/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/collector.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/broker.h"
#include "daemon/cache-folder.h"
#include "store/gc-files.h"
#include "store/gc.h"

#define SOON_MS 500 /* an import of many models is one reason */

struct _LlmCollector {
  LlmBroker *broker;
  char *cache_dir, *engine_path;
  GCancellable *cancellable;
  GQueue calls;          /* Call (owned): who waits; NULL: nobody, it was our own idea */
  gboolean running, asking_disk;
  guint soon, interval, disk_timer;
  guint64 n_collections, n_deletions, n_bytes, artifact_bytes;
};

typedef struct {
  gboolean dry_run;
  GDBusMethodInvocation *invocation; /* NULL: nobody asked */
} Call;

static void next (LlmCollector *self);

/* ---- one collection ---- */

static GHashTable *
recorded_costs (LlmBroker *broker)
{
  GHashTable *costs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_auto (LlmLastRun) last = { 0 };
  GVariantIter iter;
  const char *kind;
  double us;

  llm_settings_last_run (broker->settings, &last);
  g_variant_iter_init (&iter, last.costs);
  while (g_variant_iter_next (&iter, "{&sd}", &kind, &us))
    g_hash_table_insert (costs, g_strdup (kind), g_memdup2 (&us, sizeof us));
  return costs;
}

/* kind -> mean microseconds that making one took since we started, or else in an earlier run */
static GHashTable *
measured_costs (LlmBroker *broker)
{
  GHashTable *costs = recorded_costs (broker);
  g_autoptr (GVariant) kinds = g_variant_ref_sink (llm_artifact_counts_to_variant (broker->artifacts));
  GVariantIter iter;
  const char *kind;
  GVariant *value;

  g_variant_iter_init (&iter, kinds);
  while (g_variant_iter_loop (&iter, "{&sv}", &kind, &value))
    {
      guint64 made = 0, us = 0;

      if (!g_variant_lookup (value, "made", "t", &made) || !g_variant_lookup (value, "make-us", "t", &us) || made == 0)
        continue;
      g_hash_table_insert (costs, g_strdup (kind), g_memdup2 (&(double) { (double) us / (double) made }, sizeof (double)));
    }
  return costs;
}

static GVariant *
deletion_to_variant (const LlmGcDone *done)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "path", "s", done->path);
  g_variant_dict_insert (&dict, "kind", "s", llm_gc_kind_name (done->kind));
  g_variant_dict_insert (&dict, "reason", "s", llm_gc_reason_name (done->reason));
  g_variant_dict_insert (&dict, "bytes", "t", done->bytes);
  return g_variant_dict_end (&dict);
}

static GVariant *
report_to_variant (const LlmGcReport *report, gboolean dry_run)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GVariantBuilder list;
  gsize bytes = 0;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < MIN (report->done->len, LLM_GC_MAX_REPORTED); i++)
    {
      bytes += strlen (((LlmGcDone *) report->done->pdata[i])->path);
      if (bytes > LLM_GC_MAX_REPORTED_BYTES)
        break;
      g_variant_builder_add_value (&list, deletion_to_variant (report->done->pdata[i]));
    }
  g_variant_dict_insert (&dict, "dry-run", "b", dry_run);
  g_variant_dict_insert (&dict, "deletions", "aa{sv}", &list);
  g_variant_dict_insert (&dict, "count", "u", report->done->len);
  g_variant_dict_insert (&dict, "bytes", "t", report->bytes);
  g_variant_dict_insert (&dict, "kept", "u", report->n_kept);
  g_variant_dict_insert (&dict, "files", "u", report->n_entries);
  g_variant_dict_insert (&dict, "artifact-bytes", "t", report->artifact_bytes);
  return g_variant_dict_end (&dict);
}

static GVariant *
costs_to_variant (GHashTable *costs)
{
  g_autoptr (GList) kinds = g_list_sort (g_hash_table_get_keys (costs), (GCompareFunc) strcmp);
  GVariantBuilder out;

  g_variant_builder_init (&out, G_VARIANT_TYPE ("a{sd}"));
  for (GList *l = kinds; l != NULL; l = l->next)
    g_variant_builder_add (&out, "{sd}", l->data, *(double *) g_hash_table_lookup (costs, l->data));
  return g_variant_ref_sink (g_variant_builder_end (&out));
}

static void
note_report (LlmCollector *self, const LlmGcReport *report)
{
  g_autoptr (GHashTable) costs = measured_costs (self->broker);
  g_autoptr (GVariant) recorded = costs_to_variant (costs);
  LlmLastRun now = { .last_gc = g_get_real_time () / G_USEC_PER_SEC, .costs = recorded };

  self->n_collections++;
  self->n_deletions += report->done->len;
  self->n_bytes += report->bytes;
  self->artifact_bytes = report->artifact_bytes;
  for (guint i = 0; i < report->done->len; i++)
    {
      const LlmGcDone *done = report->done->pdata[i];
      g_debug ("collected %s: %s, %" G_GUINT64_FORMAT " bytes", done->path, llm_gc_reason_name (done->reason), done->bytes);
    }
  llm_settings_record_run (self->broker->settings, &now);
}

static void
answer (Call *call, GVariant *report)
{
  if (call->invocation != NULL && report != NULL)
    g_dbus_method_invocation_return_value (call->invocation, g_variant_new ("(@a{sv})", report));
  else if (call->invocation != NULL)
    llm_broker_return_error (call->invocation, g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the service is shutting down"));
  g_free (call);
}

static void
on_collected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmCollector *self = user_data;
  Call *call = g_queue_pop_head (&self->calls);
  g_autoptr (LlmGcReport) report = llm_store_collect_finish (self->broker->store, result);

  self->running = FALSE;
  if (!call->dry_run)
    note_report (self, report);
  answer (call, report_to_variant (report, call->dry_run));
  next (self);
}

static void
next (LlmCollector *self)
{
  const Call *call = g_queue_peek_head (&self->calls);
  g_autofree char *folder = NULL;
  g_autoptr (GHashTable) costs = NULL;
  LlmSettingsValues values;
  LlmGcRequest request;

  if (call == NULL || self->running || g_cancellable_is_cancelled (self->cancellable))
    return;
  folder = llm_cache_folder_name (self->engine_path);
  if (folder == NULL)
    folder = g_strdup (""); /* no engine: no version is old */
  llm_settings_read (self->broker->settings, &values);
  costs = measured_costs (self->broker);
  request = (LlmGcRequest) {
    .cache_dir = self->cache_dir,
    .current = folder,
    .limits = { values.artifact_bytes, (gint64) values.artifact_age_days * 24 * 3600, values.keep_versions, values.minimum_free, values.gc_grace },
    .costs = costs,
    .dry_run = call->dry_run,
  };
  self->running = TRUE;
  llm_store_collect_async (self->broker->store, &request, self->cancellable, on_collected, self);
}

static void
enqueue (LlmCollector *self, gboolean dry_run, GDBusMethodInvocation *invocation)
{
  Call *call = g_new0 (Call, 1);

  *call = (Call) { dry_run, invocation };
  g_queue_push_tail (&self->calls, call);
  next (self);
}

void
llm_collector_call (LlmCollector *self, gboolean dry_run, GDBusMethodInvocation *invocation)
{
  enqueue (self, dry_run, invocation);
}

/* ---- by itself ---- */

static gboolean
is_automatic (LlmCollector *self)
{
  LlmSettingsValues values;

  llm_settings_read (self->broker->settings, &values);
  return values.gc_automatic;
}

static gboolean
on_soon (gpointer user_data)
{
  LlmCollector *self = user_data;

  self->soon = 0;
  enqueue (self, FALSE, NULL);
  return G_SOURCE_REMOVE;
}

void
llm_collector_trigger (LlmCollector *self, const char *why)
{
  if (self->soon != 0 || !is_automatic (self))
    return;
  g_debug ("garbage is collected soon: %s", why);
  self->soon = g_timeout_add (SOON_MS, on_soon, self);
}

static gboolean
on_interval (gpointer user_data)
{
  llm_collector_trigger (user_data, "the interval");
  return G_SOURCE_CONTINUE;
}

static void
start_interval (LlmCollector *self)
{
  LlmSettingsValues values;

  llm_settings_read (self->broker->settings, &values);
  g_clear_handle_id (&self->interval, g_source_remove);
  if (values.gc_interval > 0)
    self->interval = g_timeout_add_seconds (values.gc_interval, on_interval, self);
}

void
llm_collector_settings_changed (LlmCollector *self)
{
  start_interval (self);
  llm_collector_trigger (self, "the settings");
}

/* ---- the disk ---- */

static void
ask_disk_thread (GTask *task, gpointer source, gpointer folder, GCancellable *cancellable)
{
  guint64 bytes = llm_gc_free_bytes (folder);

  g_task_return_pointer (task, g_memdup2 (&bytes, sizeof bytes), g_free);
}

static void
on_disk (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmCollector *self = user_data;
  g_autofree guint64 *bytes = g_task_propagate_pointer (G_TASK (result), NULL);
  LlmSettingsValues values;

  self->asking_disk = FALSE;
  llm_settings_read (self->broker->settings, &values);
  if (bytes != NULL && *bytes < values.minimum_free && !g_cancellable_is_cancelled (self->cancellable))
    llm_collector_trigger (self, "the disk is nearly full");
}

static gboolean
on_disk_timer (gpointer user_data)
{
  LlmCollector *self = user_data;
  g_autoptr (GTask) task = NULL;

  if (self->asking_disk || !is_automatic (self))
    return G_SOURCE_CONTINUE;
  self->asking_disk = TRUE;
  task = g_task_new (NULL, NULL, on_disk, self);
  g_task_set_task_data (task, g_strdup (self->cache_dir), g_free);
  g_task_run_in_thread (task, ask_disk_thread);
  return G_SOURCE_CONTINUE;
}

/* ---- life ---- */

LlmCollector *
llm_collector_new (LlmBroker *broker, const char *cache_dir, const char *engine_path)
{
  LlmCollector *self = g_new0 (LlmCollector, 1);

  self->broker = broker;
  self->cache_dir = g_strdup (cache_dir);
  self->engine_path = g_strdup (engine_path);
  self->cancellable = g_cancellable_new ();
  g_queue_init (&self->calls);
  self->disk_timer = g_timeout_add_seconds (LLM_GC_DISK_CHECK_SECONDS, on_disk_timer, self);
  start_interval (self);
  return self;
}

void
llm_collector_free (LlmCollector *self)
{
  Call *call;

  g_cancellable_cancel (self->cancellable);
  g_clear_handle_id (&self->soon, g_source_remove);
  g_clear_handle_id (&self->interval, g_source_remove);
  g_clear_handle_id (&self->disk_timer, g_source_remove);
  while (self->running || self->asking_disk)
    g_main_context_iteration (NULL, TRUE);
  while ((call = g_queue_pop_head (&self->calls)) != NULL)
    answer (call, NULL);
  g_object_unref (self->cancellable);
  g_free (self->cache_dir);
  g_free (self->engine_path);
  g_free (self);
}

GVariant *
llm_collector_statistics (LlmCollector *self)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  g_auto (LlmLastRun) last = { 0 };

  llm_settings_last_run (self->broker->settings, &last);
  g_variant_dict_insert (&dict, "collections", "t", self->n_collections);
  g_variant_dict_insert (&dict, "deletions", "t", self->n_deletions);
  g_variant_dict_insert (&dict, "bytes", "t", self->n_bytes);
  g_variant_dict_insert (&dict, "artifact-bytes", "t", self->artifact_bytes);
  g_variant_dict_insert (&dict, "last", "x", last.last_gc);
  g_variant_dict_insert (&dict, "updating-models", "u", llm_update_pending (self->broker->update));
  g_variant_dict_insert (&dict, "updated-from", "s", llm_update_from (self->broker->update));
  return g_variant_dict_end (&dict);
}
