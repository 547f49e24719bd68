/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding devices and opening one: instance, physical device, logical device, queue.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "compute/vulkan/vk.h"

/* Every failure of a driver ends here as "no such device": listing never fails. */
static VkInstance
make_instance (void)
{
  VkApplicationInfo application = { VK_STRUCTURE_TYPE_APPLICATION_INFO, NULL, "local-llm", 1, "local-llm", 1, VK_API_VERSION_1_2 };
  VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application };
  VkInstance instance;

  return vkCreateInstance (&info, NULL, &instance) == VK_SUCCESS ? instance : VK_NULL_HANDLE;
}

static gint
find_queue_family (VkPhysicalDevice physical, guint32 *timestamp_bits)
{
  guint32 n = 0;
  g_autofree VkQueueFamilyProperties *families = NULL;

  vkGetPhysicalDeviceQueueFamilyProperties (physical, &n, NULL);
  families = g_new0 (VkQueueFamilyProperties, MAX (n, 1));
  vkGetPhysicalDeviceQueueFamilyProperties (physical, &n, families);
  for (guint32 i = 0; i < n; i++)
    if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0)
      {
        *timestamp_bits = families[i].timestampValidBits;
        return (gint) i;
      }
  return -1;
}

typedef struct {
  VkPhysicalDeviceFeatures2 core;
  VkPhysicalDeviceVulkan11Features v11;
  VkPhysicalDeviceVulkan12Features v12;
} Features;

static void
chain (Features *f)
{
  memset (f, 0, sizeof *f);
  f->core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  f->core.pNext = &f->v11;
  f->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
  f->v11.pNext = &f->v12;
  f->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
}

static gboolean
is_usable (VkPhysicalDevice physical, const VkPhysicalDeviceProperties *properties)
{
  guint32 timestamp_bits;
  Features f;

  if (properties->apiVersion < VK_API_VERSION_1_2 || find_queue_family (physical, &timestamp_bits) < 0
      || properties->limits.maxComputeSharedMemorySize < 8192 || properties->limits.maxComputeWorkGroupInvocations < GROUP)
    return FALSE;
  chain (&f);
  vkGetPhysicalDeviceFeatures2 (physical, &f.core);
  return f.v11.storageBuffer16BitAccess && f.v12.storageBuffer8BitAccess && f.v12.bufferDeviceAddress && f.core.features.shaderInt16;
}

static int
rank (VkPhysicalDeviceType type)
{
  return type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU ? 0 : type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ? 1 : type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 3 : 2;
}

/* The usable ones, best first. (element-type VkPhysicalDevice) */
static GArray *
list_physical (VkInstance instance, gboolean software)
{
  GArray *found = g_array_new (FALSE, FALSE, sizeof (VkPhysicalDevice));
  guint32 n = 0;
  g_autofree VkPhysicalDevice *all = NULL;

  if (vkEnumeratePhysicalDevices (instance, &n, NULL) != VK_SUCCESS)
    return found;
  all = g_new0 (VkPhysicalDevice, MAX (n, 1));
  if (vkEnumeratePhysicalDevices (instance, &n, all) < 0)
    return found;
  for (int wanted = 0; wanted <= 3; wanted++)
    for (guint32 i = 0; i < n; i++)
      {
        VkPhysicalDeviceProperties properties;

        vkGetPhysicalDeviceProperties (all[i], &properties);
        if (rank (properties.deviceType) == wanted && (software || wanted < 3) && is_usable (all[i], &properties))
          g_array_append_val (found, all[i]);
      }
  return found;
}

static char *
uuid_text (const guint8 *uuid)
{
  GString *s = g_string_new (NULL);

  for (guint i = 0; i < VK_UUID_SIZE; i++)
    g_string_append_printf (s, "%02x", uuid[i]);
  return g_string_free (s, FALSE);
}

static void
fill_info (VkPhysicalDevice physical, guint index, LlmDeviceInfo *info)
{
  VkPhysicalDeviceVulkan12Properties v12 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES };
  VkPhysicalDeviceVulkan11Properties v11 = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &v12 };
  VkPhysicalDeviceProperties2 properties = { VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &v11, { 0 } };
  VkPhysicalDeviceMemoryProperties memory;

  vkGetPhysicalDeviceProperties2 (physical, &properties);
  vkGetPhysicalDeviceMemoryProperties (physical, &memory);
  info->id = g_strdup_printf ("vulkan%u", index);
  info->name = g_strdup (properties.properties.deviceName);
  info->driver = g_strdup_printf ("%s %s", v12.driverName, v12.driverInfo);
  info->uuid = uuid_text (v11.deviceUUID);
  info->type = properties.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU ? LLM_DEVICE_SOFTWARE : LLM_DEVICE_GPU;
  info->memory_total = 0;
  for (guint32 i = 0; i < memory.memoryHeapCount; i++)
    if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0)
      info->memory_total = MAX (info->memory_total, memory.memoryHeaps[i].size);
  info->memory_budget = info->memory_total / 10 * 9;
}

void
llm_vulkan_list (GPtrArray *infos, gboolean software)
{
  VkInstance instance = make_instance ();
  g_autoptr (GArray) physical = NULL;

  if (instance == VK_NULL_HANDLE)
    return;
  physical = list_physical (instance, software);
  for (guint i = 0; i < physical->len; i++)
    {
      LlmDeviceInfo *info = g_new0 (LlmDeviceInfo, 1);

      fill_info (g_array_index (physical, VkPhysicalDevice, i), i, info);
      g_ptr_array_add (infos, info);
    }
  vkDestroyInstance (instance, NULL);
}

/* ---- one device ---- */

static void
vk_device_free (LlmDevice *device)
{
  LlmVkDevice *self = (LlmVkDevice *) device;

  if (!llm_vk_settled (self))
    {
      g_warning ("the Vulkan device still runs a batch; it stays open");
      self->instance = VK_NULL_HANDLE;
    }
  else if (self->device != VK_NULL_HANDLE)
    {
      vkDestroyFence (self->device, self->fence, NULL);
      vkDestroyCommandPool (self->device, self->command_pool, NULL);
      llm_vk_pipelines_clear (self);
      vkDestroyDevice (self->device, NULL);
    }
  if (self->instance != VK_NULL_HANDLE)
    vkDestroyInstance (self->instance, NULL);
  g_clear_pointer (&self->weights, g_hash_table_unref); /* empty: no executable is left */
  g_free (self);
}

/* Against the scalar definition: sums run in another order and in float. */
static double
vk_noise (const LlmDevice *device, const LlmDtypeInfo *dtype)
{
  return 1e-4;
}

static const LlmDeviceClass vk_class = {
  llm_vk_compile, llm_vk_kv_new, vk_noise, vk_device_free, llm_vk_submit, llm_vk_wait, llm_vk_executable_free, llm_vk_kv_free,
};

static gboolean
make_device (LlmVkDevice *self, GError **error)
{
  float priority = 1;
  VkDeviceQueueCreateInfo queue = { VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, NULL, 0, 0, 1, &priority };
  VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue };
  VkCommandPoolCreateInfo pool = { VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, NULL, VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT, 0 };
  VkFenceCreateInfo fence = { VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, NULL, 0 };
  VkPhysicalDeviceProperties properties;
  Features f;

  chain (&f);
  f.v11.storageBuffer16BitAccess = VK_TRUE;
  f.v12.storageBuffer8BitAccess = VK_TRUE;
  f.v12.bufferDeviceAddress = VK_TRUE;
  f.core.features.shaderInt16 = VK_TRUE;
  info.pNext = &f.core;
  self->queue_family = queue.queueFamilyIndex = pool.queueFamilyIndex = (guint32) find_queue_family (self->physical, &self->timestamp_bits);
  if (!llm_vk_check (vkCreateDevice (self->physical, &info, NULL, &self->device), "opening the device", error))
    return FALSE;
  vkGetDeviceQueue (self->device, self->queue_family, 0, &self->queue);
  vkGetPhysicalDeviceMemoryProperties (self->physical, &self->memory);
  vkGetPhysicalDeviceProperties (self->physical, &properties);
  self->limits = properties.limits;
  return llm_vk_check (vkCreateCommandPool (self->device, &pool, NULL, &self->command_pool), "commands", error)
         && llm_vk_check (vkCreateFence (self->device, &fence, NULL, &self->fence), "a fence", error) && llm_vk_pipelines_init (self, error);
}

LlmDevice *
llm_vulkan_open (guint index, gboolean software, GError **error)
{
  LlmVkDevice *self = g_new0 (LlmVkDevice, 1);
  g_autoptr (GArray) physical = NULL;

  self->parent.klass = &vk_class;
  self->instance = make_instance ();
  physical = self->instance != VK_NULL_HANDLE ? list_physical (self->instance, software) : g_array_new (FALSE, FALSE, sizeof (VkPhysicalDevice));
  if (index >= physical->len)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "there are %u Vulkan devices; vulkan%u is not one of them", physical->len, index);
      llm_device_free (&self->parent);
      return NULL;
    }
  self->physical = g_array_index (physical, VkPhysicalDevice, index);
  fill_info (self->physical, index, &self->parent.info);
  if (make_device (self, error))
    return &self->parent;
  llm_device_free (&self->parent);
  return NULL;
}
