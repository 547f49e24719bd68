/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of this machine: the only file that knows both cpu/ and vulkan/.
 */
#pragma once

#include "cache/cache.h"
#include "compute/device.h"

G_BEGIN_DECLS

typedef struct {
  guint n_threads;   /* CPU: 0 = all usable */
  const char *isa;   /* CPU: "scalar", "avx2", ...; NULL = best, or the environment's LLM_CPU_ISA */
  gboolean software; /* list Vulkan drivers that run on the CPU too (tests; else they are left out) */
  LlmCache *cache;   /* (lent) what is compiled for a device is kept there; NULL: nowhere */
} LlmDevicesOptions;

/* LlmDeviceInfo of all devices, best first; never fails: a broken driver is left out
 * with one warning.  (transfer full) */
GPtrArray *llm_devices_list (const LlmDevicesOptions *options);

/* @id: "cpu", "vulkan0"..., or "" / "auto" = the best. LLM_ERROR_NOT_SUPPORTED names the ids there are. */
LlmDevice *llm_devices_open (const char *id, const LlmDevicesOptions *options, GError **error);

/* cpu/device-cpu.h and vulkan/device-vulkan.h declare their own constructors; null-device.c: */
LlmDevice *llm_null_device_new (void); /* checks everything, computes nothing: logits are zeros */

G_END_DECLS
