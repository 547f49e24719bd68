/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vocabularies for the fuzzers: one table of tokens that has something for every kind, and under
 * each name of a tokenizer that is supported one file with it.
 */
#include <string.h>

#include "base/error.h"
#include "format/gguf-builder.h"
#include "fuzz/fuzz.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

#define SPM "\xe2\x96\x81"     /* SentencePiece's space */
#define BYTE "\xc4\xa0"        /* the space in GPT-2's byte alphabet */
#define LINE "\xc4\x8a"        /* the line feed in it */

typedef struct {
  const char *text;
  gint32 type;
} Piece;

static const Piece pieces[] = {
  { "<unk>", 2 }, { "<s>", 3 }, { "</s>", 3 }, { "[CLS]", 3 }, { "[SEP]", 3 }, { "[UNK]", 2 }, { "[PAD]", 3 }, { "[MASK]", 3 },
  { "<|im_start|>", 3 }, { "<|im_end|>", 3 }, { "<|endoftext|>", 3 }, { "<|eot_id|>", 3 }, { "<|start_header_id|>", 3 }, { "<|end_header_id|>", 3 },
  { "<|begin_of_text|>", 3 }, { "<|user|>", 4 }, { "  ", 4 }, { "<start_of_turn>", 3 }, { "<end_of_turn>", 3 }, { "[gone]", 5 },
  { SPM, 1 }, { "ab", 1 }, { "abc", 1 }, { "he", 1 }, { "ll", 1 }, { "llo", 1 }, { "hello", 1 }, { SPM "hello", 1 }, { SPM "a", 1 }, { SPM SPM, 1 },
  { "##lo", 1 }, { "##ing", 1 }, { "##s", 1 }, { "\xc3\xa9", 1 }, { "\xe4\xb8\xad", 1 }, { SPM "\xe4\xb8\xad", 1 }, { "\xf0\x9f\x99\x82", 1 },
  { BYTE "a", 1 }, { BYTE BYTE, 1 }, { BYTE "h", 1 }, { BYTE "he", 1 }, { LINE LINE, 1 }, { "12", 1 }, { "123", 1 }, { "\n\n", 1 }, { "in", 1 }, { "ing", 1 },
  { "\xc3\xa4\xc2\xb8", 1 }, { "\xc3\xa4\xc2\xb8\xc5\x83", 1 }, /* three bytes of one character */
};

static const char *const merges[] = {
  "h e", "l l", "ll o", "he llo", "a b", "ab c", "i n", "in g", BYTE " a", BYTE " h", BYTE "h e", BYTE " " BYTE, LINE " " LINE, "1 2", "12 3",
  "\xc3\xa4 \xc2\xb8", "\xc3\xa4\xc2\xb8 \xc5\x83", SPM " a", SPM " hello", SPM " " SPM,
};

/* Names of tokenizer.ggml.model beside "gpt2", whose .pre are asked for. */
static const char *const models[] = { "llama", "gemma4", "bert", "t5", "rwkv", "plamo2" };

static char *
byte_text (guint byte)
{
  char text[7] = { 0 };
  guint others = 0;

  for (guint b = 0;; b++)
    {
      gboolean printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);

      if (b == byte)
        {
          g_unichar_to_utf8 (printable ? b : 0x100 + others, text);
          return g_strdup (text);
        }
      others += !printable;
    }
}

/* A normalization map of one character: "\xc2\xab" becomes "<<". A double array, see src/text/charsmap.c. */
static GBytes *
charsmap (void)
{
  guint32 units[512] = { 0 };
  GByteArray *out = g_byte_array_new ();
  guint32 head[] = { LLM_GGUF_U8, 4 + sizeof units + 3, 0, sizeof units };

  units[0] = 256 << 10;                       /* the root's children: 256 ^ byte */
  units[256 ^ 0xc2] = 0xc2 | 64 << 10;         /* what follows: offset relative to the unit, exclusive or */
  units[256 ^ 0xc2 ^ 64 ^ 0xab] = 0xab | 0x100 | 1 << 10;
  units[256 ^ 0xc2 ^ 64 ^ 0xab ^ 1] = 0x80000000u;
  for (gsize i = 0; i < G_N_ELEMENTS (head); i++)
    head[i] = GUINT32_TO_LE (head[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    units[i] = GUINT32_TO_LE (units[i]);
  g_byte_array_append (out, (const guint8 *) head, sizeof head);
  g_byte_array_append (out, (const guint8 *) units, sizeof units);
  g_byte_array_append (out, (const guint8 *) "<<", 3);
  return g_byte_array_free_to_bytes (out);
}

static GBytes *
make (const char *model, const char *pre)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  g_autoptr (GBytes) map = charsmap ();
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) types = g_array_new (FALSE, FALSE, sizeof (gint32)), scores = g_array_new (FALSE, FALSE, sizeof (float));

  for (guint i = 0; i < G_N_ELEMENTS (pieces) + 512; i++)
    {
      gint32 type = i < G_N_ELEMENTS (pieces) ? pieces[i].type : i < G_N_ELEMENTS (pieces) + 256 ? 1 : 6;
      float score = -(float) (i * 7 % 64) / 4;
      guint byte = i - (guint) G_N_ELEMENTS (pieces);

      g_ptr_array_add (texts, i < G_N_ELEMENTS (pieces) ? g_strdup (pieces[i].text) : byte < 256 ? byte_text (byte) : g_strdup_printf ("<0x%02X>", byte - 256));
      g_array_append_val (types, type);
      g_array_append_val (scores, score);
    }
  llm_gguf_builder_str (b, "tokenizer.ggml.model", model);
  if (pre != NULL)
    llm_gguf_builder_str (b, "tokenizer.ggml.pre", pre);
  llm_gguf_builder_strs (b, "tokenizer.ggml.tokens", (const char *const *) texts->pdata, texts->len);
  llm_gguf_builder_f32s (b, "tokenizer.ggml.scores", (const float *) (gpointer) scores->data, scores->len);
  llm_gguf_builder_i32s (b, "tokenizer.ggml.token_type", (const gint32 *) (gpointer) types->data, types->len);
  llm_gguf_builder_strs (b, "tokenizer.ggml.merges", merges, G_N_ELEMENTS (merges));
  llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", 1);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.eos_token_id", 2);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.unknown_token_id", 0);
  if (strcmp (model, "t5") == 0)
    llm_gguf_builder_raw (b, "tokenizer.ggml.precompiled_charsmap", LLM_GGUF_ARRAY, map);
  return llm_gguf_builder_end (b);
}

static LlmVocab *
load (GBytes *file, GError **error)
{
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (file, g_bytes_get_size (file), error);

  return gguf != NULL ? llm_vocab_new (gguf, error) : NULL;
}

static void
add (GPtrArray *vocabs, const char *model, const char *pre)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) file = make (model, pre);
  LlmFuzzVocab *vocab = g_new0 (LlmFuzzVocab, 1);

  vocab->vocab = load (file, &error);
  if (vocab->vocab == NULL)
    {
      g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
      g_free (vocab);
      return;
    }
  vocab->file = g_bytes_ref (file);
  vocab->byte_level = strcmp (model, "gpt2") == 0;
  g_ptr_array_add (vocabs, vocab);
}

static GPtrArray *
all (void)
{
  static GPtrArray *vocabs;

  if (vocabs != NULL)
    return vocabs;
  vocabs = g_ptr_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (models); i++)
    add (vocabs, models[i], NULL);
  for (guint i = 0; llm_pretokenizer_nth (i) != NULL; i++)
    {
      add (vocabs, "gpt2", llm_pretokenizer_nth (i)->name);
      ((LlmFuzzVocab *) vocabs->pdata[vocabs->len - 1])->exact = !llm_pretokenizer_nth (i)->clean_spaces && !llm_pretokenizer_nth (i)->spm_spaces;
    }
  return vocabs;
}

guint
llm_fuzz_n_vocabs (void)
{
  return all ()->len;
}

const LlmFuzzVocab *
llm_fuzz_vocab (guint i)
{
  return all ()->pdata[i % all ()->len];
}
