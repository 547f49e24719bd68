#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,i] = W[token[r],i]
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

float element (uint row, uint i)
{
  if (DTYPE == DTYPE_F32)
    return Floats (p.w).v[row * p.n_cols + i];
  Halves w = Halves (p.w);
  if (DTYPE == DTYPE_F16)
    return half_to_float (w.v[row * p.n_cols + i]);
  uint j = i % 32;
  if (DTYPE == DTYPE_Q8_0)
    { // block: half d, int8 q[32]
      uint at = (row * (p.n_cols / 32) + i / 32) * 17;
      uint pair = uint (w.v[at + 1 + j / 2]);
      return half_to_float (w.v[at]) * float (bitfieldExtract (int (pair), int (j % 2) * 8, 8));
    }
  // Q4_0 block: half d, 16 bytes; low nibbles are elements 0..15, high ones 16..31
  uint at = (row * (p.n_cols / 32) + i / 32) * 9;
  uint pair = uint (w.v[at + 1 + (j % 16) / 2]);
  uint nibble = bitfieldExtract (pair, int (j % 2) * 8 + int (j / 16) * 4, 4);
  return half_to_float (w.v[at]) * float (int (nibble) - 8);
}

void main ()
{
  uint i = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;

  if (i < p.y_width)
    y[r * p.y_width + i] = element (batch[BATCH_TOKEN + r], i);
}
