/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * THE contract between the engine and every compute device: what an op is.
 *
 * A forward pass is a straight line of ops over values.  A value is a float32
 * matrix [rows, width] whose number of rows is symbolic: either all rows of the
 * batch (LLM_ROWS_BATCH) or only those whose logits are wanted (LLM_ROWS_OUT).
 * Rows of many sequences share one run: for every row the batch (batch.h) gives a
 * token, a position and a sequence slot.
 *
 * The scalar C of an op (cpu/scalar.c) is its definition; everything else obeys
 * it within the tolerance that the device states.  Notation below: r = row,
 * W[n,k] = weight row n, column k, decoded to float.
 */
#pragma once

#include "format/dtype.h"

G_BEGIN_DECLS

typedef guint LlmValueId;
typedef guint LlmWeightId;
#define LLM_NONE G_MAXUINT

typedef enum {
  LLM_ROWS_BATCH, /* one row per token of the batch */
  LLM_ROWS_OUT,   /* one row per wanted logit row */
} LlmRowSet;

typedef enum {
  LLM_OP_EMBED,       /* y[r,:] = W[token[r],:]                                    w -> y          */
  LLM_OP_RMS_NORM,    /* y[r,i] = x[r,i] / sqrt(mean_i x[r,i]^2 + eps) * g[i]      x, w=g -> y     */
  LLM_OP_MATMUL,      /* y[r,n] = sum_k W[n,k] x[r,k] (+ b[n]) (+ z[r,n])          x, w, (b), (z) -> y */
  LLM_OP_ROPE,        /* rotary embedding (Su et al. 2021), in place on x, heads of head_dim  x, (w=factors) -> x */
  LLM_OP_KV_WRITE,    /* K[layer, page(slot[r], position[r])] = x; V[...] = z      x=k, z=v        */
  LLM_OP_ATTENTION,   /* y[r,h,:] = sum_t softmax_t(scale q.k_t) v_t, t <= position[r], GQA   x=q -> y */
  LLM_OP_GLU,         /* y = act(x) * z, elementwise                               x=gate, z=up -> y */
  LLM_OP_ADD,         /* y = x + z                                                 x, z -> y       */
  LLM_OP_SELECT_ROWS, /* y[o,:] = x[out_row[o],:]                                  x -> y (OUT)    */
  LLM_N_OPS
} LlmOpKind;

typedef enum { LLM_ACT_SILU } LlmActivation; /* silu(a) = a / (1 + exp(-a)) */

/* A weight matrix [n_rows, n_cols] in its GGUF layout, rows contiguous. A vector
 * (norm gain, bias) has n_rows = 1 and dtype F32. */
typedef struct {
  const char *name;          /* (lent) for messages and profiles */
  const LlmDtypeInfo *dtype;
  guint64 n_cols;
  guint64 n_rows;
  const void *data;          /* (lent) outlives every executable; any alignment */
  guint64 n_bytes;
} LlmWeight;

typedef struct {
  LlmRowSet rows;
  guint width;               /* columns */
  guint buffer;              /* activation buffer that holds it, assigned by llm_plan_finish() */
} LlmValue;

typedef struct {
  float eps;
} LlmRmsNormParams;

/* theta_i = (position / scale) * base^(-2i/dim) / factor[i], factor (F32 [dim/2]) from w or 1
 * (Llama 3.1's rope_freqs.weight); pair i is (2i, 2i+1) when
 * interleaved, else (i, i + dim/2); columns >= dim of a head stay. */
typedef struct {
  guint n_heads;
  guint head_dim;
  guint dim;                 /* even, <= head_dim */
  gboolean interleaved;
  float base;
  float scale;
} LlmRopeParams;

typedef struct {
  guint layer;
} LlmKvWriteParams;

/* Query head h reads key/value head h / (n_heads / n_kv_heads). */
typedef struct {
  guint layer;
  guint n_heads;
  float scale;               /* 1/sqrt(head_dim_k) */
} LlmAttentionParams;

typedef struct {
  LlmActivation act;
} LlmGluParams;

typedef struct {
  LlmOpKind kind;
  LlmValueId x, z;           /* inputs; LLM_NONE where unused */
  LlmValueId y;              /* output; == x for ROPE; LLM_NONE for KV_WRITE */
  LlmWeightId w, b;          /* LLM_NONE where unused */
  union {
    LlmRmsNormParams rms_norm;
    LlmRopeParams rope;
    LlmKvWriteParams kv_write;
    LlmAttentionParams attention;
    LlmGluParams glu;
  } p;
} LlmOp;

const char *llm_op_name (LlmOpKind kind); /* "rms-norm" */

/* What one op moves and computes for @n_rows rows with, on average, @kv_len keys
 * in reach: bytes read and written (weights once per run), and multiply-adds
 * counted as 2.  Pure. */
typedef struct {
  guint64 bytes;
  guint64 flops;
} LlmOpCost;

G_END_DECLS
