#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y = (x - mean x) / sqrt (var x + eps) * g (+ b) (Ba et al. 2016); a workgroup per row
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "group-sum.glsl"

void main ()
{
  uint at = gl_WorkGroupID.y * p.x_width, lane = gl_LocalInvocationID.x;
  bool has_bias = p.b.x != 0 || p.b.y != 0;
  float sum = 0, squares = 0;

  for (uint i = lane; i < p.x_width; i += GROUP)
    sum += x[at + i];
  float mean = group_sum (sum) / float (p.x_width);
  for (uint i = lane; i < p.x_width; i += GROUP)
    squares += (x[at + i] - mean) * (x[at + i] - mean);
  float scale = 1 / sqrt (group_sum (squares) / float (p.x_width) + p.scale);
  for (uint i = lane; i < p.x_width; i += GROUP)
    y[at + i] = (x[at + i] - mean) * scale * Floats (p.w).v[i] + (has_bias ? Floats (p.b).v[i] : 0);
}
