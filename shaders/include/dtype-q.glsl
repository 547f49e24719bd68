// SPDX-License-Identifier: LGPL-2.1-or-later
// Blocks of 32 with a half scale d, and in the _1 types a half offset m.
// Q4 and Q5: then (Q5) 32 fifth bits, then 16 bytes: low nibbles are elements 0..15, high ones 16..31.
#define BLOCK_ELEMS 32
#define RUN BLOCK_RUN
#if defined Q4_0 // half d, q[16]: d (q - 8)
#define BLOCK_BYTES 18
#define BITS 4
#define AT_Q 2
#elif defined Q4_1 // half d, half m, q[16]: d q + m
#define BLOCK_BYTES 20
#define BITS 4
#define AT_Q 4
#elif defined Q5_0 // half d, bits, q[16]: d (q - 16)
#define BLOCK_BYTES 22
#define BITS 5
#define AT_Q 6
#elif defined Q5_1 // half d, half m, bits, q[16]: d q + m
#define BLOCK_BYTES 24
#define BITS 5
#define AT_Q 8
#else // Q8_0: half d, int8 q[32]: d q
#define BLOCK_BYTES 34
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
  float d = f16 (row, block);
#ifdef Q8_0
  for (uint j = 0; j < RUN; j++)
    v[j] = d * float (bitfieldExtract (int (u8 (row, block + 2 + RUN * run + j)), 0, 8));
#else
#if defined Q4_1 || defined Q5_1
  float m = f16 (row, block + 2);
#else
  float m = -d * float (1 << (BITS - 1));
#endif
#if BITS == 5
  uint bits = u32 (row, block + AT_Q - 4) >> RUN * run;
#else
  uint bits = 0;
#endif
  for (uint j = 0; j < RUN; j++)
    {
      uint q = u8 (row, block + AT_Q + RUN * (run % 2) + j) >> 4 * (run / 2) & 15;
      v[j] = d * float (q | (bits >> j & 1) << 4) + m;
    }
#endif
}
