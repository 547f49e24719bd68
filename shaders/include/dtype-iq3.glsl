// SPDX-License-Identifier: LGPL-2.1-or-later
// Twice four sizes by two entries of a code book, eight signs, and a scale of 4 bits for 32 elements.
#include "codebook.glsl"
#define BLOCK_ELEMS 256
#define RUN BLOCK_RUN
#ifdef IQ3_XXS // half d, index[64], of each 32: four times 7 bits of signs, 4 bits of scale: d (scale + 1/2) / 2
#define BLOCK_BYTES 98
#else // IQ3_S: half d, index[64], a ninth bit of each, signs[32], scales[4] of 4 bits: d (2 scale + 1)
#define BLOCK_BYTES 110
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint part = run / 4, l = run % 4, first = u8 (row, block + 2 + 2 * run), second = u8 (row, block + 2 + 2 * run + 1);
#ifdef IQ3_XXS
  uint tail = u32 (row, block + 66 + 4 * part), signs = even_signs (tail >> 7 * l & 127);
  float d = f16 (row, block) * (float (tail >> 28) + 0.5) * 0.5;
#else
  uint ninth = u8 (row, block + 66 + part) >> 2 * l, signs = u8 (row, block + 74 + run);
  float d = f16 (row, block) * float (2 * (u8 (row, block + 106 + part / 2) >> part % 2 * 4 & 15) + 1);
  first |= (ninth & 1) << 8;
  second |= (ninth >> 1 & 1) << 8;
#endif
  for (uint j = 0; j < RUN; j++)
    v[j] = with_sign (d * float (codebook[j < 4 ? first : second] >> j % 4 * 8 & 255), signs, j);
}
