/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See char-pairs.h. */
#include "text/char-pairs.h"

#include "text/utf8.h"

static guint
slot_of (gunichar a, gunichar b)
{
  guint64 h = ((guint64) a << 32 | b) * 0x9E3779B97F4A7C15u;

  return (guint) (h >> 44); /* 20 bits */
}

gboolean
llm_char_pairs_init (LlmCharPairs *self)
{
  self->bits = g_try_new0 (guint64, LLM_CHAR_PAIRS_BITS / 64);
  return self->bits != NULL;
}

void
llm_char_pairs_clear (LlmCharPairs *self)
{
  g_clear_pointer (&self->bits, g_free);
}

void
llm_char_pairs_add (LlmCharPairs *self, const char *bytes, gsize n)
{
  gunichar last = 0;

  for (gsize i = 0; i < n;)
    {
      int step = llm_utf8_step (bytes + i, n - i);
      gunichar c;

      if (step <= 0) /* part of no text */
        return;
      c = llm_utf8_decode (bytes + i, step);
      if (i > 0)
        self->bits[slot_of (last, c) / 64] |= (guint64) 1 << slot_of (last, c) % 64;
      last = c;
      i += (gsize) step;
    }
}

gsize
llm_char_pairs_next (const LlmCharPairs *self, const char *text, gsize n)
{
  gunichar last = 0;
  gsize i = 0;

  while (i < n)
    {
      int step = llm_utf8_step (text + i, n - i);
      gunichar c = llm_utf8_decode (text + i, step);
      guint slot = slot_of (last, c);

      if (i > 0 && (self->bits[slot / 64] >> slot % 64 & 1) == 0)
        break;
      last = c;
      i += (gsize) step;
    }
  return i;
}
