/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tokenizing is linear in the text, n log n where tokens merge: four times the text is not
 * much more than four times the work.  Work is counted, not timed: the linker leads the
 * library's calls of these functions through here (--wrap).
 */
#include <string.h>

#include "base/limits.h"
#include "text/merger.h"
#include "text/pretokenize.h"
#include "text/small-vocab.h"
#include "text/piece-index.h"
#include "text/prefix-set.h"
#include "text/utf8.h"

static guint64 work;

int __real_llm_utf8_step (const char *p, gsize n);
int __wrap_llm_utf8_step (const char *p, gsize n);
gint32 __real_llm_piece_index_find (const LlmPieceIndex *self, const char *bytes, gsize len);
gint32 __wrap_llm_piece_index_find (const LlmPieceIndex *self, const char *bytes, gsize len);
gsize __real_llm_prefix_set_match (const LlmPrefixSet *self, const char *p, gsize n, gint32 *id);
gsize __wrap_llm_prefix_set_match (const LlmPrefixSet *self, const char *p, gsize n, gint32 *id);
gsize __real_llm_prefix_walk_next (LlmPrefixWalk *walk, gint32 *id);
gsize __wrap_llm_prefix_walk_next (LlmPrefixWalk *walk, gint32 *id);
GArray *__real_g_array_append_vals (GArray *array, gconstpointer data, guint n);
GArray *__wrap_g_array_append_vals (GArray *array, gconstpointer data, guint n);

int
__wrap_llm_utf8_step (const char *p, gsize n)
{
  work++;
  return __real_llm_utf8_step (p, n);
}

gint32
__wrap_llm_piece_index_find (const LlmPieceIndex *self, const char *bytes, gsize len)
{
  work += 1 + (len <= self->max_len ? len / 8 : 0);
  return __real_llm_piece_index_find (self, bytes, len);
}

gsize
__wrap_llm_prefix_set_match (const LlmPrefixSet *self, const char *p, gsize n, gint32 *id)
{
  gsize length = __real_llm_prefix_set_match (self, p, n, id);

  work += 1 + length;
  return length;
}

gsize
__wrap_llm_prefix_walk_next (LlmPrefixWalk *walk, gint32 *id)
{
  work++;
  return __real_llm_prefix_walk_next (walk, id);
}

GArray *
__wrap_g_array_append_vals (GArray *array, gconstpointer data, guint n)
{
  work++;
  return __real_g_array_append_vals (array, data, n);
}

/* What is said over and over: any single character, pairs, and what a pre-tokenizer looks far ahead for. */
static const char *const bits[] = {
  " ", "\n", "\t", "\r", "\r\n", "a", "A", "z", "1", "12", ".", "'", "$", "/", "<", "I", "_", "\x01", "\x7f", "'s", "a ", " a", "1 ", " \n",
  "\n ", "  \n", "a1", "aA", "Aa", "a.", ".\n", ". ", "ab", "1a", "1.", "a\xcc\x81", "\xcc\x81", "\xcc\x81" "A", "\xc3\xa9", "\xc2\xa0",
  "\xc2\xb2", "\xca\xb0" "A", "\xe2\x80\xa8", "\xe2\x96\x81", "\xe3\x80\x80", "\xe4\xbd\xa0", "\xe4\xbd\xa0 ", "\xe3\x81\x82", "\xed\x95\x9c",
  "\xf0\x9f\x98\x80", "<sentinel:", "<sentinel:1", "IMGIMG", "IMGIMGA", "12345678901234567890x", "  a", "\xd9\xa3",
};

/* Something else at the end: what was looked through in vain must not be looked through again. */
static const char *const tails[] = { "", "x", "\xe4\xbd\xa0" };

static char *
repeat (const char *bit, gsize n, const char *tail)
{
  GString *s = g_string_sized_new (n + 32);

  while (s->len + strlen (bit) <= n)
    g_string_append (s, bit);
  g_string_append (s, tail);
  return g_string_free (s, FALSE);
}

static guint64
work_of_words (const LlmPretokenizer *pre, const char *bit, const char *tail, gsize n)
{
  g_autofree char *text = repeat (bit, n, tail);
  LlmWords words;

  work = 0;
  llm_words_init (&words, pre, text, strlen (text));
  while (llm_words_next (&words) > 0)
    work++;
  return work;
}

static void
check_words (const LlmPretokenizerInfo *info, const char *bit)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tails); i++)
    {
      guint64 small = work_of_words (info->pre, bit, tails[i], 512), large = work_of_words (info->pre, bit, tails[i], 2048);

      if (large > 5 * small)
        g_test_message ("%s: \"%s\" and \"%s\"", info->name, bit, tails[i]);
      g_assert_cmpuint (small, >, 64);
      g_assert_cmpuint (large, <=, 5 * small);
    }
}

static void
test_words (void)
{
  const LlmPretokenizer *last = NULL;

  for (guint i = 0; llm_pretokenizer_nth (i) != NULL; i++)
    {
      const LlmPretokenizerInfo *info = llm_pretokenizer_nth (i);

      if (info->pre == last)
        continue;
      last = info->pre;
      for (gsize b = 0; b < G_N_ELEMENTS (bits); b++)
        check_words (info, bits[b]);
    }
}

static guint64
work_of_text (LlmVocab *vocab, const char *bit, gsize n)
{
  g_autofree char *text = repeat (bit, n, "x");
  g_autoptr (GArray) ids = g_array_sized_new (FALSE, FALSE, sizeof (gint32), (guint) n);
  g_autoptr (GError) error = NULL;

  work = 0;
  llm_tokenize (vocab, text, strlen (text), LLM_TOKENIZE_PARSE_SPECIAL, ids, &error);
  g_assert_no_error (error);
  return work;
}

static void
check_kind (LlmVocab *vocab, const char *name, gsize n)
{
  for (gsize b = 0; b < G_N_ELEMENTS (bits); b++)
    {
      guint64 small = work_of_text (vocab, bits[b], n / 4), large = work_of_text (vocab, bits[b], n);

      if (large > 5 * small)
        g_test_message ("%s: \"%s\"", name, bits[b]);
      g_assert_cmpuint (small, >=, n / 8);
      g_assert_cmpuint (large, <=, 5 * small);
    }
}

static void
test_kinds (void)
{
  g_autoptr (LlmVocab) bpe = llm_test_vocab_bpe ("gpt-2"), lines = llm_test_vocab_bpe ("superbpe"), spm = llm_test_vocab_spm ();
  g_autoptr (LlmVocab) wpm = llm_test_vocab_wpm (), ugm = llm_test_vocab_ugm (NULL), gemma4 = llm_test_vocab_gemma4 ();

  check_kind (bpe, "bpe", 16384);
  check_kind (lines, "bpe, one word", 16384);
  check_kind (spm, "spm", 16384);
  check_kind (wpm, "wpm", 16384);
  check_kind (ugm, "ugm", 16384);
  check_kind (gemma4, "gemma4", 16384);
}

/* 1 MiB of one character against 256 KiB of it. */
static void
test_mebibyte (void)
{
  LlmVocab *vocabs[] = {
    llm_test_vocab_bpe ("llama-bpe"), llm_test_vocab_spm (), llm_test_vocab_wpm (), llm_test_vocab_ugm (NULL), llm_test_vocab_gemma4 (),
  };
  static const char *const some[] = { "a", " " };

  for (gsize v = 0; v < G_N_ELEMENTS (vocabs); v++)
    {
      for (gsize b = 0; b < G_N_ELEMENTS (some); b++)
        g_assert_cmpuint (work_of_text (vocabs[v], some[b], LLM_MIB), <=, 5 * work_of_text (vocabs[v], some[b], LLM_MIB / 4));
      llm_vocab_unref (vocabs[v]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/work/words", test_words);
  g_test_add_func ("/text/work/kinds", test_kinds);
  g_test_add_func ("/text/work/mebibyte", test_mebibyte);
  return g_test_run ();
}
