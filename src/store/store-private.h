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
  int lock_fd;
  GHashTable *models;  /* name -> LlmStoreModel (owned) */
  LlmPending *pending;
  guint damaged;
};

/* The written manifest @tmp of @model becomes part of the store: in one step, as seen from the main loop. */
LlmStoreModel *llm_store_add (LlmStore *self, LlmStoreModel *model, const char *tmp, GError **error);
