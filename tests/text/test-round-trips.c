/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random texts there and back: the bytes of the tokens are the bytes of the text, for every
 * pre-tokenizer; what is not UTF-8 is refused at the right byte; ids in any order are harmless.
 */
#include <string.h>

#include "base/error.h"
#include "text/pretokenize.h"
#include "text/small-vocab.h"

/* Characters of every length and category, never U+2581: that is a space in SentencePiece's texts. */
static char *
random_text (GRand *rand, int max_chars)
{
  static const gunichar some[] = { ' ', ' ', 'a', 'a', 'b', 'b', '\n', '1', '.', '<', '\'', 's', 0xE9, 0x301, 0x3000, 0x4F60, 0xAC00, 0x1F600 };
  GString *s = g_string_new (NULL);

  for (int n = g_rand_int_range (rand, 0, max_chars); n > 0; n--)
    {
      gunichar c = g_rand_boolean (rand) ? some[g_rand_int_range (rand, 0, G_N_ELEMENTS (some))]
                                         : (gunichar) g_rand_int_range (rand, 1, g_rand_boolean (rand) ? 0x800 : 0x110000);

      if (c != 0x2581 && (c < 0xD800 || c > 0xDFFF))
        g_string_append_unichar (s, c);
    }
  return g_string_free (s, FALSE);
}

static GArray *
ids_of (LlmVocab *vocab, const char *text, gsize n)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;

  llm_tokenize (vocab, text, n, LLM_TOKENIZE_NONE, ids, &error);
  g_assert_no_error (error);
  return ids;
}

/* Token by token: a whole text may be cleaned up on its way back (" ." is "." for some vocabularies). */
static void
check_pieces (LlmVocab *vocab, const char *name, const char *text)
{
  g_autoptr (GArray) ids = ids_of (vocab, text, strlen (text));
  g_autoptr (GString) back = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++)
    {
      LlmStr piece = { "", 0 };

      g_assert_true (llm_vocab_piece (vocab, g_array_index (ids, gint32, i), &piece));
      g_assert_false (llm_vocab_is_special (vocab, g_array_index (ids, gint32, i)));
      g_string_append_len (back, piece.bytes, (gssize) piece.len);
    }
  if (g_strcmp0 (back->str, text) != 0)
    g_test_message ("%s", name);
  g_assert_cmpstr (back->str, ==, text);
}

static void
test_bpe (void)
{
  for (guint i = 0; llm_pretokenizer_nth (i) != NULL; i++)
    {
      const LlmPretokenizerInfo *info = llm_pretokenizer_nth (i);
      g_autoptr (LlmVocab) vocab = info->spm_spaces ? llm_test_vocab_gemma4 () : llm_test_vocab_bpe (info->name);
      g_autoptr (GRand) rand = g_rand_new_with_seed (i);

      for (int k = 0; k < 100; k++)
        {
          g_autofree char *text = random_text (rand, 60);
          check_pieces (vocab, info->name, text);
        }
    }
}

/* @stream_too: the stream, which loses one space in front, must be the text as well. */
static void
check_whole (LlmVocab *vocab, const char *text, gsize n, gboolean stream_too)
{
  g_autoptr (GArray) ids = ids_of (vocab, text, n);
  const gint32 *all = (const gint32 *) (gpointer) ids->data;
  g_autoptr (GString) back = g_string_new (NULL), streamed = g_string_new (NULL);
  g_autoptr (LlmDetok) detok = llm_detok_new (vocab, LLM_DETOK_NONE, TRUE);
  g_autoptr (GError) error = NULL;

  llm_detokenize (vocab, all, ids->len, LLM_DETOK_NONE, back, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (back->str, back->len, text, n);
  for (guint i = 0; i < ids->len; i++)
    {
      llm_detok_push (detok, all[i], streamed);
      g_assert_true (g_utf8_validate_len (streamed->str, streamed->len, NULL));
    }
  llm_detok_finish (detok, streamed);
  if (stream_too)
    g_assert_cmpmem (streamed->str, streamed->len, text, n);
}

static void
test_whole_texts (void)
{
  g_autoptr (LlmVocab) spm = llm_test_vocab_spm (), bpe = llm_test_vocab_bpe ("qwen2");
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (int k = 0; k < 3000; k++)
    {
      g_autofree char *text = random_text (rand, 60);

      check_whole (spm, text, strlen (text), TRUE);
      check_whole (bpe, text, strlen (text), text[0] != ' ');
    }
  check_whole (spm, "a\0b", 3, FALSE);
  check_whole (bpe, "a\0b", 3, FALSE);
}

/* GLib says where a text stops being UTF-8; so must the error. */
static void
test_invalid_text (void)
{
  g_autoptr (LlmVocab) vocabs = llm_test_vocab_spm ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  guint n_bad = 0;

  for (int k = 0; k < 5000; k++)
    {
      g_autofree char *text = random_text (rand, 20);
      gsize n = strlen (text);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autoptr (GError) error = NULL;
      const char *end;
      g_autofree char *says = NULL;

      for (int hits = g_rand_int_range (rand, 0, 3); hits > 0 && n > 0; hits--)
        text[g_rand_int_range (rand, 0, (int) n)] = (char) g_rand_int_range (rand, 1, 256);
      if (g_utf8_validate_len (text, n, &end))
        {
          g_assert_true (llm_tokenize (vocabs, text, n, LLM_TOKENIZE_NONE, ids, &error));
          g_assert_no_error (error);
          continue;
        }
      n_bad++;
      says = g_strdup_printf ("at byte %" G_GSIZE_FORMAT, (gsize) (end - text));
      g_assert_false (llm_tokenize (vocabs, text, n, LLM_TOKENIZE_ADD_SPECIAL, ids, &error));
      g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
      g_assert_true (g_str_has_suffix (error->message, says));
      g_assert_cmpuint (ids->len, ==, 0);
    }
  g_assert_cmpuint (n_bad, >, 1000);
}

static void
test_random_ids (void)
{
  g_autoptr (LlmVocab) bpe = llm_test_vocab_bpe ("gpt-2"), spm = llm_test_vocab_spm (), wpm = llm_test_vocab_wpm ();
  g_autoptr (LlmVocab) ugm = llm_test_vocab_ugm (NULL), gemma4 = llm_test_vocab_gemma4 ();
  LlmVocab *const vocabs[] = { bpe, spm, wpm, ugm, gemma4 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  for (int k = 0; k < 5000; k++)
    {
      LlmVocab *vocab = vocabs[k % 5];
      gint32 ids[32];
      gsize n = (gsize) g_rand_int_range (rand, 0, G_N_ELEMENTS (ids));
      g_autoptr (GString) whole = g_string_new (NULL), streamed = g_string_new (NULL);
      g_autoptr (LlmDetok) detok = llm_detok_new (vocab, LLM_DETOK_SHOW_SPECIAL, FALSE);
      g_autoptr (GError) error = NULL;

      for (gsize i = 0; i < n; i++)
        {
          ids[i] = g_rand_int_range (rand, 0, (gint32) llm_vocab_size (vocab));
          llm_detok_push (detok, ids[i], streamed);
        }
      llm_detok_finish (detok, streamed);
      g_assert_true (g_utf8_validate_len (streamed->str, streamed->len, NULL));
      llm_detokenize (vocab, ids, n, LLM_DETOK_SHOW_SPECIAL, whole, &error);
      g_assert_no_error (error);
    }
}

/* The best sum of scores of text[at..], by trying everything. */
static double
best_of_all (LlmVocab *vocab, const float *scores, const char *text)
{
  double best = -G_MAXDOUBLE;
  gboolean known = FALSE;

  if (text[0] == '\0')
    return 0;
  for (gint32 id = 3; id < 10; id++)
    {
      LlmStr piece;

      llm_vocab_piece (vocab, id, &piece);
      if (strncmp (text, piece.bytes, piece.len) != 0)
        continue;
      known = known || piece.len == 1;
      best = MAX (best, (double) scores[id] + best_of_all (vocab, scores, text + piece.len));
    }
  if (!known)
    best = MAX (best, -9.0 - 10.0 + best_of_all (vocab, scores, text + 1));
  return best;
}

/* Viterbi finds no worse way than trying all of them does. */
static void
test_unigram_is_best (void)
{
  static const float scores[] = { 0, 0, 0, -2, -3, -3, -4, -4, -9, -7.5f };
  g_autoptr (LlmVocab) vocab = llm_test_vocab_ugm (NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (6);

  for (int k = 0; k < 2000; k++)
    {
      char text[13] = { 0 };
      double sum = 0;
      g_autoptr (GArray) ids = NULL;

      for (int i = g_rand_int_range (rand, 0, 13); i > 0; i--)
        text[i - 1] = "ab ab"[g_rand_int_range (rand, 0, 5)];
      ids = ids_of (vocab, text, strlen (text));
      for (guint i = 0; i < ids->len; i++)
        sum += (double) scores[g_array_index (ids, gint32, i)];
      g_assert_cmpfloat_with_epsilon (sum, best_of_all (vocab, scores, text), 1e-9);
    }
}

/* The id of the normal token @text, or -1. */
static gint32
find_piece (LlmVocab *vocab, const char *text)
{
  for (gint32 id = 3; id < 13; id++)
    {
      LlmStr piece;

      llm_vocab_piece (vocab, id, &piece);
      if (piece.len == strlen (text) && memcmp (piece.bytes, text, piece.len) == 0)
        return id;
    }
  return -1;
}

/* Merges the neighbours that become the best token, the first of equals. FALSE: none do. */
static gboolean
merge_best (LlmVocab *vocab, GPtrArray *symbols)
{
  static const float scores[] = { 0, 0, 0, -3, -4, -5, -1, -2, -6, -7, -8, -9, -10 };
  float best = -G_MAXFLOAT;
  guint at = 0;
  char *both;

  for (guint i = 0; i + 1 < symbols->len; i++)
    {
      g_autofree char *text = g_strconcat (symbols->pdata[i], symbols->pdata[i + 1], NULL);
      gint32 id = find_piece (vocab, text);

      if (id >= 0 && scores[id] > best)
        {
          best = scores[id];
          at = i;
        }
    }
  if (best == -G_MAXFLOAT)
    return FALSE;
  both = g_strconcat (symbols->pdata[at], symbols->pdata[at + 1], NULL);
  g_free (symbols->pdata[at]);
  symbols->pdata[at] = both;
  g_ptr_array_remove_index (symbols, at + 1);
  return TRUE;
}

/* Heaps, lists and cutting the text up first change nothing: the tokens are those of the slow way. */
static void
test_spm_merges_the_best (void)
{
  g_autoptr (LlmVocab) vocab = llm_test_vocab_spm ();
  g_autoptr (GRand) rand = g_rand_new_with_seed (8);

  for (int k = 0; k < 1500; k++)
    {
      g_autofree char *text = random_text (rand, 25);
      g_autoptr (GPtrArray) symbols = g_ptr_array_new_with_free_func (g_free);
      g_autoptr (GArray) ids = ids_of (vocab, text, strlen (text));
      guint n = 0;

      if (text[0] != '\0')
        g_ptr_array_add (symbols, g_strdup (" "));
      for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
        g_ptr_array_add (symbols, g_strndup (p, (gsize) (g_utf8_next_char (p) - p)));
      while (merge_best (vocab, symbols))
        ;
      for (guint i = 0; i < symbols->len; i++)
        {
          const char *symbol = symbols->pdata[i];
          gint32 id = find_piece (vocab, symbol);

          if (id >= 0)
            g_assert_cmpint (g_array_index (ids, gint32, n++), ==, id);
          else
            for (; *symbol != '\0'; symbol++)
              g_assert_cmpint (g_array_index (ids, gint32, n++), ==, 13 + (guint8) *symbol);
        }
      g_assert_cmpuint (n, ==, ids->len);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/round-trips/bpe", test_bpe);
  g_test_add_func ("/text/round-trips/whole-texts", test_whole_texts);
  g_test_add_func ("/text/round-trips/invalid-text", test_invalid_text);
  g_test_add_func ("/text/round-trips/random-ids", test_random_ids);
  g_test_add_func ("/text/round-trips/spm-merges-the-best", test_spm_merges_the_best);
  g_test_add_func ("/text/round-trips/unigram-is-best", test_unigram_is_best);
  return g_test_run ();
}
