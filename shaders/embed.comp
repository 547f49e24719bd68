#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,:] = scale W[token[r] or position[r] or 0,:]; a thread makes RUN of them
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "dtype.glsl"

void main ()
{
  uint i = gl_GlobalInvocationID.x * RUN, r = gl_WorkGroupID.y;
  uint from = p.mode == EMBED_TOKEN ? batch[BATCH_TOKEN + r] : p.mode == EMBED_POSITION ? batch[BATCH_POSITION (p.max_rows) + r] : 0;
  float w[RUN];

  if (i >= p.y_width)
    return;
  decode (weight_row (from), i / BLOCK_ELEMS * BLOCK_BYTES, i % BLOCK_ELEMS / RUN, w);
  for (uint j = 0; j < RUN; j++)
    y[r * p.y_width + i + j] = p.scale * w[j];
}
