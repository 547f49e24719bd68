#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y = scale x, or cap tanh (scale x / cap)
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "activation.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x, at = gl_WorkGroupID.y * p.y_width + i;

  if (i < p.y_width)
    y[at] = p.cap > 0 ? soft_cap (p.scale * x[at], p.cap) : p.scale * x[at];
}
