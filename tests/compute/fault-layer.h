/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a test arms the Vulkan layer that fails: it opens the same file that the loader has loaded.
 */
#pragma once

#include <vulkan/vulkan.h>

/* The @at-th call from now (from 1) that can fail gives @result; VK_ERROR_DEVICE_LOST stays.  0 = none. */
typedef void (*FaultArm) (unsigned at, VkResult result);
/* The call that failed, NULL when it was not reached. (lent, static) */
typedef const char *(*FaultFired) (void);
