// SPDX-License-Identifier: LGPL-2.1-or-later
#include "dtype.glsl"

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
