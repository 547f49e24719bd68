/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan on the device: weights uploaded, one command buffer recorded for all batches of few rows and one for those of many.
 *
 * Every op is one indirect dispatch; submit writes the batch and the workgroup counts into
 * mapped buffers, so that nothing is recorded or allocated again while the KV cache is the same.  One barrier
 * between ops: each reads what the one before wrote.
 */
#include <string.h>

#include "base/error.h"
#include "compute/rope.h"
#include "compute/vulkan/vk.h"

typedef struct {
  LlmExecutable parent;
  LlmVkDevice *device;
  guint n_weights, n_buffers, n_ropes;
  LlmVkWeight **weights;    /* [n_weights] */
  LlmVkBuffer *activations; /* [n_buffers] */
  LlmVkBuffer *ropes;       /* [n_ropes], one per set of frequencies: [max_rows, dim] cos, sin */
  double **rope_freq;       /* [n_ops]: the frequencies of a rope op, owned by the first op that has them */
  guint *rope_of;           /* [n_ops]: index into ropes */
  LlmVkBuffer batch, counts, nothing;
  VkPipeline *pipelines[LLM_VK_N_SIZES]; /* [n_ops] lent by the device */
  LlmVkTuning *tuning;      /* [n_ops] */
  VkDescriptorPool pool;
  VkDescriptorSet *sets;    /* [n_ops] */
  guint64 bound_to;         /* serial of the cache that the sets are bound to; 0: none */
  struct {
    VkCommandBuffer commands;
    guint64 recorded_for;     /* serial of that cache; 0: nothing is recorded */
    gboolean recorded_timing; /* the commands take the time of every op */
  } runs[LLM_VK_N_SIZES];     /* of few rows, of many */
  LlmVkTiming timing;
  const LlmBatch *running;  /* (lent) until wait */
  guint running_size;       /* LLM_VK_FEW or _MANY */
} Executable;

/* ---- compile ---- */

void
llm_vk_executable_free (LlmExecutable *executable)
{
  Executable *self = (Executable *) executable;
  LlmVkDevice *device = self->device;

  if (llm_vk_settled (device))
    {
      for (guint s = 0; s < LLM_VK_N_SIZES; s++)
        if (self->runs[s].commands != VK_NULL_HANDLE)
          vkFreeCommandBuffers (device->device, device->command_pool, 1, &self->runs[s].commands);
      vkDestroyDescriptorPool (device->device, self->pool, NULL);
      llm_vk_timing_clear (&self->timing, device);
    }
  for (guint s = 0; s < LLM_VK_N_SIZES; s++)
    g_free (self->pipelines[s]);
  for (guint i = 0; i < self->n_weights; i++)
    llm_vk_weight_release (device, self->weights[i]);
  for (guint i = 0; i < self->n_buffers; i++)
    llm_vk_buffer_clear (device, &self->activations[i]);
  for (guint i = 0; i < self->n_ropes; i++)
    llm_vk_buffer_clear (device, &self->ropes[i]);
  llm_vk_buffer_clear (device, &self->batch);
  llm_vk_buffer_clear (device, &self->counts);
  llm_vk_buffer_clear (device, &self->nothing);
  for (guint i = 0; self->rope_freq != NULL && i < llm_plan_n_ops (executable->plan); i++)
    g_free (self->rope_freq[i]);
  g_free (self->rope_freq);
  g_free (self->rope_of);
  g_free (self->weights);
  g_free (self->activations);
  g_free (self->ropes);
  g_free (self->sets);
  g_free (self->tuning);
  g_free (self);
}

/* The pipelines of all ops, with the tiles of self->tuning, or the usual ones. */
static gboolean
find_pipelines (Executable *self, const LlmPlan *plan, GError **error)
{
  guint n = llm_plan_n_ops (plan);

  for (guint s = 0; s < LLM_VK_N_SIZES; s++)
    {
      if (self->pipelines[s] == NULL)
        self->pipelines[s] = g_new0 (VkPipeline, MAX (n, 1));
      for (guint i = 0; i < n; i++)
        {
          const LlmOp *op = llm_plan_op (plan, i);

          self->pipelines[s][i] = llm_vk_pipeline (self->device, op->kind, llm_vk_op_dtype (plan, op), self->tuning != NULL ? self->tuning[i].tile[s] : 0, error);
          if (self->pipelines[s][i] == VK_NULL_HANDLE)
            return FALSE;
        }
    }
  return TRUE;
}

static gboolean
upload_weights (Executable *self, const LlmPlan *plan, GError **error)
{
  guint n = llm_plan_n_weights (plan);

  self->weights = g_new0 (LlmVkWeight *, MAX (n, 1));
  for (; self->n_weights < n; self->n_weights++)
    {
      gboolean is_new;
      LlmVkWeight *weight = llm_vk_weight_take (self->device, llm_plan_weight_at (plan, self->n_weights), &is_new, error);

      if (weight == NULL)
        return FALSE;
      self->weights[self->n_weights] = weight;
      self->parent.memory_bytes += is_new ? weight->buffer.size : 0;
    }
  return TRUE;
}

static gboolean
make_activations (Executable *self, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  guint n = llm_plan_n_buffers (plan), logits = llm_plan_value (plan, llm_plan_logits (plan))->buffer;

  self->activations = g_new0 (LlmVkBuffer, MAX (n, 1));
  for (; self->n_buffers < n; self->n_buffers++)
    {
      guint i = self->n_buffers;
      guint64 rows = llm_plan_buffer_rows (plan, i) == LLM_ROWS_OUT ? MAX (limits->max_out, 1) : limits->max_rows;
      guint64 bytes = rows * llm_plan_buffer_width (plan, i) * sizeof (float);

      if (bytes > self->device->limits.maxStorageBufferRange)
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the Vulkan device cannot bind %" G_GUINT64_FORMAT " bytes of activations; at most %u", bytes,
                       self->device->limits.maxStorageBufferRange);
          return FALSE;
        }
      if (!llm_vk_buffer_init (self->device, &self->activations[i], bytes, i == logits ? LLM_VK_HOST_READS : LLM_VK_DEVICE_ONLY,
                               VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error))
        return FALSE;
      self->parent.memory_bytes += bytes;
    }
  return TRUE;
}

static gboolean
make_ropes (Executable *self, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  guint n_ops = llm_plan_n_ops (plan);

  self->rope_freq = g_new0 (double *, MAX (n_ops, 1));
  self->rope_of = g_new0 (guint, MAX (n_ops, 1));
  self->ropes = g_new0 (LlmVkBuffer, MAX (n_ops, 1));
  for (guint i = 0; i < n_ops; i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      guint first = op->kind == LLM_OP_ROPE ? llm_rope_first_same (plan, i) : 0;

      if (op->kind != LLM_OP_ROPE)
        continue;
      if (first < i)
        {
          self->rope_of[i] = self->rope_of[first];
          continue;
        }
      self->rope_freq[i] = llm_rope_frequencies (plan, op);
      self->rope_of[i] = self->n_ropes;
      if (!llm_vk_buffer_init (self->device, &self->ropes[self->n_ropes], (guint64) limits->max_rows * op->p.rope.dim * sizeof (float), LLM_VK_HOST_WRITES,
                               VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error))
        return FALSE;
      self->n_ropes++;
    }
  return TRUE;
}

static gboolean
make_tables (Executable *self, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  guint64 words = BATCH_TABLE ((guint64) limits->max_rows) + (guint64) limits->max_slots * limits->max_pages_per_slot;
  guint n_ops = llm_plan_n_ops (plan);
  VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 6 * MAX (n_ops, 1) };
  VkDescriptorPoolCreateInfo pool = { VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, MAX (n_ops, 1), 1, &size };
  g_autofree VkDescriptorSetLayout *layouts = g_new (VkDescriptorSetLayout, MAX (n_ops, 1));
  VkDescriptorSetAllocateInfo sets = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, NULL, VK_NULL_HANDLE, n_ops, layouts };
  VkCommandBufferAllocateInfo commands = { VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, NULL, self->device->command_pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1 };
  gboolean ok = TRUE;

  if (!llm_vk_buffer_init (self->device, &self->batch, words * 4, LLM_VK_HOST_WRITES, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error)
      || !llm_vk_buffer_init (self->device, &self->counts, (guint64) n_ops * sizeof (VkDispatchIndirectCommand), LLM_VK_HOST_WRITES,
                              VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT, error)
      || !llm_vk_buffer_init (self->device, &self->nothing, 16, LLM_VK_DEVICE_ONLY, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error)
      || !llm_vk_check (vkCreateDescriptorPool (self->device->device, &pool, NULL, &self->pool), "descriptors", error))
    return FALSE;
  for (guint i = 0; i < n_ops; i++)
    layouts[i] = self->device->set_layout;
  self->sets = g_new0 (VkDescriptorSet, MAX (n_ops, 1));
  sets.descriptorPool = self->pool;
  ok = llm_vk_check (vkAllocateDescriptorSets (self->device->device, &sets, self->sets), "descriptors", error);
  for (guint s = 0; s < LLM_VK_N_SIZES && ok; s++)
    ok = llm_vk_check (vkAllocateCommandBuffers (self->device->device, &commands, &self->runs[s].commands), "commands", error);
  return ok;
}

static double measure (gpointer data, guint i, guint tile, guint n_rows);

LlmExecutable *
llm_vk_compile (LlmDevice *device, const LlmPlan *plan, const LlmRunLimits *limits, GError **error)
{
  Executable *self = g_new0 (Executable, 1);

  self->device = (LlmVkDevice *) device;
  self->parent.plan = plan;
  if (find_pipelines (self, plan, error) && upload_weights (self, plan, error) && make_activations (self, plan, limits, error)
      && make_ropes (self, plan, limits, error) && make_tables (self, plan, limits, error))
    {
      self->parent.limits = *limits;
      self->tuning = llm_vk_tune (self->device, plan, limits->max_rows, measure, self);
      if (find_pipelines (self, plan, error))
        {
          llm_vk_pipeline_cache_keep (self->device);
          return &self->parent;
        }
    }
  llm_vk_executable_free (&self->parent);
  return NULL;
}

/* ---- record ---- */

typedef struct {
  VkBuffer buffer;
  VkDeviceSize offset, size;
} Binding;

static Binding
whole (const LlmVkBuffer *buffer)
{
  return (Binding) { buffer->buffer, 0, buffer->size };
}

static Binding
value_binding (const Executable *self, LlmValueId v)
{
  return whole (v != LLM_NONE ? &self->activations[llm_plan_value (self->parent.plan, v)->buffer] : &self->nothing);
}

static void
bind_op (Executable *self, guint i, const LlmOp *op, const LlmVkKv *kv)
{
  Binding bindings[6] = { value_binding (self, op->x), value_binding (self, op->z), value_binding (self, op->y) };
  const LlmVkBuffer *codebook = llm_vk_codebook (self->device, llm_vk_op_dtype (self->parent.plan, op));
  VkDescriptorBufferInfo infos[6];
  VkWriteDescriptorSet writes[6];

  bindings[3] = whole (&self->batch);
  bindings[4] = bindings[5] = value_binding (self, LLM_NONE);
  if (codebook != NULL)
    bindings[4] = whole (codebook);
  if (op->kind == LLM_OP_ROPE)
    bindings[1] = whole (&self->ropes[self->rope_of[i]]);
  if (op->kind == LLM_OP_KV_WRITE || op->kind == LLM_OP_ATTENTION)
    {
      guint layer = op->kind == LLM_OP_KV_WRITE ? op->p.kv_write.layer : op->p.attention.layer;

      bindings[4] = (Binding) { kv->k.buffer, layer * kv->k_layer, kv->k_layer };
      bindings[5] = (Binding) { kv->v.buffer, layer * kv->v_layer, kv->v_layer };
    }
  for (guint b = 0; b < 6; b++)
    {
      infos[b] = (VkDescriptorBufferInfo) { bindings[b].buffer, bindings[b].offset, bindings[b].size };
      writes[b] = (VkWriteDescriptorSet) { .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = self->sets[i], .dstBinding = b, .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &infos[b] };
    }
  vkUpdateDescriptorSets (self->device->device, 6, writes, 0, NULL);
}

static struct LlmParams
op_params (const Executable *self, const LlmOp *op)
{
  struct LlmParams p = llm_vk_op_params (self->parent.plan, op, self->parent.limits.max_rows);

  if (op->w != LLM_NONE)
    {
      p.w.x = (guint32) self->weights[op->w]->buffer.address;
      p.w.y = (guint32) (self->weights[op->w]->buffer.address >> 32);
    }
  if (op->b != LLM_NONE)
    {
      p.b.x = (guint32) self->weights[op->b]->buffer.address;
      p.b.y = (guint32) (self->weights[op->b]->buffer.address >> 32);
    }
  return p;
}

/* The sets of all ops; commands that were recorded with them before are void. */
static void
bind_ops (Executable *self, const LlmVkKv *kv)
{
  for (guint s = 0; s < LLM_VK_N_SIZES; s++)
    self->runs[s].recorded_for = 0;
  for (guint i = 0; i < llm_plan_n_ops (self->parent.plan); i++)
    bind_op (self, i, llm_plan_op (self->parent.plan, i), kv);
  self->bound_to = kv->serial;
}

static gboolean
record (Executable *self, guint size, const LlmVkKv *kv, gboolean timing, GError **error)
{
  static const VkMemoryBarrier before = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT,
                                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
  static const VkMemoryBarrier between = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                           VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
  static const VkMemoryBarrier after = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_SHADER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT };
  VkCommandBufferBeginInfo how = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
  const LlmPlan *plan = self->parent.plan;
  VkCommandBuffer commands = self->runs[size].commands;

  self->runs[size].recorded_for = 0;
  if (self->bound_to != kv->serial)
    bind_ops (self, kv);
  if (timing && !llm_vk_timing_init (&self->timing, self->device, llm_plan_n_ops (plan), error))
    return FALSE;
  /* reset: a recording that failed before may still be open */
  if (!llm_vk_check (vkResetCommandBuffer (commands, 0), "commands", error)
      || !llm_vk_check (vkBeginCommandBuffer (commands, &how), "commands", error))
    return FALSE;
  /* uploads, zeroed caches and the run before */
  vkCmdPipelineBarrier (commands, VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0,
                        1, &before, 0, NULL, 0, NULL);
  if (timing)
    llm_vk_timing_begin (&self->timing, commands);
  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    {
      const LlmOp *op = llm_plan_op (plan, i);
      struct LlmParams params = op_params (self, op);

      vkCmdBindPipeline (commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->pipelines[size][i]);
      vkCmdBindDescriptorSets (commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->device->pipeline_layout, 0, 1, &self->sets[i], 0, NULL);
      vkCmdPushConstants (commands, self->device->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof params, &params);
      vkCmdDispatchIndirect (commands, self->counts.buffer, i * sizeof (VkDispatchIndirectCommand));
      vkCmdPipelineBarrier (commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &between, 0, NULL, 0, NULL);
      if (timing)
        llm_vk_timing_mark (&self->timing, commands, i);
    }
  vkCmdPipelineBarrier (commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL, 0, NULL);
  if (!llm_vk_check (vkEndCommandBuffer (commands), "commands", error))
    return FALSE;
  self->runs[size].recorded_for = kv->serial;
  self->runs[size].recorded_timing = timing;
  return TRUE;
}

/* ---- measure ---- */

#define MEASURED_RUNS 4
#define MEASURED_COLUMNS 4096 /* of the outputs, at most: a vocabulary is wide */

static gboolean
record_product (Executable *self, guint i, guint tile, guint n_rows, GError **error)
{
  static const VkMemoryBarrier between = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL, VK_ACCESS_SHADER_WRITE_BIT,
                                           VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
  VkCommandBufferBeginInfo how = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
  VkCommandBuffer commands = self->runs[LLM_VK_FEW].commands;
  const LlmOp *op = llm_plan_op (self->parent.plan, i);
  LlmBatch batch = { .n_rows = n_rows, .n_out = n_rows };
  VkDispatchIndirectCommand count = llm_vk_op_groups (self->parent.plan, op, tile, &batch);
  struct LlmParams params = op_params (self, op);
  VkPipeline pipeline = llm_vk_pipeline (self->device, op->kind, llm_vk_op_dtype (self->parent.plan, op), tile, error);

  if (pipeline == VK_NULL_HANDLE || !llm_vk_check (vkResetCommandBuffer (commands, 0), "commands", error)
      || !llm_vk_check (vkBeginCommandBuffer (commands, &how), "commands", error))
    return FALSE;
  bind_op (self, i, op, NULL);
  vkCmdBindPipeline (commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  vkCmdBindDescriptorSets (commands, VK_PIPELINE_BIND_POINT_COMPUTE, self->device->pipeline_layout, 0, 1, &self->sets[i], 0, NULL);
  vkCmdPushConstants (commands, self->device->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof params, &params);
  for (guint r = 0; r < MEASURED_RUNS; r++)
    {
      vkCmdPipelineBarrier (commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &between, 0, NULL, 0, NULL);
      vkCmdDispatch (commands, MIN (count.x, MEASURED_COLUMNS / llm_vk_tiles[tile]), count.y, count.z);
    }
  return llm_vk_check (vkEndCommandBuffer (commands), "commands", error);
}

/* LlmVkMeasure: of what happens to stand in the activations. */
static double
measure (gpointer data, guint i, guint tile, guint n_rows)
{
  Executable *self = data;
  guint32 *words = self->batch.map;
  g_autoptr (GError) error = NULL;
  gint64 start, best = G_MAXINT64;

  words[BATCH_N_ROWS] = words[BATCH_N_OUT] = n_rows;
  if (!record_product (self, i, tile, n_rows, &error) || !llm_vk_run (self->device, self->runs[LLM_VK_FEW].commands, &error)) /* some drivers compile now */
    return -1;
  for (guint r = 0; r < 3; r++)
    {
      start = g_get_monotonic_time ();
      if (!llm_vk_run (self->device, self->runs[LLM_VK_FEW].commands, &error))
        return -1;
      best = MIN (best, g_get_monotonic_time () - start);
    }
  return (double) best * 1000 / MEASURED_RUNS;
}

/* ---- run ---- */

static void
write_batch (Executable *self, const LlmBatch *batch)
{
  guint32 *words = self->batch.map, max = self->parent.limits.max_rows;

  words[BATCH_N_ROWS] = batch->n_rows;
  words[BATCH_N_OUT] = batch->n_out;
  words[BATCH_STRIDE] = self->parent.limits.max_pages_per_slot;
  memcpy (words + BATCH_TOKEN, batch->token, batch->n_rows * 4);
  memcpy (words + BATCH_POSITION (max), batch->position, batch->n_rows * 4);
  memcpy (words + BATCH_SLOT (max), batch->slot, batch->n_rows * 4);
  for (guint r = 0; r < batch->n_rows; r++)
    words[BATCH_N_KEYS (max) + r] = batch->n_keys != NULL ? batch->n_keys[r] : batch->position[r] + 1;
  if (batch->n_out > 0)
    memcpy (words + BATCH_OUT_ROW (max), batch->out_row, batch->n_out * 4);
  for (guint s = 0; s < batch->n_slots; s++)
    memcpy (words + BATCH_TABLE (max) + (gsize) s * self->parent.limits.max_pages_per_slot, batch->block_table + (gsize) s * batch->block_table_stride,
            MIN (batch->block_table_stride, self->parent.limits.max_pages_per_slot) * 4);
}

static void
write_ropes (Executable *self, const LlmBatch *batch)
{
  for (guint i = 0; i < llm_plan_n_ops (self->parent.plan); i++)
    {
      const double *freq = self->rope_freq[i];
      const LlmRopeParams *p = &llm_plan_op (self->parent.plan, i)->p.rope;
      guint half = freq != NULL ? p->dim / 2 : 0;
      float *table = freq != NULL ? self->ropes[self->rope_of[i]].map : NULL;

      for (guint r = 0; freq != NULL && r < batch->n_rows; r++, table += 2 * half)
        llm_rope_fill (table, freq, half, batch->position[r], p->magnitude);
    }
}

static void
write_counts (Executable *self, const LlmBatch *batch)
{
  const LlmPlan *plan = self->parent.plan;
  VkDispatchIndirectCommand *counts = self->counts.map;

  for (guint i = 0; i < llm_plan_n_ops (plan); i++)
    counts[i] = llm_vk_op_groups (plan, llm_plan_op (plan, i), self->tuning[i].tile[self->running_size], batch);
}

gboolean
llm_vk_submit (LlmExecutable *executable, LlmKvBuffer *kv, const LlmBatch *batch, GError **error)
{
  Executable *self = (Executable *) executable;

  self->running_size = batch->n_rows <= LLM_VK_FEW_ROWS ? LLM_VK_FEW : LLM_VK_MANY;
  if ((self->runs[self->running_size].recorded_for != ((const LlmVkKv *) kv)->serial
       || self->runs[self->running_size].recorded_timing != executable->profiling)
      && !record (self, self->running_size, (const LlmVkKv *) kv, executable->profiling, error))
    return FALSE;
  self->running = batch;
  write_batch (self, batch);
  write_ropes (self, batch);
  write_counts (self, batch);
  return TRUE;
}

gboolean
llm_vk_wait (LlmExecutable *executable, const float **logits, GError **error)
{
  Executable *self = (Executable *) executable;

  if (!llm_vk_run (self->device, self->runs[self->running_size].commands, error)
      || (self->runs[self->running_size].recorded_timing && !llm_vk_timing_read (&self->timing, executable, self->running, error)))
    return FALSE;
  *logits = self->activations[llm_plan_value (executable->plan, llm_plan_logits (executable->plan))->buffer].map;
  return TRUE;
}

/* ---- KV cache ---- */

void
llm_vk_kv_free (LlmKvBuffer *kv)
{
  LlmVkKv *self = (LlmVkKv *) kv;

  llm_vk_buffer_clear ((LlmVkDevice *) kv->device, &self->k);
  llm_vk_buffer_clear ((LlmVkDevice *) kv->device, &self->v);
  g_free (self);
}

LlmKvBuffer *
llm_vk_kv_new (LlmDevice *device, const LlmKvLayout *layout, guint n_pages, GError **error)
{
  LlmVkDevice *vk = (LlmVkDevice *) device;
  LlmVkKv *self = g_new0 (LlmVkKv, 1);
  guint64 align = MAX (vk->limits.minStorageBufferOffsetAlignment, 4), elem = layout->dtype == LLM_DTYPE_F16 ? 2 : 4;
  guint64 tokens = (guint64) n_pages * layout->page_tokens * layout->n_kv_heads * elem;

  self->parent.device = device;
  self->serial = ++vk->n_caches;
  self->k_layer = (tokens * layout->head_dim_k + align - 1) / align * align;
  self->v_layer = (tokens * layout->head_dim_v + align - 1) / align * align;
  self->parent.bytes = layout->n_layers * (self->k_layer + self->v_layer);
  if (MAX (self->k_layer, self->v_layer) > vk->limits.maxStorageBufferRange)
    g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "the Vulkan device cannot bind %" G_GUINT64_FORMAT " bytes of one layer's KV cache; at most %u, so set kv-bytes lower",
                 (guint64) MAX (self->k_layer, self->v_layer), vk->limits.maxStorageBufferRange);
  else if (llm_vk_buffer_init (vk, &self->k, layout->n_layers * self->k_layer, LLM_VK_DEVICE_ONLY, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error)
           && llm_vk_buffer_init (vk, &self->v, layout->n_layers * self->v_layer, LLM_VK_DEVICE_ONLY, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error)
           && llm_vk_fill_zero (vk, &self->k, error) && llm_vk_fill_zero (vk, &self->v, error))
    return &self->parent;
  llm_vk_kv_free (&self->parent);
  return NULL;
}
