/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/gc.h"

#include "store/gc-files.h"
#include "store/store-private.h"

typedef struct {
  LlmStore *store;
  LlmGcRequest request; /* strings owned */
  char *blobs_dir;
  GHashTable *held;     /* digests, as the main loop knew them; NULL: a damaged manifest may name any blob */
  GPtrArray *entries;
  GArray *plan;
  LlmGcReport *report;
} Collection;

static void
done_free (gpointer data)
{
  g_free (((LlmGcDone *) data)->path);
  g_free (data);
}

void
llm_gc_report_free (LlmGcReport *report)
{
  g_ptr_array_unref (report->done);
  g_free (report);
}

static void
collection_free (gpointer data)
{
  Collection *c = data;

  g_free ((char *) c->request.cache_dir);
  g_free ((char *) c->request.current);
  g_clear_pointer (&c->request.costs, g_hash_table_unref);
  g_clear_pointer (&c->held, g_hash_table_unref);
  g_clear_pointer (&c->plan, g_array_unref);
  g_clear_pointer (&c->report, llm_gc_report_free);
  g_ptr_array_unref (c->entries);
  g_free (c->blobs_dir);
  g_free (c);
}

/* ---- the thread ---- */

static void
note (Collection *c, const LlmGcDeletion *deletion)
{
  LlmGcDone *done = g_new0 (LlmGcDone, 1);

  *done = (LlmGcDone) { deletion->entry->kind, deletion->reason, g_strdup (deletion->entry->path), deletion->entry->bytes };
  g_ptr_array_add (c->report->done, done);
  c->report->bytes += done->bytes;
  if (done->kind == LLM_GC_ARTIFACT || done->kind == LLM_GC_DRIVERS)
    c->report->artifact_bytes -= done->bytes;
}

static void
look (Collection *c)
{
  gint64 now = g_get_real_time () / G_USEC_PER_SEC;
  LlmGcWorld world = { c->request.current, now, llm_gc_free_bytes (c->request.cache_dir), c->request.limits };

  llm_gc_scan (c->request.cache_dir, now, c->request.limits.grace, c->request.costs, c->entries);
  if (c->held != NULL)
    llm_gc_scan_blobs (c->blobs_dir, c->held, c->entries);
  c->plan = llm_gc_plan (c->entries, &world);
  c->report->n_entries = c->entries->len;
  for (guint i = 0; i < c->entries->len; i++)
    {
      const LlmGcEntry *entry = c->entries->pdata[i];

      if (entry->kind == LLM_GC_ARTIFACT || entry->kind == LLM_GC_DRIVERS)
        c->report->artifact_bytes += entry->bytes;
    }
}

static void
collect_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Collection *c = data;

  look (c);
  for (guint i = 0; i < c->plan->len && !g_cancellable_is_cancelled (cancellable); i++)
    {
      const LlmGcDeletion *deletion = &g_array_index (c->plan, LlmGcDeletion, i);

      if (c->request.dry_run)
        note (c, deletion);
      else if (deletion->entry->kind == LLM_GC_BLOB)
        continue; /* in the main loop */
      else if (llm_gc_unlink (c->request.cache_dir, deletion->entry))
        note (c, deletion);
      else
        c->report->n_kept++;
    }
  if (!c->request.dry_run)
    llm_gc_prune (c->request.cache_dir, c->request.current);
  g_task_return_boolean (task, TRUE);
}

/* ---- the main loop ---- */

/* Those of imports under way are young, and asked for again before they would go. */
static GHashTable *
held_blobs (LlmStore *self)
{
  GHashTable *held = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->leases);
  while (g_hash_table_iter_next (&iter, &value, NULL))
    g_hash_table_add (held, g_strdup (value));
  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    for (guint i = 0; i < ((LlmStoreModel *) value)->blobs->len; i++)
      {
        const LlmStoreBlob *blob = ((LlmStoreModel *) value)->blobs->pdata[i];

        if (!blob->in_place)
          g_hash_table_add (held, g_strdup (blob->digest));
      }
  return held;
}

/* Its mark stands for it when we are killed in between. */
static gboolean
drop_blob (LlmStore *self, const char *digest)
{
  if (llm_store_holds_blob (self, digest))
    return FALSE;
  llm_pending_mark (self->pending, digest);
  llm_pending_drop (self->pending, digest, LLM_BLOB_UNWANTED);
  return TRUE;
}

void
llm_store_collect_async (LlmStore *self, const LlmGcRequest *request, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Collection *c = g_new0 (Collection, 1);

  g_task_set_source_tag (task, llm_store_collect_async);
  g_task_set_check_cancellable (task, FALSE); /* what was done is reported */
  c->store = self;
  c->request = *request;
  c->request.cache_dir = g_strdup (request->cache_dir);
  c->request.current = g_strdup (request->current);
  if (request->costs != NULL)
    g_hash_table_ref (request->costs);
  c->blobs_dir = g_strdup (self->blobs_dir);
  c->held = self->damaged == 0 ? held_blobs (self) : NULL;
  c->entries = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_gc_entry_free);
  c->report = g_new0 (LlmGcReport, 1);
  c->report->done = g_ptr_array_new_with_free_func (done_free);
  g_task_set_task_data (task, c, collection_free);
  g_task_run_in_thread (task, collect_thread);
}

LlmGcReport *
llm_store_collect_finish (LlmStore *self, GAsyncResult *result)
{
  Collection *c = g_task_get_task_data (G_TASK (result));

  g_task_propagate_boolean (G_TASK (result), NULL);
  for (guint i = 0; i < c->plan->len && !c->request.dry_run; i++)
    {
      const LlmGcDeletion *deletion = &g_array_index (c->plan, LlmGcDeletion, i);

      if (deletion->entry->kind != LLM_GC_BLOB)
        continue;
      if (drop_blob (self, deletion->entry->path))
        note (c, deletion);
      else
        c->report->n_kept++;
    }
  return g_steal_pointer (&c->report);
}
