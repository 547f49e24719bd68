/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One shader for an op and an element type; a pipeline is made when the first plan needs it,
 * because a driver takes its time over each.
 */
#include "base/error.h"
#include "compute/vulkan/vk.h"
#include "shader-table.h"

#define N_BINDINGS 6 /* x, z, y, batch, K or code book, V */

gboolean
llm_vk_pipelines_init (LlmVkDevice *device, GError **error)
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
make_pipeline (LlmVkDevice *device, const guint32 *words, gsize size, guint tile, VkPipeline *pipeline, GError **error)
{
  const guint32 rows = llm_vk_tiles[tile];
  const VkSpecializationMapEntry entry = { 0, 0, sizeof rows };
  const VkSpecializationInfo constants = { 1, &entry, sizeof rows, &rows }; /* shaders without tiles have no such constant */
  VkShaderModuleCreateInfo module = { VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0, size, words };
  VkComputePipelineCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
    .stage = { VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, VK_NULL_HANDLE, "main", &constants },
    .layout = device->pipeline_layout,
  };
  gint64 start = g_get_monotonic_time ();
  gboolean ok;

  llm_vk_pipeline_cache_open (device);
  if (!llm_vk_check (vkCreateShaderModule (device->device, &module, NULL, &info.stage.module), "a shader", error))
    return FALSE;
  ok = llm_vk_check (vkCreateComputePipelines (device->device, device->pipeline_cache, 1, &info, NULL, pipeline), "a pipeline", error);
  vkDestroyShaderModule (device->device, info.stage.module, NULL);
  device->compile_us += g_get_monotonic_time () - start;
  return ok;
}

LlmVkBuffer *
llm_vk_codebook (LlmVkDevice *device, guint32 dtype)
{
  static const struct {
    LlmDtype dtype;
    LlmCodebookId book;
  } books[] = {
    { LLM_DTYPE_IQ1_S, LLM_CODEBOOK_IQ1 },         { LLM_DTYPE_IQ1_M, LLM_CODEBOOK_IQ1 },     { LLM_DTYPE_IQ2_XXS, LLM_CODEBOOK_IQ2_XXS },
    { LLM_DTYPE_IQ2_XS, LLM_CODEBOOK_IQ2_XS },     { LLM_DTYPE_IQ2_S, LLM_CODEBOOK_IQ2_S },   { LLM_DTYPE_IQ3_XXS, LLM_CODEBOOK_IQ3_XXS },
    { LLM_DTYPE_IQ3_S, LLM_CODEBOOK_IQ3_S },
  };

  for (guint i = 0; i < G_N_ELEMENTS (books); i++)
    if (books[i].dtype == dtype)
      return &device->codebooks[books[i].book];
  return NULL;
}

static gboolean
load_codebook (LlmVkDevice *device, guint32 dtype, GError **error)
{
  LlmVkBuffer *buffer = llm_vk_codebook (device, dtype);
  const LlmCodebook *book;

  if (buffer == NULL || buffer->buffer != VK_NULL_HANDLE)
    return TRUE;
  book = llm_codebook_get ((LlmCodebookId) (buffer - device->codebooks));
  if (!llm_vk_buffer_init (device, buffer, (gsize) book->n_vectors * book->width, LLM_VK_DEVICE_ONLY, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, error))
    return FALSE;
  if (llm_vk_upload (device, buffer, book->values, (gsize) book->n_vectors * book->width, error))
    return TRUE;
  llm_vk_buffer_clear (device, buffer);
  return FALSE;
}

VkPipeline
llm_vk_pipeline (LlmVkDevice *device, LlmOpKind op, guint32 dtype, guint tile, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (llm_shaders); i++)
    if (llm_shaders[i].op == op && llm_shaders[i].dtype == dtype)
      {
        VkPipeline *pipeline = &device->pipelines[op][dtype][tile];

        if (!load_codebook (device, dtype, error)
            || (*pipeline == VK_NULL_HANDLE && !make_pipeline (device, llm_shaders[i].words, llm_shaders[i].size, tile, pipeline, error)))
          return VK_NULL_HANDLE;
        return *pipeline;
      }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the Vulkan device has no shader for %s with elements of %s; the CPU can run it", llm_op_name (op),
               llm_dtype_info (dtype) != NULL ? llm_dtype_info (dtype)->name : "an unknown type");
  return VK_NULL_HANDLE;
}

void
llm_vk_pipelines_clear (LlmVkDevice *device)
{
  for (guint i = 0; i < LLM_N_CODEBOOKS; i++)
    llm_vk_buffer_clear (device, &device->codebooks[i]);
  for (guint op = 0; op < LLM_N_OPS; op++)
    for (guint dtype = 0; dtype < LLM_VK_N_DTYPES; dtype++)
      for (guint tile = 0; tile < LLM_VK_N_TILES; tile++)
        vkDestroyPipeline (device->device, device->pipelines[op][dtype][tile], NULL);
  vkDestroyPipelineCache (device->device, device->pipeline_cache, NULL);
  vkDestroyPipelineLayout (device->device, device->pipeline_layout, NULL);
  vkDestroyDescriptorSetLayout (device->device, device->set_layout, NULL);
}
