// SPDX-License-Identifier: LGPL-2.1-or-later
// What every op has: its operands, the batch, the pushed parameters.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#include "params.h"

layout (local_size_x = GROUP) in;

layout (set = 0, binding = 0) readonly buffer X { float x[]; };
layout (set = 0, binding = 1) readonly buffer Z { float z[]; };
layout (set = 0, binding = 2) buffer Y { float y[]; };
layout (set = 0, binding = 3) readonly buffer Batch { uint batch[]; };
layout (push_constant) uniform Push { LlmParams p; };

layout (buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float v[]; };

float half_to_float (uint h)
{
  return unpackHalf2x16 (h).x;
}
