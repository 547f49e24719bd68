#version 460
// SPDX-License-Identifier: LGPL-2.1-or-later
// y = act (x) z, or act (x) where there is no z
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "activation.glsl"

// Abramowitz & Stegun 7.1.26: within 1.5e-7
float erf (float a)
{
  float t = 1 / (1 + 0.3275911 * abs (a));
  float rest = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp (-a * a);
  return a < 0 ? rest - 1 : 1 - rest;
}

float activate (float a)
{
  if (p.mode == ACT_GELU)
    return a / 2 * (1 + erf (a * 0.70710678));
  if (p.mode == ACT_GELU_TANH)
    return a / 2 * (1 + safe_tanh (0.7978845608 * (a + 0.044715 * a * a * a)));
  return a / (1 + exp (-a));
}

void main ()
{
  uint i = gl_GlobalInvocationID.x, at = gl_WorkGroupID.y * p.y_width + i;

  if (i >= p.y_width)
    return;
  if (p.mode == ACT_SWIGLU_CLAMPED)
    {
      float g = min (x[at], 7);
      y[at] = g / (1 + exp (-1.702 * g)) * (clamp (z[at], -7, 7) + 1);
    }
  else
    y[at] = activate (x[at]) * (p.has_z != 0 ? z[at] : 1);
}
