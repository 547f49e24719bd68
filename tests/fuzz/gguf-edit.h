/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A GGUF file taken apart and put together again, so that one value can be changed while all
 * lengths and offsets stay right: what the sweep of hyperparameters and the fuzzer need.
 */
#pragma once

#include "format/gguf.h"

G_BEGIN_DECLS

typedef struct {
  GBytes *name;      /* (owned) */
  guint32 type;      /* LlmGgufType, or any other number */
  GByteArray *value; /* (owned) as it stands in the file after the type */
} LlmEditKey;

typedef struct {
  GBytes *name;      /* (owned) */
  guint32 n_dims;    /* at most 4 */
  guint64 dims[4];
  guint32 dtype;
  guint64 shift;     /* added to the right offset */
  GBytes *data;      /* (owned) */
} LlmEditTensor;

typedef struct {
  guint32 version;
  GPtrArray *keys;    /* LlmEditKey (owned) */
  GPtrArray *tensors; /* LlmEditTensor (owned), in the order of the file's table */
} LlmEdit;

/* NULL when @file is not well-formed enough. (transfer full) */
LlmEdit *llm_edit_new (GBytes *file);
void llm_edit_free (LlmEdit *self);
/* (transfer full) */
GBytes *llm_edit_end (const LlmEdit *self);

LlmEdit *llm_edit_copy (const LlmEdit *self);
/* Nullable, lent. */
LlmEditKey *llm_edit_find (const LlmEdit *self, const char *name);
/* Puts a scalar of @n_bytes little-endian bytes in place of the value. */
void llm_edit_set (LlmEditKey *key, guint32 type, guint64 bits, guint n_bytes);
LlmEditKey *llm_edit_key_copy (const LlmEditKey *key);
LlmEditTensor *llm_edit_tensor_copy (const LlmEditTensor *tensor);

/* Keeps the first @n tokens of a vocabulary, the first @n_merges merges, and as many rows of the matrices that have one a token. */
void llm_edit_shrink_vocab (LlmEdit *self, guint n, guint n_merges);

/* The names of metadata that models and tokenizers read, NULL-terminated; "%" in front stands for the architecture. */
extern const char *const llm_edit_names[];
/* The name with the architecture of this file. (transfer full) */
GBytes *llm_edit_full_name (const LlmEdit *self, const char *name);
/* Changes one or a few things. */
void llm_edit_mutate (LlmEdit *self, GRand *rand);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmEdit, llm_edit_free)

G_END_DECLS
