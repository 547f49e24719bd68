/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The row kernels of every instruction set that this CPU has against their definitions, number by
 * number: far arguments, denormals, every tail, and any cut of a row gives the same bits.
 */
#include <math.h>
#include <string.h>

#include "compute/cpu/scalar.h"

#define N 512

static const LlmCpuKernels *const sets[] = {
  &llm_cpu_scalar,
#ifdef __x86_64__
  &llm_cpu_avx2, &llm_cpu_avx512_vnni,
#endif
};

/* 0, denormals, all magnitudes up to 1e4 of either sign, and those between -8 and 8. */
static void
fill (float *x)
{
  for (guint i = 0; i < N; i++)
    x[i] = i < 8 ? (float) i * 1e-42f : i < 256 ? (i % 2 ? -1 : 1) * powf (10, (float) i / 18 - 10) : ((float) i - 384) / 16;
}

static void
compare (const LlmCpuKernels *k, const char *what, const float *got, const float *expected, double relative, double absolute)
{
  for (guint i = 0; i < N; i++)
    if (!(fabs ((double) got[i] - (double) expected[i]) <= relative * fabs ((double) expected[i]) + absolute))
      g_error ("%s of %s, element %u: %.9g, defined as %.9g", what, k->name, i, (double) got[i], (double) expected[i]);
}

static void
test_activations (gconstpointer data)
{
  const LlmCpuKernels *k = data;
  float x[N], z[N], got[N], expected[N];

  fill (x);
  for (guint i = 0; i < N; i++)
    z[i] = 1 + (float) i / 100;
  for (guint act = 0; act < LLM_N_ACTS; act++)
    for (guint alone = 0; alone < (act == LLM_ACT_SWIGLU_CLAMPED ? 1 : 2); alone++)
      {
        k->glu ((LlmActivation) act, x, alone ? NULL : z, got, N);
        llm_scalar_glu ((LlmActivation) act, x, alone ? NULL : z, expected, N);
        compare (k, "an activation", got, expected, 1e-6, 4e-6); /* GELU by its definition is a difference of nearly equal numbers */
      }
}

/* SiLU and the cap are as near relatively: nothing is lost in them. */
static void
test_relative (gconstpointer data)
{
  const LlmCpuKernels *k = data;
  static const LlmScaleParams caps[] = { { 1, 0 }, { 1, 1 }, { 0.25f, 30 } };
  float x[N], got[N], expected[N];

  fill (x);
  for (guint i = 0; i < G_N_ELEMENTS (caps); i++)
    {
      k->scale (&caps[i], x, got, N);
      llm_scalar_scale (&caps[i], x, expected, N);
      compare (k, "a cap", got, expected, 6e-7, 1e-44);
    }
  k->glu (LLM_ACT_SILU, x, NULL, got, N);
  llm_scalar_glu (LLM_ACT_SILU, x, NULL, expected, N);
  compare (k, "SiLU", got, expected, 6e-7, 1e-34); /* e^x ends at e^88 */
  x[3] = NAN;
  k->glu (LLM_ACT_SILU, x, NULL, got, N);
  g_assert_true (isnan (got[3]) && !isnan (got[2]) && !isnan (got[4]));
}

static void
test_norms (gconstpointer data)
{
  const LlmCpuKernels *k = data;
  float x[N] = { 0 }, gain[N + 1], got[N] = { 0 }, expected[N] = { 0 };
  const void *odd = (const guint8 *) gain + 1;

  for (guint i = 0; i < sizeof gain; i++)
    ((guint8 *) gain)[i] = (guint8) (i % 4 == 0 ? 0x3f : 0x3e + i % 2);
  for (guint n = 1; n <= N; n += n < 70 ? 1 : 147)
    for (int power = -30; power <= 30; power += 15)
      {
        for (guint i = 0; i < n; i++)
          x[i] = (float) ((int) (i * 37 % 101) - 40) * powf (10, (float) power);
        k->rms_norm (x, odd, 1e-6f, got, n);
        llm_scalar_rms_norm (x, odd, 1e-6f, expected, n);
        compare (k, "an RMS norm", got, expected, 3e-7, 0);
        k->layer_norm (x, odd, n % 2 ? odd : NULL, 1e-6f, got, n);
        llm_scalar_layer_norm (x, odd, n % 2 ? odd : NULL, 1e-6f, expected, n);
        compare (k, "a layer norm", got, expected, 3e-7, 1e-6);
      }
}

static void
test_rope (gconstpointer data)
{
  const LlmCpuKernels *k = data;
  float x[N], y[N], table[N];

  for (guint half = 1; half <= N / 2; half += half < 40 ? 1 : 31)
    for (guint interleaved = 0; interleaved < 2; interleaved++)
      {
        fill (x);
        memcpy (y, x, sizeof x);
        for (guint i = 0; i < half; i++)
          sincosf ((float) i, &table[2 * i + 1], &table[2 * i]);
        k->rope (x, table, half, interleaved != 0);
        llm_scalar_rope (y, table, half, interleaved != 0);
        compare (k, "rope", x, y, 1e-6, 1e-5);
        g_assert_cmpmem (x + 2 * half, (N - 2 * half) * sizeof (float), y + 2 * half, (N - 2 * half) * sizeof (float));
      }
}

/* In one go, in place, and in pieces of every length: the same bits, and nothing beyond the end. */
static void
test_cuts (gconstpointer data)
{
  const LlmCpuKernels *k = data;
  LlmScaleParams cap = { 2, 5 };
  float x[N], whole[4][N], y[N], z[N];

  fill (x);
  k->glu (LLM_ACT_GELU, x, x, whole[0], N);
  k->add (x, x, whole[1], N);
  k->scale (&cap, x, whole[2], N);
  memcpy (whole[3], x, sizeof x);
  k->add_scaled (0.3f, x, whole[3], N);
  for (guint cut = 1; cut < 70; cut++)
    for (guint op = 0; op < 4; op++)
      {
        memcpy (y, x, sizeof x);
        memcpy (z, x, sizeof x);
        for (guint at = 0, n; at < N; at += n)
          {
            n = MIN (cut, N - at);
            if (op == 0)
              k->glu (LLM_ACT_GELU, y + at, z + at, y + at, n);
            else if (op == 1)
              k->add (y + at, z + at, y + at, n);
            else if (op == 2)
              k->scale (&cap, y + at, y + at, n);
            else
              k->add_scaled (0.3f, z + at, y + at, n);
          }
        g_assert_cmpmem (y, sizeof y, whole[op], sizeof y);
      }
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    GTestDataFunc func;
  } tests[] = { { "activations", test_activations }, { "relative", test_relative }, { "norms", test_norms }, { "rope", test_rope }, { "cuts", test_cuts } };

  g_test_init (&argc, &argv, NULL);
  for (guint s = 0; s < G_N_ELEMENTS (sets); s++)
    for (guint i = 0; i < G_N_ELEMENTS (tests) && sets[s]->usable (); i++)
      {
        g_autofree char *path = g_strdup_printf ("/row-kernels/%s/%s", sets[s]->name, tests[i].name);

        g_test_add_data_func (path, sets[s], tests[i].func);
      }
  return g_test_run ();
}
