#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// Rotary embedding (Su et al. 2021), in place on y. z: per row, cos and sin of each pair, made by the host in double.
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

void main ()
{
  uint r = gl_WorkGroupID.y, half_dim = p.rope_dim / 2;
  uint head = gl_GlobalInvocationID.x / half_dim, i = gl_GlobalInvocationID.x % half_dim;

  if (head >= p.n_heads)
    return;
  uint at = r * p.y_width + head * p.head_dim;
  uint a = at + (p.mode != 0 ? 2 * i : i), b = at + (p.mode != 0 ? 2 * i + 1 : i + half_dim);
  float c = z[r * p.rope_dim + 2 * i], s = z[r * p.rope_dim + 2 * i + 1];
  float ya = y[a], yb = y[b];
  y[a] = ya * c - yb * s;
  y[b] = ya * s + yb * c;
}
