/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tokenizing and back, with vocabularies made here; real ones are in tests/material. */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"
#include "text/vocab.h"

static LlmVocab *
load (GBytes *bytes, GError **error)
{
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), error);

  g_assert_nonnull (gguf);
  return llm_vocab_new (gguf, error);
}

static LlmVocab *
tiny_vocab (void)
{
  g_autoptr (GBytes) bytes = llm_test_tiny_model (&(LlmTestModel) { 0 });
  g_autoptr (GError) error = NULL;
  LlmVocab *vocab = load (bytes, &error);

  g_assert_no_error (error);
  return vocab;
}

/* A SentencePiece vocabulary: bytes, and a few pieces with scores. */
static LlmVocab *
spm_vocab (void)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  g_autoptr (GPtrArray) tokens = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  const char *const pieces[] = { "\xe2\x96\x81", "a", "b", "ab", "\xe2\x96\x81""ab", "\xc3\xa9" };
  float scores[3 + 256 + 6] = { 0 };
  gint32 types[3 + 256 + 6];
  LlmVocab *vocab;

  for (guint i = 0; i < 3; i++)
    g_ptr_array_add (tokens, g_strdup (i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>"));
  for (guint i = 0; i < 256; i++)
    g_ptr_array_add (tokens, g_strdup_printf ("<0x%02X>", i));
  for (guint i = 0; i < 6; i++)
    g_ptr_array_add (tokens, g_strdup (pieces[i]));
  for (guint i = 0; i < tokens->len; i++)
    {
      types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1;
      scores[i] = i < 259 ? 0 : -(float) i;
    }
  llm_gguf_builder_str (b, "tokenizer.ggml.model", "llama");
  llm_gguf_builder_strs (b, "tokenizer.ggml.tokens", (const char *const *) tokens->pdata, tokens->len);
  llm_gguf_builder_f32s (b, "tokenizer.ggml.scores", scores, tokens->len);
  llm_gguf_builder_i32s (b, "tokenizer.ggml.token_type", types, tokens->len);
  bytes = llm_gguf_builder_end (b);
  vocab = load (bytes, &error);
  g_assert_no_error (error);
  return vocab;
}

static char *
ids_of (LlmVocab *vocab, const char *text, LlmTokenizeFlags flags)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  GString *s = g_string_new (NULL);

  llm_tokenize (vocab, text, strlen (text), flags, ids, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (s, "%s%d", i > 0 ? " " : "", g_array_index (ids, gint32, i));
  return g_string_free (s, FALSE);
}

static void
test_spm (void)
{
  g_autoptr (LlmVocab) vocab = spm_vocab ();
  static const struct {
    const char *text;
    LlmTokenizeFlags flags;
    const char *ids;
  } cases[] = {
    { "ab", LLM_TOKENIZE_NONE, "263" },                     /* the space prefix joins in */
    { "ab", LLM_TOKENIZE_ADD_SPECIAL, "1 263" },
    { "abab", LLM_TOKENIZE_NONE, "263 262" },
    { "\xc3\xa9", LLM_TOKENIZE_NONE, "259 264" },
    { "\xc3\xa8", LLM_TOKENIZE_NONE, "259 198 171" },       /* no such piece: its bytes */
    { "</s>", LLM_TOKENIZE_PARSE_SPECIAL, "2" },
    { "</s>ab", LLM_TOKENIZE_PARSE_SPECIAL, "2 263" },
    { "a</s>", LLM_TOKENIZE_NONE, "259 260 63 50 118 65" }, /* a user's text has no special tokens */
    { "", LLM_TOKENIZE_NONE, "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *got = ids_of (vocab, cases[i].text, cases[i].flags);
      g_assert_cmpstr (got, ==, cases[i].ids);
    }
}

static void
check_round_trip (LlmVocab *vocab, const char *text, gsize len)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) back = g_string_new (NULL), streamed = g_string_new (NULL);
  g_autoptr (LlmDetok) detok = llm_detok_new (vocab, LLM_DETOK_NONE, FALSE);
  g_autoptr (GError) error = NULL;
  gint32 *all;

  llm_tokenize (vocab, text, len, LLM_TOKENIZE_NONE, ids, &error);
  g_assert_no_error (error);
  all = (gint32 *) (gpointer) ids->data;
  llm_detokenize (vocab, all, ids->len, LLM_DETOK_NONE, back, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (back->str, back->len, text, len);
  for (guint i = 0; i < ids->len; i++)
    {
      llm_detok_push (detok, all[i], streamed);
      g_assert_true (g_utf8_validate_len (streamed->str, streamed->len, NULL));
    }
  llm_detok_finish (detok, streamed);
  if (memchr (text, 0, len) == NULL && llm_vocab_bos (vocab) != 1) /* SPM's space prefix stays in a stream */
    g_assert_cmpmem (streamed->str, streamed->len, text, len);
}

static void
test_round_trip (void)
{
  g_autoptr (LlmVocab) bpe = tiny_vocab (), spm = spm_vocab ();
  static const char *const texts[] = {
    "", "a", " ", "  ", "\n\n \n", "Hello, world!", "it's 1234567 o'clock", "\xf0\x9f\x98\x80\xf0\x9f\x8f\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd  x",
    "<|im_start|>user", "tab\tand\r\nlines\r\n", "\xc2\xa0nbsp\xe3\x80\x80wide", "A'S a'll 'T",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      check_round_trip (bpe, texts[i], strlen (texts[i]));
      check_round_trip (spm, texts[i], strlen (texts[i]));
    }
  check_round_trip (bpe, "a\0b", 3);
}

static void
test_invalid_utf8 (void)
{
  g_autoptr (LlmVocab) vocab = tiny_vocab ();
  static const char *const texts[] = { "ab\xff", "ab\xc3", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80", "ab\xc0\x80" };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      g_autoptr (GError) error = NULL;

      g_assert_false (llm_tokenize (vocab, texts[i], strlen (texts[i]), LLM_TOKENIZE_NONE, ids, &error));
      g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
      g_assert_nonnull (strstr (error->message, "byte 2"));
      g_assert_cmpuint (ids->len, ==, 0);
    }
}

/* The longest text allowed is tokenized, and quickly: spaces are the worst case for a pre-tokenizer. */
static void
test_text_limit (void)
{
  g_autoptr (LlmVocab) vocab = tiny_vocab ();
  g_autofree char *text = g_strnfill (LLM_TEXT_MAX_BYTES + 1, ' ');
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;

  g_assert_true (llm_tokenize (vocab, text, LLM_TEXT_MAX_BYTES, LLM_TOKENIZE_NONE, ids, &error));
  g_assert_no_error (error);
  g_assert_false (llm_tokenize (vocab, text, LLM_TEXT_MAX_BYTES + 1, LLM_TOKENIZE_NONE, ids, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
}

static void
test_ids_out_of_range (void)
{
  g_autoptr (LlmVocab) vocab = tiny_vocab ();
  const gint32 size = (gint32) llm_vocab_size (vocab), bad[] = { -1, size, G_MAXINT32 };
  LlmStr piece;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      const gint32 ids[] = { 1, bad[i] };
      g_autoptr (GString) out = g_string_new (NULL);
      g_autoptr (GError) error = NULL;
      g_autofree char *says = g_strdup_printf ("token 1 is %d", bad[i]);

      g_assert_false (llm_detokenize (vocab, ids, 2, LLM_DETOK_NONE, out, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, says));
      g_assert_cmpuint (out->len, ==, 0);
      g_assert_false (llm_vocab_piece (vocab, bad[i], &piece));
      g_assert_false (llm_vocab_is_eog (vocab, bad[i]));
    }
  g_assert_true (llm_vocab_piece (vocab, size - 1, &piece));
}

static void
test_stream_of_bytes (void)
{
  g_autoptr (LlmVocab) vocab = tiny_vocab ();
  g_autoptr (LlmDetok) detok = llm_detok_new (vocab, LLM_DETOK_NONE, FALSE);
  g_autoptr (GString) out = g_string_new (NULL);
  const guint8 bytes[] = { 0xf0, 0x9f, 0x98, 0x80, 0xff, 'a', 0x00, 0xe4, 0xbd };

  for (gsize i = 0; i < G_N_ELEMENTS (bytes); i++)
    {
      llm_detok_push (detok, bytes[i], out); /* ids 0-255 are the bytes */
      if (i == 2)
        g_assert_cmpuint (out->len, ==, 0); /* a character is not shown in pieces */
    }
  llm_detok_finish (detok, out);
  g_assert_cmpstr (out->str, ==, "\xf0\x9f\x98\x80\xef\xbf\xbd" "a\xef\xbf\xbd\xef\xbf\xbd");
}

static void
test_broken_vocabularies (void)
{
  static const struct {
    const char *model, *pre;
    gint32 type;
    guint32 bos;
    const char *merge;
    int code;
    const char *says;
  } cases[] = {
    { "gpt2", "llama-bpe", 1, 0, "a b", -1, NULL },
    { NULL, "llama-bpe", 1, 0, "a b", LLM_ERROR_INVALID_MODEL, "tokenizer.ggml.model" },
    { "magic", "llama-bpe", 1, 0, "a b", LLM_ERROR_NOT_SUPPORTED, "magic" },
    { "gpt2", "magic", 1, 0, "a b", LLM_ERROR_NOT_SUPPORTED, "magic" },
    { "gpt2", "llama-bpe", 7, 0, "a b", LLM_ERROR_INVALID_MODEL, "token_type[0] is 7" },
    { "gpt2", "llama-bpe", 0, 0, "a b", LLM_ERROR_INVALID_MODEL, "token_type[0] is 0" },
    { "gpt2", "llama-bpe", 1, 2, "a b", LLM_ERROR_INVALID_MODEL, "bos_token_id" },
    { "gpt2", "llama-bpe", 1, 0, "ab", LLM_ERROR_INVALID_MODEL, "merges[0]" },
    { "llama", "", 1, 0, "a b", LLM_ERROR_INVALID_MODEL, "scores" },
  };
  const char *const tokens[] = { "a", "b" };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmVocab) vocab = NULL;
      const gint32 types[] = { cases[i].type, 1 };

      if (cases[i].model != NULL)
        llm_gguf_builder_str (b, "tokenizer.ggml.model", cases[i].model);
      llm_gguf_builder_str (b, "tokenizer.ggml.pre", cases[i].pre);
      llm_gguf_builder_strs (b, "tokenizer.ggml.tokens", tokens, 2);
      llm_gguf_builder_i32s (b, "tokenizer.ggml.token_type", types, 2);
      llm_gguf_builder_strs (b, "tokenizer.ggml.merges", &cases[i].merge, 1);
      llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", cases[i].bos);
      bytes = llm_gguf_builder_end (b);
      vocab = load (bytes, &error);
      if (cases[i].code < 0)
        {
          g_assert_no_error (error);
          continue;
        }
      g_assert_error (error, LLM_ERROR, cases[i].code);
      g_assert_nonnull (strstr (error->message, cases[i].says));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/spm", test_spm);
  g_test_add_func ("/text/round-trip", test_round_trip);
  g_test_add_func ("/text/invalid-utf8", test_invalid_utf8);
  g_test_add_func ("/text/limit", test_text_limit);
  g_test_add_func ("/text/ids-out-of-range", test_ids_out_of_range);
  g_test_add_func ("/text/stream-of-bytes", test_stream_of_bytes);
  g_test_add_func ("/text/broken-vocabularies", test_broken_vocabularies);
  return g_test_run ();
}
