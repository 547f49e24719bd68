/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/vulkan/vk.h"

#define STAGING_BYTES (16 * LLM_MIB)
#define WAIT_SLICE_NS 100000000

gboolean
llm_vk_check (VkResult result, const char *doing, GError **error)
{
  if (result == VK_SUCCESS)
    return TRUE;
  if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_TOO_MANY_OBJECTS)
    g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "the Vulkan device has no memory for %s (%d)", doing, result);
  else
    g_set_error (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the Vulkan device failed at %s (%d)", doing, result);
  return FALSE;
}

/* The first memory type of @allowed that has @wanted, or the one that has @needed. */
static gboolean
find_type (const LlmVkDevice *device, guint32 allowed, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags needed, guint32 *type)
{
  const VkMemoryPropertyFlags tries[] = { wanted, needed };

  for (guint t = 0; t < G_N_ELEMENTS (tries); t++)
    for (guint32 i = 0; i < device->memory.memoryTypeCount; i++)
      if ((allowed & 1u << i) != 0 && (device->memory.memoryTypes[i].propertyFlags & tries[t]) == tries[t])
        {
          *type = i;
          return TRUE;
        }
  return FALSE;
}

gboolean
llm_vk_buffer_init (LlmVkDevice *device, LlmVkBuffer *self, VkDeviceSize size, LlmVkUse use, VkBufferUsageFlags usage, GError **error)
{
  static const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const VkMemoryPropertyFlags wanted[] = { VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, host | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                           host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT };
  const VkMemoryPropertyFlags needed[] = { 0, host, host };
  gboolean by_address = (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0;
  VkBufferCreateInfo buffer_info = { VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, NULL, 0, MAX (size, 4),
                                     usage | VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT, VK_SHARING_MODE_EXCLUSIVE, 0, NULL };
  VkMemoryAllocateFlagsInfo flags = { VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, NULL, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, 0 };
  VkMemoryAllocateInfo info = { VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, by_address ? &flags : NULL, 0, 0 };
  VkBufferDeviceAddressInfo address = { VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, NULL, VK_NULL_HANDLE };
  VkMemoryRequirements needs;
  gboolean ok;

  memset (self, 0, sizeof *self);
  self->size = buffer_info.size;
  if (!llm_vk_check (vkCreateBuffer (device->device, &buffer_info, NULL, &self->buffer), "a buffer", error))
    return FALSE;
  vkGetBufferMemoryRequirements (device->device, self->buffer, &needs);
  info.allocationSize = needs.size;
  if (!find_type (device, needs.memoryTypeBits, wanted[use], needed[use], &info.memoryTypeIndex))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the Vulkan device has no memory that the host can see");
      llm_vk_buffer_clear (device, self);
      return FALSE;
    }
  ok = llm_vk_check (vkAllocateMemory (device->device, &info, NULL, &self->memory), "a buffer", error)
       && llm_vk_check (vkBindBufferMemory (device->device, self->buffer, self->memory, 0), "a buffer", error);
  if (ok && (device->memory.memoryTypes[info.memoryTypeIndex].propertyFlags & host) == host)
    ok = llm_vk_check (vkMapMemory (device->device, self->memory, 0, VK_WHOLE_SIZE, 0, &self->map), "mapping a buffer", error);
  if (ok && by_address)
    {
      address.buffer = self->buffer;
      self->address = vkGetBufferDeviceAddress (device->device, &address);
    }
  if (!ok)
    llm_vk_buffer_clear (device, self);
  return ok;
}

void
llm_vk_buffer_clear (LlmVkDevice *device, LlmVkBuffer *self)
{
  if (llm_vk_settled (device))
    {
      vkDestroyBuffer (device->device, self->buffer, NULL);
      vkFreeMemory (device->device, self->memory, NULL); /* unmaps */
    }
  memset (self, 0, sizeof *self);
}

/* A wait that lacks memory says nothing about the batch, which still runs in buffers that the caller
 * would free: only its end or the loss of the device ends the wait early. */
static VkResult
wait_for_batch (const LlmVkDevice *device)
{
  gint64 seconds = device->parent.info.type == LLM_DEVICE_SOFTWARE ? LLM_VK_WAIT_SOFTWARE_SECONDS : LLM_VK_WAIT_SECONDS;
  gint64 end = g_get_monotonic_time () + seconds * G_USEC_PER_SEC;

  do
    {
      VkResult result = vkWaitForFences (device->device, 1, &device->fence, VK_TRUE, WAIT_SLICE_NS);

      if (result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST)
        return result;
      if (result != VK_TIMEOUT)
        g_usleep (1000);
    }
  while (g_get_monotonic_time () < end);
  return VK_TIMEOUT;
}

gboolean
llm_vk_settled (LlmVkDevice *device)
{
  if (device->overdue && !device->abandoned)
    {
      device->abandoned = vkGetFenceStatus (device->device, device->fence) == VK_NOT_READY;
      device->overdue = device->abandoned;
    }
  return !device->overdue;
}

gboolean
llm_vk_run (LlmVkDevice *device, VkCommandBuffer commands, GError **error)
{
  VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands };
  VkResult result;

  if (!llm_vk_settled (device))
    return llm_vk_check (VK_TIMEOUT, "an earlier batch, which still runs", error);
  if (!llm_vk_check (vkResetFences (device->device, 1, &device->fence), "a fence", error)
      || !llm_vk_check (vkQueueSubmit (device->queue, 1, &submit, device->fence), "running a batch", error))
    return FALSE;
  result = wait_for_batch (device);
  device->overdue = result == VK_TIMEOUT;
  return llm_vk_check (result, "running a batch", error);
}

/* A command buffer that records once; NULL with an error. */
static VkCommandBuffer
begin (LlmVkDevice *device, GError **error)
{
  VkCommandBufferAllocateInfo info = { VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, NULL, device->command_pool, VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1 };
  VkCommandBufferBeginInfo how = { VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, NULL, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT, NULL };
  VkCommandBuffer commands;

  if (!llm_vk_check (vkAllocateCommandBuffers (device->device, &info, &commands), "commands", error))
    return VK_NULL_HANDLE;
  if (llm_vk_check (vkBeginCommandBuffer (commands, &how), "commands", error))
    return commands;
  vkFreeCommandBuffers (device->device, device->command_pool, 1, &commands);
  return VK_NULL_HANDLE;
}

static gboolean
finish (LlmVkDevice *device, VkCommandBuffer commands, GError **error)
{
  gboolean ok = llm_vk_check (vkEndCommandBuffer (commands), "commands", error) && llm_vk_run (device, commands, error);

  if (llm_vk_settled (device))
    vkFreeCommandBuffers (device->device, device->command_pool, 1, &commands);
  return ok;
}

static gboolean
copy_piece (LlmVkDevice *device, LlmVkBuffer *from, LlmVkBuffer *to, gsize at, gsize n, GError **error)
{
  VkBufferCopy region = { 0, at, n };
  VkCommandBuffer commands = begin (device, error);

  if (commands == VK_NULL_HANDLE)
    return FALSE;
  vkCmdCopyBuffer (commands, from->buffer, to->buffer, 1, &region);
  return finish (device, commands, error);
}

gboolean
llm_vk_upload (LlmVkDevice *device, LlmVkBuffer *buffer, const void *data, gsize size, GError **error)
{
  LlmVkBuffer staging;
  gboolean ok = TRUE;

  if (buffer->map != NULL)
    {
      memcpy (buffer->map, data, size);
      return TRUE;
    }
  if (!llm_vk_buffer_init (device, &staging, MIN (size, STAGING_BYTES), LLM_VK_HOST_WRITES, 0, error))
    return FALSE;
  for (gsize at = 0; at < size && ok; at += STAGING_BYTES)
    {
      gsize n = MIN (STAGING_BYTES, size - at);

      memcpy (staging.map, (const guint8 *) data + at, n);
      ok = copy_piece (device, &staging, buffer, at, n, error);
    }
  llm_vk_buffer_clear (device, &staging);
  return ok;
}

gboolean
llm_vk_fill_zero (LlmVkDevice *device, LlmVkBuffer *buffer, GError **error)
{
  VkCommandBuffer commands = begin (device, error);

  if (commands == VK_NULL_HANDLE)
    return FALSE;
  vkCmdFillBuffer (commands, buffer->buffer, 0, VK_WHOLE_SIZE, 0);
  return finish (device, commands, error);
}
