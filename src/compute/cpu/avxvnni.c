/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AVX-VNNI (from Alder Lake and Zen 5 on): the vectors of AVX2, with vpdpbusd. */
#include "compute/cpu/bits-256.h"
#include "compute/cpu/vectors-256.h"

#define DOT_256(sum, q, x) _mm256_dpbusd_avx_epi32 (sum, q, x)
#include "compute/cpu/vnni.h"

/* Tiles of 4 x 16, the last 8 input rows or fewer by 8 x 8: more do not fit into sixteen registers. */
#define GEMM_VNNI(name, group, zero_log2)                                                                                                  \
  static void gemm_##name (const LlmUnpacked *w, gsize w_stride, guint n_w, const LlmQ8Lanes *x, gsize x_stride, guint n_x,                \
                           guint n_blocks, float *acc, gsize acc_stride)                                                                   \
  {                                                                                                                                        \
    for (guint r = 0; r < n_x; r += 16, x += x_stride, acc += 16)                                                                          \
      if (n_x - r > 8)                                                                                                                     \
        for (guint n = 0; n < n_w; n += 4)                                                                                                 \
          gemm_256_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 4, 2);             \
      else                                                                                                                                 \
        for (guint n = 0; n < n_w; n += 8)                                                                                                 \
          gemm_256_tile (w + n, w_stride, x, x_stride, 0, n_blocks, acc + n * acc_stride, acc_stride, group, zero_log2, 8, 1);             \
  }

GEMM_VNNI_CLASSES

#include "compute/cpu/product-kernels.h"
#include "compute/cpu/attention-kernels.h"
#include "compute/cpu/row-kernels.h"

static gboolean
usable (void)
{
  guint a, b, c, d;
  const guint avx_vnni = 1 << 4; /* compilers differ in the name */

  return __get_cpuid_count (7, 1, &a, &b, &c, &d) && (a & avx_vnni) != 0 && __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma")
         && llm_cpu_has_f16c ();
}

const LlmCpuKernels llm_cpu_avx_vnni = { .name = "avx-vnni", .usable = usable, .noise = 0.08, PRODUCT_KERNELS, ATTENTION_KERNELS, ROW_KERNELS };
