// SPDX-License-Identifier: LGPL-2.1-or-later
// The expanded code book of the weight's type, a byte an element, and the signs of the elements.
layout (set = 0, binding = 4) readonly buffer Codebook { uint codebook[]; };

// Seven signs; the eighth makes the number of minuses even.
uint even_signs (uint seven)
{
  return seven | uint (bitCount (seven) & 1) << 7;
}

float with_sign (float size, uint signs, uint j)
{
  return (signs >> j & 1) != 0 ? -size : size;
}
