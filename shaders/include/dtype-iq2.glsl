// SPDX-License-Identifier: LGPL-2.1-or-later
// Eight sizes by an entry of a code book, eight signs, and a scale of 4 bits: d (scale + 1/2) / 4.
#include "codebook.glsl"
#define BLOCK_ELEMS 256
#define RUN BLOCK_RUN
#if defined IQ2_XXS // half d; of each 32: index[4], then four times 7 bits of signs, 4 bits of scale
#define BLOCK_BYTES 66
#elif defined IQ2_XS // half d, uint16[32]: 9 bits of index, 7 of signs; scales of 16 elements, 4 bits
#define BLOCK_BYTES 74
#else // IQ2_S: half d, index[32], signs[32], 2 more bits of each index, scales of 16 elements, 4 bits
#define BLOCK_BYTES 82
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint part = run / 4, l = run % 4;
#if defined IQ2_XXS
  uint tail = u32 (row, block + 2 + 8 * part + 4), index = u8 (row, block + 2 + 8 * part + l), signs = even_signs (tail >> 7 * l & 127);
  uint scale = tail >> 28;
#elif defined IQ2_XS
  uint q = u16 (row, block + 2 + 2 * run), index = q & 511, signs = even_signs (q >> 9);
  uint scale = u8 (row, block + 66 + part) >> l / 2 * 4 & 15;
#else
  uint index = u8 (row, block + 2 + run) | (u8 (row, block + 66 + part) >> 2 * l & 3) << 8, signs = u8 (row, block + 34 + run);
  uint scale = u8 (row, block + 74 + part) >> l / 2 * 4 & 15;
#endif
  float d = f16 (row, block) * (float (scale) + 0.5) * 0.25;
  for (uint j = 0; j < RUN; j++)
    v[j] = with_sign (d * float (codebook[2 * index + j / 4] >> j % 4 * 8 & 255), signs, j);
}
