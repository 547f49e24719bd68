/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/gc-plan.h"

#include <math.h>
#include <string.h>

#include "store/engine-version.h"

#define HALF_LIFE (7.0 * 24 * 3600) /* seconds after which an unused artifact is worth half */

const char *
llm_gc_kind_name (LlmGcKind kind)
{
  static const char *const names[] = { "artifact", "driver-cache", "temporary", "weights" };

  return names[kind];
}

const char *
llm_gc_reason_name (LlmGcReason reason)
{
  static const char *const names[] = { "old-version", "over-age", "over-limit", "low-disk", "orphan", "unreferenced" };

  return names[reason];
}

void
llm_gc_entry_free (LlmGcEntry *entry)
{
  g_free (entry->folder);
  g_free (entry->path);
  g_free (entry);
}

/* ---- which engines' folders are kept ---- */

typedef struct {
  const char *name; /* lent */
  char *version;
  gint64 used;      /* of what is in it, last */
} Folder;

static void
folder_free (gpointer data)
{
  g_free (((Folder *) data)->version);
  g_free (data);
}

/* The newest first: by version, then by last use; names settle the rest. */
static int
compare_folders (gconstpointer a, gconstpointer b)
{
  const Folder *x = *(Folder *const *) a, *y = *(Folder *const *) b;
  int order = llm_engine_version_compare (y->version, x->version);

  if (order == 0 && x->used != y->used)
    order = x->used < y->used ? 1 : -1;
  return order != 0 ? order : strcmp (x->name, y->name);
}

static gboolean
is_file_of_engine (const LlmGcEntry *entry)
{
  return entry->kind == LLM_GC_ARTIFACT || entry->kind == LLM_GC_DRIVERS;
}

static GPtrArray *
find_folders (const GPtrArray *entries)
{
  GPtrArray *folders = g_ptr_array_new_with_free_func (folder_free);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < entries->len; i++)
    {
      const LlmGcEntry *entry = entries->pdata[i];
      Folder *folder = is_file_of_engine (entry) ? g_hash_table_lookup (known, entry->folder) : NULL;
      char *version = folder == NULL && is_file_of_engine (entry) ? llm_engine_version_of (entry->folder) : NULL;

      if (version != NULL)
        {
          folder = g_new0 (Folder, 1);
          *folder = (Folder) { entry->folder, version, entry->used };
          g_hash_table_insert (known, entry->folder, folder);
          g_ptr_array_add (folders, folder);
        }
      if (folder != NULL)
        folder->used = MAX (folder->used, entry->used);
    }
  g_ptr_array_sort (folders, compare_folders);
  return folders;
}

/* Names of folders that go: older than the installed engine, and more than are kept. */
static GHashTable *
find_stale (const GPtrArray *entries, const LlmGcWorld *world)
{
  GHashTable *stale = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) folders = find_folders (entries);
  g_autofree char *current = llm_engine_version_of (world->current);
  guint kept = 1; /* the installed one, be there anything in it or not */

  for (guint i = 0; i < folders->len && current != NULL; i++)
    {
      const Folder *folder = folders->pdata[i];

      if (strcmp (folder->name, world->current) == 0 || llm_engine_version_compare (folder->version, current) > 0)
        continue;
      if (kept < world->limits.keep_versions)
        kept++;
      else
        g_hash_table_add (stale, g_strdup (folder->name));
    }
  return stale;
}

/* ---- what an artifact is worth ---- */

static gint64
age_of (const LlmGcEntry *entry, const LlmGcWorld *world)
{
  return MAX (0, world->now - entry->used); /* clocks jump */
}

typedef struct {
  const LlmGcEntry *entry;
  double worth; /* microseconds saved per byte, halved for every week without use */
} Candidate;

static int
compare_candidates (gconstpointer a, gconstpointer b)
{
  const Candidate *x = a, *y = b;

  if (x->worth != y->worth)
    return x->worth < y->worth ? -1 : 1;
  if (x->entry->used != y->entry->used)
    return x->entry->used < y->entry->used ? -1 : 1;
  return strcmp (x->entry->path, y->entry->path);
}

static guint64
add (guint64 a, guint64 b)
{
  return a > G_MAXUINT64 - b ? G_MAXUINT64 : a + b;
}

static void
delete (GArray *plan, const LlmGcEntry *entry, LlmGcReason reason)
{
  LlmGcDeletion deletion = { entry, reason };

  g_array_append_val (plan, deletion);
}

/* ---- the plan ---- */

/* What goes whatever its worth. FALSE: it stays for now. */
static gboolean
goes_by_itself (const LlmGcEntry *entry, const LlmGcWorld *world, GHashTable *stale, LlmGcReason *reason)
{
  gint64 age = age_of (entry, world);

  switch (entry->kind)
    {
    case LLM_GC_TEMPORARY:
      *reason = LLM_GC_ORPHAN;
      return age > world->limits.grace;
    case LLM_GC_BLOB:
      *reason = LLM_GC_UNREFERENCED;
      return age > world->limits.grace;
    default:
      *reason = g_hash_table_contains (stale, entry->folder) ? LLM_GC_OLD_VERSION : LLM_GC_OVER_AGE;
      return *reason == LLM_GC_OLD_VERSION || (world->limits.artifact_age > 0 && age > world->limits.artifact_age);
    }
}

/* Artifacts that may go, from the one that is worth least, until @bytes are free. Returns how many of @candidates went. */
static guint
free_bytes (GArray *plan, const GArray *candidates, guint from, guint64 bytes, LlmGcReason reason)
{
  guint64 freed = 0;

  for (; from < candidates->len && freed < bytes; from++)
    {
      const LlmGcEntry *entry = g_array_index (candidates, Candidate, from).entry;

      delete (plan, entry, reason);
      freed = add (freed, entry->bytes);
    }
  return from;
}

/* Of the cache: weights may be on another disk. */
static guint64
cache_bytes_of (const GArray *plan)
{
  guint64 bytes = 0;

  for (guint i = 0; i < plan->len; i++)
    {
      const LlmGcEntry *entry = g_array_index (plan, LlmGcDeletion, i).entry;

      bytes = entry->kind != LLM_GC_BLOB ? add (bytes, entry->bytes) : bytes;
    }
  return bytes;
}

GArray *
llm_gc_plan (const GPtrArray *entries, const LlmGcWorld *world)
{
  GArray *plan = g_array_new (FALSE, FALSE, sizeof (LlmGcDeletion));
  g_autoptr (GArray) candidates = g_array_new (FALSE, FALSE, sizeof (Candidate));
  g_autoptr (GHashTable) stale = find_stale (entries, world);
  guint64 kept = 0, limit = world->limits.artifact_bytes, missing, freed;
  guint at = 0;

  for (guint i = 0; i < entries->len; i++)
    {
      const LlmGcEntry *entry = entries->pdata[i];
      LlmGcReason reason;

      if (!entry->held && goes_by_itself (entry, world, stale, &reason))
        {
          delete (plan, entry, reason);
          continue;
        }
      if (!is_file_of_engine (entry))
        continue;
      kept = add (kept, entry->bytes);
      if (!entry->held && entry->bytes > 0)
        {
          Candidate candidate = { entry, MAX (1, entry->saves) / (double) entry->bytes * exp2 (-(double) age_of (entry, world) / HALF_LIFE) };
          g_array_append_val (candidates, candidate);
        }
    }
  g_array_sort (candidates, compare_candidates);
  if (limit > 0 && kept > limit)
    at = free_bytes (plan, candidates, 0, kept - limit, LLM_GC_OVER_LIMIT);
  missing = world->limits.minimum_free > world->free_bytes ? world->limits.minimum_free - world->free_bytes : 0;
  freed = cache_bytes_of (plan);
  if (missing > freed)
    free_bytes (plan, candidates, at, missing - freed, LLM_GC_LOW_DISK);
  return plan;
}
