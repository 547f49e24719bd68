/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "compute/vulkan/device-vulkan.h"

void
llm_vulkan_list (GPtrArray *infos, gboolean software)
{
}

LlmDevice *
llm_vulkan_open (guint index, gboolean software, GError **error)
{
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "this build has no Vulkan support; the device \"cpu\" is there");
  return NULL;
}
