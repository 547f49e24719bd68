/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small plans with made-up weights and batches with shuffled pages, for every test of compute/.
 * All numbers come from one seeded generator, so that a failure happens again.
 */
#pragma once

#include "compute/devices.h"

G_BEGIN_DECLS

/* A plan with the weights that it borrows. */
typedef struct {
  LlmPlan *plan;
  LlmKvLayout kv;
  GRand *rand;
  GPtrArray *data; /* (owned) of the weights */
} OpsModel;

OpsModel *ops_model_new (const LlmKvLayout *kv_or_null, guint32 seed);
void ops_model_free (OpsModel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OpsModel, ops_model_free)

/* About normal values, at an address that is aligned to nothing. */
LlmWeightId ops_model_weight (OpsModel *self, LlmDtype dtype, guint n_rows, guint n_cols);
/* The embedding of F32 [n_tokens, width]: rows of known numbers as input of an op. */
LlmValueId ops_model_input (OpsModel *self, guint n_tokens, guint width);
/* Seals the plan with the selected rows of @y. */
void ops_model_finish (OpsModel *self, LlmValueId y);
void ops_model_decode (const OpsModel *self, LlmWeightId w, guint row, float *out);

/* A batch that owns its arrays. */
typedef struct {
  LlmBatch batch;
  gint32 *token;
  guint32 *position, *slot, *block_table, *out_row;
} OpsBatch;

/* @n_rows rows with tokens below @n_tokens, one after another in turn over @n_slots slots from @first_position on;
 * each slot has @stride pages of its own in shuffled order; every row is an out row, in reverse order. */
OpsBatch *ops_batch_new (guint n_rows, guint n_slots, guint first_position, guint stride, guint n_tokens, guint32 seed);
void ops_batch_free (OpsBatch *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (OpsBatch, ops_batch_free)

LlmRunLimits ops_limits (const OpsBatch *batch);
/* Submits and waits; the n_out rows of @width logits. (transfer full) */
float *ops_run (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, guint width);

G_END_DECLS
