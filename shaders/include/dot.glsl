// SPDX-License-Identifier: LGPL-2.1-or-later
#include "dtype.glsl"

// A workgroup's outputs: of TILE_W weight rows and TILE_X input rows; src/compute/vulkan/tuning-vulkan.c measures which are best.
layout (constant_id = 0) const uint TILE_W = TILE_DEFAULT;
const uint TILE_X = GROUP / TILE_W;

// sum_k W[n,k] x[at + k], in the order of k
float dot_row (uint n, uint at)
{
  uvec2 row = weight_row (n);
  float sum = 0, w[RUN];

  for (uint block = 0, end = at + p.n_cols; at < end; block += BLOCK_BYTES)
    for (uint run = 0; run < BLOCK_ELEMS / RUN; run++, at += RUN)
      {
        decode (row, block, run, w);
        for (uint j = 0; j < RUN; j++)
          sum += w[j] * x[at + j];
      }
  return sum;
}
