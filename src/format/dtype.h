/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tensor element types: the block layouts of GGML, one table row each.
 *
 * A tensor row of n elements is n / block_elems blocks of block_bytes bytes.
 * `decode` is the definition of the type: blocks -> float32, exactly.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The values are those of the file format. */
typedef enum {
  LLM_DTYPE_F32 = 0,
  LLM_DTYPE_F16 = 1,
  LLM_DTYPE_Q4_0 = 2,
  LLM_DTYPE_Q8_0 = 8,
} LlmDtype;

typedef struct {
  guint32 id;          /* as in the file */
  const char *name;    /* "Q4_0" */
  guint32 block_elems;
  guint32 block_bytes;
  /* Decodes @n elements (a multiple of block_elems) of packed @blocks, any
   * alignment, to @out[n].  NULL: the type is known, but not supported yet. */
  void (*decode) (const void *blocks, float *out, gsize n);
} LlmDtypeInfo;

/* NULL for a number that no known format version defines.  Any thread. */
const LlmDtypeInfo *llm_dtype_info (guint32 id);

/* Bytes of a row of @n elements; FALSE if @n is not a whole number of blocks. */
gboolean llm_dtype_row_bytes (const LlmDtypeInfo *info, guint64 n, guint64 *bytes);

float llm_half_to_float (guint16 h);   /* IEEE 754 binary16, exact */
guint16 llm_float_to_half (float f);   /* round to nearest even */

G_END_DECLS
