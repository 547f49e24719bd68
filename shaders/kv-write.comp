#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// K[page (slot[r], position[r])] = x[r], V[...] = z[r]
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "kv.glsl"

uint16_t to_half (float f)
{
  return uint16_t (packHalf2x16 (vec2 (f, 0)) & 0xffffu);
}

void main ()
{
  uint i = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;
  uint token = kv_token (batch[BATCH_SLOT (p.max_rows) + r], batch[BATCH_POSITION (p.max_rows) + r]);

  if (i < p.x_width)
    {
      if (DTYPE == DTYPE_F16)
        k16[token * p.x_width + i] = to_half (x[r * p.x_width + i]);
      else
        k32[token * p.x_width + i] = x[r * p.x_width + i];
    }
  if (i < p.z_width)
    {
      if (DTYPE == DTYPE_F16)
        v16[token * p.z_width + i] = to_half (z[r * p.z_width + i]);
      else
        v32[token * p.z_width + i] = z[r * p.z_width + i];
    }
}
