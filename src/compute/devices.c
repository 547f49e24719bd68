/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ids: "cpu", and "vulkan0", "vulkan1" ... in the order of the list.
 */
#include "compute/devices.h"

#include <string.h>

#include "base/error.h"
#include "compute/cpu/device-cpu.h"
#include "compute/vulkan/device-vulkan.h"

static gboolean
wants_software (const LlmDevicesOptions *options)
{
  return options->software || g_strcmp0 (g_getenv ("LLM_VULKAN_SOFTWARE"), "1") == 0;
}

GPtrArray *
llm_devices_list (const LlmDevicesOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmDevice) cpu = llm_cpu_device_new (1, options->isa, &error);
  GPtrArray *infos = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_device_info_free);
  LlmDeviceInfo *copy;

  llm_vulkan_list (infos, wants_software (options));
  if (cpu == NULL)
    {
      g_warning ("the CPU is left out: %s", error->message);
      return infos;
    }
  copy = g_memdup2 (&cpu->info, sizeof *copy);
  copy->id = g_strdup (cpu->info.id);
  copy->name = g_strdup (cpu->info.name);
  copy->driver = g_strdup (cpu->info.driver);
  copy->uuid = g_strdup (cpu->info.uuid);
  /* a GPU is better than the CPU, the CPU better than a GPU in software */
  for (guint i = 0; i <= infos->len; i++)
    if (i == infos->len || ((LlmDeviceInfo *) infos->pdata[i])->type == LLM_DEVICE_SOFTWARE)
      {
        g_ptr_array_insert (infos, (gint) i, copy);
        break;
      }
  return infos;
}

/* @device, with the cache that the options name. */
static LlmDevice *
with_cache (LlmDevice *device, const LlmDevicesOptions *options)
{
  if (device == NULL || options->cache == NULL)
    return device;
  device->cache = llm_cache_ref (options->cache);
  if (device->cache_folder == NULL)
    device->cache_folder = llm_cache_device_folder (device->info.uuid, device->info.driver);
  return device;
}

static LlmDevice *
open_cpu (const LlmDevicesOptions *options, GError **error)
{
  return with_cache (llm_cpu_device_new (options->n_threads, options->isa, error), options);
}

LlmDevice *
llm_devices_open (const char *id, const LlmDevicesOptions *options, GError **error)
{
  g_autoptr (GPtrArray) infos = NULL;
  g_autoptr (GString) names = g_string_new (NULL);

  if (strcmp (id, "cpu") == 0)
    return open_cpu (options, error);
  infos = llm_devices_list (options);
  if (infos->len == 0) /* then it can say why not */
    return open_cpu (options, error);
  for (guint i = 0; i < infos->len; i++)
    {
      const LlmDeviceInfo *info = infos->pdata[i];

      if (id[0] == '\0' || strcmp (id, "auto") == 0 || strcmp (id, info->id) == 0)
        return info->type == LLM_DEVICE_CPU
                 ? open_cpu (options, error)
                 : with_cache (llm_vulkan_open ((guint) g_ascii_strtoull (info->id + strlen ("vulkan"), NULL, 10), wants_software (options), error), options);
      g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", info->id);
    }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "there is no device \"%.*s\"; there is %s", llm_error_quote (id, -1), id, names->str);
  return NULL;
}
