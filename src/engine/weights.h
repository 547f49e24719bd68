/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tensors of a model, its files mapped read-only.
 */
#pragma once

#include "compute/plan.h"
#include "format/gguf.h"

G_BEGIN_DECLS

typedef struct _LlmWeights LlmWeights;

/* Maps @fds, whose headers @gguf is, in the order in which it was opened. LLM_ERROR_OUT_OF_MEMORY; LLM_ERROR_INVALID_MODEL when the file is shorter now. */
LlmWeights *llm_weights_new (LlmGguf *gguf, const int *fds, GError **error);
void llm_weights_free (LlmWeights *self);
guint64 llm_weights_bytes (const LlmWeights *self);

/* The tensor @name as a weight [@n_rows, @n_cols], or, of @n_experts > 1, [@n_experts * @n_rows, @n_cols] of a tensor
 * that has them as its third dimension; FALSE without error when it is not there.  A vector (@n_rows 1) comes as F32,
 * whatever type it has in the file.  LLM_ERROR_INVALID_MODEL: it has another shape. The weight lends @self. */
gboolean llm_weights_find (LlmWeights *self, const char *name, guint64 n_cols, guint64 n_rows, guint64 n_experts, LlmWeight *weight, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmWeights, llm_weights_free)

G_END_DECLS
