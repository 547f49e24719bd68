/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inner loops that differ by instruction set; everything else of the CPU device is
 * written once.  Every product is of one weight row and one input row alone, in a fixed order,
 * so that a row's result does not depend on the rows beside it.
 */
#pragma once

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "compute/cpu/unpack.h"
#include "compute/ops.h"

/* Input rows of the quantised kernels: blocks of 32, y = d * q. */
typedef struct {
  float d;
  gint32 minus_8_sum; /* -8 times the sum of q */
  float sum[2];       /* of y, columns 0-15 and 16-31 */
  gint8 q[32];        /* -127..127 */
} LlmQ8Block;

/* y[r * y_stride + n] = dot (weight row n, input row r) for n < @n_w, r < @n_x; rows of @k elements.
 * Input rows are float[k], or LlmQ8Block[k / 32] when the kernel's quantised flag is set. */
typedef void (*LlmMatmulKernel) (const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y, gsize y_stride);

typedef struct {
  LlmMatmulKernel run;
  gboolean quantised; /* input rows are LlmQ8Block */
} LlmMatmulRow;

typedef struct {
  const char *name; /* "scalar", "avx2", ... */
  gboolean (*usable) (void);
  LlmMatmulRow f32, f16, bf16, q8_0, q4_0; /* types that have a kernel of their own */
  LlmUnpack (*find_unpack) (LlmDtype dtype); /* types that go through the form of unpack.h; NULL for others */
  LlmMatmulKernel unpacked;                  /* weight rows of LlmUnpackedBlock, quantised inputs */
  /* The same for any type, by its definition; NULL but for "scalar", which has nothing else. */
  void (*definition) (const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride, guint n_x, guint k, float *y,
                      gsize y_stride);
  /* The tokens of one page, @stride bytes apart: score[t] = scale * q . k[t]; y += sum over t of a[t] * v[t]. */
  void (*dots_f32) (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score);
  void (*dots_f16) (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score);
  void (*mix_f32) (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim);
  void (*mix_f16) (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim);
  void (*quantise) (const float *x, LlmQ8Block *q, guint k);
  void (*to_half) (const float *x, guint16 *h, guint n);
  /* Element by element; y may be x. add_scaled: y += a x. */
  void (*glu) (LlmActivation act, const float *x, const float *z, float *y, gsize n);
  void (*add) (const float *x, const float *z, float *y, gsize n);
  void (*scale) (const LlmScaleParams *p, const float *x, float *y, gsize n);
  void (*add_scaled) (float a, const float *x, float *y, gsize n);
  /* One row, or a head's part of it; @gain and @bias may stand at any address, @bias may be NULL. */
  void (*rms_norm) (const float *x, const void *gain, float eps, float *y, guint n);
  void (*layer_norm) (const float *x, const void *gain, const void *bias, float eps, float *y, guint n);
  /* One head's first 2 @half elements, in place; @table: cos, sin of every pair. */
  void (*rope) (float *x, const float *table, guint half, gboolean interleaved);
  double noise; /* of a quantised matmul chain; see llm_device_noise() */
} LlmCpuKernels;

extern const LlmCpuKernels llm_cpu_scalar;
#ifdef __x86_64__
extern const LlmCpuKernels llm_cpu_avx2;
extern const LlmCpuKernels llm_cpu_avx512_vnni;

/* clang 14 has no "f16c" in __builtin_cpu_supports() */
static inline gboolean
llm_cpu_has_f16c (void)
{
  guint a, b, c = 0, d;

  return __get_cpuid (1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}
#endif

/* The kernel of weights of @dtype: whether it wants quantised input rows. Never NULL. */
const LlmMatmulRow *llm_cpu_matmul_row (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype);
/* An LlmMatmulKernel for any type. */
void llm_cpu_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const guint8 *x, gsize x_stride,
                      guint n_x, guint k, float *y, gsize y_stride);

/* NULL but in tests that emulate instructions which this CPU lacks: whether those of the kernels @name are. */
extern gboolean (*llm_cpu_isa_emulated) (const char *name);

/* By name; NULL or "": the environment's LLM_CPU_ISA, else the best one this CPU has.
 * LLM_ERROR_NOT_SUPPORTED names those there are. */
const LlmCpuKernels *llm_cpu_kernels_find (const char *name, GError **error);
