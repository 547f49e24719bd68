/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables and tries that are used where they lie: the same ids as those they were made from, and damaged ones do no harm. */
#include <string.h>

#include "text/small-vocab.h"
#include "text/token-trie.h"
#include "text/vocab-tables.h"

static LlmVocab *
bpe (void)
{
  return llm_test_vocab_bpe ("gpt-2");
}

static LlmVocab *
ugm (void)
{
  return llm_test_vocab_ugm (NULL);
}

static LlmVocab *(*const vocabs[]) (void) = { bpe, llm_test_vocab_spm, llm_test_vocab_wpm, ugm, llm_test_vocab_gemma4 };

static const char *const texts[] = { "", "a", "ab abba bab", " ab  ba.a <s>[CLS]</s>\n", "a\xe4\xbd\xa0" "a \xc3\xa9\xf0\x9f\x98\x80", "the quick brown fox, and <unk> and <0x0A>." };

static gpointer lent;

static void
give_back (gpointer data)
{
  g_assert_true (data == lent);
  g_clear_pointer (&lent, g_free);
}

/* (transfer full) of a copy of @bytes, which is freed with it. */
static LlmVocab *
open_copy (GBytes *bytes)
{
  gsize size;
  gconstpointer data = g_bytes_get_data (bytes, &size);

  g_assert_null (lent);
  lent = g_memdup2 (data, size);
  return llm_vocab_tables_open (lent, size, lent, give_back);
}

static char *
all_ids (LlmVocab *vocab)
{
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    for (guint flags = 0; flags < 4; flags++)
      {
        g_autofree char *ids = llm_test_ids (vocab, texts[i], (LlmTokenizeFlags) flags);

        g_string_append_printf (all, "%s\n", ids);
      }
  return g_string_free (all, FALSE);
}

static void
test_same (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (vocabs); i++)
    {
      g_autoptr (LlmVocab) vocab = vocabs[i](), opened = NULL;
      g_autoptr (GBytes) bytes = llm_vocab_tables_save (vocab), again = NULL;
      g_autofree char *want = all_ids (vocab), *got = NULL;

      g_assert_true (llm_vocab_tables_are_sound (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes)));
      opened = open_copy (bytes);
      got = all_ids (opened);
      g_assert_cmpstr (got, ==, want);
      for (gint32 id = 0; id < (gint32) llm_vocab_size (vocab); id++)
        {
          LlmStr a, b;

          g_assert_true (llm_vocab_piece (vocab, id, &a) && llm_vocab_piece (opened, id, &b));
          g_assert_cmpmem (a.bytes, a.len, b.bytes, b.len);
          g_assert_cmpint (llm_vocab_is_eog (vocab, id), ==, llm_vocab_is_eog (opened, id));
          g_assert_cmpint (llm_vocab_is_special (vocab, id), ==, llm_vocab_is_special (opened, id));
        }
      again = llm_vocab_tables_save (opened);
      g_assert_true (g_bytes_equal (bytes, again));
      g_clear_pointer (&opened, llm_vocab_unref);
      g_assert_null (lent);
    }
}

static void
keep (gpointer data)
{
}

static void
use (guint8 *data, gsize size)
{
  g_autoptr (LlmVocab) vocab = llm_vocab_tables_open (data, size, data, keep);
  g_autofree char *ids = all_ids (vocab);
  g_autoptr (GString) out = g_string_new (NULL);

  for (gint32 id = 0; id < (gint32) llm_vocab_size (vocab); id++)
    llm_detokenize (vocab, &id, 1, LLM_DETOK_SHOW_SPECIAL, out, NULL);
}

/* Bytes beyond the checksum's care: whoever may write to the cache can write any. */
static void
test_damage (void)
{
  guint n_refused = 0, n_used = 0;

  for (guint i = 0; i < G_N_ELEMENTS (vocabs); i++)
    {
      g_autoptr (LlmVocab) vocab = vocabs[i]();
      g_autoptr (GBytes) bytes = llm_vocab_tables_save (vocab);
      gsize size = g_bytes_get_size (bytes);
      g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), size);

      for (gsize at = 0; at < size; at += at < 6000 ? 1 : 37)
        {
          guint8 was = data[at];

          data[at] = (guint8) (was ^ (at % 3 == 0 ? 0xff : 1 << at % 8));
          if (llm_vocab_tables_are_sound (data, size))
            {
              n_used++;
              use (data, size);
            }
          else
            n_refused++;
          data[at] = was;
        }
      for (gsize n = 0; n < size; n += n < 6000 ? 1 : 64)
        {
          g_autofree guint8 *cut = g_memdup2 (data, n);

          g_assert_false (llm_vocab_tables_are_sound (cut, n));
        }
    }
  g_test_message ("%u refused, %u used", n_refused, n_used);
  g_assert_cmpuint (n_refused, >, 1000);
  g_assert_cmpuint (n_used, >, 1000);
}

/* ---- trie ---- */

static void
collect (const LlmTokenTrie *trie, guint32 node, GString *path, GHashTable *found)
{
  gint32 token = llm_token_trie_token (trie, node);
  int last = -1;

  if (token != LLM_TOKEN_NONE)
    g_assert_true (g_hash_table_insert (found, GINT_TO_POINTER (token), g_bytes_new (path->str, path->len)));
  for (guint32 child = llm_token_trie_first (trie, node); child != 0; child = llm_token_trie_next (trie, node, child))
    {
      guint8 byte = llm_token_trie_byte (trie, child);

      g_assert_cmpint (byte, >, last);
      last = byte;
      g_assert_cmpuint (llm_token_trie_child (trie, node, byte), ==, child);
      g_string_append_c (path, (char) byte);
      collect (trie, child, path, found);
      g_string_truncate (path, path->len - 1);
    }
}

static gboolean
is_text (LlmVocab *vocab, gint32 id)
{
  LlmStr bytes;

  llm_vocab_piece (vocab, id, &bytes);
  return bytes.len > 0;
}

/* Every token that stands for text is in it once, by its bytes, and nothing else. */
static void
test_trie (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (vocabs); i++)
    {
      g_autoptr (LlmVocab) vocab = vocabs[i]();
      g_autoptr (GBytes) bytes = llm_token_trie_make (vocab, NULL);
      g_autoptr (GHashTable) found = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_bytes_unref);
      g_autoptr (GString) path = g_string_new (NULL);
      guint n_special = 0, n_same = 0;
      LlmTokenTrie trie;

      g_assert_true (llm_token_trie_open (&trie, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), llm_vocab_size (vocab)));
      collect (&trie, LLM_TOKEN_TRIE_ROOT, path, found);
      for (gint32 id = 0; id < (gint32) llm_vocab_size (vocab); id++)
        {
          GBytes *at = g_hash_table_lookup (found, GINT_TO_POINTER (id));
          LlmStr piece;
          guint n;

          llm_vocab_piece (vocab, id, &piece);
          if (at != NULL)
            g_assert_cmpmem (g_bytes_get_data (at, NULL), g_bytes_get_size (at), piece.bytes, piece.len);
          else
            n_special += is_text (vocab, id);
          llm_token_trie_same (&trie, id, &n);
          g_assert_true (n == 0 || at != NULL);
          n_same += n;
        }
      g_assert_cmpuint (n_same, ==, trie.n_same);
      g_assert_cmpuint (n_special, >=, n_same); /* the rest is control tokens */
      g_assert_cmpuint (n_special - n_same, <, 8);
    }
}

static guint
walk (const LlmTokenTrie *trie, guint32 node, guint depth)
{
  guint n = 1;

  if (depth > 300)
    return 0;
  g_assert_cmpint (llm_token_trie_token (trie, node), <, (gint32) trie->n_tokens);
  for (guint32 child = llm_token_trie_first (trie, node); child != 0; child = llm_token_trie_next (trie, node, child))
    n += walk (trie, child, depth + 1);
  return n;
}

static void
test_trie_damage (void)
{
  g_autoptr (LlmVocab) vocab = bpe ();
  g_autoptr (GBytes) bytes = llm_token_trie_make (vocab, NULL);
  gsize size = g_bytes_get_size (bytes);
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), size);
  LlmTokenTrie trie;

  for (gsize at = 0; at < size; at++)
    for (guint bit = 0; bit < 8; bit++)
      {
        data[at] ^= (guint8) (1 << bit);
        if (llm_token_trie_open (&trie, data, size, llm_vocab_size (vocab)))
          g_assert_cmpuint (walk (&trie, LLM_TOKEN_TRIE_ROOT, 0), <=, 300 * trie.n_nodes);
        data[at] ^= (guint8) (1 << bit);
      }
  for (gsize n = 0; n < size; n++)
    g_assert_false (llm_token_trie_open (&trie, data, n, llm_vocab_size (vocab)));
  g_assert_false (llm_token_trie_open (&trie, data, size, llm_vocab_size (vocab) + 1));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tables/same", test_same);
  g_test_add_func ("/tables/damage", test_damage);
  g_test_add_func ("/tables/trie", test_trie);
  g_test_add_func ("/tables/trie-damage", test_trie_damage);
  return g_test_run ();
}
