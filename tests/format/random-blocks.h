/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks of any tensor type with every code equally likely, and scales that keep the elements finite.
 */
#pragma once

#include "format/dtype.h"

/* The elements are about @size in size.  @to [block_bytes], any alignment. */
void llm_test_random_block (GRand *rand, const LlmDtypeInfo *dtype, float size, guint8 *to);
/* Puts @scale (and @minimum, where there is one) where the block holds it; MXFP4 takes the power of 2 of @scale. */
void llm_test_set_scale (const LlmDtypeInfo *dtype, guint8 *block, float scale, float minimum);
/* Bell-shaped, variance 1. */
double llm_test_normal (GRand *rand);
