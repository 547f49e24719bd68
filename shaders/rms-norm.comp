#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,i] = x[r,i] / sqrt (mean_i x[r,i]^2 + eps) * g[i]; a workgroup per row
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

shared float part[GROUP];

void main ()
{
  uint r = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x, at = r * p.x_width;
  float sum = 0;

  for (uint i = lane; i < p.x_width; i += GROUP)
    sum += x[at + i] * x[at + i];
  part[lane] = sum;
  for (uint half_of = GROUP / 2; half_of > 0; half_of /= 2)
    {
      barrier ();
      if (lane < half_of)
        part[lane] += part[lane + half_of];
    }
  barrier ();
  float scale = 1 / sqrt (part[0] / float (p.x_width) + p.scale);
  for (uint i = lane; i < p.x_width; i += GROUP)
    y[at + i] = x[at + i] * scale * Floats (p.w).v[i];
}
