/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manifests: JSON on disk <-> LlmStoreModel.
 *
 * A manifest is our own file, but a disk can be damaged: everything in it is checked, and
 * one that does not pass is left out, never trusted.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

/* @blobs: LlmStoreBlob, copied. */
LlmStoreModel *llm_manifest_new (const char *name, GPtrArray *blobs, gint64 imported, GVariant *info, const LlmStoreOrigin *origin, gboolean pinned);

/* @path of the manifest; @name what its place says it is; @blobs_dir where blobs are. NULL without an error: it is an alias of the model
 * *@alias_of (transfer full). Blocks. */
LlmStoreModel *llm_manifest_load (const char *path, const char *name, const char *blobs_dir, char **alias_of, GError **error);
/* Writes it, durably, under a name of its own in @tmp_dir: that name. Blocks (a small file and its fsync). (transfer full) */
char *llm_manifest_write (const LlmStoreModel *model, const char *tmp_dir, GError **error);
/* The same for an alias of @target. */
char *llm_manifest_write_alias (const char *target, const char *tmp_dir, GError **error);
/* Moves what was written to its place, in one step. Does not wait for the disk. */
gboolean llm_manifest_install (const char *tmp, const char *models_dir, const char *name, GError **error);
/* Removes the manifest of @name and the folders that are empty without it. FALSE with errno set. */
gboolean llm_manifest_remove (const char *models_dir, const char *name);

/* Opens a file of @model as its kind wants it. -1: ModelNotFound, IntegrityFailed, Busy. */
int llm_manifest_open_blob (const LlmStoreModel *model, const LlmStoreBlob *blob, GError **error);

/* (transfer full) models/<name>/<tag>.json below @models_dir, for a normalised name. */
char *llm_manifest_path (const char *models_dir, const char *name);

G_END_DECLS
