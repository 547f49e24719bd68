/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WordPiece as BERT has it (Devlin et al. 2018): text is normalized, cut at white space
 * and around punctuation and Han, and each word taken apart by the longest tokens that
 * it begins with; a word that does not come out even is unknown as a whole.
 *
 * Token texts write the beginning of a word as U+2581, here a space.
 */
#include <string.h>

#include "text/char-class.h"
#include "text/vocab-private.h"

typedef struct {
  const LlmVocab *vocab;
  GString *word; /* a space and what has been read of it */
  GArray *ids;
} Run;

static void
end_word (Run *run)
{
  const LlmVocab *vocab = run->vocab;
  guint before = run->ids->len;
  gsize at = 0, n;
  gint32 id;

  if (run->word->len == 1)
    return;
  while (at < run->word->len
         && (n = llm_prefix_set_match (&vocab->pieces, run->word->str + at, run->word->len - at, &id)) > 0)
    {
      g_array_append_val (run->ids, id);
      at += n;
    }
  if (at < run->word->len)
    {
      g_array_set_size (run->ids, before);
      if (vocab->unk >= 0)
        g_array_append_val (run->ids, vocab->unk);
    }
  g_string_truncate (run->word, 1);
}

/* The ranges of BERT's tokenizer, with the gap that its descendants have at U+2B820. */
static gboolean
is_han (gunichar c)
{
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F)
         || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static void
add_char (Run *run, gunichar c)
{
  guint klass = llm_char_class (c);
  gboolean alone = klass == LLM_CLASS_PUNCT || (klass == LLM_CLASS_SYMBOL && c < 128) || is_han (c);

  if ((klass & LLM_CLASS_WHITE) != 0)
    {
      end_word (run);
      return;
    }
  if (c == 0 || c == 0xFFFD || (klass == LLM_CLASS_REST && g_unichar_type (c) != G_UNICODE_UNASSIGNED))
    return;
  if (run->vocab->strip_accents && g_unichar_type (c) == G_UNICODE_NON_SPACING_MARK)
    return;
  if (alone)
    end_word (run);
  g_string_append_unichar (run->word, run->vocab->lowercase ? g_unichar_tolower (c) : c);
  if (alone)
    end_word (run);
}

void
llm_wpm_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids)
{
  g_autoptr (GString) word = g_string_new (" ");
  Run run = { self, word, ids };
  LlmSpan span = { text, len };
  guint klass;

  for (gsize at = 0; at < len;)
    {
      gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH], c = llm_span_look (span, at, &klass, &at);

      /* What follows the base letter are marks, to be left out; of a Hangul syllable the first jamo stays,
       * as in every program that reads these files. */
      if (self->strip_accents && c >= 128 && g_unichar_fully_decompose (c, FALSE, parts, G_N_ELEMENTS (parts)) > 0)
        c = parts[0];
      add_char (&run, c);
    }
  end_word (&run);
}
