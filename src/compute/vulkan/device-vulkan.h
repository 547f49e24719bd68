/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Vulkan devices of this machine; vulkan-absent.c stands in when the build has no Vulkan.
 */
#pragma once

#include "compute/devices.h"

/* Adds an LlmDeviceInfo for each usable one, best first. @software: drivers that run on the CPU too. */
void llm_vulkan_list (GPtrArray *infos, gboolean software);
/* The @index-th of that list. */
LlmDevice *llm_vulkan_open (guint index, gboolean software, GError **error);
