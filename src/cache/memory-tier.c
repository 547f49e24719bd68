/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See memory-tier.h. */
#include "cache/memory-tier.h"

#include <string.h>

typedef struct {
  char *key;
  char *kind;
  LlmArtifact *artifact;
  gsize size;
  GList link; /* of the queue */
} Entry;

struct _LlmMemoryTier {
  GHashTable *entries; /* key -> Entry (owned) */
  GQueue order;        /* most recently used first */
  guint64 bytes, max_bytes;
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  llm_artifact_unref (entry->artifact);
  g_free (entry->key);
  g_free (entry->kind);
  g_free (entry);
}

LlmMemoryTier *
llm_memory_tier_new (guint64 max_bytes)
{
  LlmMemoryTier *self = g_new0 (LlmMemoryTier, 1);

  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  self->max_bytes = max_bytes;
  return self;
}

void
llm_memory_tier_free (LlmMemoryTier *self)
{
  g_hash_table_unref (self->entries);
  g_free (self);
}

static void
drop (LlmMemoryTier *self, Entry *entry)
{
  self->bytes -= entry->size;
  g_queue_unlink (&self->order, &entry->link);
  g_hash_table_remove (self->entries, entry->key);
}

LlmArtifact *
llm_memory_tier_find (LlmMemoryTier *self, const char *key)
{
  Entry *entry = g_hash_table_lookup (self->entries, key);

  if (entry == NULL)
    return NULL;
  g_queue_unlink (&self->order, &entry->link);
  g_queue_push_head_link (&self->order, &entry->link);
  return llm_artifact_ref (entry->artifact);
}

/* From the least recently used one on. */
static void
evict (LlmMemoryTier *self)
{
  for (GList *at = self->order.tail; at != NULL && self->bytes > self->max_bytes;)
    {
      Entry *entry = at->data;

      at = at->prev;
      if (!llm_artifact_is_shared (entry->artifact))
        drop (self, entry);
    }
}

void
llm_memory_tier_insert (LlmMemoryTier *self, const char *key, const char *kind, LlmArtifact *artifact)
{
  Entry *entry;
  gsize size;

  llm_memory_tier_remove (self, key);
  llm_artifact_data (artifact, &size);
  if (size > self->max_bytes)
    return;
  entry = g_new0 (Entry, 1);
  entry->key = g_strdup (key);
  entry->kind = g_strdup (kind);
  entry->artifact = llm_artifact_ref (artifact);
  entry->size = size;
  entry->link.data = entry;
  g_queue_push_head_link (&self->order, &entry->link);
  g_hash_table_insert (self->entries, entry->key, entry);
  self->bytes += size;
  evict (self);
}

void
llm_memory_tier_remove (LlmMemoryTier *self, const char *key)
{
  Entry *entry = g_hash_table_lookup (self->entries, key);

  if (entry != NULL)
    drop (self, entry);
}

guint64
llm_memory_tier_bytes (const LlmMemoryTier *self, const char *kind)
{
  guint64 sum = 0;

  for (const GList *at = self->order.head; at != NULL; at = at->next)
    {
      const Entry *entry = at->data;

      if (kind == NULL || strcmp (entry->kind, kind) == 0)
        sum += entry->size;
    }
  return sum;
}
