// SPDX-License-Identifier: LGPL-2.1-or-later
// K-quants: blocks of 256, in parts of 16 or 32 with small integer scales (and offsets) of their own.
// e = first element of the run, l = e % 32: where its bytes are, in each group of 32 bytes.
#define BLOCK_ELEMS 256
#define RUN BLOCK_RUN
#if defined Q2_K
#define BLOCK_BYTES 84
#elif defined Q3_K
#define BLOCK_BYTES 110
#elif defined Q4_K
#define BLOCK_BYTES 144
#elif defined Q5_K
#define BLOCK_BYTES 176
#else
#define BLOCK_BYTES 210
#endif

#if defined Q2_K
// scales[16] (low nibble scale, high nibble offset), q[64] of 2 bits, half d, half dmin
void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint e = RUN * run, l = e % 32, scale = u8 (row, block + e / 16);
  float d = f16 (row, block + 80) * float (scale & 15), m = f16 (row, block + 82) * float (scale >> 4);

  for (uint j = 0; j < RUN; j++)
    v[j] = d * float (u8 (row, block + 16 + e / 128 * 32 + l + j) >> e % 128 / 32 * 2 & 3) - m;
}
#elif defined Q3_K
// high[32] of 1 bit (0: take 4 off), q[64] of 2 bits, scales[12] of 6 bits, half d
void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint e = RUN * run, l = e % 32, s = e / 16;
  uint scale = u8 (row, block + 96 + s % 8) >> s / 8 * 4 & 15 | (u8 (row, block + 104 + s % 4) >> s / 4 * 2 & 3) << 4;
  float d = f16 (row, block + 108) * float (int (scale) - 32);

  for (uint j = 0; j < RUN; j++)
    {
      uint q = u8 (row, block + 32 + e / 128 * 32 + l + j) >> e % 128 / 32 * 2 & 3;
      v[j] = d * float (int (q | (u8 (row, block + l + j) >> e / 32 & 1) << 2) - 4);
    }
}
#elif defined Q4_K || defined Q5_K
// half d, half dmin, 8 scales and 8 offsets of 6 bits in 12 bytes, (Q5_K: high[32] of 1 bit,) q[128] of 4 bits
void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint e = RUN * run, l = e % 32, s = e / 32, at = block + 4, scale, offset;

  if (s < 4)
    {
      scale = u8 (row, at + s) & 63;
      offset = u8 (row, at + s + 4) & 63;
    }
  else
    {
      scale = u8 (row, at + s + 4) & 15 | u8 (row, at + s - 4) >> 6 << 4;
      offset = u8 (row, at + s + 4) >> 4 | u8 (row, at + s) >> 6 << 4;
    }
  float d = f16 (row, block) * float (scale), m = f16 (row, block + 2) * float (offset);
  for (uint j = 0; j < RUN; j++)
    {
      uint q = u8 (row, block + BLOCK_BYTES - 128 + e / 64 * 32 + l + j) >> s % 2 * 4 & 15;
#ifdef Q5_K
      q |= (u8 (row, block + 16 + l + j) >> s & 1) << 4;
#endif
      v[j] = d * float (q) - m;
    }
}
#else
// Q6_K: low[128] of 4 bits, high[64] of 2 bits, int8 scales[16], half d
void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint e = RUN * run, l = e % 32, quarter = e % 128 / 32;
  int scale = bitfieldExtract (int (u8 (row, block + 192 + e / 16)), 0, 8);
  float d = f16 (row, block + 208) * float (scale);

  for (uint j = 0; j < RUN; j++)
    {
      uint low = u8 (row, block + e / 128 * 64 + quarter % 2 * 32 + l + j) >> quarter / 2 * 4 & 15;
      uint high = u8 (row, block + 128 + e / 128 * 32 + l + j) >> quarter * 2 & 3;
      v[j] = d * float (int (low | high << 4) - 32);
    }
}
#endif
