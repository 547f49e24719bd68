/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store in a folder of its own, and files to put there.
 */
#pragma once

#include "store/store.h"

typedef struct {
  char *folder;
  LlmStore *store;
  const char *license; /* of the models that commit() makes; NULL: none */
} Fixture;

extern const LlmStoreOrigin fixture_origin;

void fixture_set_up (Fixture *f, gconstpointer data);
void fixture_tear_down (Fixture *f, gconstpointer data);
/* As after a restart. */
void fixture_reopen (Fixture *f);

int file_with (const char *text);
/* Copies @fds (taken) and waits for it. (transfer full) */
GPtrArray *ingest_files (Fixture *f, const int *fds, guint n, LlmStoreProgress progress, gpointer progress_data, GCancellable *cancellable, GError **error);
GPtrArray *ingest (Fixture *f, int fd, GCancellable *cancellable, GError **error);
/* Waits for it. (transfer none, nullable) */
LlmStoreModel *commit (Fixture *f, const char *name, GPtrArray *blobs, GCancellable *cancellable, GError **error);
/* Imports a model whose files hold @texts. */
LlmStoreModel *add_parts (Fixture *f, const char *name, const char *const *texts);
void add (Fixture *f, const char *name, const char *text);
guint count_files (Fixture *f, const char *sub);
const char *blob_path (const LlmStoreModel *model, guint i);

#define ADD(name, func) g_test_add ("/store/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
