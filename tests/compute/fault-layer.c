/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Vulkan layer for tests: the n-th call that can fail does fail.
 *
 * It knows one instance and one device at a time, as the tests have.  A lost device has ended
 * its batch, so a wait that loses it waits first; a wait without memory returns at once, while
 * the batch still runs.
 *
 * It also shows the one memory of a software driver as two, of which the host sees the second
 * only, so that weights go through a staging buffer as on a real device.
 */
#include "compute/fault-layer.h"

#include <string.h>
#include <vulkan/vk_layer.h>

/* name, parameters, arguments: the calls of a device that give a VkResult. */
#define DEVICE_CALLS(X) \
  X (AllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o)) \
  X (AllocateDescriptorSets, (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *o), (d, i, o)) \
  X (BeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i)) \
  X (BindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize at), (d, b, m, at)) \
  X (CreateBuffer, (VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *o), (d, i, a, o)) \
  X (CreateCommandPool, (VkDevice d, const VkCommandPoolCreateInfo *i, const VkAllocationCallbacks *a, VkCommandPool *o), (d, i, a, o)) \
  X (CreateComputePipelines, \
     (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i, const VkAllocationCallbacks *a, VkPipeline *o), (d, c, n, i, a, o)) \
  X (CreateDescriptorPool, (VkDevice d, const VkDescriptorPoolCreateInfo *i, const VkAllocationCallbacks *a, VkDescriptorPool *o), (d, i, a, o)) \
  X (CreateDescriptorSetLayout, (VkDevice d, const VkDescriptorSetLayoutCreateInfo *i, const VkAllocationCallbacks *a, VkDescriptorSetLayout *o), (d, i, a, o)) \
  X (CreateFence, (VkDevice d, const VkFenceCreateInfo *i, const VkAllocationCallbacks *a, VkFence *o), (d, i, a, o)) \
  X (CreatePipelineLayout, (VkDevice d, const VkPipelineLayoutCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineLayout *o), (d, i, a, o)) \
  X (CreateQueryPool, (VkDevice d, const VkQueryPoolCreateInfo *i, const VkAllocationCallbacks *a, VkQueryPool *o), (d, i, a, o)) \
  X (CreateShaderModule, (VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a, VkShaderModule *o), (d, i, a, o)) \
  X (EndCommandBuffer, (VkCommandBuffer c), (c)) \
  X (GetQueryPoolResults, (VkDevice d, VkQueryPool p, uint32_t at, uint32_t n, size_t bytes, void *o, VkDeviceSize stride, VkQueryResultFlags f), \
     (d, p, at, n, bytes, o, stride, f)) \
  X (MapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags f, void **o), (d, m, at, n, f, o)) \
  X (QueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f), (q, n, i, f)) \
  X (ResetCommandBuffer, (VkCommandBuffer c, VkCommandBufferResetFlags f), (c, f)) \
  X (ResetFences, (VkDevice d, uint32_t n, const VkFence *f), (d, n, f))

static PFN_vkGetInstanceProcAddr next_instance_proc;
static PFN_vkGetDeviceProcAddr next_device_proc;
static PFN_vkCreateDevice next_create_device;
static PFN_vkEnumeratePhysicalDevices next_enumerate;
static PFN_vkWaitForFences next_wait;
static PFN_vkAllocateMemory next_allocate;
static PFN_vkGetBufferMemoryRequirements next_requirements;
static PFN_vkGetPhysicalDeviceMemoryProperties next_memory;
static int memory_is_split;

static struct {
  unsigned left; /* calls until the fault, which included; 0 = none */
  VkResult result;
  const char *fired;
} fault;

VK_LAYER_EXPORT void fault_arm (unsigned at, VkResult result);
VK_LAYER_EXPORT const char *fault_fired (void);
VK_LAYER_EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion (VkNegotiateLayerInterface *version);

void
fault_arm (unsigned at, VkResult result)
{
  fault.left = at;
  fault.result = result;
  fault.fired = NULL;
}

const char *
fault_fired (void)
{
  return fault.fired;
}

static int
fails (const char *call)
{
  if (fault.fired != NULL)
    return fault.result == VK_ERROR_DEVICE_LOST;
  if (fault.left == 0 || --fault.left > 0)
    return 0;
  fault.fired = call;
  return 1;
}

#define WRAP(name, parameters, arguments) \
  static PFN_vk##name next_##name; \
  static VKAPI_ATTR VkResult VKAPI_CALL \
  wrap_##name parameters \
  { \
    return fails (#name) ? fault.result : next_##name arguments; \
  }
DEVICE_CALLS (WRAP)

static VKAPI_ATTR VkResult VKAPI_CALL
wrap_WaitForFences (VkDevice device, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t ns)
{
  int now = fails ("WaitForFences");
  int lost = now && fault.result == VK_ERROR_DEVICE_LOST;
  /* however long the caller would have waited: a busy machine takes longer than its slice for a first dispatch */
  VkResult result = now && !lost ? VK_SUCCESS : next_wait (device, n, fences, all, lost ? UINT64_MAX : ns);

  return now ? fault.result : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL
wrap_AllocateMemory (VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
  VkMemoryAllocateInfo whole = *info;

  if (memory_is_split)
    whole.memoryTypeIndex = 0;
  return fails ("AllocateMemory") ? fault.result : next_allocate (device, &whole, allocator, memory);
}

static VKAPI_ATTR void VKAPI_CALL
wrap_GetBufferMemoryRequirements (VkDevice device, VkBuffer buffer, VkMemoryRequirements *needs)
{
  next_requirements (device, buffer, needs);
  if (memory_is_split)
    needs->memoryTypeBits |= 2;
}

static VKAPI_ATTR void VKAPI_CALL
wrap_GetPhysicalDeviceMemoryProperties (VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory)
{
  next_memory (physical, memory);
  memory_is_split = memory->memoryTypeCount == 1;
  if (!memory_is_split)
    return;
  memory->memoryTypeCount = 2;
  memory->memoryTypes[1] = memory->memoryTypes[0];
  memory->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  memory->memoryTypes[1].propertyFlags &= ~(VkMemoryPropertyFlags) VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
}

static VKAPI_ATTR VkResult VKAPI_CALL
wrap_EnumeratePhysicalDevices (VkInstance instance, uint32_t *n, VkPhysicalDevice *devices)
{
  return fails ("EnumeratePhysicalDevices") ? fault.result : next_enumerate (instance, n, devices);
}

static VKAPI_ATTR VkResult VKAPI_CALL
wrap_CreateDevice (VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator, VkDevice *device)
{
  VkLayerDeviceCreateInfo *chain = (VkLayerDeviceCreateInfo *) info->pNext;
  VkResult result;

  if (fails ("CreateDevice"))
    return fault.result;
  while (chain->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || chain->function != VK_LAYER_LINK_INFO)
    chain = (VkLayerDeviceCreateInfo *) chain->pNext;
  next_device_proc = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
  result = next_create_device (physical, info, allocator, device);
  if (result != VK_SUCCESS)
    return result;
#define LOAD(name, parameters, arguments) next_##name = (PFN_vk##name) next_device_proc (*device, "vk" #name);
  DEVICE_CALLS (LOAD)
  next_wait = (PFN_vkWaitForFences) next_device_proc (*device, "vkWaitForFences");
  next_allocate = (PFN_vkAllocateMemory) next_device_proc (*device, "vkAllocateMemory");
  next_requirements = (PFN_vkGetBufferMemoryRequirements) next_device_proc (*device, "vkGetBufferMemoryRequirements");
  return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
wrap_CreateInstance (const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator, VkInstance *instance)
{
  VkLayerInstanceCreateInfo *chain = (VkLayerInstanceCreateInfo *) info->pNext;
  VkResult result;

  if (fails ("CreateInstance"))
    return fault.result;
  while (chain->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || chain->function != VK_LAYER_LINK_INFO)
    chain = (VkLayerInstanceCreateInfo *) chain->pNext;
  next_instance_proc = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
  result = ((PFN_vkCreateInstance) next_instance_proc (VK_NULL_HANDLE, "vkCreateInstance")) (info, allocator, instance);
  if (result != VK_SUCCESS)
    return result;
  next_create_device = (PFN_vkCreateDevice) next_instance_proc (*instance, "vkCreateDevice");
  next_enumerate = (PFN_vkEnumeratePhysicalDevices) next_instance_proc (*instance, "vkEnumeratePhysicalDevices");
  next_memory = (PFN_vkGetPhysicalDeviceMemoryProperties) next_instance_proc (*instance, "vkGetPhysicalDeviceMemoryProperties");
  return VK_SUCCESS;
}

static PFN_vkVoidFunction
find_wrap (const char *name)
{
#define NAMED(call, parameters, arguments) { "vk" #call, (PFN_vkVoidFunction) wrap_##call },
  static const struct {
    const char *name;
    PFN_vkVoidFunction function;
  } wraps[] = { DEVICE_CALLS (NAMED) { "vkWaitForFences", (PFN_vkVoidFunction) wrap_WaitForFences },
                { "vkAllocateMemory", (PFN_vkVoidFunction) wrap_AllocateMemory },
                { "vkGetBufferMemoryRequirements", (PFN_vkVoidFunction) wrap_GetBufferMemoryRequirements },
                { "vkGetPhysicalDeviceMemoryProperties", (PFN_vkVoidFunction) wrap_GetPhysicalDeviceMemoryProperties },
                { "vkEnumeratePhysicalDevices", (PFN_vkVoidFunction) wrap_EnumeratePhysicalDevices },
                { "vkCreateDevice", (PFN_vkVoidFunction) wrap_CreateDevice },
                { "vkCreateInstance", (PFN_vkVoidFunction) wrap_CreateInstance } };

  for (size_t i = 0; i < sizeof wraps / sizeof wraps[0]; i++)
    if (strcmp (name, wraps[i].name) == 0)
      return wraps[i].function;
  return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL
get_device_proc (VkDevice device, const char *name)
{
  PFN_vkVoidFunction own = strcmp (name, "vkGetDeviceProcAddr") == 0 ? (PFN_vkVoidFunction) get_device_proc : find_wrap (name);

  return own != NULL ? own : next_device_proc (device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL
get_instance_proc (VkInstance instance, const char *name)
{
  PFN_vkVoidFunction own = find_wrap (name);

  if (strcmp (name, "vkGetInstanceProcAddr") == 0)
    return (PFN_vkVoidFunction) get_instance_proc;
  if (strcmp (name, "vkGetDeviceProcAddr") == 0)
    return (PFN_vkVoidFunction) get_device_proc;
  return own != NULL || next_instance_proc == NULL ? own : next_instance_proc (instance, name);
}

VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion (VkNegotiateLayerInterface *version)
{
  version->loaderLayerInterfaceVersion = 2;
  version->pfnGetInstanceProcAddr = get_instance_proc;
  version->pfnGetDeviceProcAddr = get_device_proc;
  version->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
