/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Qwen 2 (Yang et al. 2024): Llama's forward pass with biases on queries, keys and values; that its rotary
 * dimensions pair as halves stands in the hyperparameters.
 */
#include "engine/arch.h"

LlmValueId
llm_arch_qwen2 (LlmArchBuilder *b)
{
  return llm_arch_llama_like (b, TRUE);
}
