// SPDX-License-Identifier: LGPL-2.1-or-later
// The weight's element type, chosen by the macro of its name: BLOCK_ELEMS, BLOCK_BYTES, RUN and
//   void decode (uvec2 row, uint block, uint run, out float v[RUN])
// which gives elements RUN * run ... of the block that begins at byte `block` of the row at address `row`.
layout (buffer_reference, std430, buffer_reference_align = 1) readonly buffer Bytes { uint8_t v[]; };
layout (buffer_reference, std430, buffer_reference_align = 2) readonly buffer Halves { uint16_t v[]; };

uint u8 (uvec2 row, uint at)
{
  return uint (Bytes (row).v[at]);
}

// Of two bytes at an even address.
uint u16 (uvec2 row, uint at)
{
  return uint (Halves (row).v[at / 2]);
}

uint u32 (uvec2 row, uint at)
{
  return u16 (row, at) | u16 (row, at + 2) << 16;
}

float f16 (uvec2 row, uint at)
{
  return half_to_float (u16 (row, at));
}

#if defined F32 || defined F16 || defined BF16
#include "dtype-float.glsl"
#elif defined Q4_0 || defined Q4_1 || defined Q5_0 || defined Q5_1 || defined Q8_0
#include "dtype-q.glsl"
#elif defined Q2_K || defined Q3_K || defined Q4_K || defined Q5_K || defined Q6_K
#include "dtype-k.glsl"
#elif defined IQ4_NL || defined IQ4_XS || defined MXFP4
#include "dtype-iq4.glsl"
#elif defined TQ1_0 || defined TQ2_0
#include "dtype-tq.glsl"
#elif defined IQ1_S || defined IQ1_M
#include "dtype-iq1.glsl"
#elif defined IQ2_XXS || defined IQ2_XS || defined IQ2_S
#include "dtype-iq2.glsl"
#else
#include "dtype-iq3.glsl"
#endif

// The address of row n: 64 bits, for an index of an array is a signed word.
uvec2 weight_row (uint n)
{
  uint high, low, carry;

  umulExtended (n, p.n_cols / BLOCK_ELEMS * BLOCK_BYTES, high, low);
  low = uaddCarry (low, p.w.x, carry);
  return uvec2 (low, high + p.w.y + carry);
}
