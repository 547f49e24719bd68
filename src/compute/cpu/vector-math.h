/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elementary functions over the float vectors (VF...) of the instruction set that includes them.
 * A lane's result depends on that lane alone: where a number stands in a row changes nothing.
 * Coefficients: interpolation at Chebyshev nodes, rounded to float.
 */
#pragma once

#include "compute/cpu/simd.h"

/* A row's tail as a vector, zeros behind it. */
static inline VF
load_part (const float *p, guint n)
{
  float part[VF_LANES] = { 0 };

  memcpy (part, p, n * sizeof *p);
  return VF_LOAD (part);
}

static inline void
store_part (float *p, VF v, guint n)
{
  float part[VF_LANES];

  VF_STORE (part, v);
  memcpy (p, part, n * sizeof *p);
}

static ALWAYS_INLINE VF
load_up_to (const float *p, gsize left)
{
  return left >= VF_LANES ? VF_LOAD (p) : load_part (p, (guint) left);
}

static ALWAYS_INLINE void
store_up_to (float *p, VF v, gsize left)
{
  if (left >= VF_LANES)
    VF_STORE (p, v);
  else
    store_part (p, v, (guint) left);
}

/* e^x = 2^n e^r, |r| <= ln 2 / 2: within 2 ulp; 0 below -87, e^88 above 88, NaN of NaN. */
static ALWAYS_INLINE VF
vector_exp (VF x)
{
  VF at = VF_MIN (VF_SET1 (88), VF_MAX (VF_SET1 (-88), x)); /* of a NaN both give the second */
  VF n = VF_ROUND (at * VF_SET1 (1.44269504f));
  VF r = VF_FMA (n, VF_SET1 (-0.693147182f), at), p = VF_SET1 (0.00139262504f);

  r = VF_FMA (n, VF_SET1 (1.90465421e-9f), r);
  p = VF_FMA (p, r, VF_SET1 (0.00836323295f));
  p = VF_FMA (p, r, VF_SET1 (0.0416665524f));
  p = VF_FMA (p, r, VF_SET1 (0.166665763f));
  p = VF_FMA (p, r, VF_SET1 (0.5f));
  p = VF_FMA (p, r * r, r) + VF_SET1 (1);
  return VF_ZERO_IF_LESS (x, VF_SET1 (-87), VF_POWER2 (p, n));
}

/* Within 3 ulp: a polynomial near 0, (e^2x - 1) / (e^2x + 1) elsewhere. */
static ALWAYS_INLINE VF
vector_tanh (VF x)
{
  VF e = vector_exp (x + x), y = x * x, p = VF_SET1 (-0.00609670812f);
  VF far = (e - VF_SET1 (1)) / (e + VF_SET1 (1));

  p = VF_FMA (p, y, VF_SET1 (0.0209971741f));
  p = VF_FMA (p, y, VF_SET1 (-0.0538509078f));
  p = VF_FMA (p, y, VF_SET1 (0.133327693f));
  p = VF_FMA (p, y, VF_SET1 (-0.333333284f));
  return VF_IF_LESS (y, VF_SET1 (0.625f * 0.625f), VF_FMA (p, y * x, x), far);
}

/* 1 - erf (x), x >= 0: within 2e-7 (Abramowitz & Stegun 1964, 7.1.26). */
static ALWAYS_INLINE VF
vector_erfc (VF x)
{
  VF t = VF_SET1 (1) / VF_FMA (VF_SET1 (0.3275911f), x, VF_SET1 (1)), p = VF_SET1 (1.061405429f);

  p = VF_FMA (p, t, VF_SET1 (-1.453152027f));
  p = VF_FMA (p, t, VF_SET1 (1.421413741f));
  p = VF_FMA (p, t, VF_SET1 (-0.284496736f));
  p = VF_FMA (p, t, VF_SET1 (0.254829592f));
  return p * t * vector_exp (VF_ZERO - x * x);
}
