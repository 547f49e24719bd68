/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The passes over the vocabulary, and what they leave, against plain loops: every length of a tail, NaN, infinities, ties.
 */
#include <math.h>

#include "engine/sampler-private.h"

#define N_MOST 700

static float
random_logit (GRand *random, guint kind)
{
  guint what = (guint) g_rand_int_range (random, 0, 40);

  if (kind == 1) /* many ties */
    return (float) g_rand_int_range (random, -4, 3);
  if (kind == 2 && what == 0)
    return NAN;
  if (kind == 2 && what == 1)
    return -INFINITY;
  return (float) g_rand_double_range (random, -30, 12);
}

static void
fill (GRand *random, guint kind, float *x, guint n)
{
  for (guint i = 0; i < n; i++)
    x[i] = random_logit (random, kind);
}

static void
test_max_and_next (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  float x[N_MOST];

  for (guint n = 1; n < N_MOST; n++)
    for (guint kind = 0; kind < 3; kind++)
      {
        float max = -INFINITY, least;
        guint at = 0, found = 0;

        fill (random, kind, x, n);
        for (guint i = 0; i < n; i++)
          if (x[i] > max)
            max = x[i];
        g_assert_cmpfloat (llm_logits_max (x, n), ==, max);
        least = max - 3;
        for (guint i = 0; i < n; i++)
          if (x[i] >= least)
            {
              found = llm_logits_next (x, at, n, least);
              g_assert_cmpuint (found, ==, i);
              at = found + 1;
            }
        g_assert_cmpuint (llm_logits_next (x, at, n, least), ==, n);
      }
}

static void
test_sums (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (4);
  float x[N_MOST];

  for (guint n = 1; n < N_MOST; n++)
    for (guint kind = 0; kind < 3; kind++)
      {
        double scale = g_rand_double_range (random, 0.5, 3), mass = 0, drift = 0, sum = 0, squares = 0, found, found_drift;
        guint finite = 0;
        float max;

        fill (random, kind, x, n);
        x[0] = 1;
        max = llm_logits_max (x, n);
        for (guint i = 0; i < n; i++)
          if (isfinite (x[i]))
            {
              double off = (double) x[i] - (double) max, weight = exp (off * scale);

              mass += weight;
              drift += weight * off;
              sum += off;
              squares += off * off;
              finite++;
            }
        found = llm_logits_mass (x, n, max, scale, &found_drift);
        g_assert_cmpfloat_with_epsilon (found, mass, 2e-6 * mass);
        g_assert_cmpfloat_with_epsilon (found_drift, drift, 1e-5 * mass);
        g_assert_cmpfloat (llm_logits_mass (x, n, max, scale, NULL), ==, found);
        g_assert_cmpfloat_with_epsilon (llm_logits_deviation (x, n, max), sqrt (squares / finite - sum / finite * (sum / finite)), 1e-4);
      }
}

static void
test_exact_at_the_best (void)
{
  float x[151];

  for (guint i = 0; i < G_N_ELEMENTS (x); i++)
    x[i] = 7.25f;
  g_assert_cmpfloat (llm_logits_mass (x, G_N_ELEMENTS (x), 7.25f, 0.7, NULL), ==, G_N_ELEMENTS (x));
}

typedef struct {
  float logit;
  guint token;
} Plain;

static int
compare (const void *a, const void *b)
{
  const Plain *x = a, *y = b;

  return x->logit != y->logit ? (x->logit < y->logit ? 1 : -1) : (x->token > y->token) - (x->token < y->token);
}

/* Top-k, top-p, min-p and temperature by a sort of everything. */
static guint
define (const LlmSamplingParams *p, const float *x, guint n, Plain *c, double *probability)
{
  double total = 0, running = 0, scaled = 0;
  guint k = p->top_k > 0 ? MIN (p->top_k, n) : n, keep;

  for (guint i = 0; i < n; i++)
    c[i] = (Plain) { isnan (x[i]) ? -INFINITY : x[i], i };
  qsort (c, n, sizeof *c, compare);
  for (guint i = 0; i < k; i++)
    total += exp ((double) c[i].logit - (double) c[0].logit);
  for (keep = 0; keep < k; keep++)
    {
      double weight = exp ((double) c[keep].logit - (double) c[0].logit);

      if (keep > 0 && ((p->top_p < 1 && running >= p->top_p * total) || weight < p->min_p))
        break;
      running += weight;
    }
  for (guint i = 0; i < keep; i++)
    scaled += probability[i] = exp (((double) c[i].logit - (double) c[0].logit) / p->temperature);
  for (guint i = 0; i < keep; i++)
    probability[i] /= scaled;
  return keep;
}

static void
test_cuts (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  const guint top_k[] = { 0, 1, 7, 40, 2100 };
  const guint n_most = 5000;
  g_autofree float *x = g_new (float, n_most);
  g_autofree Plain *plain = g_new (Plain, n_most);
  g_autofree double *expected = g_new (double, n_most), *found = g_new (double, n_most);
  g_autofree gint32 *token = g_new (gint32, n_most);

  for (guint t = 0; t < 600; t++)
    {
      LlmSamplingParams p = { .temperature = g_rand_double_range (random, 0.3, 2), .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE };
      guint n = (guint) g_rand_int_range (random, 1, t % 10 == 0 ? (int) n_most : 300), n_left, n_expected;
      g_autoptr (LlmSampler) sampler = NULL;

      p.top_k = top_k[g_rand_int_range (random, 0, G_N_ELEMENTS (top_k))];
      p.top_p = g_rand_boolean (random) ? 1 : g_rand_double_range (random, 0.05, 0.99);
      p.min_p = g_rand_boolean (random) ? 0 : g_rand_double_range (random, 0.001, 0.5);
      fill (random, t % 3, x, n);
      x[0] = 12;
      sampler = llm_sampler_new (&p, n);
      n_expected = define (&p, x, n, plain, expected);
      n_left = llm_sampler_distribution (sampler, x, token, found);
      g_assert_cmpuint (n_left, ==, n_expected);
      for (guint i = 0; i < n_left; i++)
        {
          g_assert_cmpint (token[i], ==, (gint32) plain[i].token);
          g_assert_cmpfloat_with_epsilon (found[i], expected[i], 1e-9);
        }
    }
}

/* A draw from everything, by the share of the unit interval that comes before. */
static void
test_draws (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (6);
  LlmSamplingParams p = { .temperature = 0.8, .top_p = 1, .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE, .seed = 9 };
  g_autoptr (LlmSampler) sampler = llm_sampler_new (&p, 500), twin = llm_sampler_new (&p, 500);
  Plain plain[500];
  double probability[500];
  float x[500];

  for (guint t = 0; t < 2000; t++)
    {
      double at, before = 0;
      guint i;

      fill (random, t % 3, x, 500);
      define (&p, x, 500, plain, probability);
      at = llm_sampler_next_unit (twin);
      for (i = 0; before + probability[i] <= at; i++)
        before += probability[i];
      if (fabs (before - at) > 1e-5 && fabs (before + probability[i] - at) > 1e-5) /* not within rounding of a border */
        g_assert_cmpint (llm_sampler_sample (sampler, x), ==, (gint32) plain[i].token);
      else
        llm_sampler_next_unit (sampler);
    }
}

/* Nothing to choose from: the first token, and no walk beyond the end. */
static void
test_nothing (void)
{
  LlmSamplingParams p = { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE };
  g_autoptr (LlmSampler) warm = llm_sampler_new (&p, 3);
  g_autoptr (LlmSampler) greedy = NULL;
  const float x[3] = { NAN, NAN, -INFINITY };

  g_assert_cmpint (llm_sampler_sample (warm, x), ==, 0);
  p.temperature = 0;
  greedy = llm_sampler_new (&p, 3);
  g_assert_cmpint (llm_sampler_sample (greedy, x), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler-passes/max-and-next", test_max_and_next);
  g_test_add_func ("/sampler-passes/sums", test_sums);
  g_test_add_func ("/sampler-passes/exact-at-the-best", test_exact_at_the_best);
  g_test_add_func ("/sampler-passes/cuts", test_cuts);
  g_test_add_func ("/sampler-passes/draws", test_draws);
  g_test_add_func ("/sampler-passes/nothing", test_nothing);
  return g_test_run ();
}
