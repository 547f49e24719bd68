#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,h] = sum_t softmax_t (scale q.k_t) v_t, t <= position[r]; grouped queries. A workgroup per (head, row): GROUP keys
// at a time, the sum rescaled when the maximum grows (Milakov & Gimelshein 2018).
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "kv.glsl"

#define MAX_DIMS 16 // of a thread: head_dim_v <= GROUP * MAX_DIMS

shared float score[GROUP];
shared uint token[GROUP];

float key_score (uint at, uint key)
{
  float sum = 0;
  for (uint i = 0; i < p.head_dim; i++)
    sum += x[at + i] * (DTYPE == DTYPE_F16 ? half_to_float (k16[key + i]) : k32[key + i]);
  return sum * p.scale;
}

void main ()
{
  uint h = gl_WorkGroupID.x, r = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
  uint slot = batch[BATCH_SLOT (p.max_rows) + r], n = batch[BATCH_POSITION (p.max_rows) + r] + 1;
  uint kv_head = h / (p.n_heads / p.n_kv_heads), k_width = p.n_kv_heads * p.head_dim, v_width = p.n_kv_heads * p.head_dim_v;
  uint q = r * p.x_width + h * p.head_dim;
  float acc[MAX_DIMS], top = uintBitsToFloat (0xff800000u), total = 0;

  for (uint d = 0; d < MAX_DIMS; d++)
    acc[d] = 0;
  for (uint first = 0; first < n; first += GROUP)
    {
      uint count = min (GROUP, n - first);

      barrier ();
      if (lane < count)
        {
          token[lane] = kv_token (slot, first + lane);
          score[lane] = key_score (q, token[lane] * k_width + kv_head * p.head_dim);
        }
      barrier ();
      float new_top = top;
      for (uint j = 0; j < count; j++)
        new_top = max (new_top, score[j]);
      float shrink = exp (top - new_top);
      top = new_top;
      total *= shrink;
      for (uint j = 0; j < count; j++)
        total += exp (score[j] - top);
      for (uint d = 0, i = lane; i < p.head_dim_v; d++, i += GROUP)
        {
          float sum = acc[d] * shrink;
          for (uint j = 0; j < count; j++)
            {
              uint v = token[j] * v_width + kv_head * p.head_dim_v + i;
              sum += exp (score[j] - top) * (DTYPE == DTYPE_F16 ? half_to_float (v16[v]) : v32[v]);
            }
          acc[d] = sum;
        }
    }
  for (uint d = 0, i = lane; i < p.head_dim_v; d++, i += GROUP)
    y[r * p.y_width + h * p.head_dim_v + i] = acc[d] / total;
}
