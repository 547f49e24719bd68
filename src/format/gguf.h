/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GGUF v2 and v3: metadata and tensor table, validated before any tensor byte
 * is mapped.  https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * An LlmGguf is immutable and reference-counted; any thread may read it.  Every
 * count, length, offset, type, alignment, name and product has been checked
 * against the file's size, so that users of it need not check again.  No two tensors
 * share a byte, and the number of elements of each fits 64 bits.
 */
#pragma once

#include <gio/gio.h>

#include "format/dtype.h"

G_BEGIN_DECLS

typedef struct _LlmGguf LlmGguf;

typedef enum {
  LLM_GGUF_U8, LLM_GGUF_I8, LLM_GGUF_U16, LLM_GGUF_I16, LLM_GGUF_U32, LLM_GGUF_I32,
  LLM_GGUF_F32, LLM_GGUF_BOOL, LLM_GGUF_STRING, LLM_GGUF_ARRAY, LLM_GGUF_U64,
  LLM_GGUF_I64, LLM_GGUF_F64,
  LLM_GGUF_N_TYPES
} LlmGgufType;

typedef struct {
  const char *bytes; /* not terminated; lent by the LlmGguf; valid UTF-8 for metadata strings except token arrays */
  gsize len;
} LlmStr;

typedef struct {
  char *name;               /* valid UTF-8, unique in the file */
  const LlmDtypeInfo *dtype;
  guint n_dims;             /* 1..4 */
  guint64 dims[4];          /* dims[0] is the contiguous one (columns); unused ones are 1 */
  guint64 offset;           /* bytes from the start of its file */
  guint64 n_bytes;
  guint file;               /* which of the files it is in, in the order they were opened */
} LlmGgufTensor;

/* Parses the header in @bytes of a file of @file_size bytes (tensor data need
 * not be in @bytes).  Pure.  LLM_ERROR_INVALID_MODEL names the byte offset, the
 * field, the value and what would be right; LLM_ERROR_NOT_SUPPORTED for version 1,
 * big-endian files and the like.  If @bytes ends before the header does but the
 * file goes on, fails with G_IO_ERROR_PARTIAL_INPUT: read more and try again. */
LlmGguf *llm_gguf_parse (GBytes *bytes, guint64 file_size, GError **error);

/* Reads the header of @fd with pread (offset untouched) and parses it.  @fd must be
 * a regular file or memfd: anything else is LLM_ERROR_INVALID_MODEL.  Blocks. */
LlmGguf *llm_gguf_open (int fd, GError **error);

/* The same for the parts of a split model, in any order; @n_fds 1 to LLM_MODEL_MAX_PARTS. The metadata is that of the first part.
 * LLM_ERROR_INVALID_MODEL for parts that are missing, double, of different models or broken says which one. Blocks. */
LlmGguf *llm_gguf_open_parts (const int *fds, guint n_fds, GError **error);

/* Frees the metadata and all the strings and items that it has lent: from here on @self has no keys, only tensors. By its
 * one user, who has read what it needs: a vocabulary's texts are megabytes. */
void llm_gguf_drop_metadata (LlmGguf *self);

LlmGguf *llm_gguf_ref (LlmGguf *self);
void llm_gguf_unref (LlmGguf *self);

guint32 llm_gguf_version (const LlmGguf *self);
guint64 llm_gguf_file_size (const LlmGguf *self); /* of all files together */
guint llm_gguf_n_files (const LlmGguf *self);
guint64 llm_gguf_size_of_file (const LlmGguf *self, guint file);
/* The file, as they were opened, that is part @part (from 0). */
guint llm_gguf_file_of_part (const LlmGguf *self, guint part);

gboolean llm_gguf_has (const LlmGguf *self, const char *key);
guint llm_gguf_n_keys (const LlmGguf *self);
const char *llm_gguf_key (const LlmGguf *self, guint i, LlmGgufType *type);

/* Scalars: TRUE when the key is there with a type whose value fits (integers of any
 * width; float or double).  Absent: FALSE without error.  Present but of a wrong
 * type or range: FALSE with LLM_ERROR_INVALID_MODEL. */
gboolean llm_gguf_u64 (const LlmGguf *self, const char *key, guint64 *out, GError **error);
gboolean llm_gguf_f64 (const LlmGguf *self, const char *key, double *out, GError **error);
gboolean llm_gguf_bool (const LlmGguf *self, const char *key, gboolean *out, GError **error);
gboolean llm_gguf_str (const LlmGguf *self, const char *key, LlmStr *out, GError **error);

/* Arrays: item type and count.  Same conventions. */
gboolean llm_gguf_array (const LlmGguf *self, const char *key, LlmGgufType *item_type, guint64 *count, GError **error);
/* Items of an array that llm_gguf_array() has shown to be there; @i < count. O(1). */
LlmStr llm_gguf_array_str (const LlmGguf *self, const char *key, guint64 i);
/* All items of a number array as doubles / int64 (transfer full, g_free). NULL + error
 * if it is absent or not of numbers that fit. */
double *llm_gguf_array_f64 (const LlmGguf *self, const char *key, guint64 *count, GError **error);
gint64 *llm_gguf_array_i64 (const LlmGguf *self, const char *key, guint64 *count, GError **error);
/* All strings at once, lent. (transfer container, g_free) */
LlmStr *llm_gguf_array_strs (const LlmGguf *self, const char *key, guint64 *count, GError **error);

guint llm_gguf_n_tensors (const LlmGguf *self);
const LlmGgufTensor *llm_gguf_tensor (const LlmGguf *self, guint i);
const LlmGgufTensor *llm_gguf_find_tensor (const LlmGguf *self, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmGguf, llm_gguf_unref)

G_END_DECLS
