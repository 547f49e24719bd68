// SPDX-License-Identifier: LGPL-2.1-or-later
// F32, F16, BF16 (the upper half of a float): no blocks.
#define BLOCK_ELEMS 1
#define RUN 1
#if defined F32
#define BLOCK_BYTES 4
#else
#define BLOCK_BYTES 2
#endif

void decode (uvec2 row, uint block, uint run, out float v[RUN])
{
#if defined F32
  v[0] = Floats (row).v[block / 4];
#elif defined F16
  v[0] = f16 (row, block);
#else
  v[0] = uintBitsToFloat (u16 (row, block) << 16);
#endif
}
