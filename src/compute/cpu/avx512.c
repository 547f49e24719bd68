/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AVX-512 with VNNI: 16 floats; 8-bit products through vpdpbusd. Few input rows go by 32 bytes, a block of GGML, many by 64. */
#include <immintrin.h>

#define VF __m512
#define VF_LANES 16
#define VF_ZERO _mm512_setzero_ps ()
#define VF_LOAD(p) _mm512_loadu_ps (p)
#define VF_LOAD_HALF(p) _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) (gconstpointer) (p)))
#define VF_LOAD_BF16(p) _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm256_loadu_si256 ((const __m256i *) (gconstpointer) (p))), 16))
#define VF_FMA(a, b, c) _mm512_fmadd_ps (a, b, c)
#define VF_SET1(f) _mm512_set1_ps (f)
#define VF_STORE(p, v) _mm512_storeu_ps (p, v)
#define VF_SUM(v) _mm512_reduce_add_ps (v)
#define VF_MIN(a, b) _mm512_min_ps (a, b)
#define VF_MAX(a, b) _mm512_max_ps (a, b)
#define VF_ROUND(v) _mm512_roundscale_ps (v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define VF_POWER2(v, n) _mm512_scalef_ps (v, n)
#define VF_ZERO_IF_LESS(a, b, v) _mm512_maskz_mov_ps (_mm512_cmp_ps_mask (a, b, _CMP_NLT_UQ), v)
#define VF_IF_LESS(a, b, yes, no) _mm512_mask_blend_ps (_mm512_cmp_ps_mask (a, b, _CMP_LT_OQ), no, yes)
#define VF_EACH_EVEN(v) _mm512_moveldup_ps (v)
#define VF_EACH_ODD(v) _mm512_movehdup_ps (v)
#define VF_SWAP_PAIRS(v) _mm512_permute_ps (v, 0xb1)
#define VF_FMADDSUB(a, b, c) _mm512_fmaddsub_ps (a, b, c)
#define VF_EVENS(a, b) _mm512_permutex2var_ps (a, _mm512_setr_epi32 (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b)
#define VF_ODDS(a, b) _mm512_permutex2var_ps (a, _mm512_setr_epi32 (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b)
#define VD __m512d
#define VD_LANES 8
#define VD_SET1(d) _mm512_set1_pd (d)
#define VD_LOAD(p) _mm512_cvtps_pd (_mm256_loadu_ps (p))
#define VD_FMA(a, b, c) _mm512_fmadd_pd (a, b, c)
#define VD_SUM(v) _mm512_reduce_add_pd (v)

/* a bit for each of 32 bytes: v where it is set, or zero - v there and zero + v elsewhere */
#define WHERE_SET(from, v) _mm256_maskz_mov_epi8 (word_at (from), v)
#define PLUS_OR_MINUS(zero, v, from) \
  _mm256_mask_sub_epi8 (_mm256_add_epi8 (v, _mm256_set1_epi8 (zero)), word_at (from), _mm256_set1_epi8 (zero), v)

#define DOT_256(sum, q, x) _mm256_dpbusd_epi32 (sum, q, x)
#include "compute/cpu/vnni.h"

#include "compute/cpu/gemm-512.h"

/* Tiles of 4 x 48, then 4 x 32 or 8 x 16; the last 8 input rows or fewer in half the width. */
#define GEMM_VNNI(name, group, zero_log2)                                                                                                  \
  static void gemm_##name (const LlmUnpacked *w, gsize w_stride, guint n_w, const LlmQ8Lanes *x, gsize x_stride, guint n_x,                \
                           guint n_blocks, float *acc, gsize acc_stride)                                                                   \
  {                                                                                                                                        \
    for (guint step; n_x > 0; n_x -= MIN (n_x, step), x += step / 16 * x_stride, acc += step)                                              \
      {                                                                                                                                    \
        guint n_tiles = n_x / 16 + (n_x % 16 > 8);                                                                                         \
                                                                                                                                           \
        step = n_tiles == 3 || n_tiles > 4 ? 48 : n_tiles >= 2 ? 32 : 16;                                                                  \
        if (step == 48)                                                                                                                    \
          for (guint n = 0; n < n_w; n += 4)                                                                                               \
            gemm_512_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 4, 3);           \
        else if (step == 32)                                                                                                               \
          for (guint n = 0; n < n_w; n += 4)                                                                                               \
            gemm_512_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 4, 2);           \
        else if (n_x > 8)                                                                                                                  \
          for (guint n = 0; n < n_w; n += 8)                                                                                               \
            gemm_512_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 8, 1);           \
        else                                                                                                                               \
          for (guint n = 0; n < n_w; n += 8)                                                                                               \
            gemm_256_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 8, 1);           \
      }                                                                                                                                    \
  }

GEMM_VNNI_CLASSES

#include "compute/cpu/amx.h"
#include "compute/cpu/product-kernels.h"
#include "compute/cpu/attention-kernels.h"
#include "compute/cpu/row-kernels.h"

static gboolean
usable (void)
{
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512bw")
         && __builtin_cpu_supports ("avx512vnni") && __builtin_cpu_supports ("fma") && llm_cpu_has_f16c ();
}

const LlmCpuKernels llm_cpu_avx512_vnni = { .name = "avx512-vnni", .usable = usable, .noise = 0.08, PRODUCT_KERNELS, ATTENTION_KERNELS, ROW_KERNELS };

/* the same, but for many input rows */
const LlmCpuKernels llm_cpu_amx
  = { .name = "amx", .usable = llm_cpu_amx_usable, .noise = 0.08, .tiles = &llm_cpu_amx_tiles, PRODUCT_KERNELS, ATTENTION_KERNELS, ROW_KERNELS };
