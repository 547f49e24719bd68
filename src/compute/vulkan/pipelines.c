/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One shader an op; the element type is a specialisation constant.
 */
#include "compute/vulkan/vk.h"
#include "compute/vulkan/shader-table.h"

#define N_BINDINGS 6 /* x, z, y, batch, K, V */

static const guint32 dtype_constants[LLM_VK_N_DTYPES] = { DTYPE_F32, DTYPE_F16, DTYPE_Q8_0, DTYPE_Q4_0 };

guint
llm_vk_dtype_index (LlmDtype dtype)
{
  return dtype == LLM_DTYPE_F32 ? 0 : dtype == LLM_DTYPE_F16 ? 1 : dtype == LLM_DTYPE_Q8_0 ? 2 : 3;
}

/* How many element types an op has shaders for. */
static guint
n_variants (LlmOpKind op)
{
  if (op == LLM_OP_MATMUL || op == LLM_OP_EMBED)
    return LLM_VK_N_DTYPES;
  return op == LLM_OP_KV_WRITE || op == LLM_OP_ATTENTION ? 2 : 1;
}

static gboolean
make_layouts (LlmVkDevice *device, GError **error)
{
  VkDescriptorSetLayoutBinding bindings[N_BINDINGS];
  VkPushConstantRange push = { VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof (struct LlmParams) };
  VkDescriptorSetLayoutCreateInfo set_info = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, NULL, 0, N_BINDINGS, bindings };
  VkPipelineLayoutCreateInfo info = { VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, NULL, 0, 1, &device->set_layout, 1, &push };

  for (guint i = 0; i < N_BINDINGS; i++)
    bindings[i] = (VkDescriptorSetLayoutBinding) { i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL };
  return llm_vk_check (vkCreateDescriptorSetLayout (device->device, &set_info, NULL, &device->set_layout), "pipelines", error)
         && llm_vk_check (vkCreatePipelineLayout (device->device, &info, NULL, &device->pipeline_layout), "pipelines", error);
}

static gboolean
make_pipeline (LlmVkDevice *device, VkShaderModule module, guint32 dtype, VkPipeline *pipeline, GError **error)
{
  VkSpecializationMapEntry entry = { 0, 0, sizeof dtype };
  VkSpecializationInfo constants = { 1, &entry, sizeof dtype, &dtype };
  VkComputePipelineCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
    .stage = { VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, module, "main", &constants },
    .layout = device->pipeline_layout,
  };

  return llm_vk_check (vkCreateComputePipelines (device->device, VK_NULL_HANDLE, 1, &info, NULL, pipeline), "a pipeline", error);
}

gboolean
llm_vk_pipelines_init (LlmVkDevice *device, GError **error)
{
  gboolean ok = make_layouts (device, error);

  for (guint op = 0; op < LLM_N_OPS && ok; op++)
    {
      VkShaderModuleCreateInfo info = { VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0, llm_shaders[op].size, llm_shaders[op].words };
      VkShaderModule module;

      if (info.codeSize == 0) /* no shader for it */
        continue;
      ok = llm_vk_check (vkCreateShaderModule (device->device, &info, NULL, &module), "a shader", error);
      if (!ok)
        break;
      for (guint i = 0; i < n_variants ((LlmOpKind) op) && ok; i++)
        ok = make_pipeline (device, module, dtype_constants[i], &device->pipelines[op][i], error);
      vkDestroyShaderModule (device->device, module, NULL);
    }
  return ok;
}

void
llm_vk_pipelines_clear (LlmVkDevice *device)
{
  for (guint op = 0; op < LLM_N_OPS; op++)
    for (guint i = 0; i < LLM_VK_N_DTYPES; i++)
      vkDestroyPipeline (device->device, device->pipelines[op][i], NULL);
  vkDestroyPipelineLayout (device->device, device->pipeline_layout, NULL);
  vkDestroyDescriptorSetLayout (device->device, device->set_layout, NULL);
}
