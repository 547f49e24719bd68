/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many input rows, with vpdpbusd: a lane is an input row, so that a block's scales cost three instructions for 8 products.
 * Weights are broadcast four columns at a time; a tile of weight rows and input rows stays in registers.
 *
 * Included once per vector width, with GEMM (name), GEMM_LANES (8 or 16) and the operations on vectors of as many int32 (LI) or
 * float (LF): LI_DOT (sum, unsigned, signed), LI_LOAD, LI_WORD (p) = the four bytes at p in each lane, LI_ADD, LI_SHIFT (v, n),
 * LI_ZERO, LF_FROM (LI), LF_LOAD, LF_STORE, LF_MUL, LF_FMA, LF_SET1.
 * A lane's sum does not depend on the tile: the order is that of the columns.
 */

/* Codes less @zero_log2's power of two, or with an offset where that is negative: sums of inputs make up for either. */
static ALWAYS_INLINE void
GEMM (tile) (const LlmUnpacked *w, gsize w_stride, const LlmQ8Lanes *x, gsize x_stride, guint half, guint n_blocks, float *acc, gsize acc_stride,
             const guint group, const int zero_log2, const guint n_w, const guint n_x)
{
  LF sum[8][3];

  UNROLL_8
  for (guint n = 0; n < n_w; n++)
    UNROLL_8
    for (guint r = 0; r < n_x; r++)
      sum[n][r] = LF_LOAD (acc + n * acc_stride + r * GEMM_LANES);
  for (guint b = 0; b < n_blocks; b++)
    {
      const LlmUnpacked *weights = w + b / 8 * w_stride;
      const LlmQ8Lanes *inputs = x + b / 8;
      guint at = b % 8;
      LF block[8][3]; /* by 16 columns: the first half, until the second has its own scale */

      UNROLL_8
      for (guint g = 0; g < 32 / group; g++)
        {
          LI part[8][3];
          guint pair = 2 * at + g;

          UNROLL_8
          for (guint r = 0; r < n_x; r++)
            {
              const gint32 *count = GEMM_INPUT (inputs, x_stride, r, half, minus_count[pair]);
              LI start = LI_LOAD (count);

              if (group == 32)
                start = LI_ADD (start, LI_LOAD (count + LLM_LANES));
              UNROLL_8
              for (guint n = 0; n < n_w; n++)
                part[n][r] = zero_log2 < 0 ? LI_ZERO : LI_SHIFT (start, zero_log2);
            }
          UNROLL_8
          for (guint i = 0; i < group / 4; i++)
            {
              LI in[3];

              UNROLL_8
              for (guint r = 0; r < n_x; r++)
                in[r] = LI_LOAD (GEMM_INPUT (inputs, x_stride, r, half, q[8 * at + group / 4 * g + i]));
              UNROLL_8
              for (guint n = 0; n < n_w; n++)
                {
                  LI word = LI_WORD (weights[n].q + 32 * at + group * g + 4 * i);

                  UNROLL_8
                  for (guint r = 0; r < n_x; r++)
                    part[n][r] = LI_DOT (part[n][r], word, in[r]);
                }
            }
          UNROLL_8
          for (guint n = 0; n < n_w; n++)
            UNROLL_8
            for (guint r = 0; r < n_x; r++)
              block[n][r] = g == 0 ? LF_MUL (LF_FROM (part[n][r]), LF_SET1 (weights[n].scale[pair]))
                                   : LF_FMA (LF_FROM (part[n][r]), LF_SET1 (weights[n].scale[pair]), block[n][r]);
          UNROLL_8
          for (guint r = 0; r < n_x && zero_log2 < 0; r++)
            {
              const gint32 *count = GEMM_INPUT (inputs, x_stride, r, half, minus_count[pair]);
              LF minus_sum = LF_FROM (group == 32 ? LI_ADD (LI_LOAD (count), LI_LOAD (count + LLM_LANES)) : LI_LOAD (count));

              UNROLL_8
              for (guint n = 0; n < n_w; n++)
                block[n][r] = LF_FMA (minus_sum, LF_SET1 (weights[n].offset[pair]), block[n][r]);
            }
        }
      UNROLL_8
      for (guint r = 0; r < n_x; r++)
        {
          LF d = LF_LOAD (GEMM_INPUT (inputs, x_stride, r, half, d[at]));

          UNROLL_8
          for (guint n = 0; n < n_w; n++)
            sum[n][r] = LF_FMA (block[n][r], d, sum[n][r]);
        }
    }
  UNROLL_8
  for (guint n = 0; n < n_w; n++)
    UNROLL_8
    for (guint r = 0; r < n_x; r++)
      LF_STORE (acc + n * acc_stride + r * GEMM_LANES, sum[n][r]);
}

#undef LI
#undef LF
#undef LI_DOT
#undef LI_LOAD
#undef LI_WORD
#undef LI_ADD
#undef LI_SHIFT
#undef LI_ZERO
#undef LF_FROM
#undef LF_LOAD
#undef LF_STORE
#undef LF_MUL
#undef LF_FMA
#undef LF_SET1
#undef GEMM
#undef GEMM_LANES
#undef GEMM_INPUT
