// SPDX-License-Identifier: LGPL-2.1-or-later
// 16 bytes for each 32 elements, low nibbles first; a nibble names one of 16 levels.
#define RUN BLOCK_RUN
#if defined IQ4_NL // half d, q[16]
#define BLOCK_ELEMS 32
#define BLOCK_BYTES 18
#elif defined IQ4_XS // half d, two high bits of 8 scales, their low nibbles, q[128]
#define BLOCK_ELEMS 256
#define BLOCK_BYTES 136
#else // MXFP4 (OCP Microscaling 1.0): an exponent, q[16] of E2M1
#define BLOCK_ELEMS 32
#define BLOCK_BYTES 17
#endif

#ifdef MXFP4
// Twice the value of E2M1.
float level (uint q)
{
  uint m = q & 7;
  float size = float (m < 4 ? m : 2 + (m & 1) << m / 2 - 1);
  return q < 8 ? size : -size;
}
#else
float level (uint q)
{
  const int levels[16] = int[] (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  return float (levels[q]);
}
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint part = run / 4, r = run % 4;
#if defined IQ4_NL
  uint at = block + 2;
  float d = f16 (row, block);
#elif defined IQ4_XS
  uint at = block + 8 + 16 * part;
  uint scale = u8 (row, block + 4 + part / 2) >> part % 2 * 4 & 15 | (u16 (row, block + 2) >> part * 2 & 3) << 4;
  float d = f16 (row, block) * float (int (scale) - 32);
#else
  uint at = block + 1, e = u8 (row, block);
  float d = uintBitsToFloat (e < 2 ? 0x200000 << e : e - 1 << 23); // 2^(e - 128)
#endif
  for (uint j = 0; j < RUN; j++)
    v[j] = d * level (u8 (row, at + RUN * (r % 2) + j) >> r / 2 * 4 & 15);
}
