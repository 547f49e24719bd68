/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Included by the shaders and by src/compute/vulkan: what is pushed with every op, and where things
 * lie in the batch buffer (units: 32-bit words; R = rows that the buffers have room for). */

#ifndef LLM_PARAMS_H
#define LLM_PARAMS_H

#ifdef LLM_PARAMS_C
#define LLM_UVEC2 struct { guint32 x, y; }
#define LLM_UINT guint32
#else
#define LLM_UVEC2 uvec2
#define LLM_UINT uint
#endif

struct LlmParams {
  LLM_UVEC2 w;         /* device address of the weight */
  LLM_UVEC2 b;         /* of the bias; 0 = none */
  LLM_UINT x_width;
  LLM_UINT y_width;
  LLM_UINT z_width;
  LLM_UINT n_cols;     /* of the weight */
  LLM_UINT n_rows;
  LLM_UINT has_z;      /* matmul: a residual is bound; glu: a second operand */
  LLM_UINT out_rows;   /* the rows are those of OUT */
  LLM_UINT max_rows;   /* R */
  LLM_UINT n_heads;
  LLM_UINT n_kv_heads;
  LLM_UINT head_dim;   /* of queries and keys */
  LLM_UINT head_dim_v;
  LLM_UINT rope_dim;
  LLM_UINT page_tokens;
  LLM_UINT window;     /* attention; 0 = none */
  LLM_UINT n_used;     /* experts of a row */
  LLM_UINT n_experts;
  LLM_UINT mode;       /* embed: source; rope: interleaved; glu: activation; route: normalise */
  float scale;         /* norms: eps */
  float cap;           /* 0 = none */
};

#define BATCH_N_ROWS 0
#define BATCH_N_OUT 1
#define BATCH_STRIDE 2 /* of the block table */
#define BATCH_TOKEN 4
#define BATCH_POSITION(R) (4 + (R))
#define BATCH_SLOT(R) (4 + 2 * (R))
#define BATCH_N_KEYS(R) (4 + 3 * (R))
#define BATCH_OUT_ROW(R) (4 + 4 * (R))
#define BATCH_TABLE(R) (4 + 5 * (R))

#define EMBED_TOKEN 0
#define EMBED_POSITION 1
#define EMBED_FIRST 2

#define ACT_SILU 0
#define ACT_GELU 1
#define ACT_GELU_TANH 2
#define ACT_SWIGLU_CLAMPED 3

#define GROUP 64       /* threads of a workgroup, all shaders */
#define TILE_DEFAULT 16 /* matmul: weight rows of a workgroup, unless it was measured; GROUP / that: its input rows */
#define BLOCK_RUN 8    /* elements that are decoded at a time, where the type has blocks; else 1 */
#define MAX_DIMS 16    /* attention: of a thread; head_dim_v <= GROUP * MAX_DIMS */
#define MAX_EXPERTS 1024

#endif
