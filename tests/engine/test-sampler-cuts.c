/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typical-p, top-n-sigma, XTC and DRY: which tokens stay, and with which weight.
 */
#include "engine/sampler.h"

#include <math.h>

#include "base/limits.h"

#define N 6

static LlmSamplingParams
plain (void)
{
  return (LlmSamplingParams) { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE };
}

/* The distribution over ids, zeros for those that are gone. @share: of N tokens. */
static void
distribution (const LlmSamplingParams *params, const double *share, const gint32 *text, guint n_text, double *left)
{
  g_autoptr (LlmSampler) sampler = llm_sampler_new (params, N);
  float logits[N];
  gint32 token[N];
  double probability[N];
  guint n;

  for (guint i = 0; i < N; i++)
    logits[i] = (float) log (share[i]);
  for (guint i = 0; i < n_text; i++)
    llm_sampler_accept (sampler, text[i]);
  n = llm_sampler_distribution (sampler, logits, token, probability);
  for (guint i = 0; i < N; i++)
    left[i] = 0;
  for (guint i = 0; i < n; i++)
    left[token[i]] = probability[i];
}

static void
expect (const LlmSamplingParams *params, const double *share, const gint32 *text, guint n_text, const double *expected)
{
  double left[N];

  distribution (params, share, text, n_text, left);
  for (guint i = 0; i < N; i++)
    g_assert_cmpfloat_with_epsilon (left[i], expected[i], 1e-6);
}

static const double peaked[N] = { 0.6, 0.1, 0.1, 0.1, 0.05, 0.05 };

static void
test_typical (void)
{
  static const double share[N] = { 0.45, 0.11, 0.11, 0.11, 0.11, 0.11 }; /* entropy 1.57; surprises 0.80 and 2.21 */
  LlmSamplingParams params = plain ();

  params.typical_p = 0.05; /* one of those that are nearer */
  expect (&params, share, NULL, 0, (const double[]) { 0, 1, 0, 0, 0, 0 });
  params.typical_p = 0.25;
  expect (&params, share, NULL, 0, (const double[]) { 0, 1 / 3.0, 1 / 3.0, 1 / 3.0, 0, 0 });
  params.typical_p = 0.54; /* all five */
  expect (&params, share, NULL, 0, (const double[]) { 0, 0.2, 0.2, 0.2, 0.2, 0.2 });
  params.typical_p = 0.56; /* then the likeliest too */
  expect (&params, share, NULL, 0, share);
  params.typical_p = 1;
  expect (&params, share, NULL, 0, share);
}

static void
test_top_n_sigma (void)
{
  LlmSamplingParams params = plain ();

  params.top_n_sigma = 1; /* logits -0.51, three of -2.3, two of -3: deviation 0.84 */
  expect (&params, peaked, NULL, 0, (const double[]) { 1, 0, 0, 0, 0, 0 });
  params.top_n_sigma = 2.2;
  expect (&params, peaked, NULL, 0, (const double[]) { 6 / 9.0, 1 / 9.0, 1 / 9.0, 1 / 9.0, 0, 0 });
  params.top_n_sigma = 3;
  expect (&params, peaked, NULL, 0, peaked);
}

static const double falling[N] = { 0.4, 0.25, 0.15, 0.1, 0.06, 0.04 };

static void
test_xtc (void)
{
  LlmSamplingParams params = plain ();
  g_autoptr (LlmSampler) sampler = NULL;
  float logits[N];
  guint n_first = 0;

  params.xtc_probability = 1;
  params.xtc_threshold = 0.12; /* of three the last one stays */
  expect (&params, falling, NULL, 0, (const double[]) { 0, 0, 15 / 35.0, 10 / 35.0, 6 / 35.0, 4 / 35.0 });
  params.xtc_threshold = 0.3; /* one alone stays */
  expect (&params, falling, NULL, 0, falling);
  params.xtc_threshold = 0; /* all are: the very last */
  expect (&params, falling, NULL, 0, (const double[]) { 0, 0, 0, 0, 0, 1 });

  params.xtc_threshold = 0.2;
  params.xtc_probability = 0.5;
  params.top_k = 2; /* one or the other alone is left, or both */
  sampler = llm_sampler_new (&params, N);
  for (guint i = 0; i < N; i++)
    logits[i] = (float) log (falling[i]);
  for (guint i = 0; i < 2000; i++)
    n_first += llm_sampler_sample (sampler, logits) == 0;
  g_assert_cmpuint (n_first, >, 500); /* half of the steps, 0.4 of 0.65 of them: 615 */
  g_assert_cmpuint (n_first, <, 740);
}

static const double even[N] = { 1.0 / N, 1.0 / N, 1.0 / N, 1.0 / N, 1.0 / N, 1.0 / N };

/* Token @token pays @penalty. */
static void
expect_penalty (const LlmSamplingParams *params, const gint32 *text, guint n_text, gint32 token, double penalty)
{
  double expected[N];

  for (gint32 i = 0; i < N; i++)
    expected[i] = (i == token ? exp (-penalty) : 1) / (N - 1 + exp (-penalty));
  expect (params, even, text, n_text, expected);
}

static void
test_dry (void)
{
  static const gint32 once[] = { 0, 1, 2, 3, 0, 1, 2 }, longest[] = { 1, 2, 3, 5, 0, 1, 2, 3, 4, 0, 1, 2 }, never[] = { 0, 1, 2, 3, 4, 5 };
  LlmSamplingParams params = plain ();
  gint32 four = 4;

  params.dry_multiplier = 0.5;
  params.dry_base = 2;
  params.dry_allowed_length = 2;
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0.5 * 2); /* 0 1 2 again, and one longer than allowed */
  expect_penalty (&params, longest, G_N_ELEMENTS (longest), 3, 0.5 * 2); /* 1 2 would be 1; the longest counts */
  expect_penalty (&params, never, G_N_ELEMENTS (never), 0, 0);
  expect_penalty (&params, once, 0, 0, 0);
  params.dry_allowed_length = 4;
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0);
  params.dry_allowed_length = 3;
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0.5);

  params.dry_allowed_length = 2;
  params.dry_breakers = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_array_append_val (params.dry_breakers, four);
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0.5 * 2);
  g_array_index (params.dry_breakers, gint32, 0) = 0;
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0.5); /* only 1 2 */
  g_array_index (params.dry_breakers, gint32, 0) = 2;
  expect_penalty (&params, once, G_N_ELEMENTS (once), 3, 0);
  llm_sampling_params_clear (&params);
}

/* A repetition that began exactly at the edge of the window, and one before it; and no penalty beyond the largest. */
static void
test_dry_limits (void)
{
  gint32 text[LLM_MAX_DRY_WINDOW + 1];
  LlmSamplingParams params = plain ();

  params.dry_multiplier = 1;
  params.dry_base = 1;
  params.dry_allowed_length = 2;
  for (guint i = 0; i < G_N_ELEMENTS (text); i++)
    text[i] = i % 2 == 0 ? 4 : 5;
  for (guint i = 3; i < G_N_ELEMENTS (text) - 2; i++) /* 0 1 2, then nothing that ends in 0 1, then 0 1 */
    text[i] = 3 + (gint32) (i * i / 3 % 3);
  text[0] = 0, text[1] = 1, text[2] = 2;
  text[LLM_MAX_DRY_WINDOW - 2] = 0, text[LLM_MAX_DRY_WINDOW - 1] = 1;
  expect_penalty (&params, text, LLM_MAX_DRY_WINDOW, 2, 1);
  text[LLM_MAX_DRY_WINDOW - 2] = 3, text[LLM_MAX_DRY_WINDOW - 1] = 0, text[LLM_MAX_DRY_WINDOW] = 1;
  expect_penalty (&params, text, LLM_MAX_DRY_WINDOW + 1, 2, 0);

  params.dry_base = 10;
  for (guint i = 0; i < LLM_MAX_DRY_WINDOW; i++)
    text[i] = 0;
  expect_penalty (&params, text, LLM_MAX_DRY_WINDOW, 0, LLM_MAX_DRY_PENALTY); /* not 10^1021: the others stay finite */
}

/* Cuts before and after: sigma first, then top-k, typical, top-p, XTC last. */
static void
test_order (void)
{
  LlmSamplingParams params = plain ();

  params.top_p = 0.6;
  params.xtc_probability = 1;
  params.xtc_threshold = 0.05; /* top-p has left 0.4 and 0.25: of these the second, not the last of all */
  expect (&params, falling, NULL, 0, (const double[]) { 0, 1, 0, 0, 0, 0 });
  params.temperature = 0; /* greedy: nothing is cut */
  expect (&params, falling, NULL, 0, (const double[]) { 1, 0, 0, 0, 0, 0 });
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/typical-p", test_typical);
  g_test_add_func ("/sampler/top-n-sigma", test_top_n_sigma);
  g_test_add_func ("/sampler/xtc", test_xtc);
  g_test_add_func ("/sampler/dry", test_dry);
  g_test_add_func ("/sampler/dry/limits", test_dry_limits);
  g_test_add_func ("/sampler/cuts/order", test_order);
  return g_test_run ();
}
