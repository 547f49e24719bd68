/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See utf8.h.  Well-formed sequences: the Unicode Standard, table 3-7. */
#include "text/utf8.h"

/* Bytes a sequence needs after its lead byte, and the range of the first of them. */
static int
lead_info (guint8 lead, guint8 *low, guint8 *high)
{
  *low = 0x80;
  *high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF)
    return 1;
  if (lead >= 0xE0 && lead <= 0xEF)
    {
      if (lead == 0xE0)
        *low = 0xA0;
      else if (lead == 0xED)
        *high = 0x9F;
      return 2;
    }
  if (lead >= 0xF0 && lead <= 0xF4)
    {
      if (lead == 0xF0)
        *low = 0x90;
      else if (lead == 0xF4)
        *high = 0x8F;
      return 3;
    }
  return -1;
}

int
llm_utf8_step (const char *p, gsize n)
{
  const guint8 *b = (const guint8 *) p;
  guint8 low, high;
  int more, i;

  if (b[0] < 0x80)
    return 1;
  more = lead_info (b[0], &low, &high);
  if (more < 0)
    return -1;
  for (i = 1; i <= more; i++)
    {
      if ((gsize) i == n)
        return 0;
      if (b[i] < low || b[i] > high)
        return -i;
      low = 0x80;
      high = 0xBF;
    }
  return more + 1;
}

gssize
llm_utf8_first_bad (const char *p, gsize n)
{
  for (gsize i = 0; i < n;)
    {
      int step = (guint8) p[i] < 0x80 ? 1 : llm_utf8_step (p + i, n - i);
      if (step <= 0)
        return (gssize) i;
      i += step;
    }
  return -1;
}

gunichar
llm_utf8_decode (const char *p, int len)
{
  const guint8 *b = (const guint8 *) p;

  switch (len)
    {
    case 1:
      return b[0];
    case 2:
      return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
    case 3:
      return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
    default:
      return (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
    }
}
