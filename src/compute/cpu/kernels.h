/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inner loops that differ by instruction set; everything else of the CPU device is
 * written once.  Every product is of one weight row and one input row alone, in a fixed order.
 */
#pragma once

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "compute/cpu/unpack.h"
#include "compute/ops.h"

/* y[r][first + n] = w row n . x[r], n < @n_w, r < @n_x; @k columns. */
typedef void (*LlmFloatProduct) (const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y, gsize first);

typedef struct {
  const char *name; /* "scalar", "avx2", ... */
  gboolean (*usable) (void);
  LlmFloatProduct f32, f16, bf16;
  const LlmCodedType *(*coded) (guint32 dtype); /* how a type is multiplied through bytes; NULL for others */
  void (*quantise) (const float *x, LlmQ8Chunk *q, guint k);
  /* y[r][first + n] = acc[n * stride + r], n < @n_w, r < @n_x; whole groups of 4 are read. */
  void (*store_lanes) (const float *acc, gsize stride, guint n_w, guint n_x, float *const *y, gsize first);
  /* The same for any type, by its definition; NULL but for "scalar", which has nothing else. */
  void (*definition) (const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y,
                      gsize first);
  /* The tokens of one page, @stride bytes apart: score[t] = scale * q . k[t]; y += sum over t of a[t] * v[t]. */
  void (*dots_f32) (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score);
  void (*dots_f16) (const float *q, const guint8 *k, gsize stride, guint n, guint dim, float scale, float *score);
  void (*mix_f32) (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim);
  void (*mix_f16) (float *y, const float *a, const guint8 *v, gsize stride, guint n, guint dim);
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

/* Input rows of a product, in the form that its kernel reads. */
typedef struct {
  const float *const *x;        /* [n_x]: rows of k floats; for types that are not coded */
  const LlmQ8Chunk *const *q8;  /* [n_x]: rows of chunks; up to LLM_GEMV_ROWS rows */
  const LlmQ8Lanes *lanes;      /* tiles of 16 rows, @lanes_stride apart; for more */
  gsize lanes_stride;
} LlmCpuInput;

/* How weights of @dtype are multiplied through bytes; NULL: inputs stay floats. */
const LlmCodedType *llm_cpu_coded (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype);
/* y[r][first + n] = w row n . x row r for n < @n_w, r < @n_x; @k columns, a multiple of the type's block.
 * A row's result does not depend on the rows beside it, but for which of the two kernels of coded types their number calls for. */
void llm_cpu_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x, guint n_x,
                      guint k, float *const *y, gsize first);

/* NULL but in tests that emulate instructions which this CPU lacks: whether those of the kernels @name are. */
extern gboolean (*llm_cpu_isa_emulated) (const char *name);

/* By name; NULL or "": the environment's LLM_CPU_ISA, else the best one this CPU has.
 * LLM_ERROR_NOT_SUPPORTED names those there are. */
const LlmCpuKernels *llm_cpu_kernels_find (const char *name, GError **error);
