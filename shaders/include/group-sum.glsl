// SPDX-License-Identifier: LGPL-2.1-or-later
shared float group_part[GROUP];

// The sum over the workgroup's threads, in one order on every device; for all of them to call.
float group_sum (float mine)
{
  uint lane = gl_LocalInvocationID.x;

  barrier ();
  group_part[lane] = mine;
  for (uint half_of = GROUP / 2; half_of > 0; half_of /= 2)
    {
      barrier ();
      if (lane < half_of)
        group_part[lane] += group_part[lane + half_of];
    }
  barrier ();
  return group_part[0];
}
