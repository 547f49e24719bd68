#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,n] = sum_k W[n,k] x[r,k] (+ b[n]) (+ z[r,n])
// A workgroup makes TILE_W x TILE_X outputs, a thread one of them, its sum in the order of k: no output
// depends on the rows beside it, nor on the size of a subgroup.
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "dot.glsl"

void main ()
{
  uint n = gl_WorkGroupID.x * TILE_W + gl_LocalInvocationID.x % TILE_W;
  uint r = gl_WorkGroupID.y * TILE_X + gl_LocalInvocationID.x / TILE_W;

  if (n >= p.n_rows || r >= batch[p.out_rows != 0 ? BATCH_N_OUT : BATCH_N_ROWS])
    return;
  float sum = dot_row (n, r * p.x_width);
  if (p.b.x != 0 || p.b.y != 0)
    sum += Floats (p.b).v[n];
  if (p.has_z != 0)
    sum += z[r * p.z_width + n];
  y[r * p.y_width + n] = sum;
}
