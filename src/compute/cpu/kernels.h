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

/* score[r * score_stride + t] = cap (scale * q[r] . k[t]) for r < n_rows, t < n; more scores are
 * written, up to the next multiple of 16 keys. Query rows are padded with zeros to a multiple of 16. */
typedef struct {
  guint n_rows, n, dim;
  gsize q_stride, score_stride; /* elements */
  gsize k_stride;               /* bytes */
  float scale, cap;             /* cap 0: none */
} LlmScores;

/* y[r] += sum over t of a[r * a_stride + t] v[t], in the order of t; rows of y are padded like queries. */
typedef struct {
  guint n_rows, n, dim;
  gsize y_stride, a_stride; /* elements */
  gsize v_stride;           /* bytes */
} LlmMix;

/* Of keys and values of one type in the cache. */
typedef struct {
  void (*scores) (const LlmScores *s, const float *q, const guint8 *k, float *score); /* NULL: only through expand */
  void (*mix) (const LlmMix *m, float *y, const float *a, const guint8 *v);
  /* One head of @n tokens to floats, rows padded with zeros to a multiple of 16. NULL: they are floats */
  void (*expand) (const guint8 *page, gsize stride, guint n, guint dim, float *out, gsize out_stride);
} LlmKvKernels;

/* Many input rows of coded types as tiles of bf16: how an instruction set has them; see amx.h for each. */
typedef struct {
  void (*pack) (const float *const *x, guint n_rows, guint first, guint n_cols, guint16 *lanes);
  void (*convert) (const LlmUnpacked *columns, guint n, guint16 *w);
  void (*panel) (const guint16 *w, gsize w_stride, guint n_w, const guint16 *x, gsize x_tile, guint n_tiles, guint k, float *acc, gsize acc_stride,
                 gboolean add);
  void (*store) (const float *acc, gsize acc_stride, guint n_w, guint n_x, float *const *y, gsize first);
} LlmCpuTiles;

typedef struct {
  const char *name; /* "scalar", "avx2", ... */
  gboolean (*usable) (void);
  LlmFloatProduct f32, f16, bf16;
  const LlmCodedType *(*coded) (guint32 dtype); /* how a type is multiplied through bytes; NULL for others */
  void (*quantise) (const float *x, LlmQ8Chunk *q, guint k);
  const LlmCpuTiles *tiles; /* or NULL */
  /* y[r][first + n] = acc[n * stride + r], n < @n_w, r < @n_x; whole groups of 4 are read. */
  void (*store_lanes) (const float *acc, gsize stride, guint n_w, guint n_x, float *const *y, gsize first);
  /* The same for any type, by its definition; NULL but for "scalar", which has nothing else. */
  void (*definition) (const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const float *const *x, guint n_x, guint k, float *const *y,
                      gsize first);
  LlmKvKernels kv_f32, kv_f16, kv_q8_0;
  /* @n scores, a multiple of 16, become exp (score - max); -INFINITY stands for a key out of sight. */
  void (*softmax_part) (float *score, guint n, float *max, float *sum);
  void (*exps) (float *x, guint n);                                 /* x = exp (x) */
  void (*blend) (float *y, float a, const float *x, float b, guint n); /* y = a y + b x */
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
extern const LlmCpuKernels llm_cpu_avx_vnni;
extern const LlmCpuKernels llm_cpu_avx512_vnni;
extern const LlmCpuKernels llm_cpu_amx;

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
  const LlmQ8Chunk *const *q8;  /* [n_x]: rows of chunks; for as many as LlmCpuRows.few */
  const LlmQ8Lanes *lanes;      /* tiles of 16 rows, @lanes_stride apart; for more */
  gsize lanes_stride;
  const guint16 *bf16;          /* as llm_cpu_tiles_pack() leaves them; for as many as llm_cpu_by_tiles() says */
} LlmCpuInput;

/* Which kernel multiplies coded types, by the number of input rows. See tuning.h. */
typedef struct {
  guint few;   /* up to so many, LLM_GEMV_ROWS at most: the fused one */
  guint tiles; /* from so many on: tiles of bf16, where there are any */
} LlmCpuRows;

/* Unless it was measured. Tiles: 40 ns to make one of weights, of which 16 rows take 16 cycles. */
#define LLM_CPU_ROWS ((LlmCpuRows) { LLM_GEMV_ROWS, 32 })

/* How weights of @dtype are multiplied through bytes; NULL: inputs stay floats. */
const LlmCodedType *llm_cpu_coded (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype);

#define LLM_TILES_ROWS 256 /* weight rows of a piece, at most, that goes by tiles */

/* Whether products of coded types with @n_x input rows go by tiles of bf16. */
gboolean llm_cpu_by_tiles (const LlmCpuKernels *kernels, LlmCpuRows rows, guint n_x);
/* Their inputs: tile @tile of the @n_x rows @x of @k columns. @bf16: 16 @k elements for each tile. */
void llm_cpu_tiles_pack (const LlmCpuKernels *kernels, const float *const *x, guint n_x, guint k, guint tile, guint16 *bf16);
/* llm_cpu_product() for them. */
void llm_cpu_tiles_product (const LlmCpuKernels *kernels, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x,
                            guint n_x, guint k, float *const *y, gsize first);

/* y[r][first + n] = w row n . x row r for n < @n_w, r < @n_x; @k columns, a multiple of the type's block.
 * A row's result does not depend on the rows beside it, but for which of the kernels of coded types their number calls for. */
void llm_cpu_product (const LlmCpuKernels *kernels, LlmCpuRows by, const LlmDtypeInfo *dtype, const guint8 *w, gsize w_stride, guint n_w, const LlmCpuInput *x,
                      guint n_x, guint k, float *const *y, gsize first);

/* NULL but in tests that emulate instructions which this CPU lacks: whether those of the kernels @name are. */
extern gboolean (*llm_cpu_isa_emulated) (const char *name);

/* By name; NULL or "": the environment's LLM_CPU_ISA, else the best one this CPU has.
 * LLM_ERROR_NOT_SUPPORTED names those there are. */
const LlmCpuKernels *llm_cpu_kernels_find (const char *name, GError **error);
