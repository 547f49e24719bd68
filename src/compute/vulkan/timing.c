/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The profile of a plan on a Vulkan device: a timestamp before the first op and after each.
 *
 * Recorded only while somebody profiles; a device without timestamps has no profile, which is no error.
 */
#include "compute/vulkan/vk.h"

gboolean
llm_vk_timing_init (LlmVkTiming *self, LlmVkDevice *device, guint n_ops, GError **error)
{
  VkQueryPoolCreateInfo info = { .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = n_ops + 1 };

  if (self->pool != VK_NULL_HANDLE || device->timestamp_bits == 0)
    return TRUE;
  self->n_ops = n_ops;
  return llm_vk_check (vkCreateQueryPool (device->device, &info, NULL, &self->pool), "timestamps", error);
}

void
llm_vk_timing_clear (LlmVkTiming *self, LlmVkDevice *device)
{
  vkDestroyQueryPool (device->device, self->pool, NULL);
  self->pool = VK_NULL_HANDLE;
}

void
llm_vk_timing_begin (const LlmVkTiming *self, VkCommandBuffer commands)
{
  if (self->pool == VK_NULL_HANDLE)
    return;
  vkCmdResetQueryPool (commands, self->pool, 0, self->n_ops + 1);
  vkCmdWriteTimestamp (commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, self->pool, 0);
}

void
llm_vk_timing_mark (const LlmVkTiming *self, VkCommandBuffer commands, guint op)
{
  if (self->pool != VK_NULL_HANDLE)
    vkCmdWriteTimestamp (commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, self->pool, op + 1);
}

gboolean
llm_vk_timing_read (const LlmVkTiming *self, LlmExecutable *executable, const LlmBatch *batch, GError **error)
{
  LlmVkDevice *device = (LlmVkDevice *) executable->device;
  guint64 mask = device->timestamp_bits < 64 ? ((guint64) 1 << device->timestamp_bits) - 1 : G_MAXUINT64;
  g_autofree guint64 *ticks = NULL;

  if (self->pool == VK_NULL_HANDLE)
    return TRUE;
  ticks = g_new (guint64, self->n_ops + 1);
  if (!llm_vk_check (vkGetQueryPoolResults (device->device, self->pool, 0, self->n_ops + 1, sizeof *ticks * (self->n_ops + 1), ticks, sizeof *ticks,
                                            VK_QUERY_RESULT_64_BIT),
                     "timestamps", error))
    return FALSE;
  for (guint i = 0; i < self->n_ops; i++)
    llm_executable_profile_op (executable, i, (guint64) ((double) ((ticks[i + 1] - ticks[i]) & mask) * (double) device->limits.timestampPeriod), batch);
  return TRUE;
}
