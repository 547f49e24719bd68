/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ops that see a row alone, over the float vectors (VF...) and double vectors (VD...) of the
 * instruction set that includes them.  Definitions: scalar-rows.c.
 *
 * Rounding: means are sums of doubles in lanes, as exact as the definition; activations differ by
 * a few ulp, GELU by 2e-7 of its argument.
 */
#include "compute/cpu/vector-math.h"

/* ---- element by element ---- */

static ALWAYS_INLINE VF
sigmoid_times (VF a, VF by)
{
  return by / (VF_SET1 (1) + vector_exp (VF_ZERO - a));
}

static ALWAYS_INLINE VF
gelu (VF a)
{
  VF x = a * VF_SET1 ((float) G_SQRT2 / 2), size = VF_MAX (x, VF_ZERO - x), lost = a * VF_SET1 (0.5f) * vector_erfc (size);

  return VF_IF_LESS (a, VF_ZERO, lost, a - lost);
}

static ALWAYS_INLINE VF
activate (const LlmActivation act, VF a)
{
  switch (act)
    {
    case LLM_ACT_GELU:
      return gelu (a);
    case LLM_ACT_GELU_TANH: /* (1 + tanh u) / 2 = 1 / (1 + exp (-2u)) */
      return sigmoid_times (VF_SET1 (2 * 0.7978845608f) * VF_FMA (VF_SET1 (0.044715f) * a * a, a, a), a);
    default:
      return sigmoid_times (a, a);
    }
}

static ALWAYS_INLINE VF
swiglu_clamped (VF gate, VF up)
{
  VF g = VF_MIN (VF_SET1 (7), gate), u = VF_MAX (VF_SET1 (-7), VF_MIN (VF_SET1 (7), up));

  return sigmoid_times (VF_SET1 (1.702f) * g, g) * (u + VF_SET1 (1));
}

static ALWAYS_INLINE void
glu_of (const LlmActivation act, const float *x, const float *z, float *y, gsize n)
{
  for (gsize i = 0; i < n; i += VF_LANES)
    {
      VF a = load_up_to (x + i, n - i), b = z != NULL ? load_up_to (z + i, n - i) : VF_SET1 (1);

      if (act == LLM_ACT_SWIGLU_CLAMPED)
        store_up_to (y + i, swiglu_clamped (a, b), n - i);
      else
        store_up_to (y + i, activate (act, a) * b, n - i);
    }
}

static void
glu (LlmActivation act, const float *x, const float *z, float *y, gsize n)
{
  switch (act)
    {
    case LLM_ACT_GELU:
      glu_of (LLM_ACT_GELU, x, z, y, n);
      break;
    case LLM_ACT_GELU_TANH:
      glu_of (LLM_ACT_GELU_TANH, x, z, y, n);
      break;
    case LLM_ACT_SWIGLU_CLAMPED:
      glu_of (LLM_ACT_SWIGLU_CLAMPED, x, z, y, n);
      break;
    default:
      glu_of (LLM_ACT_SILU, x, z, y, n);
      break;
    }
}

static void
add (const float *x, const float *z, float *y, gsize n)
{
  for (gsize i = 0; i < n; i += VF_LANES)
    store_up_to (y + i, load_up_to (x + i, n - i) + load_up_to (z + i, n - i), n - i);
}

static void
scale (const LlmScaleParams *p, const float *x, float *y, gsize n)
{
  VF s = VF_SET1 (p->scale), cap = VF_SET1 (p->cap);

  for (gsize i = 0; i < n; i += VF_LANES)
    {
      VF v = s * load_up_to (x + i, n - i);

      if (p->cap > 0)
        v = cap * vector_tanh (v / cap);
      store_up_to (y + i, v, n - i);
    }
}

static void
add_scaled (float a, const float *x, float *y, gsize n)
{
  for (gsize i = 0; i < n; i += VF_LANES)
    store_up_to (y + i, VF_FMA (VF_SET1 (a), load_up_to (x + i, n - i), load_up_to (y + i, n - i)), n - i);
}

/* ---- norms ---- */

/* The sum of (x - @minus)^2, or of x itself with @plain. */
static ALWAYS_INLINE double
sum_of (const float *x, guint n, double minus, const gboolean plain)
{
  VD sum[4] = { VD_SET1 (0), VD_SET1 (0), VD_SET1 (0), VD_SET1 (0) };
  double rest = 0;
  guint i = 0;

  for (; i + 4 * VD_LANES <= n; i += 4 * VD_LANES)
    UNROLL
    for (guint j = 0; j < 4; j++)
      {
        VD v = VD_LOAD (x + i + j * VD_LANES) - VD_SET1 (minus);

        if (plain)
          sum[j] += v;
        else
          sum[j] = VD_FMA (v, v, sum[j]);
      }
  for (; i < n; i++)
    rest += plain ? (double) x[i] - minus : ((double) x[i] - minus) * ((double) x[i] - minus);
  return VD_SUM ((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

static void
rms_norm (const float *x, const void *gain, float eps, float *y, guint n)
{
  VF by = VF_SET1 ((float) (1 / sqrt (sum_of (x, n, 0, FALSE) / n + (double) eps)));
  const float *g = gain; /* at any address: only for loads that take it */

  for (guint i = 0; i < n; i += VF_LANES)
    store_up_to (y + i, load_up_to (x + i, n - i) * by * load_up_to (g + i, n - i), n - i);
}

static void
layer_norm (const float *x, const void *gain, const void *bias, float eps, float *y, guint n)
{
  double mean = sum_of (x, n, 0, TRUE) / n, by = 1 / sqrt (sum_of (x, n, mean, FALSE) / n + (double) eps);
  const float *g = gain, *b = bias;

  for (guint i = 0; i < n; i += VF_LANES)
    {
      float v[VF_LANES] = { 0 };

      for (guint j = 0; j < VF_LANES && i + j < n; j++)
        v[j] = (float) (((double) x[i + j] - mean) * by);
      store_up_to (y + i, VF_LOAD (v) * load_up_to (g + i, n - i) + (b != NULL ? load_up_to (b + i, n - i) : VF_ZERO), n - i);
    }
}

/* ---- rotary embedding ---- */

static inline void
turn (float *a, float *b, const float *cos_sin)
{
  float a0 = *a, b0 = *b;

  *a = a0 * cos_sin[0] - b0 * cos_sin[1];
  *b = a0 * cos_sin[1] + b0 * cos_sin[0];
}

/* The pairs of one head: (x[2i], x[2i+1]) or (x[i], x[i+half]); @table: cosine and sine of each. */
static void
rope (float *x, const float *table, guint half, gboolean interleaved)
{
  guint i = 0;

  if (interleaved)
    for (; i + VF_LANES / 2 <= half; i += VF_LANES / 2)
      {
        VF v = VF_LOAD (x + 2 * i), t = VF_LOAD (table + 2 * i);

        VF_STORE (x + 2 * i, VF_FMADDSUB (v, VF_EACH_EVEN (t), VF_SWAP_PAIRS (v) * VF_EACH_ODD (t)));
      }
  else
    for (; i + VF_LANES <= half; i += VF_LANES)
      {
        VF a = VF_LOAD (x + i), b = VF_LOAD (x + i + half), t = VF_LOAD (table + 2 * i), u = VF_LOAD (table + 2 * i + VF_LANES);
        VF c = VF_EVENS (t, u), s = VF_ODDS (t, u);

        VF_STORE (x + i, VF_FMA (a, c, VF_ZERO - b * s));
        VF_STORE (x + i + half, VF_FMA (a, s, b * c));
      }
  for (; i < half; i++)
    turn (interleaved ? &x[2 * i] : &x[i], interleaved ? &x[2 * i + 1] : &x[i + half], table + 2 * i);
}

#define ROW_KERNELS                                                                                                                        \
  .glu = glu, .add = add, .scale = scale, .add_scaled = add_scaled, .rms_norm = rms_norm, .layer_norm = layer_norm, .rope = rope,          \
  .to_half = to_half
