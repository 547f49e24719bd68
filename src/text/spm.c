/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SentencePiece BPE (Kudo & Richardson 2018): characters merge by the score of the token
 * they become; what is no token falls back to its bytes.
 *
 * Token texts write a space as U+2581.  The vocabulary turns it back when it is loaded; a
 * U+2581 in the text itself is a space here too, as it is for SentencePiece.
 */
#include <string.h>

#include "text/merger.h"
#include "text/utf8.h"
#include "text/vocab-private.h"

static gboolean
merge_pair (gconstpointer vocab, const LlmSymbol *left, const LlmSymbol *right, gint32 *id, double *urgency)
{
  const LlmVocab *self = vocab;

  *id = llm_piece_index_find (&self->index, left->start, left->len + right->len);
  if (*id < 0)
    return FALSE;
  *urgency = (double) self->scores[*id];
  return TRUE;
}

gsize
llm_spm_decode (const char *text, gsize n, char *out)
{
  gsize at = 0;

  for (gsize i = 0; i < n;)
    {
      gboolean space = n - i >= 3 && memcmp (text + i, "\xe2\x96\x81", 3) == 0;

      out[at++] = space ? ' ' : text[i];
      i += space ? 3 : 1;
    }
  return at;
}

char *
llm_spm_spaces (const char *text, gsize len, gboolean space_prefix, gsize *out_len)
{
  gsize prefix = space_prefix ? 1 : 0;
  char *out = g_malloc (len + 1);

  out[0] = ' ';
  *out_len = prefix + llm_spm_decode (text, len, out + prefix);
  return out;
}

static void
emit (const LlmVocab *self, const LlmSymbol *symbol, GArray *ids)
{
  if (symbol->id >= 0)
    {
      g_array_append_val (ids, symbol->id);
      return;
    }
  for (guint32 i = 0; i < symbol->len; i++)
    {
      gint32 id = self->byte_token[(guint8) symbol->start[i]];

      if (id < 0)
        id = self->unk;
      if (id >= 0)
        g_array_append_val (ids, id);
    }
}

static void
tokenize_part (const LlmVocab *self, LlmMerger *merger, const char *part, gsize n, GArray *ids)
{
  llm_merger_reset (merger);
  for (gsize i = 0; i < n;)
    {
      int step = llm_utf8_step (part + i, n - i);

      llm_merger_add (merger, part + i, (guint32) step, llm_piece_index_find (&self->index, part + i, (gsize) step));
      i += (gsize) step;
    }
  llm_merger_run (merger, merge_pair, self);
  for (guint i = 0; i < merger->symbols->len; i++)
    if (g_array_index (merger->symbols, LlmSymbol, i).len > 0)
      emit (self, &g_array_index (merger->symbols, LlmSymbol, i), ids);
}

void
llm_spm_tokenize (const LlmVocab *self, const char *text, gsize len, gboolean space_prefix, GArray *ids)
{
  gsize n, part;
  g_autofree char *spaced = llm_spm_spaces (text, len, space_prefix, &n);
  LlmMerger merger;

  llm_merger_init (&merger);
  for (gsize at = 0; at < n; at += part)
    {
      part = llm_char_pairs_next (&self->pairs, spaced + at, n - at);
      tokenize_part (self, &merger, spaced + at, part, ids);
    }
  llm_merger_clear (&merger);
}
