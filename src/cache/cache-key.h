/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an artifact was made from: its kind, the version of its payload, and every input that shapes the result, by name.
 *
 * The text of a key is canonical (sorted by name, nothing left to chance), its SHA-256 is the name of the file.  The whole text is kept
 * and compared, so that a collision of hashes or a file put there by somebody else is a miss.  Never a user's text.
 *
 * Where the artifact is good for - engine build, device, driver, features of the CPU - is no part of the hash but of the folder: so an artifact
 * of another version is known for what it is.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _LlmCacheKey LlmCacheKey;

/* @kind: [a-z0-9-], up to 32 bytes. @device: a folder of llm_cache_device_folder(), or NULL for what is the same on all of them. */
LlmCacheKey *llm_cache_key_new (const char *kind, guint version, const char *device);
void llm_cache_key_free (LlmCacheKey *self);
/* Before anything is asked of the key; each @name [a-z0-9-] once. */
void llm_cache_key_add (LlmCacheKey *self, const char *name, const char *value);
void llm_cache_key_add_uint (LlmCacheKey *self, const char *name, guint64 value);
/* The SHA-256 of what is too long to be written out. */
void llm_cache_key_add_hash (LlmCacheKey *self, const char *name, const void *bytes, gsize n);

const char *llm_cache_key_kind (const LlmCacheKey *self);
const char *llm_cache_key_device (const LlmCacheKey *self); /* "any" for NULL */
const char *llm_cache_key_text (LlmCacheKey *self);
/* "<kind>-<64 hex digits>" */
const char *llm_cache_key_file_name (LlmCacheKey *self);

/* The kind of a file of that name: its length in @name, 0 when it is no artifact's name. */
gsize llm_cache_name_kind (const char *name);
/* "<uuid>-<driver>" as a folder's name: what is not [A-Za-z0-9.-] is "_", and a long one ends in a hash. (transfer full) */
char *llm_cache_device_folder (const char *uuid, const char *driver);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmCacheKey, llm_cache_key_free)

G_END_DECLS
