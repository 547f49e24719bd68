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
  LlmCandidate *candidates; /* [n_vocab] best first, the first n_sorted of them */
  guint n_sorted, n_limit;  /* n_limit: with top-k, else n_vocab */
  float bound;              /* every logit at or above it stands among the candidates */
  const float *logits;      /* (lent) those of the step under way, adjusted */
  float *adjusted;       /* [n_vocab] */
};

/* [0, 1) with 32 random bits */
double llm_sampler_next_unit (LlmSampler *self);
/* @logits with penalties and biases: themselves when there are none, else self->adjusted. */
const float *llm_sampler_adjust (LlmSampler *self, const float *logits);
/* The candidates that stay are [*first, *end) of self->candidates: at least 1, best first, as far as llm_sampler_reach() has sorted them.
 * TRUE: nothing was cut at the end, *end = self->n_limit. */
gboolean llm_sampler_cut (LlmSampler *self, const float *logits, guint *first, guint *end);
/* Whether there is a candidate @i; if so, it and those before are sorted. */
gboolean llm_sampler_reach (LlmSampler *self, guint i);
/* Sum of exp (scale * (logit - the best)) of the candidates [@first, @end). @open: nothing was cut at the end. */
double llm_sampler_mass (LlmSampler *self, guint first, guint end, gboolean open, double scale);

/* ---- sampler-pass.c: @logits [@n], NaN counts as -inf ---- */

float llm_logits_max (const float *logits, guint n);
/* The first index in [@from, @n) with a logit >= @least (which is no NaN), or @n. */
guint llm_logits_next (const float *logits, guint from, guint n, float least);
/* Sum of w = exp (@scale * (logit - @max)), relative error 1e-6; @drift: of w * (logit - @max). @max: the largest, finite. */
double llm_logits_mass (const float *logits, guint n, float max, double scale, double *drift);
/* Standard deviation of the finite ones; @origin: a number near them. */
double llm_logits_deviation (const float *logits, guint n, float origin);
