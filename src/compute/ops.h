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
  LLM_OP_EMBED,       /* y[r,:] = scale * W[i,:], i = token[r], position[r] or 0   w -> y          */
  LLM_OP_RMS_NORM,    /* y[r,i] = x[r,i] / sqrt(mean_i x[r,i]^2 + eps) * g[i]      x, w=g -> y
                         over every group of cols(g) columns by itself (a head, or the row)        */
  LLM_OP_MATMUL,      /* y[r,n] = sum_k W[n,k] x[r,k] (+ b[n]) (+ z[r,n])          x, w, (b), (z) -> y */
  LLM_OP_ROPE,        /* rotary embedding (Su et al. 2021), in place on x, heads of head_dim  x, (w=factors) -> x */
  LLM_OP_KV_WRITE,    /* K[layer, page(slot[r], position[r])] = x; V[...] = z      x=k, z=v        */
  LLM_OP_ATTENTION,   /* y[r,h,:] = sum_t softmax_t(s_t) v_t, s_t = scale q.k_t, GQA   x=q, (w=sinks) -> y
                         over the keys t < n_keys[r] (batch; else t <= position[r]) that are in the
                         window: t > position[r] - window.  With a cap c, s_t = c tanh(scale q.k_t / c).
                         A sink adds exp(sinks[h]) to the sum of the softmax and no value          */
  LLM_OP_GLU,         /* y = act(x) * z, elementwise; without z: y = act(x)        x=gate, (z=up) -> y */
  LLM_OP_ADD,         /* y = x + z                                                 x, z -> y       */
  LLM_OP_SELECT_ROWS, /* y[o,:] = x[out_row[o],:]                                  x -> y (OUT)    */
  LLM_OP_LAYER_NORM,  /* y = (x - mean x) / sqrt(var x + eps) * g (+ b) (Ba et al. 2016)   x, w=g, (b) -> y */
  LLM_OP_SCALE,       /* y = s x, with a cap c: y = c tanh(s x / c)                x -> y          */
  LLM_OP_ROUTE,       /* y[r,0:k] = the k largest of x[r,:], as indices, the lower one first among equals;
                         y[r,k:2k] = scale * their softmax: among the k, or, when not normalised,
                         among all (Shazeer et al. 2017)                           x -> y          */
  LLM_OP_EXPERT_MATMUL, /* y[r,j,n] = sum_c W[e,n,c] x[r,(j,)c] (+ b[e,n]), e = z[r,j], j < k; x has one row
                         for all j or one for each                                 x, w, z=route, (b) -> y */
  LLM_OP_EXPERT_MIX,  /* y[r,:] = sum_j z[r,k+j] x[r,j,:]                          x, z=route -> y */
  LLM_N_OPS
} LlmOpKind;

typedef enum {
  LLM_ACT_SILU,      /* a / (1 + exp(-a)) */
  LLM_ACT_GELU,      /* a Phi(a) = a/2 (1 + erf(a / sqrt 2)) (Hendrycks & Gimpel 2016) */
  LLM_ACT_GELU_TANH, /* a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) */
  LLM_ACT_SWIGLU_CLAMPED, /* with g = min(a, 7), u = clamp(z, -7, 7): g / (1 + exp(-1.702 g)) (u + 1) (gpt-oss); needs z */
  LLM_N_ACTS
} LlmActivation;

typedef enum {
  LLM_EMBED_TOKEN,    /* i = token[r] */
  LLM_EMBED_POSITION, /* i = position[r] */
  LLM_EMBED_FIRST,    /* i = 0: the token type of a text that stands alone */
  LLM_N_EMBEDS
} LlmEmbedSource;

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
  LlmEmbedSource source;
  float scale;               /* 0 stands for 1 */
} LlmEmbedParams;

/* of RMS_NORM and LAYER_NORM */
typedef struct {
  float eps;
} LlmNormParams;

/* theta_i = (position / scale) * base^(-2i/dim) / factor[i], factor (F32 [dim/2]) from w or 1
 * (Llama 3.1's rope_freqs.weight); pair i is (2i, 2i+1) when
 * interleaved, else (i, i + dim/2); columns >= dim of a head stay.  With yarn_context > 0 the
 * pairs that turn more than beta_fast times within it are not scaled, those that turn less than
 * beta_slow times are, and between them it is blended (YaRN, Peng et al. 2023, eq. 23). */
typedef struct {
  guint n_heads;
  guint head_dim;
  guint dim;                 /* even, <= head_dim */
  gboolean interleaved;
  float base;
  float scale;
  float magnitude;           /* of the turned pair; 0 stands for 1 */
  guint yarn_context;        /* tokens of the context before it was stretched; 0: no YaRN */
  float beta_fast, beta_slow;
} LlmRopeParams;

typedef struct {
  guint layer;
} LlmKvWriteParams;

/* Query head h reads key/value head h / (n_heads / n_kv_heads). */
typedef struct {
  guint layer;
  guint n_heads;
  float scale;               /* 1/sqrt(head_dim_k) */
  guint window;              /* keys in reach, the row's own one included; 0: all */
  float cap;                 /* of the scores; 0: none */
} LlmAttentionParams;

typedef struct {
  LlmActivation act;
} LlmGluParams;

typedef struct {
  float scale;
  float cap;                 /* 0: none */
} LlmScaleParams;

typedef struct {
  guint n_used;              /* k */
  gboolean normalise;
  float scale;               /* 0 stands for 1 */
} LlmRouteParams;

typedef struct {
  guint n_experts;           /* the weight is [n_experts * n, c], the bias [1, n_experts * n] */
  guint n_used;              /* k, as of the route */
} LlmExpertParams;           /* of EXPERT_MATMUL and EXPERT_MIX */

typedef struct {
  LlmOpKind kind;
  LlmValueId x, z;           /* inputs; LLM_NONE where unused */
  LlmValueId y;              /* output; == x for ROPE; LLM_NONE for KV_WRITE */
  LlmWeightId w, b;          /* LLM_NONE where unused */
  union {
    LlmEmbedParams embed;
    LlmNormParams norm;
    LlmRopeParams rope;
    LlmKvWriteParams kv_write;
    LlmAttentionParams attention;
    LlmGluParams glu;
    LlmScaleParams scale;
    LlmRouteParams route;
    LlmExpertParams expert;
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
