/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code books of the IQ1, IQ2 and IQ3 types: short vectors of small integers that a block
 * names by number.  Facts of the file format; devices may copy them as they are.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  LLM_CODEBOOK_IQ2_XXS, /* 256 vectors of 8: 8, 25, 43 */
  LLM_CODEBOOK_IQ2_XS,  /* 512 of the same */
  LLM_CODEBOOK_IQ2_S,   /* 1024 of the same */
  LLM_CODEBOOK_IQ1,     /* 2048 vectors of 8: -1, 0, 1; of IQ1_S and IQ1_M */
  LLM_CODEBOOK_IQ3_XXS, /* 256 vectors of 4: 4, 12, 20, 28, 36, 44, 52, 62 */
  LLM_CODEBOOK_IQ3_S,   /* 512 vectors of 4: 1, 3, 5 ... 15 */
  LLM_N_CODEBOOKS
} LlmCodebookId;

typedef struct {
  guint n_vectors;
  guint width;
  const gint8 *values; /* [n_vectors, width] */
} LlmCodebook;

/* Expanded at the first call, then there for good. Any thread. */
const LlmCodebook *llm_codebook_get (LlmCodebookId id);

G_END_DECLS
