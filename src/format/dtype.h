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

/* Types that can be decoded; the values are those of the file format. */
typedef enum {
  LLM_DTYPE_F32 = 0,
  LLM_DTYPE_F16 = 1,
  LLM_DTYPE_Q4_0 = 2,
  LLM_DTYPE_Q4_1 = 3,
  LLM_DTYPE_Q5_0 = 6,
  LLM_DTYPE_Q5_1 = 7,
  LLM_DTYPE_Q8_0 = 8,
  LLM_DTYPE_Q2_K = 10,
  LLM_DTYPE_Q3_K = 11,
  LLM_DTYPE_Q4_K = 12,
  LLM_DTYPE_Q5_K = 13,
  LLM_DTYPE_Q6_K = 14,
  LLM_DTYPE_IQ2_XXS = 16,
  LLM_DTYPE_IQ2_XS = 17,
  LLM_DTYPE_IQ3_XXS = 18,
  LLM_DTYPE_IQ1_S = 19,
  LLM_DTYPE_IQ4_NL = 20,
  LLM_DTYPE_IQ3_S = 21,
  LLM_DTYPE_IQ2_S = 22,
  LLM_DTYPE_IQ4_XS = 23,
  LLM_DTYPE_IQ1_M = 29,
  LLM_DTYPE_BF16 = 30,
  LLM_DTYPE_TQ1_0 = 34,
  LLM_DTYPE_TQ2_0 = 35,
  LLM_DTYPE_MXFP4 = 39,
} LlmDtype;

typedef struct {
  guint32 id;          /* as in the file */
  const char *name;    /* "Q4_0" */
  guint32 block_elems;
  guint32 block_bytes;
  /* Decodes @n elements (a multiple of block_elems) of packed @blocks, any
   * alignment, to @out[n].  Every bit pattern has a value, be it NaN.  NULL: a type that no weight has. */
  void (*decode) (const void *blocks, float *out, gsize n);
} LlmDtypeInfo;

/* NULL for a number that no known format version defines.  Any thread. */
const LlmDtypeInfo *llm_dtype_info (guint32 id);

/* The types that can be decoded, for messages: "F32, F16, ...". (transfer full) */
char *llm_dtype_names (void);

/* Bytes of a row of @n elements; FALSE if @n is not a whole number of blocks. */
gboolean llm_dtype_row_bytes (const LlmDtypeInfo *info, guint64 n, guint64 *bytes);

float llm_half_to_float (guint16 h);   /* IEEE 754 binary16, exact */
guint16 llm_float_to_half (float f);   /* round to nearest even */

G_END_DECLS
