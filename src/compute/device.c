/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is the same for every device: dispatch, and the check of a batch before any
 * kernel trusts an index of it.
 */
#include "compute/device.h"

#include "base/error.h"
#include "base/limits.h"

void
llm_device_info_free (LlmDeviceInfo *info)
{
  g_free (info->id);
  g_free (info->name);
  g_free (info->driver);
  g_free (info->uuid);
  g_free (info);
}

LlmExecutable *
llm_device_compile (LlmDevice *self, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  LlmExecutable *executable;

  g_assert (llm_plan_logits (plan) != LLM_NONE);
  g_assert (limits->max_rows >= 1 && limits->max_rows <= LLM_ENCODER_MAX_ROWS && limits->max_slots >= 1 && limits->max_slots <= LLM_BATCH_MAX_SLOTS
            && limits->max_out <= limits->max_rows && limits->max_pages_per_slot >= 1);
  executable = self->klass->compile (self, plan, limits, error);
  if (executable == NULL)
    return NULL;
  executable->klass = self->klass;
  executable->device = self;
  executable->plan = plan;
  executable->limits = *limits;
  executable->profile = g_new0 (LlmOpProfile, MAX (llm_plan_n_ops (plan), 1));
  return executable;
}

LlmKvBuffer *
llm_device_kv_new (LlmDevice *self, const LlmKvLayout *layout, guint n_pages, GError **error)
{
  LlmKvBuffer *kv;
  guint64 page_bytes;

  if (n_pages == 0 || !llm_kv_layout_page_bytes (layout, &page_bytes) || page_bytes > G_MAXUINT64 / n_pages)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "a KV cache of %u pages of this shape cannot be had", n_pages);
      return NULL;
    }
  kv = self->klass->kv_new (self, layout, n_pages, error);
  if (kv == NULL)
    return NULL;
  kv->klass = self->klass;
  kv->device = self;
  kv->layout = *layout;
  kv->n_pages = n_pages;
  if (kv->bytes == 0)
    kv->bytes = page_bytes * n_pages;
  return kv;
}

const LlmDeviceInfo *
llm_device_info (const LlmDevice *self)
{
  return &self->info;
}

double
llm_device_noise (const LlmDevice *self, const LlmDtypeInfo *dtype)
{
  return self->klass->noise (self, dtype);
}

void
llm_device_free (LlmDevice *self)
{
  g_clear_pointer (&self->cache, llm_cache_unref);
  g_clear_pointer (&self->cache_folder, g_free);
  g_clear_pointer (&self->info.id, g_free);
  g_clear_pointer (&self->info.name, g_free);
  g_clear_pointer (&self->info.driver, g_free);
  g_clear_pointer (&self->info.uuid, g_free);
  self->klass->device_free (self);
}

#define bad_batch(error, ...) llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "batch: " __VA_ARGS__)

/* What the tables of a plan have room for: the least rows of those that are read by token, by position. */
typedef struct {
  guint n_tokens, n_positions;
} TableSizes;

static TableSizes
table_sizes (const LlmPlan *plan)
{
  TableSizes sizes = { G_MAXINT32, G_MAXINT32 };

  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      guint n_rows = op->kind == LLM_OP_EMBED ? (guint) llm_plan_weight_at (plan, op->w)->n_rows : 0;

      if (op->kind == LLM_OP_EMBED && op->p.embed.source == LLM_EMBED_TOKEN)
        sizes.n_tokens = MIN (sizes.n_tokens, n_rows);
      if (op->kind == LLM_OP_EMBED && op->p.embed.source == LLM_EMBED_POSITION)
        sizes.n_positions = MIN (sizes.n_positions, n_rows);
    }
  return sizes;
}

static gboolean
check_row (const LlmExecutable *self, const LlmKvBuffer *kv, const LlmBatch *batch, guint r, const TableSizes *sizes, GError **error)
{
  guint pages = MIN (batch->block_table_stride, self->limits.max_pages_per_slot), page_tokens = kv->layout.page_tokens;
  guint n_keys = batch->n_keys != NULL ? batch->n_keys[r] : 0, last = MAX (batch->position[r], n_keys > 0 ? n_keys - 1 : 0) / page_tokens;

  if (batch->token[r] < 0 || (guint) batch->token[r] >= sizes->n_tokens)
    return bad_batch (error, "row %u: token %d; tokens are 0 to %u", r, batch->token[r], sizes->n_tokens - 1);
  if (batch->slot[r] >= batch->n_slots)
    return bad_batch (error, "row %u: slot %u of %u", r, batch->slot[r], batch->n_slots);
  if (batch->position[r] / page_tokens >= pages)
    return bad_batch (error, "row %u: position %u; the block table reaches to %u", r, batch->position[r], pages * page_tokens - 1);
  if (batch->position[r] >= sizes->n_positions)
    return bad_batch (error, "row %u: position %u; positions are 0 to %u", r, batch->position[r], sizes->n_positions - 1);
  if (batch->n_keys != NULL && (n_keys == 0 || last >= pages))
    return bad_batch (error, "row %u: %u keys; 1 to %u are allowed", r, n_keys, pages * page_tokens);
  for (guint p = 0; p <= last; p++)
    {
      guint32 entry = batch->block_table[(gsize) batch->slot[r] * batch->block_table_stride + p];

      if (entry >= kv->n_pages)
        return bad_batch (error, "row %u: block %u of slot %u is page %u of %u", r, p, batch->slot[r], entry, kv->n_pages);
    }
  return TRUE;
}

static gboolean
check_batch (const LlmExecutable *self, const LlmKvBuffer *kv, const LlmBatch *batch, GError **error)
{
  TableSizes sizes = table_sizes (self->plan);

  if (batch->n_rows < 1 || batch->n_rows > self->limits.max_rows)
    return bad_batch (error, "%u rows; 1 to %u are allowed", batch->n_rows, self->limits.max_rows);
  if (batch->n_slots < 1 || batch->n_slots > self->limits.max_slots)
    return bad_batch (error, "%u slots; 1 to %u are allowed", batch->n_slots, self->limits.max_slots);
  if (batch->n_out > MIN (self->limits.max_out, batch->n_rows))
    return bad_batch (error, "%u out rows; at most %u are allowed", batch->n_out, MIN (self->limits.max_out, batch->n_rows));
  for (guint o = 0; o < batch->n_out; o++)
    if (batch->out_row[o] >= batch->n_rows)
      return bad_batch (error, "out row %u is row %u of %u", o, batch->out_row[o], batch->n_rows);
  for (guint r = 0; r < batch->n_rows; r++)
    if (!check_row (self, kv, batch, r, &sizes, error))
      return FALSE;
  return TRUE;
}

gboolean
llm_executable_submit (LlmExecutable *self, LlmKvBuffer *kv, const LlmBatch *batch, GError **error)
{
  g_assert (kv->klass == self->klass);
  return check_batch (self, kv, batch, error) && self->klass->submit (self, kv, batch, error);
}

gboolean
llm_executable_wait (LlmExecutable *self, const float **logits, GError **error)
{
  return self->klass->wait (self, logits, error);
}

guint64
llm_executable_memory_bytes (const LlmExecutable *self)
{
  return self->memory_bytes;
}

void
llm_executable_free (LlmExecutable *self)
{
  g_clear_pointer (&self->profile, g_free);
  self->klass->executable_free (self);
}

guint64
llm_kv_buffer_bytes (const LlmKvBuffer *self)
{
  return self->bytes;
}

void
llm_kv_buffer_free (LlmKvBuffer *self)
{
  self->klass->kv_free (self);
}

void
llm_executable_set_profiling (LlmExecutable *self, gboolean on)
{
  self->profiling = on;
}

const LlmOpProfile *
llm_executable_profile (const LlmExecutable *self, guint *n_ops)
{
  *n_ops = llm_plan_n_ops (self->plan);
  return self->profile;
}

void
llm_executable_profile_op (LlmExecutable *self, guint i, guint64 ns, const LlmBatch *batch)
{
  double kv_len = 0;
  LlmOpCost cost;

  for (guint r = 0; r < batch->n_rows; r++)
    kv_len += batch->n_keys != NULL ? batch->n_keys[r] : batch->position[r] + 1.0;
  cost = llm_plan_op_cost (self->plan, i, batch->n_rows, batch->n_out, kv_len / batch->n_rows);
  self->profile[i].calls++;
  self->profile[i].ns += ns;
  self->profile[i].bytes += cost.bytes;
  self->profile[i].flops += cost.flops;
}
