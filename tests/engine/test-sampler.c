/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sampler against its documentation: what each parameter keeps, in which order, and the
 * generator against the published numbers of PCG32.
 */
#include "engine/sampler.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

#define N_DRAWS 400

/* Everything off but a temperature of 1: draws from the model's own distribution. */
static LlmSamplingParams
plain (guint64 seed)
{
  return (LlmSamplingParams) { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE, .seed = seed };
}

/* The ids that @params ever draws from @logits, as bits. */
static guint64
drawn (const LlmSamplingParams *params, const float *logits, guint n, const gint32 *accepted, guint n_accepted)
{
  g_autoptr (LlmSampler) sampler = llm_sampler_new (params, n);
  guint64 seen = 0;

  for (guint i = 0; i < n_accepted; i++)
    llm_sampler_accept (sampler, accepted[i]);
  for (guint i = 0; i < N_DRAWS; i++)
    seen |= 1ull << llm_sampler_sample (sampler, logits);
  return seen;
}

static gint32
once (const LlmSamplingParams *params, const float *logits, guint n)
{
  g_autoptr (LlmSampler) sampler = llm_sampler_new (params, n);

  return llm_sampler_sample (sampler, logits);
}

/* ---- the generator ---- */

typedef struct {
  guint64 state, increment;
} Pcg;

/* O'Neill 2014, as the paper writes it; the sampler has its own. */
static guint32
pcg_next (Pcg *pcg)
{
  guint64 old = pcg->state;
  guint32 x = (guint32) ((old ^ old >> 18) >> 27);
  guint rotate = (guint) (old >> 59);

  pcg->state = old * 6364136223846793005u + pcg->increment;
  return rotate == 0 ? x : x >> rotate | x << (32 - rotate);
}

static Pcg
pcg_new (guint64 seed, guint64 increment)
{
  Pcg pcg = { 0, increment };

  pcg_next (&pcg);
  pcg.state += seed;
  pcg_next (&pcg);
  return pcg;
}

static void
test_generator (void)
{
  static const guint32 published[] = { 0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e }; /* pcg32-demo, seed 42, stream 54 */
  Pcg demo = pcg_new (42, 54 << 1 | 1);

  for (guint i = 0; i < G_N_ELEMENTS (published); i++)
    g_assert_cmphex (pcg_next (&demo), ==, published[i]);
}

/* With equal logits a draw is the top bits of the generator's number. */
static void
test_seeds (void)
{
  float logits[64] = { 0 };

  for (guint64 seed = 0; seed < 5; seed++)
    {
      guint64 seeds[] = { 0, 1, 42, G_MAXUINT64, 0x8000000000000000u };
      LlmSamplingParams params = plain (seeds[seed]);
      g_autoptr (LlmSampler) sampler = llm_sampler_new (&params, 64);
      Pcg pcg = pcg_new (seeds[seed], 0xda3e39cb94b95bdbu);

      for (guint i = 0; i < 1000; i++)
        g_assert_cmpint (llm_sampler_sample (sampler, logits), ==, (gint32) (pcg_next (&pcg) >> 26));
    }
}

static void
test_no_seed (void)
{
  LlmSamplingParams params = plain (0);
  float logits[64] = { 0 };
  guint same = 0;

  params.has_seed = FALSE;
  {
    g_autoptr (LlmSampler) a = llm_sampler_new (&params, 64), b = llm_sampler_new (&params, 64);

    for (guint i = 0; i < 100; i++)
      same += llm_sampler_sample (a, logits) == llm_sampler_sample (b, logits);
  }
  g_assert_cmpuint (same, <, 50);
}

static void
test_distribution (void)
{
  LlmSamplingParams params = plain (7);
  g_autoptr (LlmSampler) sampler = llm_sampler_new (&params, 3);
  float logits[] = { logf (0.2f), logf (0.5f), logf (0.3f) };
  guint count[3] = { 0 };

  for (guint i = 0; i < 20000; i++)
    count[llm_sampler_sample (sampler, logits)]++;
  g_assert_cmpfloat (fabs (count[0] / 20000.0 - 0.2), <, 0.015);
  g_assert_cmpfloat (fabs (count[1] / 20000.0 - 0.5), <, 0.015);
  g_assert_cmpfloat (fabs (count[2] / 20000.0 - 0.3), <, 0.015);
}

/* ---- parameters ---- */

static void
test_greedy (void)
{
  LlmSamplingParams params = plain (1);
  float logits[] = { 1, 3, 3, -1 }, nans[] = { NAN, -2, NAN, -1 }, none[] = { NAN, NAN }, nothing[] = { -INFINITY, -INFINITY };

  params.temperature = 0;
  g_assert_cmpint (once (&params, logits, 4), ==, 1); /* a tie: the lower id */
  g_assert_cmpint (once (&params, nans, 4), ==, 3);
  g_assert_cmpint (once (&params, none, 2), ==, 0);
  g_assert_cmpint (once (&params, nothing, 2), ==, 0);
  params.temperature = 1;
  g_assert_cmphex (drawn (&params, nans, 4, NULL, 0), ==, 0xa);
  g_assert_cmphex (drawn (&params, none, 2, NULL, 0), ==, 0x1);
  g_assert_cmphex (drawn (&params, nothing, 2, NULL, 0), ==, 0x1);
}

static void
test_temperature (void)
{
  LlmSamplingParams params = plain (3);
  float logits[] = { 0, 4, 3.5f };

  params.temperature = 0.01;
  g_assert_cmphex (drawn (&params, logits, 3, NULL, 0), ==, 0x2);
  params.temperature = 1e-300;
  g_assert_cmphex (drawn (&params, logits, 3, NULL, 0), ==, 0x2);
  params.temperature = 2;
  g_assert_cmphex (drawn (&params, logits, 3, NULL, 0), ==, 0x7);
}

static void
test_top_k (void)
{
  LlmSamplingParams params = plain (5);
  float logits[40];
  guint64 best = 0;

  for (guint i = 0; i < 40; i++)
    logits[i] = (float) (i * 17 % 40) * 0.01f;
  for (guint k = 1; k <= 45; k++)
    {
      guint64 want = 0;

      params.top_k = k;
      for (guint i = 0; i < 40; i++)
        if (i * 17 % 40 + k >= 40)
          want |= 1ull << i;
      /* every one of many nearly equal ones is not sure to be drawn */
      g_assert_cmphex (drawn (&params, logits, 40, NULL, 0) & ~want, ==, 0);
      if (k <= 8)
        g_assert_cmphex (drawn (&params, logits, 40, NULL, 0), ==, want);
      best = want;
    }
  g_assert_cmphex (best, ==, (1ull << 40) - 1);
}

/* Of equal ones at the edge of top-k the lower ids stay. */
static void
test_top_k_ties (void)
{
  LlmSamplingParams params = plain (5);
  float logits[] = { 1, 1, 2, 1, 2, 1 };

  params.top_k = 4;
  g_assert_cmphex (drawn (&params, logits, 6, NULL, 0), ==, 0x17);
}

static void
test_top_p (void)
{
  LlmSamplingParams params = plain (9);
  float logits[] = { logf (0.1f), logf (0.4f), logf (0.3f), logf (0.2f) };

  params.top_p = 0.39;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x2);
  params.top_p = 0.41; /* the smallest set that reaches it */
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x6);
  params.top_p = 0.71;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0xe);
  params.top_p = 1e-9;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x2);
}

static void
test_min_p (void)
{
  LlmSamplingParams params = plain (9);
  float logits[] = { logf (0.1f), logf (0.4f), logf (0.3f), logf (0.2f) };

  params.min_p = 0.49; /* of 0.4: 0.196 */
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0xe);
  params.min_p = 0.51;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x6);
  params.min_p = 1;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x2);
}

/* top-p counts what top-k has left; both come before the temperature. */
static void
test_order (void)
{
  LlmSamplingParams params = plain (9);
  float logits[] = { logf (0.1f), logf (0.4f), logf (0.3f), logf (0.2f) };

  params.top_k = 2;
  params.top_p = 0.56; /* 0.4 of 0.7 is 0.571: enough; of 1 it is not */
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x2);
  params.top_k = 0;
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x6);
  params.top_p = 0.39;
  params.temperature = 2; /* would need two for 0.39 if it came first */
  g_assert_cmphex (drawn (&params, logits, 4, NULL, 0), ==, 0x2);
}

static void
test_penalties (void)
{
  LlmSamplingParams params = plain (1);
  float logits[] = { 2, 1.5f, -1, -1.5f };
  gint32 zero[] = { 0, 0, 0 }, two[] = { 2 };

  params.temperature = 0;
  params.repetition_penalty = 2; /* however often: 2 / 2 = 1 */
  g_assert_cmphex (drawn (&params, logits, 4, zero, 3), ==, 0x2);
  params.repetition_penalty = 1.3;
  g_assert_cmphex (drawn (&params, logits, 4, zero, 3), ==, 0x1);
  { /* a negative logit is multiplied */
    float negative[] = { -9, -9, -1, -1.5f };
    params.repetition_penalty = 1.6;
    g_assert_cmphex (drawn (&params, negative, 4, two, 1), ==, 0x8);
  }
  params.repetition_penalty = 1;
  params.presence_penalty = 0.4;
  g_assert_cmphex (drawn (&params, logits, 4, zero, 3), ==, 0x1);
  params.presence_penalty = 0.6;
  g_assert_cmphex (drawn (&params, logits, 4, zero, 3), ==, 0x2);
  params.presence_penalty = 0;
  params.frequency_penalty = 0.2;
  g_assert_cmphex (drawn (&params, logits, 4, zero, 2), ==, 0x1);
  g_assert_cmphex (drawn (&params, logits, 4, zero, 3), ==, 0x2);
  params.frequency_penalty = -2;
  g_assert_cmphex (drawn (&params, logits, 4, two, 1), ==, 0x1);
  {
    gint32 twice[] = { 2, 2 };
    g_assert_cmphex (drawn (&params, logits, 4, twice, 2), ==, 0x4);
  }
  g_assert_cmpfloat (logits[0], ==, 2); /* the caller's row is unchanged */
}

/* LLM_MAX_PENALTY_WINDOW tokens ago still counts, one more does not. */
static void
test_window (void)
{
  LlmSamplingParams params = plain (1);
  float logits[] = { 2, 1.5f, -9 };
  gint32 tokens[LLM_MAX_PENALTY_WINDOW + 1];

  params.temperature = 0;
  params.presence_penalty = 1;
  for (guint i = 0; i < G_N_ELEMENTS (tokens); i++)
    tokens[i] = i == 0 ? 0 : 2;
  g_assert_cmphex (drawn (&params, logits, 3, tokens, LLM_MAX_PENALTY_WINDOW), ==, 0x2);
  g_assert_cmphex (drawn (&params, logits, 3, tokens, LLM_MAX_PENALTY_WINDOW + 1), ==, 0x1);
}

static void
test_bias (void)
{
  LlmSamplingParams params = plain (1);
  float logits[] = { 2, 1.5f, -1 };
  LlmLogitBias biases[] = { { 0, -100 }, { 2, 2 }, { 2, 2 }, { 3, 100 }, { -1, 100 } }; /* the last two are nobody's */

  params.temperature = 0;
  params.logit_bias = g_array_new (FALSE, FALSE, sizeof (LlmLogitBias));
  g_array_append_vals (params.logit_bias, biases, G_N_ELEMENTS (biases));
  g_assert_cmpint (once (&params, logits, 3), ==, 2);
  g_array_set_size (params.logit_bias, 2);
  g_assert_cmpint (once (&params, logits, 3), ==, 1);
  llm_sampling_params_clear (&params);
  g_assert_null (params.logit_bias);
}

static void
test_defaults (void)
{
  LlmSamplingParams params;

  llm_sampling_params_init (&params);
  g_assert_cmpfloat (params.temperature, ==, LLM_DEFAULT_TEMPERATURE);
  g_assert_cmpuint (params.top_k, ==, LLM_DEFAULT_TOP_K);
  g_assert_cmpfloat (params.top_p, ==, LLM_DEFAULT_TOP_P);
  g_assert_cmpfloat (params.min_p, ==, LLM_DEFAULT_MIN_P);
  g_assert_cmpfloat (params.repetition_penalty, ==, 1);
  g_assert_false (params.has_seed);
}

static void
test_logprobs (void)
{
  float logits[] = { 3 + logf (0.1f), NAN, 3 + logf (0.4f), 3 + logf (0.3f), 3 + logf (0.2f) };
  gint32 top[6];
  float value[6];

  g_assert_cmpfloat (fabsf (llm_logprobs (logits, 5, 3, 2, top, value) - logf (0.3f)), <, 1e-5f);
  g_assert_cmpint (top[0], ==, 2);
  g_assert_cmpint (top[1], ==, 3);
  g_assert_cmpfloat (fabsf (value[0] - logf (0.4f)), <, 1e-5f);
  g_assert_cmpfloat (fabsf (value[1] - logf (0.3f)), <, 1e-5f);
  llm_logprobs (logits, 5, 3, 5, top, value);
  g_assert_cmpint (top[3], ==, 0);
  g_assert_cmpint (top[4], ==, 1);
  g_assert_true (isinf (value[4]));
  g_assert_true (isinf (llm_logprobs (logits, 5, 1, 0, NULL, NULL)));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/generator", test_generator);
  g_test_add_func ("/sampler/seeds", test_seeds);
  g_test_add_func ("/sampler/no-seed", test_no_seed);
  g_test_add_func ("/sampler/distribution", test_distribution);
  g_test_add_func ("/sampler/greedy", test_greedy);
  g_test_add_func ("/sampler/temperature", test_temperature);
  g_test_add_func ("/sampler/top-k", test_top_k);
  g_test_add_func ("/sampler/top-k-ties", test_top_k_ties);
  g_test_add_func ("/sampler/top-p", test_top_p);
  g_test_add_func ("/sampler/min-p", test_min_p);
  g_test_add_func ("/sampler/order", test_order);
  g_test_add_func ("/sampler/penalties", test_penalties);
  g_test_add_func ("/sampler/window", test_window);
  g_test_add_func ("/sampler/bias", test_bias);
  g_test_add_func ("/sampler/defaults", test_defaults);
  g_test_add_func ("/sampler/logprobs", test_logprobs);
  return g_test_run ();
}
