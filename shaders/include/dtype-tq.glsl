// SPDX-License-Identifier: LGPL-2.1-or-later
// Ternary: d times -1, 0 or 1, blocks of 256.
#define BLOCK_ELEMS 256
#define RUN BLOCK_RUN
#ifdef TQ1_0
// q[48] of 5 and high[4] of 4 digits of base 3, as a fraction of 256: the first digit is the highest; half d
#define BLOCK_BYTES 54

uint digit (uint q, uint n)
{
  const uint power[5] = uint[] (1, 3, 9, 27, 81);
  return (q * power[n] & 255) * 3 >> 8;
}

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  float d = f16 (row, block + 52);

  for (uint j = 0; j < RUN; j++)
    {
      uint e = RUN * run + j, q;
      if (e < 160)
        q = digit (u8 (row, block + e % 32), e / 32);
      else if (e < 240)
        q = digit (u8 (row, block + 32 + e % 16), (e - 160) / 16);
      else
        q = digit (u8 (row, block + 48 + e % 4), (e - 240) / 4);
      v[j] = d * float (int (q) - 1);
    }
}
#else
// TQ2_0: q[64] of 2 bits, half d
#define BLOCK_BYTES 66

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  uint e = RUN * run;
  float d = f16 (row, block + 64);

  for (uint j = 0; j < RUN; j++)
    v[j] = d * float (int (u8 (row, block + e / 128 * 32 + e % 32 + j) >> e % 128 / 32 * 2 & 3) - 1);
}
#endif
