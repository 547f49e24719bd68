#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,i] = x / (1 + exp (-x)) * z
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x, at = gl_WorkGroupID.y * p.y_width + i;

  if (i < p.y_width)
    y[at] = x[at] / (1 + exp (-x[at])) * z[at];
}
