#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,j,n] = sum_c W[e,n,c] x[r,(j,)c] (+ b[e,n]), e = z[r,j], j < k; tiles as in matmul.comp, over r and j together
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "dot.glsl"

void main ()
{
  uint n_out = p.n_rows / p.n_experts, n = gl_WorkGroupID.x * TILE_W + gl_LocalInvocationID.x % TILE_W;
  uint row = gl_WorkGroupID.y * TILE_X + gl_LocalInvocationID.x / TILE_W, r = row / p.n_used, j = row % p.n_used;

  if (n >= n_out || r >= batch[p.out_rows != 0 ? BATCH_N_OUT : BATCH_N_ROWS])
    return;
  uint expert = min (uint (z[r * p.z_width + j]), p.n_experts - 1), w = expert * n_out + n;
  float sum = dot_row (w, r * p.x_width + (p.x_width > p.n_cols ? j * p.n_cols : 0));
  if (p.b.x != 0 || p.b.y != 0)
    sum += Floats (p.b).v[w];
  y[row * n_out + n] = sum;
}
