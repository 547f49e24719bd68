#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,i] = x[r,i] / sqrt (mean_i x[r,i]^2 + eps) * g[i] over every n_cols columns by themselves; a workgroup for each
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "group-sum.glsl"

void main ()
{
  uint at = gl_WorkGroupID.y * p.x_width + gl_WorkGroupID.x * p.n_cols, lane = gl_LocalInvocationID.x;
  float sum = 0;

  for (uint i = lane; i < p.n_cols; i += GROUP)
    sum += x[at + i] * x[at + i];
  float scale = 1 / sqrt (group_sum (sum) / float (p.n_cols) + p.scale);
  for (uint i = lane; i < p.n_cols; i += GROUP)
    y[at + i] = x[at + i] * scale * Floats (p.w).v[i];
}
