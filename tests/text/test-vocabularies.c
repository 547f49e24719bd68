/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each kind of vocabulary on a few tokens, and what the flags of a file do. */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "text/small-vocab.h"

#define SPACE "\xe2\x96\x81"

typedef struct {
  const char *text;
  LlmTokenizeFlags flags;
  const char *ids;
} Case;

static void
check (LlmVocab *vocab, const Case *cases, gsize n)
{
  for (gsize i = 0; i < n; i++)
    {
      g_autofree char *got = llm_test_ids (vocab, cases[i].text, cases[i].flags);

      if (g_strcmp0 (got, cases[i].ids) != 0)
        g_test_message ("\"%s\"", cases[i].text);
      g_assert_cmpstr (got, ==, cases[i].ids);
    }
}

static void
check_back (LlmVocab *vocab, const gint32 *ids, gsize n, const char *want)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  llm_detokenize (vocab, ids, n, LLM_DETOK_SHOW_SPECIAL, out, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (out->str, ==, want);
}

static void
test_wordpiece (void)
{
  g_autoptr (LlmVocab) vocab = llm_test_vocab_wpm ();
  static const Case cases[] = {
    { "ab", LLM_TOKENIZE_NONE, "3" },
    { "ab", LLM_TOKENIZE_ADD_SPECIAL, "1 3 2" },
    { "", LLM_TOKENIZE_ADD_SPECIAL, "1 2" },
    { "abba", LLM_TOKENIZE_NONE, "3 13" },        /* the longest piece: ba, not b */
    { "AB ab", LLM_TOKENIZE_NONE, "3 3" },        /* small letters */
    { "abx", LLM_TOKENIZE_NONE, "0" },            /* a word that does not come out even */
    { "ab.a", LLM_TOKENIZE_NONE, "3 8 4" },       /* punctuation is a word */
    { "a\xe4\xbd\xa0" "a", LLM_TOKENIZE_NONE, "4 9 4" }, /* and so is Han */
    { "\xc3\xa9", LLM_TOKENIZE_NONE, "10" },      /* no accents */
    { "e\xcc\x81", LLM_TOKENIZE_NONE, "10" },
    { " \t\n ab\xc2\xa0\n", LLM_TOKENIZE_NONE, "3" },
    { "a\x01\xe2\x80\x8d" "b", LLM_TOKENIZE_NONE, "3" }, /* nor what cannot be seen */
    { "[CLS]", LLM_TOKENIZE_PARSE_SPECIAL, "1" },
    { "[CLS]", LLM_TOKENIZE_NONE, "0 0 0" },
  };

  check (vocab, cases, G_N_ELEMENTS (cases));
  check_back (vocab, (const gint32[]) { 1, 3, 13, 8, 2 }, 5, "[CLS] abba.[SEP]");
  check_back (vocab, (const gint32[]) { 3, 3 }, 2, "ab ab");
}

/* What a file may say of a WordPiece vocabulary. */
static void
test_wordpiece_flags (void)
{
  static const LlmTestToken tokens[] = {
    { "[UNK]", CONTROL, 0 }, { "[CLS]", CONTROL, 0 }, { "[SEP]", CONTROL, 0 }, { SPACE "A", NORMAL, 0 }, { SPACE "a", NORMAL, 0 },
    { SPACE "\xc3\xa9", NORMAL, 0 }, { SPACE "e", NORMAL, 0 },
  };
  const LlmTestVocab parts = { "bert", "bert-bge", tokens, G_N_ELEMENTS (tokens), NULL };
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) vocab = NULL;
  static const Case cases[] = {
    { "A a", LLM_TOKENIZE_NONE, "3 4" },
    { "\xc3\xa9", LLM_TOKENIZE_NONE, "5" }, /* accents stay where letters keep their case */
    { "a", LLM_TOKENIZE_ADD_SPECIAL, "4" },
    { "b", LLM_TOKENIZE_NONE, "0" },
  };

  llm_gguf_builder_u32 (b, "tokenizer.ggml.unknown_token_id", 0);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", 1);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.seperator_token_id", 2);
  llm_gguf_builder_bool (b, "tokenizer.ggml.normalizer.lowercase", FALSE);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_bos_token", FALSE);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_sep_token", FALSE);
  vocab = llm_test_vocab_new (&parts, b, &error);
  g_assert_no_error (error);
  check (vocab, cases, G_N_ELEMENTS (cases));
}

/* [SEP] as separator and as EOS is one token. */
static void
test_wordpiece_end (void)
{
  static const LlmTestToken tokens[] = { { "[UNK]", CONTROL, 0 }, { "[CLS]", CONTROL, 0 }, { "[SEP]", CONTROL, 0 }, { SPACE "a", NORMAL, 0 } };
  const LlmTestVocab parts = { "bert", NULL, tokens, G_N_ELEMENTS (tokens), NULL };

  for (guint i = 0; i < 4; i++)
    {
      LlmGgufBuilder *b = llm_gguf_builder_new (3);
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmVocab) vocab = NULL;
      const Case end = { "a", LLM_TOKENIZE_ADD_SPECIAL, i > 0 ? "1 3 2" : "1 3" };

      llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", 1);
      llm_gguf_builder_u32 (b, "tokenizer.ggml.eos_token_id", 2);
      llm_gguf_builder_u32 (b, "tokenizer.ggml.seperator_token_id", 2);
      llm_gguf_builder_bool (b, "tokenizer.ggml.add_eos_token", (i & 1) != 0);
      llm_gguf_builder_bool (b, "tokenizer.ggml.add_sep_token", (i & 2) != 0);
      vocab = llm_test_vocab_new (&parts, b, &error);
      g_assert_no_error (error);
      check (vocab, &end, 1);
    }
}

/* Tokens that fill a table up stand for nothing. */
static void
test_unused (void)
{
  static const LlmTestToken tokens[] = { { "[PAD0]", UNUSED, 0 }, { "x", NORMAL, 0 } };
  static const char *const merges[] = { "a b", NULL };
  const LlmTestVocab parts = { "gpt2", "qwen2", tokens, G_N_ELEMENTS (tokens), merges, .byte_level = TRUE };
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) vocab = llm_test_vocab_new (&parts, NULL, &error);

  g_assert_no_error (error);
  check_back (vocab, (const gint32[]) { 1, 0, 1 }, 3, "xx");
}

static void
test_unigram (void)
{
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (LlmVocab) vocab = NULL;
  static const Case cases[] = {
    { "ab", LLM_TOKENIZE_NONE, "3 6" },    /* " " + "ab" is -6, " a" + "b" -7, " ab" -7.5 */
    { "aba", LLM_TOKENIZE_NONE, "3 6 4" },
    { "abab", LLM_TOKENIZE_NONE, "3 6 6" },
    { "a", LLM_TOKENIZE_NONE, "7" },
    { "a", LLM_TOKENIZE_ADD_SPECIAL, "7 1" },
    { "xyz", LLM_TOKENIZE_NONE, "3 2" },   /* neighbours that are unknown are one */
    { "xax", LLM_TOKENIZE_NONE, "3 2 4 2" },
    { "zz", LLM_TOKENIZE_NONE, "3 11" },
    { "a<x>a", LLM_TOKENIZE_NONE, "7 10 7" },
    { "</s>", LLM_TOKENIZE_PARSE_SPECIAL, "1" },
    { "a  a", LLM_TOKENIZE_NONE, "7 3 7" },
    { "", LLM_TOKENIZE_NONE, "" },
  };

  llm_gguf_builder_bool (b, "tokenizer.ggml.add_space_prefix", TRUE);
  vocab = llm_test_vocab_ugm (b);
  check (vocab, cases, G_N_ELEMENTS (cases));
  check_back (vocab, (const gint32[]) { 7, 3, 7, 1 }, 4, "a  a</s>");
}

/* A double array as darts-clone writes it, from a list of strings: "A" -> "a" ... */
typedef struct {
  guint32 units[4096];
  gboolean used[4096], is_base[4096];
  GByteArray *texts;
} Map;

static void
put (Map *map, const char *const *from, const char *const *to, guint n, gsize depth, guint32 at)
{
  guint32 base = 1;
  gboolean fits;

  do
    {
      base++;
      g_assert_cmpuint (base + 256, <, G_N_ELEMENTS (map->units));
      fits = !map->is_base[base];
      for (guint i = 0; i < n; i++)
        fits = fits && !map->used[base ^ (guint8) from[i][depth]];
    }
  while (!fits);
  map->is_base[base] = TRUE;
  map->units[at] |= (at ^ base) << 10;
  for (guint i = 0; i < n; i++)
    map->used[base ^ (guint8) from[i][depth]] = TRUE;
  for (guint i = 0, k; i < n; i = k)
    {
      guint8 c = (guint8) from[i][depth];

      for (k = i; k < n && (guint8) from[k][depth] == c; k++)
        ;
      if (c == 0)
        {
          map->units[at] |= 0x100;
          map->units[base] = 0x80000000u | map->texts->len;
          g_byte_array_append (map->texts, (const guint8 *) to[i], (guint) strlen (to[i]) + 1);
          continue;
        }
      map->units[base ^ c] = c;
      put (map, from + i, to + i, k - i, depth + 1, base ^ c);
    }
}

/* @from is sorted. The array as it stands in a file, after its type. */
static GBytes *
charsmap (const char *const *from, const char *const *to, guint n)
{
  g_autofree Map *map = g_new0 (Map, 1);
  GByteArray *out = g_byte_array_new ();
  guint32 item = 0 /* u8 */, trie = GUINT32_TO_LE (sizeof map->units);
  guint64 count;

  map->texts = g_byte_array_new ();
  map->used[0] = TRUE;
  put (map, from, to, n, 0, 0);
  count = GUINT64_TO_LE (4 + sizeof map->units + map->texts->len);
  for (guint i = 0; i < G_N_ELEMENTS (map->units); i++)
    map->units[i] = GUINT32_TO_LE (map->units[i]);
  g_byte_array_append (out, (const guint8 *) &item, 4);
  g_byte_array_append (out, (const guint8 *) &count, 8);
  g_byte_array_append (out, (const guint8 *) &trie, 4);
  g_byte_array_append (out, (const guint8 *) map->units, sizeof map->units);
  g_byte_array_append (out, map->texts->data, map->texts->len);
  g_byte_array_unref (map->texts);
  return g_byte_array_free_to_bytes (out);
}

static void
test_charsmap (void)
{
  static const char *const from[] = { "\t", "A", "AB", "\xc2\xa0", "\xef\xbc\xa1" };
  static const char *const to[] = { " ", "a", "b", " ", "ab" };
  g_autoptr (GBytes) bytes = charsmap (from, to, G_N_ELEMENTS (from));
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (LlmVocab) vocab = NULL;
  static const Case cases[] = {
    { "A", LLM_TOKENIZE_NONE, "7" },
    { "AA", LLM_TOKENIZE_NONE, "7 4" },
    { "ABA", LLM_TOKENIZE_NONE, "3 5 4" },    /* the longest */
    { "\xef\xbc\xa1", LLM_TOKENIZE_NONE, "3 6" },
    { "a\t\xc2\xa0 a", LLM_TOKENIZE_NONE, "7 7" }, /* white space in a row is one space */
    { "  a  ", LLM_TOKENIZE_NONE, "7" },
  };

  llm_gguf_builder_raw (b, "tokenizer.ggml.precompiled_charsmap", LLM_GGUF_ARRAY, bytes);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_space_prefix", TRUE);
  llm_gguf_builder_bool (b, "tokenizer.ggml.remove_extra_whitespaces", TRUE);
  vocab = llm_test_vocab_ugm (b);
  check (vocab, cases, G_N_ELEMENTS (cases));
}

/* A map of random bytes is refused, or harmless. */
static void
test_broken_charsmaps (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  static const LlmTestToken tokens[] = { { "<unk>", UNKNOWN, 0 }, { "a", NORMAL, -1 } };
  const LlmTestVocab parts = { "t5", "default", tokens, G_N_ELEMENTS (tokens), NULL };
  guint n_good = 0;

  for (guint round = 0; round < 2000; round++)
    {
      LlmGgufBuilder *b = llm_gguf_builder_new (3);
      g_autoptr (GByteArray) raw = g_byte_array_new ();
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmVocab) vocab = NULL;
      guint32 item = 0, trie = GUINT32_TO_LE (g_rand_boolean (rand) ? 1024 : (guint32) g_rand_int_range (rand, 0, 2000));
      guint64 count = GUINT64_TO_LE ((guint64) g_rand_int_range (rand, 0, 2) * 1100 + (guint64) g_rand_int_range (rand, 0, 8));

      g_byte_array_append (raw, (const guint8 *) &item, 4);
      g_byte_array_append (raw, (const guint8 *) &count, 8);
      for (guint64 i = 0; i < GUINT64_FROM_LE (count); i++)
        {
          guint8 byte = (guint8) (i < 4 ? trie >> (8 * i) : i + 1 == GUINT64_FROM_LE (count) ? 0 : g_rand_int (rand) & g_rand_int (rand));
          g_byte_array_append (raw, &byte, 1);
        }
      bytes = g_bytes_new (raw->data, raw->len);
      llm_gguf_builder_raw (b, "tokenizer.ggml.precompiled_charsmap", LLM_GGUF_ARRAY, bytes);
      vocab = llm_test_vocab_new (&parts, b, &error);
      if (vocab == NULL)
        {
          g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
          continue;
        }
      for (guint i = 0; i < 20; i++)
        {
          g_autofree char *ids = NULL;
          char text[9] = { 0 };

          for (guint k = 0; k < 8; k++)
            text[k] = (char) g_rand_int_range (rand, 1, 128);
          ids = llm_test_ids (vocab, text, LLM_TOKENIZE_NONE);
        }
      n_good++;
    }
  g_assert_cmpuint (n_good, >, 100);
}

static void
test_gemma4 (void)
{
  g_autoptr (LlmVocab) vocab = llm_test_vocab_gemma4 ();
  static const Case cases[] = {
    { "ab", LLM_TOKENIZE_NONE, "4 5" },            /* nothing is put in front */
    { " ab", LLM_TOKENIZE_NONE, "7" },
    { "a ab", LLM_TOKENIZE_ADD_SPECIAL, "2 4 7" }, /* BOS, whatever the file says */
    { "a  a", LLM_TOKENIZE_NONE, "4 3 6" },        /* " a" came before two spaces */
    { "\n\n\n", LLM_TOKENIZE_NONE, "11" },         /* no merge makes three */
    { "a\n\nb", LLM_TOKENIZE_NONE, "4 10 5" },
    { "\xc3\xa9", LLM_TOKENIZE_NONE, "12" },
    { "\xc3\xa8", LLM_TOKENIZE_NONE, "210 183" },  /* no such token: its bytes */
    { "<eos>", LLM_TOKENIZE_PARSE_SPECIAL, "1" },
  };

  check (vocab, cases, G_N_ELEMENTS (cases));
  check_back (vocab, (const gint32[]) { 7, 10, 210, 183, 1 }, 5, " ab\n\n\xc3\xa8<eos>");
  g_assert_true (llm_vocab_is_eog (vocab, 1));
}

static void
test_no_space_prefix (void)
{
  static const LlmTestToken tokens[] = {
    { "<unk>", UNKNOWN, 0 }, { "<s>", CONTROL, 0 }, { "</s>", CONTROL, 0 }, { SPACE, NORMAL, -2 }, { "a", NORMAL, -2 }, { SPACE "a", NORMAL, -1 },
  };
  const LlmTestVocab parts = { "llama", "default", tokens, G_N_ELEMENTS (tokens), NULL };
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) vocab = NULL;
  static const Case cases[] = {
    { "a", LLM_TOKENIZE_NONE, "4" },
    { " a", LLM_TOKENIZE_NONE, "5" },
    { "a", LLM_TOKENIZE_ADD_SPECIAL, "4 2" },
    { "a</s>a", LLM_TOKENIZE_PARSE_SPECIAL, "4 2 4" },
  };

  llm_gguf_builder_bool (b, "tokenizer.ggml.add_space_prefix", FALSE);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_bos_token", FALSE);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_eos_token", TRUE);
  vocab = llm_test_vocab_new (&parts, b, &error);
  g_assert_no_error (error);
  check (vocab, cases, G_N_ELEMENTS (cases));
  check_back (vocab, (const gint32[]) { 5, 4 }, 2, " aa");
}

/* Special tokens that take the white space next to them along. */
static void
test_strip (void)
{
  static const LlmTestToken phi3[] = {
    { "<unk>", UNKNOWN, 0 }, { "<s>", CONTROL, 0 }, { "</s>", CONTROL, 0 }, { "<|user|>", CONTROL, 0 }, { "a", NORMAL, 0 }, { "\n", NORMAL, 0 },
    { SPACE, NORMAL, 0 },
  };
  static const LlmTestToken mask[] = { { "<mask>", CONTROL, 0 }, { "<s>", CONTROL, 0 } };
  const LlmTestVocab spm = { "llama", "default", phi3, G_N_ELEMENTS (phi3), NULL };
  static const char *const merges[] = { "a b", NULL };
  const LlmTestVocab bpe = { "gpt2", "jina-v2-de", mask, G_N_ELEMENTS (mask), merges, .byte_level = TRUE };
  static const Case right[] = { { "<|user|>\n \na", LLM_TOKENIZE_PARSE_SPECIAL, "3 6 4" }, { "<s> a", LLM_TOKENIZE_PARSE_SPECIAL, "1 6 6 4" } };
  static const Case left[] = { { "a \n<mask> a", LLM_TOKENIZE_PARSE_SPECIAL, "99 0 34 99" }, { "a <s>", LLM_TOKENIZE_PARSE_SPECIAL, "99 34 1" } };
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) vocab = NULL, other = NULL;

  llm_gguf_builder_str (b, "general.architecture", "phi3");
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_bos_token", FALSE);
  vocab = llm_test_vocab_new (&spm, b, &error);
  g_assert_no_error (error);
  check (vocab, right, G_N_ELEMENTS (right));
  other = llm_test_vocab_new (&bpe, NULL, &error);
  g_assert_no_error (error);
  check (other, left, G_N_ELEMENTS (left));
}

/* Text that spells a special token is text: in every kind of vocabulary, by every way in. */
static void
test_special_only_as_ids (void)
{
  static const struct {
    const char *kind, *text;
    gint32 id;
  } cases[] = {
    { "bpe", "<|end|>", 0 }, { "spm", "</s>", 2 }, { "spm", "<unk>", 0 }, { "wpm", "[SEP]", 2 }, { "ugm", "</s>", 1 }, { "gemma4", "<eos>", 1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *kind = cases[i].kind, *text = cases[i].text;
      g_autoptr (LlmVocab) vocab = g_str_equal (kind, "bpe")   ? llm_test_vocab_bpe ("gpt-2")
                                   : g_str_equal (kind, "spm") ? llm_test_vocab_spm ()
                                   : g_str_equal (kind, "wpm") ? llm_test_vocab_wpm ()
                                   : g_str_equal (kind, "ugm") ? llm_test_vocab_ugm (NULL)
                                                               : llm_test_vocab_gemma4 ();
      const LlmTextPart parts[] = { { "a", 1, LLM_TOKEN_NONE }, { text, strlen (text), LLM_TOKEN_NONE }, { NULL, 0, cases[i].id } };
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32)), special = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autoptr (GError) error = NULL;
      guint found = 0;

      g_assert_cmpint (llm_vocab_find_special (vocab, text), ==, cases[i].id);
      g_assert_true (llm_vocab_is_special (vocab, cases[i].id));
      llm_tokenize_parts (vocab, parts, G_N_ELEMENTS (parts), LLM_TOKENIZE_NONE, ids, &error);
      g_assert_no_error (error);
      for (guint k = 0; k < ids->len; k++)
        if (g_array_index (ids, gint32, k) == cases[i].id && !(cases[i].id == 0 && k + 1 < ids->len && g_str_equal (kind, "wpm")))
          found++;
      g_assert_cmpuint (found, ==, 1); /* the part that is an id */
      llm_tokenize (vocab, text, strlen (text), LLM_TOKENIZE_PARSE_SPECIAL, special, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (special->len, ==, 1);
      g_assert_cmpint (g_array_index (special, gint32, 0), ==, cases[i].id);
    }
}

/* gpt-oss: <|end|> ends a message, not the turn, where there is <|return|>. */
static void
test_ends (void)
{
  static const LlmTestToken tokens[] = { { "<|end|>", CONTROL, 0 }, { "<|return|>", CONTROL, 0 }, { "<|call|>", CONTROL, 0 } };
  static const char *const merges[] = { "a b", NULL };
  LlmTestVocab parts = { "gpt2", "gpt-4o", tokens, 1, merges, .byte_level = TRUE };
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) plain = llm_test_vocab_new (&parts, NULL, &error), harmony = NULL;

  g_assert_no_error (error);
  parts.n_tokens = 3;
  harmony = llm_test_vocab_new (&parts, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (llm_vocab_is_eog (plain, 0));
  g_assert_false (llm_vocab_is_eog (harmony, 0));
  g_assert_true (llm_vocab_is_eog (harmony, 1));
  g_assert_true (llm_vocab_is_eog (harmony, 2));
}

/* Files that call control tokens normal, and tokens outside the byte alphabet: those are in no text. */
static void
test_mistyped (void)
{
  static const LlmTestToken tokens[] = {
    { "<|im_end|>", NORMAL, 0 }, { "</s>", NORMAL, 0 }, { "<fim_prefix>", USER_DEFINED, 0 }, { "\xe2\x80\x8d", NORMAL, 0 }, /* a joiner, raw */
    { "\xc3\xa2\xc4\xa2", NORMAL, 0 }, { "\xc3\xa2\xc4\xa2\xc4\xaf", NORMAL, 0 },                                 /* and as bytes E2 80 8D */
  };
  static const char *const merges[] = { "\xc3\xa2 \xc4\xa2", "\xc3\xa2\xc4\xa2 \xc4\xaf", NULL };
  static const Case cases[] = {
    { "\xe2\x80\x8d", LLM_TOKENIZE_NONE, "5" }, { "</s>", LLM_TOKENIZE_PARSE_SPECIAL, "1" }, { "<|im_end|>", LLM_TOKENIZE_PARSE_SPECIAL, "0" },
    { "<fim_prefix>", LLM_TOKENIZE_PARSE_SPECIAL, "2" }, { "</s>", LLM_TOKENIZE_NONE, "66 53 121 68" },
  };
  const LlmTestVocab parts = { "gpt2", "gpt-2", tokens, G_N_ELEMENTS (tokens), merges, .byte_level = TRUE };
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmVocab) vocab = llm_test_vocab_new (&parts, NULL, &error);

  g_assert_no_error (error);
  check (vocab, cases, G_N_ELEMENTS (cases));
  check_back (vocab, (const gint32[]) { 3, 5 }, 2, "\xe2\x80\x8d\xe2\x80\x8d");
  g_assert_true (llm_vocab_is_eog (vocab, 0) && llm_vocab_is_eog (vocab, 1));
  g_assert_false (llm_vocab_is_eog (vocab, 2));
}

/* A token of the largest size allowed is found, one of a byte more refused. */
static void
test_token_limit (void)
{
  for (gsize over = 0; over < 2; over++)
    {
      g_autofree char *text = g_strnfill (LLM_TOKEN_MAX_BYTES + over, 'a');
      const LlmTestToken tokens[] = { { text, CONTROL, 0 } };
      static const char *const merges[] = { "a b", NULL };
      const LlmTestVocab parts = { "gpt2", "gpt-2", tokens, 1, merges, .byte_level = TRUE };
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmVocab) vocab = llm_test_vocab_new (&parts, NULL, &error);
      g_autofree char *ids = NULL;

      if (over > 0)
        {
          g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
          continue;
        }
      g_assert_no_error (error);
      ids = llm_test_ids (vocab, text, LLM_TOKENIZE_PARSE_SPECIAL);
      g_assert_cmpstr (ids, ==, "0");
    }
}

/* The same for the map of a unigram vocabulary: its size, and the length of a replacement. */
static void
test_charsmap_limits (void)
{
  g_autofree char *at = g_strnfill (LLM_CHARSMAP_MAX_TEXT, 'a'), *over = g_strnfill (LLM_CHARSMAP_MAX_TEXT + 1, 'a');
  static const char *const from[] = { "x" };
  static const LlmTestToken tokens[] = { { "<unk>", UNKNOWN, 0 }, { "a", NORMAL, -1 } };
  const LlmTestVocab parts = { "t5", "default", tokens, G_N_ELEMENTS (tokens), NULL };

  for (guint i = 0; i < 4; i++)
    {
      const char *const to[] = { i == 1 ? over : at };
      g_autoptr (GBytes) bytes = charsmap (from, to, 1);
      LlmGgufBuilder *b = llm_gguf_builder_new (3);
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmVocab) vocab = NULL;

      if (i >= 2)
        {
          GByteArray *large = g_bytes_unref_to_array (g_steal_pointer (&bytes));
          gsize old = large->len, size = 12 + LLM_CHARSMAP_MAX_BYTES + (i - 2);
          guint64 count = GUINT64_TO_LE (size - 12);

          g_byte_array_set_size (large, (guint) size);
          memset (large->data + old, 0, size - old);
          memcpy (large->data + 4, &count, 8);
          bytes = g_byte_array_free_to_bytes (large);
        }
      llm_gguf_builder_raw (b, "tokenizer.ggml.precompiled_charsmap", LLM_GGUF_ARRAY, bytes);
      vocab = llm_test_vocab_new (&parts, b, &error);
      if (i % 2 == 1)
        g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
      else
        g_assert_no_error (error);
    }
}

/* A text that grows beyond all bounds when it is normalized is refused. */
static void
test_growing_text (void)
{
  g_autofree char *to_text = g_strnfill (LLM_CHARSMAP_MAX_TEXT, 'a');
  const char *const from[] = { "x" }, *const to[] = { to_text };
  g_autoptr (GBytes) bytes = charsmap (from, to, 1);
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (LlmVocab) vocab = NULL;
  g_autofree char *text = g_strnfill (2 * LLM_TEXT_MAX_BYTES / LLM_CHARSMAP_MAX_TEXT + 1, 'x');
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;

  llm_gguf_builder_raw (b, "tokenizer.ggml.precompiled_charsmap", LLM_GGUF_ARRAY, bytes);
  vocab = llm_test_vocab_ugm (b);
  g_assert_false (llm_tokenize (vocab, text, strlen (text), LLM_TOKENIZE_ADD_SPECIAL, ids, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
  g_assert_cmpuint (ids->len, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/vocabularies/wordpiece", test_wordpiece);
  g_test_add_func ("/text/vocabularies/wordpiece-flags", test_wordpiece_flags);
  g_test_add_func ("/text/vocabularies/wordpiece-end", test_wordpiece_end);
  g_test_add_func ("/text/vocabularies/unused", test_unused);
  g_test_add_func ("/text/vocabularies/unigram", test_unigram);
  g_test_add_func ("/text/vocabularies/charsmap", test_charsmap);
  g_test_add_func ("/text/vocabularies/broken-charsmaps", test_broken_charsmaps);
  g_test_add_func ("/text/vocabularies/gemma4", test_gemma4);
  g_test_add_func ("/text/vocabularies/no-space-prefix", test_no_space_prefix);
  g_test_add_func ("/text/vocabularies/strip", test_strip);
  g_test_add_func ("/text/vocabularies/special-only-as-ids", test_special_only_as_ids);
  g_test_add_func ("/text/vocabularies/mistyped", test_mistyped);
  g_test_add_func ("/text/vocabularies/ends", test_ends);
  g_test_add_func ("/text/vocabularies/token-limit", test_token_limit);
  g_test_add_func ("/text/vocabularies/charsmap-limits", test_charsmap_limits);
  g_test_add_func ("/text/vocabularies/growing-text", test_growing_text);
  return g_test_run ();
}
