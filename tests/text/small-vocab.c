/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/small-vocab.h"

#include <string.h>

#define SPACE "\xe2\x96\x81"

typedef struct {
  GPtrArray *texts;
  GArray *types, *scores;
} Tables;

static void
add_token (Tables *t, char *text, gint32 type, float score)
{
  g_ptr_array_add (t->texts, text);
  g_array_append_val (t->types, type);
  g_array_append_val (t->scores, score);
}

/* GPT-2: a printable byte of Latin 1 is itself, the others are U+0100 and on. */
static char *
byte_level (int byte)
{
  static const int first_rest = 0x100;
  gunichar c = (gunichar) byte;
  char text[8] = { 0 };

  if (!((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE))
    c = (gunichar) (first_rest + (byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7F + 0x21 : 0x43));
  g_unichar_to_utf8 (c, text);
  return g_strdup (text);
}

LlmVocab *
llm_test_vocab_new (const LlmTestVocab *parts, LlmGgufBuilder *builder, GError **error)
{
  g_autoptr (LlmGgufBuilder) b = builder != NULL ? builder : llm_gguf_builder_new (3);
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) types = g_array_new (FALSE, FALSE, sizeof (gint32)), scores = g_array_new (FALSE, FALSE, sizeof (float));
  Tables t = { texts, types, scores };
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (LlmGguf) gguf = NULL;

  for (guint i = 0; i < parts->n_tokens; i++)
    add_token (&t, g_strdup (parts->tokens[i].text), parts->tokens[i].type, parts->tokens[i].score);
  for (int i = 0; i < 256 && parts->bytes; i++)
    add_token (&t, g_strdup_printf ("<0x%02X>", (guint) i), BYTE, 0);
  for (int i = 0; i < 256 && parts->byte_level; i++)
    add_token (&t, byte_level (i), NORMAL, 0);
  llm_gguf_builder_str (b, "tokenizer.ggml.model", parts->model);
  if (parts->pre != NULL)
    llm_gguf_builder_str (b, "tokenizer.ggml.pre", parts->pre);
  llm_gguf_builder_strs (b, "tokenizer.ggml.tokens", (const char *const *) texts->pdata, texts->len);
  llm_gguf_builder_i32s (b, "tokenizer.ggml.token_type", (const gint32 *) (gpointer) types->data, types->len);
  llm_gguf_builder_f32s (b, "tokenizer.ggml.scores", (const float *) (gpointer) scores->data, scores->len);
  if (parts->merges != NULL)
    llm_gguf_builder_strs (b, "tokenizer.ggml.merges", parts->merges, g_strv_length ((char **) parts->merges));
  bytes = llm_gguf_builder_end (b);
  gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), error);
  return gguf != NULL ? llm_vocab_new (gguf, error) : NULL;
}

char *
llm_test_ids (LlmVocab *vocab, const char *text, LlmTokenizeFlags flags)
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

static LlmVocab *
must (LlmVocab *vocab, const GError *error)
{
  g_assert_no_error (error);
  return vocab;
}

LlmVocab *
llm_test_vocab_bpe (const char *pre)
{
  static const LlmTestToken tokens[] = {
    { "<|end|>", CONTROL, 0 }, { "ab", NORMAL, 0 }, { "abab", NORMAL, 0 }, { "aa", NORMAL, 0 }, { "aaaa", NORMAL, 0 },
    { "\xc4\xa0\xc4\xa0", NORMAL, 0 }, { "\xc4\xa0\xc4\xa0\xc4\xa0\xc4\xa0", NORMAL, 0 }, { "11", NORMAL, 0 },
  };
  static const char *const merges[] = { "a b", "a a", "aa aa", "ab ab", "\xc4\xa0 \xc4\xa0", "\xc4\xa0\xc4\xa0 \xc4\xa0\xc4\xa0", "1 1", NULL };
  g_autoptr (GError) error = NULL;
  const LlmTestVocab parts = { "gpt2", pre, tokens, G_N_ELEMENTS (tokens), merges, .byte_level = TRUE };

  return must (llm_test_vocab_new (&parts, NULL, &error), error);
}

LlmVocab *
llm_test_vocab_spm (void)
{
  static const LlmTestToken tokens[] = {
    { "<unk>", UNKNOWN, 0 }, { "<s>", CONTROL, 0 }, { "</s>", CONTROL, 0 }, { SPACE, NORMAL, -3 }, { "a", NORMAL, -4 },
    { "b", NORMAL, -5 }, { "ab", NORMAL, -1 }, { SPACE "ab", NORMAL, -2 }, { SPACE SPACE, NORMAL, -6 },
    { SPACE SPACE SPACE SPACE, NORMAL, -7 }, { "aa", NORMAL, -8 }, { "aaaa", NORMAL, -9 }, { "\xc3\xa9", NORMAL, -10 },
  };
  g_autoptr (GError) error = NULL;
  const LlmTestVocab parts = { "llama", "default", tokens, G_N_ELEMENTS (tokens), NULL, .bytes = TRUE };

  return must (llm_test_vocab_new (&parts, NULL, &error), error);
}

LlmVocab *
llm_test_vocab_wpm (void)
{
  static const LlmTestToken tokens[] = {
    { "[UNK]", CONTROL, 0 }, { "[CLS]", CONTROL, 0 }, { "[SEP]", CONTROL, 0 }, { SPACE "ab", NORMAL, 0 }, { SPACE "a", NORMAL, 0 },
    { "b", NORMAL, 0 }, { "a", NORMAL, 0 }, { "aa", NORMAL, 0 }, { SPACE ".", NORMAL, 0 }, { SPACE "\xe4\xbd\xa0", NORMAL, 0 },
    { SPACE "e", NORMAL, 0 }, { SPACE "\xc3\xa9", NORMAL, 0 }, { SPACE "A", NORMAL, 0 }, { "ba", NORMAL, 0 },
  };
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (GError) error = NULL;
  const LlmTestVocab parts = { "bert", "bert-bge", tokens, G_N_ELEMENTS (tokens), NULL };

  llm_gguf_builder_u32 (b, "tokenizer.ggml.unknown_token_id", 0);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", 1);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.seperator_token_id", 2);
  return must (llm_test_vocab_new (&parts, b, &error), error);
}

LlmVocab *
llm_test_vocab_ugm (LlmGgufBuilder *builder)
{
  static const LlmTestToken tokens[] = {
    { "<pad>", CONTROL, 0 }, { "</s>", CONTROL, 0 }, { "<unk>", UNKNOWN, 0 }, { SPACE, NORMAL, -2 }, { "a", NORMAL, -3 },
    { "b", NORMAL, -3 }, { "ab", NORMAL, -4 }, { SPACE "a", NORMAL, -4 }, { "abab", NORMAL, -9 }, { SPACE "ab", NORMAL, -7.5f },
    { "<x>", USER_DEFINED, 0 }, { "zz", UNUSED, -1 },
  };
  g_autoptr (GError) error = NULL;
  const LlmTestVocab parts = { "t5", "default", tokens, G_N_ELEMENTS (tokens), NULL };

  return must (llm_test_vocab_new (&parts, builder, &error), error);
}

LlmVocab *
llm_test_vocab_gemma4 (void)
{
  static const LlmTestToken tokens[] = {
    { "<pad>", CONTROL, 0 }, { "<eos>", CONTROL, 0 }, { "<bos>", CONTROL, 0 }, { SPACE, NORMAL, 0 }, { "a", NORMAL, 0 },
    { "b", NORMAL, 0 }, { SPACE "a", NORMAL, 0 }, { SPACE "ab", NORMAL, 0 }, { SPACE SPACE, NORMAL, 0 }, { "\n", NORMAL, 0 },
    { "\n\n", NORMAL, 0 }, { "\n\n\n", NORMAL, 0 }, { "\xc3\xa9", NORMAL, 0 }, { "aa", NORMAL, 0 }, { "aaaa", NORMAL, 0 },
  };
  static const char *const merges[] = {
    SPACE " a", SPACE "a b", SPACE " " SPACE, "\n \n", "a a", "aa aa", NULL,
  };
  LlmGgufBuilder *b = llm_gguf_builder_new (3);
  g_autoptr (GError) error = NULL;
  const LlmTestVocab parts = { "gemma4", NULL, tokens, G_N_ELEMENTS (tokens), merges, .bytes = TRUE };

  llm_gguf_builder_u32 (b, "tokenizer.ggml.eos_token_id", 1);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", 2);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_bos_token", FALSE);
  return must (llm_test_vocab_new (&parts, b, &error), error);
}
