/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "compute/ops-fixture.h"

#include <string.h>

#include "base/limits.h"
#include "format/random-blocks.h"

static const LlmKvLayout one_head = { 1, 1, 8, 8, LLM_KV_PAGE_TOKENS, LLM_DTYPE_F32 };

OpsModel *
ops_model_new (const LlmKvLayout *kv, guint32 seed)
{
  OpsModel *self = g_new0 (OpsModel, 1);

  self->kv = kv != NULL ? *kv : one_head;
  self->plan = llm_plan_new (&self->kv);
  self->rand = g_rand_new_with_seed (seed);
  self->data = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
ops_model_free (OpsModel *self)
{
  llm_plan_free (self->plan);
  g_rand_free (self->rand);
  g_ptr_array_unref (self->data);
  g_free (self);
}

LlmWeightId
ops_model_weight (OpsModel *self, LlmDtype id, guint n_rows, guint n_cols)
{
  const LlmDtypeInfo *dtype = llm_dtype_info (id);
  guint64 row_bytes = 0;
  LlmWeight weight = { .name = "test.weight", .dtype = dtype, .n_cols = n_cols, .n_rows = n_rows };
  guint8 *data;

  g_assert_true (llm_dtype_row_bytes (dtype, n_cols, &row_bytes));
  weight.n_bytes = row_bytes * n_rows;
  data = g_malloc (weight.n_bytes + 1);
  g_ptr_array_add (self->data, data);
  for (guint64 at = 0; at < weight.n_bytes; at += dtype->block_bytes)
    llm_test_random_block (self->rand, dtype, 1, data + 1 + at);
  weight.data = data + 1;
  return llm_plan_weight (self->plan, &weight);
}

LlmValueId
ops_model_input (OpsModel *self, guint n_tokens, guint width)
{
  return llm_plan_embed (self->plan, ops_model_weight (self, LLM_DTYPE_F32, n_tokens, width));
}

void
ops_model_finish (OpsModel *self, LlmValueId y)
{
  g_autoptr (GError) error = NULL;

  if (y != LLM_NONE && llm_plan_value (self->plan, y)->rows == LLM_ROWS_BATCH)
    y = llm_plan_select_rows (self->plan, y);
  llm_plan_finish (self->plan, y, &error);
  g_assert_no_error (error);
}

void
ops_model_decode (const OpsModel *self, LlmWeightId id, guint row, float *out)
{
  const LlmWeight *w = llm_plan_weight_at (self->plan, id);

  w->dtype->decode ((const guint8 *) w->data + row * (w->n_bytes / w->n_rows), out, w->n_cols);
}

static guint32 *
shuffled (guint32 n, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  guint32 *pages = g_new (guint32, n);

  for (guint32 i = 0; i < n; i++)
    {
      guint32 j = (guint32) g_rand_int_range (rand, 0, (gint32) i + 1);

      pages[i] = pages[j];
      pages[j] = i;
    }
  return pages;
}

OpsBatch *
ops_batch_new (guint n_rows, guint n_slots, guint first_position, guint stride, guint n_tokens, guint32 seed)
{
  OpsBatch *self = g_new0 (OpsBatch, 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  self->token = g_new (gint32, n_rows);
  self->position = g_new (guint32, n_rows);
  self->slot = g_new (guint32, n_rows);
  self->out_row = g_new (guint32, n_rows);
  self->block_table = shuffled (n_slots * stride, 7); /* the same for every batch: they continue each other */
  for (guint r = 0; r < n_rows; r++)
    {
      self->token[r] = g_rand_int_range (rand, 0, (gint32) n_tokens);
      self->slot[r] = r % n_slots;
      self->position[r] = first_position + r / n_slots;
      self->out_row[r] = n_rows - 1 - r;
    }
  self->batch = (LlmBatch) { n_rows, self->token, self->position, self->slot, n_slots, self->block_table, stride, n_rows, self->out_row };
  return self;
}

void
ops_batch_free (OpsBatch *self)
{
  g_free (self->token);
  g_free (self->position);
  g_free (self->slot);
  g_free (self->out_row);
  g_free (self->block_table);
  g_free (self);
}

LlmRunLimits
ops_limits (const OpsBatch *self)
{
  return (LlmRunLimits) { self->batch.n_rows, self->batch.n_slots, self->batch.block_table_stride, self->batch.n_rows };
}

float *
ops_run (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, guint width)
{
  g_autoptr (GError) error = NULL;
  const float *logits = NULL;

  llm_executable_submit (executable, kv, batch, &error);
  g_assert_no_error (error);
  llm_executable_wait (executable, &logits, &error);
  g_assert_no_error (error);
  return g_memdup2 (logits, sizeof (float) * batch->n_out * width);
}
