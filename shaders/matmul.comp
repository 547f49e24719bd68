#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,n] = sum_k W[n,k] x[r,k] (+ b[n]) (+ z[r,n])
// A workgroup makes TILE_W x TILE_X outputs, a thread one of them, its sum in the order of k: no output
// depends on the rows beside it, nor on the size of a subgroup.
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

float dot_f32 (uint n, uint at)
{
  Floats w = Floats (p.w);
  float sum = 0;
  for (uint k = 0; k < p.n_cols; k++)
    sum += w.v[n * p.n_cols + k] * x[at + k];
  return sum;
}

float dot_f16 (uint n, uint at)
{
  Halves w = Halves (p.w);
  float sum = 0;
  for (uint k = 0; k < p.n_cols; k++)
    sum += half_to_float (w.v[n * p.n_cols + k]) * x[at + k];
  return sum;
}

float dot_q8_0 (uint n, uint at)
{
  Halves w = Halves (p.w);
  uint block = n * (p.n_cols / 32) * 17;
  float sum = 0;
  for (uint k = 0; k < p.n_cols; k += 32, block += 17)
    {
      float part = 0;
      for (uint j = 0; j < 16; j++)
        {
          int pair = int (uint (w.v[block + 1 + j]));
          part += float (bitfieldExtract (pair, 0, 8)) * x[at + k + 2 * j];
          part += float (bitfieldExtract (pair, 8, 8)) * x[at + k + 2 * j + 1];
        }
      sum += half_to_float (w.v[block]) * part;
    }
  return sum;
}

float dot_q4_0 (uint n, uint at)
{
  Halves w = Halves (p.w);
  uint block = n * (p.n_cols / 32) * 9;
  float sum = 0;
  for (uint k = 0; k < p.n_cols; k += 32, block += 9)
    {
      float part = 0;
      for (uint j = 0; j < 8; j++)
        {
          uint quad = uint (w.v[block + 1 + j]);
          part += float (int (quad & 15) - 8) * x[at + k + 2 * j];
          part += float (int (quad >> 8 & 15) - 8) * x[at + k + 2 * j + 1];
          part += float (int (quad >> 4 & 15) - 8) * x[at + k + 16 + 2 * j];
          part += float (int (quad >> 12 & 15) - 8) * x[at + k + 16 + 2 * j + 1];
        }
      sum += half_to_float (w.v[block]) * part;
    }
  return sum;
}

void main ()
{
  uint n = gl_WorkGroupID.x * TILE_W + gl_LocalInvocationID.x % TILE_W;
  uint r = gl_WorkGroupID.y * TILE_X + gl_LocalInvocationID.x / TILE_W;
  float sum;

  if (n >= p.n_rows || r >= batch[p.out_rows != 0 ? BATCH_N_OUT : BATCH_N_ROWS])
    return;
  if (DTYPE == DTYPE_F32)
    sum = dot_f32 (n, r * p.x_width);
  else if (DTYPE == DTYPE_F16)
    sum = dot_f16 (n, r * p.x_width);
  else if (DTYPE == DTYPE_Q8_0)
    sum = dot_q8_0 (n, r * p.x_width);
  else
    sum = dot_q4_0 (n, r * p.x_width);
  if (p.b.x != 0 || p.b.y != 0)
    sum += Floats (p.b).v[n];
  if (p.has_z != 0)
    sum += z[r * p.z_width + n];
  y[r * p.y_width + n] = sum;
}
