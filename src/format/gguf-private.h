/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gguf-parse.c fills in and gguf-values.c reads.
 */
#pragma once

#include "format/gguf.h"

/* One metadata value; the bytes are lent by the header. */
typedef struct {
  char *key;             /* (owned) */
  LlmGgufType type;
  LlmGgufType item_type; /* of an array */
  guint64 count;         /* items of an array */
  const guint8 *bytes;   /* a scalar's or array's bytes, little-endian; a string's text */
  guint64 n_bytes;
  guint64 *item_offset;  /* (owned) string arrays: offset of each item's length field in bytes, [count] */
} LlmGgufEntry;

struct _LlmGguf {
  gatomicrefcount refs;
  GBytes *header;       /* (owned) */
  guint32 version;
  guint64 file_size;    /* of all files */
  guint n_files;        /* 0: parsed from bytes, never opened */
  guint *file_of;       /* (owned) part -> file, [n_files] */
  guint64 *file_sizes;  /* (owned) [n_files] */
  GArray *entries;      /* LlmGgufEntry */
  GHashTable *by_key;   /* key (lent) -> index + 1 */
  GArray *tensors;      /* LlmGgufTensor */
  GHashTable *by_name;  /* name (lent) -> index + 1 */
};

/* gguf-split.c: one model of its parsed files (lent; those that are not the result are emptied of tensors); LLM_ERROR_INVALID_MODEL. */
LlmGguf *llm_gguf_join (LlmGguf **files, guint n_files, GError **error);

static inline guint64
llm_gguf_load (const guint8 *p, guint n_bytes)
{
  guint64 v = 0;

  for (guint i = 0; i < n_bytes; i++)
    v |= (guint64) p[i] << (8 * i);
  return v;
}

extern const guint8 llm_gguf_type_size[LLM_GGUF_N_TYPES]; /* 0 for strings and arrays */
extern const char *const llm_gguf_type_name[LLM_GGUF_N_TYPES];
