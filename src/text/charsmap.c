/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See charsmap.h.  A unit: bits 0-7 the byte that leads to it, bit 8 whether a string
 * ends here, bits 10-30 the offset to its children, shifted by 8 where bit 9 is set.
 * A unit with bit 31 set holds an offset into the replacements.
 */
#include "text/charsmap.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"

#define LABEL(unit) ((unit) & (0x80000000u | 0xFF))
#define HAS_VALUE(unit) (((unit) & 0x100) != 0)
#define VALUE(unit) ((unit) & 0x7FFFFFFFu)

static guint32
children (guint32 unit)
{
  return (unit & 0x200) != 0 ? unit >> 10 << 8 : unit >> 10;
}

/* So that a text grows by no more than a small factor. */
static gboolean
replacements_are_short (const guint8 *bytes, gsize n)
{
  gsize run = 0;

  for (gsize i = 0; i < n; i++)
    {
      run = bytes[i] != 0 ? run + 1 : 0;
      if (run > LLM_CHARSMAP_MAX_TEXT)
        return FALSE;
    }
  return TRUE;
}

gboolean
llm_charsmap_init (LlmCharsmap *self, const guint8 *bytes, gsize n, GError **error)
{
  guint32 trie;

  memset (self, 0, sizeof *self);
  if (n == 0)
    return TRUE;
  if (n >= 4)
    trie = bytes[0] | (guint32) bytes[1] << 8 | (guint32) bytes[2] << 16 | (guint32) bytes[3] << 24;
  if (n < 4 || trie % 4 != 0 || trie >= n - 4)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                   "tokenizer.ggml.precompiled_charsmap (%" G_GSIZE_FORMAT " bytes) is not a trie and the texts that it points to", n);
      return FALSE;
    }
  if (!replacements_are_short (bytes + 4 + trie, n - 4 - trie))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                   "tokenizer.ggml.precompiled_charsmap replaces a text by more than the %d bytes that are allowed", LLM_CHARSMAP_MAX_TEXT);
      return FALSE;
    }
  self->n_units = trie / 4;
  self->n_replacements = n - 4 - trie + 1;
  self->units = g_try_new (guint32, MAX (self->n_units, 1));
  self->replacements = g_try_malloc (self->n_replacements);
  if (self->units == NULL || self->replacements == NULL)
    {
      g_set_error_literal (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the model's vocabulary");
      return FALSE;
    }
  for (gsize i = 0; i < self->n_units; i++)
    {
      const guint8 *b = bytes + 4 + 4 * i;
      self->units[i] = b[0] | (guint32) b[1] << 8 | (guint32) b[2] << 16 | (guint32) b[3] << 24;
    }
  memcpy (self->replacements, bytes + 4 + trie, self->n_replacements - 1);
  self->replacements[self->n_replacements - 1] = '\0';
  return TRUE;
}

void
llm_charsmap_clear (LlmCharsmap *self)
{
  g_clear_pointer (&self->units, g_free);
  g_clear_pointer (&self->replacements, g_free);
}

gsize
llm_charsmap_match (const LlmCharsmap *self, const char *p, gsize n, const char **replacement)
{
  gsize found = 0;
  guint32 at;

  if (self->n_units == 0)
    return 0;
  at = children (self->units[0]);
  for (gsize i = 0; i < MIN (n, LLM_CHARSMAP_MAX_TEXT) && p[i] != '\0'; i++) /* a broken trie may be a ring */
    {
      guint32 unit;

      at ^= (guint8) p[i];
      if (at >= self->n_units || LABEL (self->units[at]) != (guint8) p[i])
        break;
      unit = self->units[at];
      at ^= children (unit);
      if (HAS_VALUE (unit) && at < self->n_units && VALUE (self->units[at]) < self->n_replacements)
        {
          found = i + 1;
          *replacement = self->replacements + VALUE (self->units[at]);
        }
    }
  return found;
}
