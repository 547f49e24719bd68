// SPDX-License-Identifier: LGPL-2.1-or-later
// Eight elements of -1, 0, 1 by one of 2048 entries of a code book, all shifted by an eighth up or down.
#include "codebook.glsl"
#define BLOCK_ELEMS 256
#define RUN BLOCK_RUN
#ifdef IQ1_S
// half d, low[32], uint16 high[8]: of each part of 32, four times 3 index bits, 3 scale bits, the shift's sign
#define BLOCK_BYTES 50
#else
// low[32], high[16]: a nibble has 3 index bits and the shift's sign; uint16 scales[4]: four of 3 bits, a nibble of d
#define BLOCK_BYTES 56
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint part = run / 4, l = run % 4;
#ifdef IQ1_S
  uint high = u16 (row, block + 34 + 2 * part), index = u8 (row, block + 2 + run) | (high >> 3 * l & 7) << 8;
  float d = f16 (row, block) * float (2 * (high >> 12 & 7) + 1);
  bool down = (high & 0x8000) != 0;
#else
  uint s0 = u16 (row, block + 48), s1 = u16 (row, block + 50), s2 = u16 (row, block + 52), s3 = u16 (row, block + 54);
  uint high = u8 (row, block + 32 + run / 2) >> run % 2 * 4, index = u8 (row, block + run) | (high & 7) << 8;
  uint scale = u16 (row, block + 48 + part / 2 * 2) >> part % 2 * 6 + l / 2 * 3 & 7;
  float d = half_to_float (s0 >> 12 | s1 >> 8 & 0xf0 | s2 >> 4 & 0xf00 | s3 & 0xf000) * float (2 * scale + 1);
  bool down = (high & 8) != 0;
#endif
  for (uint j = 0; j < RUN; j++)
    v[j] = d * (float (bitfieldExtract (int (codebook[2 * index + j / 4]), int (j % 4) * 8, 8)) + (down ? -0.125 : 0.125));
}
