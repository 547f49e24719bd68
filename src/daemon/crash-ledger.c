/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/crash-ledger.h"

#include "base/limits.h"

typedef struct {
  guint crashes;
  gint64 last_us;
} Entry;

struct _LlmCrashLedger {
  GHashTable *entries;        /* "uid digest" -> Entry */
  GHashTable *vulkan_digests; /* set of digests */
};

LlmCrashLedger *
llm_crash_ledger_new (void)
{
  LlmCrashLedger *self = g_new0 (LlmCrashLedger, 1);

  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->vulkan_digests = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

void
llm_crash_ledger_free (LlmCrashLedger *self)
{
  g_hash_table_unref (self->entries);
  g_hash_table_unref (self->vulkan_digests);
  g_free (self);
}

static char *
make_key (const char *digest, guint32 uid)
{
  return g_strdup_printf ("%u %s", uid, digest);
}

static gboolean
is_over (const Entry *entry, gint64 now_us)
{
  return now_us - entry->last_us >= LLM_QUARANTINE_SECONDS * (gint64) G_USEC_PER_SEC;
}

void
llm_crash_ledger_charge (LlmCrashLedger *self, const char *digest, guint32 uid, gboolean on_vulkan, gint64 now_us)
{
  g_autofree char *key = make_key (digest, uid);
  Entry *entry = g_hash_table_lookup (self->entries, key);

  if (entry == NULL)
    {
      entry = g_new0 (Entry, 1);
      g_hash_table_insert (self->entries, g_steal_pointer (&key), entry);
    }
  else if (is_over (entry, now_us))
    entry->crashes = 0;
  entry->crashes++;
  entry->last_us = now_us;
  if (on_vulkan)
    g_hash_table_add (self->vulkan_digests, g_strdup (digest));
}

void
llm_crash_ledger_succeeded (LlmCrashLedger *self, const char *digest, guint32 uid)
{
  g_autofree char *key = make_key (digest, uid);

  g_hash_table_remove (self->entries, key);
}

gboolean
llm_crash_ledger_is_quarantined (LlmCrashLedger *self, const char *digest, guint32 uid, gint64 now_us)
{
  g_autofree char *key = make_key (digest, uid);
  const Entry *entry = g_hash_table_lookup (self->entries, key);

  return entry != NULL && entry->crashes >= LLM_CRASHES_TO_QUARANTINE && !is_over (entry, now_us);
}

gboolean
llm_crash_ledger_prefers_cpu (const LlmCrashLedger *self)
{
  return g_hash_table_size (self->vulkan_digests) >= 2;
}

guint
llm_crash_ledger_n_quarantined (LlmCrashLedger *self, gint64 now_us)
{
  GHashTableIter iter;
  gpointer entry;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &entry))
    n += ((Entry *) entry)->crashes >= LLM_CRASHES_TO_QUARANTINE && !is_over (entry, now_us);
  return n;
}
