/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logits -> token: penalties, bias, cuts, temperature, draw.
 *
 * The order is fixed and documented (penalties, DRY, logit-bias, top-n-sigma, top-k, typical-p, top-p,
 * min-p, XTC, temperature), the generator is ours (so that a seed gives the same text on every machine:
 * PCG-XSH-RR 64/32, O'Neill 2014), and a sampler sees nothing but its own logits row: the
 * batch around it cannot change the outcome.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  gint32 token;
  float bias;       /* added to the logit, -100..100 */
} LlmLogitBias;

typedef struct {
  double temperature;        /* 0..2; 0 = greedy */
  guint top_k;               /* 0 = off */
  double top_p;              /* (0..1], 1 = off; nucleus, Holtzman et al. 2020 */
  double min_p;              /* [0..1], 0 = off; Nguyen et al. 2024 */
  double repetition_penalty; /* (0..2], 1 = off; Keskar et al. 2019 */
  double frequency_penalty;  /* -2..2, 0 = off; OpenAI's definition */
  double presence_penalty;   /* -2..2, 0 = off */
  GArray *logit_bias;        /* LlmLogitBias, (owned, nullable) */
  double top_n_sigma;        /* 0 = off; Tang et al. 2024: logits within n deviations of the best */
  double typical_p;          /* (0..1], 1 = off; Meister et al. 2023 */
  double xtc_probability;    /* [0..1], 0 = off; "exclude top choices": at each step, with this probability, of the tokens at */
  double xtc_threshold;      /* or above this one only the least likely stays */
  double dry_multiplier;     /* 0 = off; "don't repeat yourself": a token that would make the repetition of n earlier tokens */
  double dry_base;           /* one longer loses multiplier * base^(n - allowed_length) when n >= allowed_length */
  guint dry_allowed_length;
  GArray *dry_breakers;      /* gint32, (owned, nullable): no repetition goes across these tokens */
  gboolean has_seed;
  guint64 seed;
} LlmSamplingParams;

void llm_sampling_params_init (LlmSamplingParams *self); /* the defaults of base/limits.h (LLM_DEFAULT_*) */
void llm_sampling_params_clear (LlmSamplingParams *self);

typedef struct _LlmSampler LlmSampler;

/* Copies @params. Without a seed one is drawn from the system. */
LlmSampler *llm_sampler_new (const LlmSamplingParams *params, guint n_vocab);
void llm_sampler_free (LlmSampler *self);
/* A token that is in the text so far (prompt or generated): the penalties look at the last LLM_MAX_PENALTY_WINDOW, DRY at the
 * last LLM_MAX_DRY_WINDOW. */
void llm_sampler_accept (LlmSampler *self, gint32 token);
/* @logits [n_vocab], unchanged.  Never allocates. NaN logits count as -inf. Ties go to the lower id. */
gint32 llm_sampler_sample (LlmSampler *self, const float *logits);
/* What llm_sampler_sample() would draw from: tokens and their probabilities, best first; returns how many. @token, @probability: [n_vocab]. */
guint llm_sampler_distribution (LlmSampler *self, const float *logits, gint32 *token, double *probability);
/* log-softmax of @logits: that of @token, and the @n best (best first). */
float llm_logprobs (const float *logits, guint n_vocab, gint32 token, guint n, gint32 *top_token, float *top_logprob);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmSampler, llm_sampler_free)

G_END_DECLS
