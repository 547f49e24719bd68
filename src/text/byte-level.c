/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See byte-level.h.  Printable Latin-1 stands for itself; the other 68 bytes, in
 * order, are U+0100 and following. */
#include "text/byte-level.h"

#include <string.h>

#include "text/utf8.h"

/* 0x00-0x20, 0x7F-0xA0 and 0xAD, in this order, are U+0100 .. U+0143. */
static int
decode_char (gunichar c)
{
  if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD))
    return (int) c;
  if (c >= 0x100 && c <= 0x120)
    return (int) (c - 0x100);
  if (c >= 0x121 && c <= 0x142)
    return (int) (c - 0x121 + 0x7F);
  return c == 0x143 ? 0xAD : -1;
}

gsize
llm_byte_level_decode (const char *text, gsize n, char *out)
{
  gsize at = 0;

  for (gsize i = 0; i < n;)
    {
      int step = llm_utf8_step (text + i, n - i);
      int byte = step > 0 ? decode_char (llm_utf8_decode (text + i, step)) : -1;
      gsize used = step > 0 ? (gsize) step : 1;

      if (byte >= 0)
        out[at++] = (char) byte;
      else
        {
          memcpy (out + at, text + i, used);
          at += used;
        }
      i += used;
    }
  return at;
}

gboolean
llm_byte_level_covers (const char *text, gsize n)
{
  for (gsize i = 0; i < n;)
    {
      int step = llm_utf8_step (text + i, n - i);

      if (step <= 0 || decode_char (llm_utf8_decode (text + i, step)) < 0)
        return FALSE;
      i += (gsize) step;
    }
  return TRUE;
}
