/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver's own pipeline cache as an artifact.  Its bytes are the driver's affair but for the header, which says whose they
 * are; the build id in the artifact's folder stands for the shaders.
 */
#include <string.h>

#include "base/limits.h"
#include "compute/vulkan/vk.h"

/* Whether @data is from this device and driver: the header of version one, as the specification lays it out. */
static gboolean
is_ours (gconstpointer data, gsize size, gpointer user_data)
{
  const LlmVkDevice *device = user_data;
  VkPhysicalDeviceProperties properties;
  VkPipelineCacheHeaderVersionOne header;

  if (size < sizeof header)
    return FALSE;
  memcpy (&header, data, sizeof header);
  vkGetPhysicalDeviceProperties (device->physical, &properties);
  return header.headerSize >= sizeof header && header.headerSize <= size && header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE
         && header.vendorID == properties.vendorID && header.deviceID == properties.deviceID
         && memcmp (header.pipelineCacheUUID, properties.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

static const LlmCacheKind kind = { "vulkan-pipelines", 1, NULL, is_ours };

static LlmCacheKey *
make_key (const LlmVkDevice *device)
{
  LlmCacheKey *key = llm_cache_kind_key (&kind, device->parent.cache_folder);
  VkPhysicalDeviceProperties properties;

  vkGetPhysicalDeviceProperties (device->physical, &properties);
  llm_cache_key_add_hash (key, "pipeline-cache-uuid", properties.pipelineCacheUUID, VK_UUID_SIZE);
  return key;
}

void
llm_vk_pipeline_cache_open (LlmVkDevice *device)
{
  VkPipelineCacheCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
  g_autoptr (LlmArtifact) artifact = NULL;

  if (device->parent.cache == NULL || device->pipeline_cache != VK_NULL_HANDLE)
    return;
  {
    g_autoptr (LlmCacheKey) key = make_key (device);

    artifact = llm_cache_open (device->parent.cache, &kind, key, device);
  }
  if (artifact != NULL)
    info.pInitialData = llm_artifact_data (artifact, &info.initialDataSize);
  if (vkCreatePipelineCache (device->device, &info, NULL, &device->pipeline_cache) == VK_SUCCESS)
    return;
  device->pipeline_cache = VK_NULL_HANDLE; /* then without */
}

/* As the driver has it now; NULL: it has nothing to give. */
static GBytes *
read_data (LlmVkDevice *device)
{
  gsize size = 0;
  guint8 *data;

  if (vkGetPipelineCacheData (device->device, device->pipeline_cache, &size, NULL) != VK_SUCCESS || size == 0 || size > LLM_CACHE_MAX_PAYLOAD_BYTES)
    return NULL;
  data = g_try_malloc (size);
  if (data != NULL && vkGetPipelineCacheData (device->device, device->pipeline_cache, &size, data) == VK_SUCCESS)
    return g_bytes_new_take (data, size);
  g_free (data);
  return NULL;
}

void
llm_vk_pipeline_cache_keep (LlmVkDevice *device)
{
  g_autoptr (GBytes) data = NULL;
  g_autoptr (LlmCacheKey) key = NULL;
  g_autoptr (LlmArtifact) kept = NULL;
  gconstpointer kept_data;
  gsize kept_size = 0;

  if (device->pipeline_cache == VK_NULL_HANDLE || device->compile_us == 0)
    return;
  data = read_data (device);
  if (data == NULL)
    return;
  key = make_key (device);
  kept = llm_cache_peek (device->parent.cache, key);
  kept_data = kept != NULL ? llm_artifact_data (kept, &kept_size) : NULL;
  if (kept == NULL || kept_size != g_bytes_get_size (data) || memcmp (kept_data, g_bytes_get_data (data, NULL), kept_size) != 0)
    llm_cache_put (device->parent.cache, &kind, key, data, device->compile_us);
  device->compile_us = 0;
}
