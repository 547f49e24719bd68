// SPDX-License-Identifier: LGPL-2.1-or-later
// tanh of a large number may be made of infinities; beyond 15 it is 1 in a float.
float safe_tanh (float a)
{
  return tanh (clamp (a, -15.0, 15.0));
}

float soft_cap (float a, float cap)
{
  return cap * safe_tanh (a / cap);
}
