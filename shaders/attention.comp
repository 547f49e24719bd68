#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y[r,h] = sum_t softmax_t (s_t) v_t, s_t = scale q.k_t, or cap tanh (scale q.k_t / cap); grouped queries; t < n_keys[r], in
// the window; a sink of the head is one more score without a value. A workgroup per (head, row): GROUP keys at a time, the
// sum rescaled when the maximum grows (Milakov & Gimelshein 2018).
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "kv.glsl"
#include "activation.glsl"

shared float score[GROUP];
shared uint token[GROUP];

float key_score (uint at, uint key)
{
  float sum = 0;
  for (uint i = 0; i < p.head_dim; i++)
    sum += x[at + i] * FROM_KV (k[key + i]);
  sum *= p.scale;
  return p.cap > 0 ? soft_cap (sum, p.cap) : sum;
}

void main ()
{
  uint h = gl_WorkGroupID.x, r = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
  uint slot = batch[BATCH_SLOT (p.max_rows) + r], end = batch[BATCH_N_KEYS (p.max_rows) + r], after = batch[BATCH_POSITION (p.max_rows) + r] + 1;
  uint kv_head = h / (p.n_heads / p.n_kv_heads), k_width = p.n_kv_heads * p.head_dim, v_width = p.n_kv_heads * p.head_dim_v;
  uint q = r * p.x_width + h * p.head_dim;
  bool has_sink = p.w.x != 0 || p.w.y != 0;
  float acc[MAX_DIMS], top = has_sink ? Floats (p.w).v[h] : uintBitsToFloat (0xff800000u), total = has_sink ? 1 : 0;

  for (uint d = 0; d < MAX_DIMS; d++)
    acc[d] = 0;
  for (uint first = p.window > 0 && after > p.window ? after - p.window : 0; first < end; first += GROUP)
    {
      uint count = min (GROUP, end - first);

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
      barrier ();
      if (lane < count)
        score[lane] = exp (score[lane] - top);
      barrier ();
      total *= shrink;
      for (uint j = 0; j < count; j++)
        total += score[j];
      for (uint d = 0, i = lane; i < p.head_dim_v; d++, i += GROUP)
        {
          float sum = acc[d] * shrink;
          for (uint j = 0; j < count; j++)
            {
              uint at = token[j] * v_width + kv_head * p.head_dim_v + i;
              sum += score[j] * FROM_KV (v[at]);
            }
          acc[d] = sum;
        }
    }
  for (uint d = 0, i = lane; i < p.head_dim_v; d++, i += GROUP)
    y[r * p.y_width + h * p.head_dim_v + i] = total > 0 ? acc[d] / total : 0;
}
