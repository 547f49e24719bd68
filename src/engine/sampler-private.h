/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the sampler share.
 */
#pragma once

#include "base/limits.h"
#include "engine/sampler.h"

typedef struct {
  gint32 token;
  float logit;
} LlmCandidate;

struct _LlmSampler {
  LlmSamplingParams params;
  guint n_vocab;
  guint64 state, increment; /* PCG32 */
  gint32 window[LLM_MAX_PENALTY_WINDOW];
  guint n_window, window_at;
  gint32 *text;          /* [LLM_MAX_DRY_WINDOW] the last tokens, in order; NULL without DRY */
  guint n_text;
  guint8 *breaks;        /* [n_vocab] of DRY */
  LlmCandidate *candidates; /* [n_vocab] */
  float *adjusted;       /* [n_vocab] */
};

/* [0, 1) with 32 random bits */
double llm_sampler_next_unit (LlmSampler *self);
/* @logits with penalties and biases: themselves when there are none, else self->adjusted. */
const float *llm_sampler_adjust (LlmSampler *self, const float *logits);
/* The candidates that stay, best first, in self->candidates; returns how many, at least 1. */
guint llm_sampler_cut (LlmSampler *self, const float *logits);
