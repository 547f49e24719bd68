/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The passes over a whole vocabulary, eight logits at a time: a step may look at 150,000 of them, but must not take a
 * logarithm, an exponential of libm's or a branch for each.
 *
 * A body is compiled twice, without fused multiply-adds: with or without AVX2 the same logits give the same sums to the last
 * bit, so that a seed gives the same text.
 */
#include <math.h>
#include <string.h>

#include "engine/sampler-private.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* nothing of these types crosses a call */

#define LANES 8
#define STRIDE 64 /* logits to a test of next_body() */
#define BLOCK 128 /* logits to a sum of mass_body() */

typedef float Floats __attribute__ ((vector_size (4 * LANES)));
typedef gint32 Ints __attribute__ ((vector_size (4 * LANES)));

#define INLINE static inline __attribute__ ((always_inline))

INLINE Floats
load (const float *x)
{
  Floats v;

  memcpy (&v, x, sizeof v);
  return v;
}

/* @x where @mask is all ones, else 0 */
INLINE Floats
masked (Ints mask, Floats x)
{
  return (Floats) ((Ints) x & mask);
}

INLINE double
lanes_sum (Floats v)
{
  return (double) ((v[0] + v[4]) + (v[2] + v[6])) + (double) ((v[1] + v[5]) + (v[3] + v[7]));
}

/* exp(x) for x <= 0, within 2e-7 of it, exactly 1 at 0; 0 below -87: x = n ln 2 + f, |f| <= ln 2 / 2, and seven terms of the series for
 * exp(f). ln 2 in two parts, so that n times the first is exact. */
INLINE Floats
exp_negative (Floats x)
{
  const float to_whole = 12582912; /* 1.5 * 2^23: adding it rounds to a whole number, which then stands in the low bits */
  Ints alive = x >= -87;
  Floats y = masked (alive, x);
  Floats shifted = y * 1.44269504f + to_whole;
  Floats n = shifted - to_whole;
  Floats f = y - n * 0.693359375f + n * 2.12194440e-4f;
  Floats e = f * (1.0f / 5040) + 1.0f / 720;
  Ints power = ((Ints) shifted - 0x4b400000) << 23;

  e = e * f + 1.0f / 120;
  e = e * f + 1.0f / 24;
  e = e * f + 1.0f / 6;
  e = e * f + 0.5f;
  e = e * f + 1;
  e = e * f + 1;
  return masked (alive, (Floats) ((Ints) e + power));
}

INLINE float
max_body (const float *x, guint n)
{
  float lanes[2 * LANES], best = -INFINITY;
  Floats a, b;
  guint i = 0;

  for (guint k = 0; k < 2 * LANES; k++)
    lanes[k] = -INFINITY;
  a = load (lanes);
  b = load (lanes);
  for (; i + 2 * LANES <= n; i += 2 * LANES)
    {
      Floats u = load (x + i), v = load (x + i + LANES);
      Ints more_u = u > a, more_v = v > b; /* false for NaN */

      a = (Floats) (((Ints) u & more_u) | ((Ints) a & ~more_u));
      b = (Floats) (((Ints) v & more_v) | ((Ints) b & ~more_v));
    }
  memcpy (lanes, &a, sizeof a);
  memcpy (lanes + LANES, &b, sizeof b);
  for (guint k = 0; k < 2 * LANES; k++)
    best = MAX (best, lanes[k]);
  for (; i < n; i++)
    if (x[i] > best)
      best = x[i];
  return best;
}

INLINE guint
next_body (const float *x, guint from, guint n, float least)
{
  guint i = from;

  for (; i + STRIDE <= n; i += STRIDE)
    {
      Ints any = load (x + i) >= least;
      gint64 words[LANES / 2];

      for (guint k = LANES; k < STRIDE; k += LANES)
        any |= load (x + i + k) >= least;
      memcpy (words, &any, sizeof words);
      if ((words[0] | words[1] | words[2] | words[3]) != 0)
        break;
    }
  while (i < n && !(x[i] >= least))
    i++;
  return i;
}

/* Sums are of single precision within BLOCK, of double beyond. */
INLINE void
mass_body (const float *x, guint n, float max, float scale, gboolean with_drift, double *mass, double *drift)
{
  *mass = *drift = 0;
  for (guint at = 0; at < n; at += BLOCK)
    {
      float rest[BLOCK];
      const float *block = x + at;
      Floats sum = { 0 }, off_sum = { 0 };

      if (n - at < BLOCK)
        {
          for (guint k = 0; k < BLOCK; k++)
            rest[k] = at + k < n ? x[at + k] : -INFINITY;
          block = rest;
        }
      for (guint i = 0; i < BLOCK; i += LANES)
        {
          Floats off = load (block + i) - max, weight = exp_negative (off * scale); /* NaN weighs nothing */

          sum += weight;
          if (with_drift)
            off_sum += masked (weight > 0, weight * off);
        }
      *mass += lanes_sum (sum);
      if (with_drift)
        *drift += lanes_sum (off_sum);
    }
}

INLINE guint
moments_body (const float *x, guint n, float origin, double *sum, double *squares)
{
  guint finite = 0;

  *sum = *squares = 0;
  for (guint at = 0; at < n; at += BLOCK)
    {
      Floats s = { 0 }, q = { 0 };
      Ints count = { 0 };
      guint end = MIN (BLOCK, n - at), i = 0;

      for (; i + LANES <= end; i += LANES)
        {
          Floats v = load (x + at + i);
          Ints real = (v >= -FLT_MAX) & (v <= FLT_MAX);
          Floats d = masked (real, v - origin);

          count -= real;
          s += d;
          q += d * d;
        }
      *sum += lanes_sum (s);
      *squares += lanes_sum (q);
      for (guint k = 0; k < LANES; k++)
        finite += (guint) count[k];
      for (; i < end; i++)
        if (isfinite (x[at + i]))
          {
            double d = (double) (x[at + i] - origin);

            *sum += d;
            *squares += d * d;
            finite++;
          }
    }
  return finite;
}

/* NAME_avx2() and NAME_base() from an inline body */
#ifdef __x86_64__
#define WITH_AVX2(type, name, body, params, args) \
  __attribute__ ((target ("avx2"))) static type name##_avx2 params { return body args; }
#define CALL(name, args) (__builtin_cpu_supports ("avx2") ? name##_avx2 args : name##_base args)
#else
#define WITH_AVX2(type, name, body, params, args)
#define CALL(name, args) name##_base args
#endif
#define BOTH(type, name, body, params, args) \
  WITH_AVX2 (type, name, body, params, args) \
  static type name##_base params { return body args; }

BOTH (float, max, max_body, (const float *x, guint n), (x, n))
BOTH (guint, next, next_body, (const float *x, guint from, guint n, float least), (x, from, n, least))
BOTH (void, mass, mass_body, (const float *x, guint n, float max, float scale, double *mass, double *drift), (x, n, max, scale, FALSE, mass, drift))
BOTH (void, drift, mass_body, (const float *x, guint n, float max, float scale, double *mass, double *drift), (x, n, max, scale, TRUE, mass, drift))
BOTH (guint, moments, moments_body, (const float *x, guint n, float origin, double *sum, double *squares), (x, n, origin, sum, squares))

float
llm_logits_max (const float *logits, guint n)
{
  return CALL (max, (logits, n));
}

guint
llm_logits_next (const float *logits, guint from, guint n, float least)
{
  return CALL (next, (logits, from, n, least));
}

double
llm_logits_mass (const float *logits, guint n, float max, double scale, double *drift)
{
  double mass, none;

  if (drift != NULL)
    CALL (drift, (logits, n, max, (float) scale, &mass, drift));
  else
    CALL (mass, (logits, n, max, (float) scale, &mass, &none));
  return mass;
}

double
llm_logits_deviation (const float *logits, guint n, float origin)
{
  double sum, squares;
  guint finite = CALL (moments, (logits, n, origin, &sum, &squares));

  finite = MAX (finite, 1);
  return sqrt (MAX (squares / finite - sum / finite * (sum / finite), 0));
}
