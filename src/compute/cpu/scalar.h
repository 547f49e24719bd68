/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definitions, by their entries in LlmCpuKernels.
 */
#pragma once

#include "compute/cpu/kernels.h"

void llm_scalar_glu (LlmActivation act, const float *x, const float *z, float *y, gsize n);
void llm_scalar_add (const float *x, const float *z, float *y, gsize n);
void llm_scalar_scale (const LlmScaleParams *p, const float *x, float *y, gsize n);
void llm_scalar_add_scaled (float a, const float *x, float *y, gsize n);
void llm_scalar_rms_norm (const float *x, const void *gain, float eps, float *y, guint n);
void llm_scalar_layer_norm (const float *x, const void *gain, const void *bias, float eps, float *y, guint n);
void llm_scalar_rope (float *x, const float *table, guint half, gboolean interleaved);
void llm_scalar_to_half (const float *x, guint16 *h, guint n);

#define LLM_SCALAR_ROWS                                                                                                                    \
  .glu = llm_scalar_glu, .add = llm_scalar_add, .scale = llm_scalar_scale, .add_scaled = llm_scalar_add_scaled,                            \
  .rms_norm = llm_scalar_rms_norm, .layer_norm = llm_scalar_layer_norm, .rope = llm_scalar_rope, .to_half = llm_scalar_to_half
