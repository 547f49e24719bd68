#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,i] = sum_j z[r,k+j] x[r,j,i]
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;
  float sum = 0;

  if (i >= p.y_width)
    return;
  for (uint j = 0; j < p.n_used; j++)
    sum += z[r * p.z_width + p.n_used + j] * x[r * p.x_width + j * p.y_width + i];
  y[r * p.y_width + i] = sum;
}
