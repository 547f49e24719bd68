/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What choosing a token costs with a large vocabulary: microseconds of a step, the median of many.
 *
 * "peaked" logits fall off as those of a trained model do; "flat" ones are Gaussian, as those of random weights: the worst case
 * of whoever turns every cut off.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/sampler.h"

#define N_VOCAB 151936
#define N_TEXT 64
#define N_STEPS 41

static int
compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static float *
make_logits (gboolean peaked)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  float *logits = g_new (float, N_VOCAB);

  for (guint i = 0; i < N_VOCAB; i++)
    {
      double gauss = sqrt (-2 * log (1 - g_rand_double (random))) * cos (2 * G_PI * g_rand_double (random));

      logits[i] = (float) (peaked ? 2.5 * gauss - 1.5 * log (1 - g_rand_double (random)) : gauss);
    }
  for (guint i = 0; peaked && i < 12; i++)
    logits[g_rand_int_range (random, 0, N_VOCAB)] = 22 - (float) i;
  return logits;
}

static double
measure (const LlmSamplingParams *params, const float *logits, guint n_logprobs)
{
  g_autoptr (LlmSampler) sampler = llm_sampler_new (params, N_VOCAB);
  double us[N_STEPS];
  gint32 top[32];
  float value[32];

  for (gint32 i = 0; i < N_TEXT; i++)
    llm_sampler_accept (sampler, i * 31);
  for (guint s = 0; s < N_STEPS; s++)
    {
      gint64 began = g_get_monotonic_time ();

      for (guint k = 0; k < 4; k++)
        {
          gint32 token = llm_sampler_sample (sampler, logits);

          if (n_logprobs > 0)
            llm_logprobs (logits, N_VOCAB, token, n_logprobs, top, value);
        }
      us[s] = (double) (g_get_monotonic_time () - began) / 4;
    }
  qsort (us, N_STEPS, sizeof *us, compare);
  return us[N_STEPS / 2];
}

static void
report (const char *name, const LlmSamplingParams *params, float *const logits[2], guint n_logprobs)
{
  printf ("%-44s %10.1f %10.1f\n", name, measure (params, logits[0], n_logprobs), measure (params, logits[1], n_logprobs));
}

int
main (void)
{
  g_autofree float *peaked = make_logits (TRUE), *flat = make_logits (FALSE);
  float *const logits[2] = { peaked, flat };
  LlmSamplingParams p, q;

  printf ("%-44s %10s %10s   us a step, %d tokens\n", "", "peaked", "flat", N_VOCAB);
  llm_sampling_params_init (&p);
  p.has_seed = TRUE;
  report ("defaults (top-k 40, top-p, min-p)", &p, logits, 0);
  report ("defaults, logprobs 5", &p, logits, 5);
  q = p, q.repetition_penalty = 1.1, q.frequency_penalty = 0.2, report ("defaults, penalties", &q, logits, 0);
  q.dry_multiplier = 0.8, report ("defaults, penalties, DRY", &q, logits, 0);
  q = p, q.temperature = 0, report ("greedy", &q, logits, 0);
  report ("greedy, logprobs 5", &q, logits, 5);
  q.repetition_penalty = 1.1, report ("greedy, penalties", &q, logits, 0);
  q = p, q.top_k = 1000, report ("top-k 1000", &q, logits, 0);
  q = p, q.top_n_sigma = 1, report ("defaults, top-n-sigma", &q, logits, 0);
  q = p, q.top_k = 0, report ("top-p and min-p alone", &q, logits, 0);
  q.min_p = 0, report ("top-p alone", &q, logits, 0);
  q.top_p = 1, q.min_p = 0.05, report ("min-p alone", &q, logits, 0);
  q.min_p = 0, report ("temperature alone", &q, logits, 0);
  q.typical_p = 0.9, report ("typical-p alone", &q, logits, 0);
  q.typical_p = 1, q.xtc_probability = 1, report ("XTC alone", &q, logits, 0);
  return 0;
}
