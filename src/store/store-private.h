/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the store share.
 */
#pragma once

#include "store/pending.h"
#include "store/store.h"

struct _LlmStore {
  char *blobs_dir;
  char *models_dir;
  char *tmp_dir;
  char *quarantine_dir;
  int lock_fd;
  GHashTable *models;  /* name -> LlmStoreModel (owned) */
  char *holder;        /* path of the file that says who has it open */
  GHashTable *aliases; /* alias -> name of a model that there is */
  LlmPending *pending;
  GHashTable *leases;  /* digest of a blob -> count */
  GHashTable *damaged_blobs; /* digests: what quarantine_dir holds */
  guint64 keep_free;
  guint damaged;
};

/* The written manifest @tmp of @model becomes part of the store: in one step, as seen from the main loop. */
LlmStoreModel *llm_store_add (LlmStore *self, LlmStoreModel *model, const char *tmp, GError **error);

/* Whether a model has it, in blobs/ or in place. */
gboolean llm_store_names_digest (LlmStore *self, const char *digest);
/* What is to become of a blob on which no import stands. */
LlmBlobFate llm_store_fate (LlmStore *self, const char *digest);
/* Before the last name of a model may go, and after: its blobs. */
void llm_store_mark_blobs (LlmStore *self, const LlmStoreModel *model);
void llm_store_drop_blobs (LlmStore *self, const LlmStoreModel *model);
/* alias.c: those whose model is gone go too. */
void llm_store_drop_aliases (LlmStore *self);

/* quarantine.c: what is there at the start; the blob @path is not what its name says; is what its name says, or has no name. */
void llm_store_load_quarantine (LlmStore *self);
void llm_store_quarantine (LlmStore *self, const LlmStoreBlob *blob);
void llm_store_end_quarantine (LlmStore *self, const char *digest);

/* lease.c */
gboolean llm_store_is_leased (LlmStore *self, const char *digest);

/* holder.c: the lock of the folder @state_dir, or -1 with LLM_ERROR_BUSY that says who has it; writes the file @holder. */
int llm_holder_lock (const char *state_dir, const char *holder, const char *who, GError **error);
