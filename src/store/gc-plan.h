/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes when garbage is collected, and why: a pure function of what is on the disk, what is held, the limits and the clock.
 *
 * Invariants, whatever the input (a test makes up thousands): what is held never goes; weights go only when nobody has named them
 * for the grace period, and never because of an engine; artifacts of a newer engine go only for age, bytes or a full disk; what is left
 * is within the limits, or is all held; and, where no artifact is held, what is left is left by the next plan too.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  LLM_GC_ARTIFACT,  /* of the compile cache */
  LLM_GC_DRIVERS,   /* a driver's own cache, in ours */
  LLM_GC_TEMPORARY, /* an artifact that was being written */
  LLM_GC_BLOB,      /* weights */
} LlmGcKind;

typedef enum {
  LLM_GC_OLD_VERSION,  /* of an engine that is not kept */
  LLM_GC_OVER_AGE,     /* not used for longer than the limit */
  LLM_GC_OVER_LIMIT,   /* the bytes are too many, and this one is worth least */
  LLM_GC_LOW_DISK,     /* the disk is nearly full, and this one is worth least */
  LLM_GC_ORPHAN,       /* its writer is gone */
  LLM_GC_UNREFERENCED, /* no model names it */
} LlmGcReason;

const char *llm_gc_kind_name (LlmGcKind kind);       /* "artifact"... */
const char *llm_gc_reason_name (LlmGcReason reason); /* "old-version"... */

typedef struct {
  LlmGcKind kind;
  char *folder;   /* "v<version>-<build id>"; NULL for a blob */
  char *path;     /* relative: to the cache's folder, or a blob's digest */
  guint64 bytes;
  gint64 used;    /* seconds since 1970, for a blob: when it got its name */
  double saves;   /* microseconds to make it again; at least 1 */
  gboolean held;  /* leased, pinned, named by a model, being written */
  guint64 inode;  /* which file it was when it was looked at, with */
  gint64 changed; /* its mtime in ns */
} LlmGcEntry;

void llm_gc_entry_free (LlmGcEntry *entry);

typedef struct {
  guint64 artifact_bytes; /* 0 = no limit */
  gint64 artifact_age;    /* seconds; 0 = no limit */
  guint keep_versions;    /* at least 1: of the running engine alone */
  guint64 minimum_free;   /* bytes of the disk */
  gint64 grace;           /* seconds */
} LlmGcLimits;

typedef struct {
  const char *current; /* folder of the engine that is installed */
  gint64 now;          /* seconds since 1970 */
  guint64 free_bytes;  /* of the cache's disk */
  LlmGcLimits limits;
} LlmGcWorld;

typedef struct {
  const LlmGcEntry *entry; /* lent by the entries */
  LlmGcReason reason;
} LlmGcDeletion;

/* @entries: LlmGcEntry, in any order; the plan does not depend on it. (element-type LlmGcDeletion) (transfer full) */
GArray *llm_gc_plan (const GPtrArray *entries, const LlmGcWorld *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmGcEntry, llm_gc_entry_free)

G_END_DECLS
