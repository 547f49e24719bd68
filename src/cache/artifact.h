/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An artifact in memory, and the form of its file.
 *
 * File: magic, checksum (XXH3-128, of everything after it), bytes in all, format, lengths; then the engine's identity (version, build, device and
 * driver), the whole key, zeros up to a multiple of 64, and the payload.  Magic, checksum and length stay where they are in every format, so
 * that "damaged" and "of another version" are told apart.  Numbers are the machine's own: a file of another byte order is a damaged one.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* ---- in memory ---- */

typedef struct _LlmArtifact LlmArtifact; /* immutable, reference-counted; any thread */

/* Takes @bytes. */
LlmArtifact *llm_artifact_new (GBytes *bytes);
LlmArtifact *llm_artifact_ref (LlmArtifact *self);
void llm_artifact_unref (LlmArtifact *self);
/* Aligned to 64 bytes when it comes from a file, else as g_malloc() does. */
gconstpointer llm_artifact_data (const LlmArtifact *self, gsize *size);
gboolean llm_artifact_is_shared (const LlmArtifact *self); /* somebody beside the caller holds it */

/* ---- as a file ---- */

typedef enum {
  LLM_MISS_ABSENT,
  LLM_MISS_VERSION,    /* it is there for another engine, build, device, driver or format */
  LLM_MISS_DAMAGED,    /* bytes are missing, changed, or not what the kind allows */
  LLM_MISS_FOREIGN,    /* whole, but of another key; or no regular file */
  LLM_MISS_UNREADABLE, /* the system will not read it */
  LLM_N_MISSES,
  LLM_HIT = LLM_N_MISSES,
  LLM_NOT_LOOKED,
} LlmMiss;

const char *llm_miss_name (LlmMiss miss); /* "absent"... */

typedef struct {
  const char *identity; /* of the engine and the device */
  const char *key;
} LlmArtifactLabel;

/* What stands before a payload of @n bytes, checksum included; NULL: too large, or no memory. (transfer full) */
GByteArray *llm_artifact_header (const LlmArtifactLabel *label, const void *payload, gsize n);
/* Maps an open file and looks whether it is all right. NULL with the cause; disk errors are causes, not signals. */
LlmArtifact *llm_artifact_open (int fd, const LlmArtifactLabel *label, LlmMiss *miss);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmArtifact, llm_artifact_unref)

G_END_DECLS
