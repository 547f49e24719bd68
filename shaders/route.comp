#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,0:k] = the k largest of x[r,:] as indices, y[r,k:2k] = scale times their softmax, among them or among all.
// A workgroup per row; an expert's place is the number of those before it, in an order that is total even with
// NaNs, so that every place is taken.
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "group-sum.glsl"

shared uint chosen[MAX_EXPERTS];

// Grows with f; NaNs are below all.
int order (float f)
{
  int bits = floatBitsToInt (f == 0 ? 0.0 : f);
  return (bits & 0x7fffffff) > 0x7f800000 ? int (0x80000000) : bits ^ (bits >> 31 & 0x7fffffff);
}

uint place (uint at, uint i)
{
  int own = order (x[at + i]);
  uint before = 0;

  for (uint j = 0; j < p.x_width; j++)
    {
      int other = order (x[at + j]);
      before += uint (other > own || (other == own && j < i));
    }
  return before;
}

void main ()
{
  uint r = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x, at = r * p.x_width, to = r * p.y_width, k = p.n_used;
  float sum = 0;

  for (uint i = lane; i < p.x_width; i += GROUP)
    {
      uint j = place (at, i);
      if (j < k)
        chosen[j] = i;
    }
  barrier ();
  float top = x[at + chosen[0]];
  if (p.mode != 0)
    for (uint j = lane; j < k; j += GROUP)
      sum += exp (x[at + chosen[j]] - top);
  else
    for (uint i = lane; i < p.x_width; i += GROUP)
      sum += exp (x[at + i] - top);
  sum = group_sum (sum);
  for (uint j = lane; j < k; j += GROUP)
    {
      y[to + j] = float (chosen[j]);
      y[to + k + j] = p.scale * exp (x[at + chosen[j]] - top) / sum;
    }
}
