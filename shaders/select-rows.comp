#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[o,i] = x[out_row[o],i]
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x, o = gl_WorkGroupID.y;

  if (i < p.y_width)
    y[o * p.y_width + i] = x[batch[BATCH_OUT_ROW (p.max_rows) + o] * p.x_width + i];
}
