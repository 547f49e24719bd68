/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Models that other programs of this user have downloaded already.
 *
 * Runs with the user's rights and only reads; the service gets file descriptors. What lies in a cache is
 * somebody else's: whatever does not look as it should is left out, and limits bound every walk.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A model, whole or not. */
typedef struct {
  char *program;  /* "ollama" | "huggingface" | "llama.cpp" */
  char *name;     /* under which it would be imported: "org/model:tag"; no other found one has it */
  char *origin;   /* for Import's "source": "ollama:llama3:8b" */
  char *version;  /* for Import's "version", "" not known */
  GPtrArray *paths; /* (element-type filename) (owned) its parts in order */
  guint n_parts;  /* that it should have; more than paths->len: some are missing */
  guint64 size;   /* bytes of the parts that are there */
  char *digest;   /* "sha256-<hex>" when the cache knows it, of a model of one file; or NULL */
} LlmFound;

/* All that are found in the caches that the environment names, by program and name. (element-type LlmFound) (transfer full) */
GPtrArray *llm_scan (void);

/* ---- what the scanners share (scan.c) ---- */

/* Adds a model without files to @found, which owns it; @name and @tag are made fit for the store. */
LlmFound *llm_found_add (GPtrArray *found, const char *program, const char *name, const char *tag, const char *origin, const char *version);
/* FALSE when it is no regular file. */
gboolean llm_found_add_file (LlmFound *self, const char *path);
void llm_found_free (LlmFound *self);

/* GGUF files that were found in one place: parts of one model become one. */
typedef void (*LlmScanModel) (const char *stem, const GPtrArray *paths, guint n_parts, gpointer user_data);
/* @files: paths, used up; those that name a projector are left out. @stem: the path without ".gguf" and part numbers. */
void llm_scan_group (GPtrArray *files, LlmScanModel add, gpointer user_data);
/* The regular files ending in ".gguf" at most @depth folders below @folder, links followed. (element-type filename) (transfer full) */
GPtrArray *llm_scan_gguf_files (const char *folder, guint depth);

/* scan-ollama.c, scan-hub.c */
void llm_scan_ollama (GPtrArray *found);
void llm_scan_huggingface (GPtrArray *found);
void llm_scan_llama_cpp (GPtrArray *found);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmFound, llm_found_free)

G_END_DECLS
