#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// K[page (slot[r], position[r])] = x[r], V[...] = z[r]
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "kv.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;
  uint token = kv_token (batch[BATCH_SLOT (p.max_rows) + r], batch[BATCH_POSITION (p.max_rows) + r]);

  if (i < p.x_width)
    k[token * p.x_width + i] = TO_KV (x[r * p.x_width + i]);
  if (i < p.z_width)
    v[token * p.z_width + i] = TO_KV (z[r * p.z_width + i]);
}
