/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who reads a blob: requests, loaded models, verifications.  Main loop only; a thread that reads works
 * for somebody who has the lease.
 */
#include "store/store-private.h"

struct _LlmStoreLease {
  LlmStore *store;
  LlmStoreModel *model; /* (owned) */
};

gboolean
llm_store_is_leased (LlmStore *self, const char *digest)
{
  return g_hash_table_contains (self->leases, digest);
}

static void
count (LlmStore *self, const char *digest, int by)
{
  int n = GPOINTER_TO_INT (g_hash_table_lookup (self->leases, digest)) + by;

  if (n > 0)
    g_hash_table_replace (self->leases, g_strdup (digest), GINT_TO_POINTER (n));
  else
    g_hash_table_remove (self->leases, digest);
}

static void
count_all (LlmStore *self, const LlmStoreModel *model, int by)
{
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->in_place) /* a file in place may hold the same bytes */
        count (self, blob->digest, by);
    }
}

LlmStoreLease *
llm_store_lease (LlmStore *self, LlmStoreModel *model)
{
  LlmStoreLease *lease = g_new0 (LlmStoreLease, 1);

  *lease = (LlmStoreLease) { self, llm_store_model_ref (model) };
  count_all (self, model, 1);
  return lease;
}

void
llm_store_lease_free (LlmStoreLease *lease)
{
  count_all (lease->store, lease->model, -1);
  if (llm_store_find (lease->store, lease->model->name) != lease->model)
    llm_store_drop_blobs (lease->store, lease->model);
  llm_store_model_unref (lease->model);
  g_free (lease);
}
