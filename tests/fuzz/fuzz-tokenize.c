/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any text through every tokenizer: ids of the vocabulary, and of a byte-level one the text again;
 * its parts one by one make the same ids as the whole.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "text/vocab.h"

const char llm_fuzz_name[] = "tokenize";

static void
check_ids (const LlmVocab *vocab, const GArray *ids, LlmTokenizeFlags flags)
{
  for (guint i = 0; i < ids->len; i++)
    {
      LlmStr piece;

      g_assert_true (llm_vocab_piece (vocab, g_array_index (ids, gint32, i), &piece));
    }
}

static void
check_back (const LlmFuzzVocab *v, const GArray *ids, const char *text, gsize len)
{
  g_autoptr (GString) back = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  llm_detokenize (v->vocab, (const gint32 *) (gpointer) ids->data, ids->len, LLM_DETOK_SHOW_SPECIAL, back, &error);
  g_assert_no_error (error);
  if (v->exact)
    g_assert_cmpmem (back->str, back->len, text, len);
}

/* A text in two parts is never read beyond its end. */
static void
check_parts (const LlmFuzzVocab *v, const char *text, gsize len, LlmTokenizeFlags flags)
{
  gsize half = len / 2;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree char *first = NULL, *second = NULL;

  while (half < len && ((guint8) text[half] & 0xc0) == 0x80)
    half++;
  first = memcpy (g_malloc (MAX (half, 1)), text, half);
  second = memcpy (g_malloc (MAX (len - half, 1)), text + half, len - half);
  {
    LlmTextPart parts[] = { { first, half, LLM_TOKEN_NONE }, { NULL, 0, 1 }, { second, len - half, LLM_TOKEN_NONE } };
    g_autoptr (GError) error = NULL;
    gboolean ok = llm_tokenize_parts (v->vocab, parts, G_N_ELEMENTS (parts), flags, ids, &error);

    llm_fuzz_check_error (ok, &error);
  }
  check_ids (v->vocab, ids, flags);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  const LlmFuzzVocab *v;
  const guint8 *rest;
  LlmTokenizeFlags flags;
  LlmReader in;
  gsize n;
  gboolean ok;

  llm_reader_init (&in, data, size);
  v = llm_fuzz_vocab (llm_fuzz_choose (&in, 256));
  flags = (LlmTokenizeFlags) llm_fuzz_choose (&in, 4);
  n = llm_reader_remaining (&in);
  if (n == 0 || !llm_reader_bytes (&in, n, &rest))
    return 0;
  ok = llm_tokenize (v->vocab, (const char *) rest, n, flags, ids, &error);
  llm_fuzz_check_error (ok, &error);
  if (!ok)
    return 0;
  check_ids (v->vocab, ids, flags);
  if (flags == LLM_TOKENIZE_NONE)
    check_back (v, ids, (const char *) rest, n);
  check_parts (v, (const char *) rest, n, flags);
  return 0;
}

/* ---- where to start ---- */

static const char *const texts[] = {
  "hello hello  abc\n\n\n 123456 I'm you're WE'LL don't ", " \t\r\n  \xc2\xa0\xe2\x80\x83 x\n", "<s>hello</s><|im_start|>user<|user|> [gone]<unk>",
  "\xe4\xb8\xad\xe6\x96\x87\xe3\x81\xb2\xe3\x82\x89\xea\xb0\x80\xf0\x9f\x99\x82\xef\xb8\x8f e\xcc\x81 \xd9\xa1\xd9\xa2 \xe0\xb8\x81\xe0\xb8\xb3",
  "HTTPServer fooBarBAZ_qux 3.14e-10 a+b=c; /* x */ {\"k\": [1, 2]}", "\xc2\xab\xc7\x85\xe2\x93\x90\xe2\x85\xa8\xc2\xbd\xe2\x96\x81\xe2\x96\x81 \xef\xbf\xbd\xf4\x8f\xbf\xbf",
};

GPtrArray *
llm_fuzz_seeds (void)
{
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (guint i = 0; i < llm_fuzz_n_vocabs (); i++)
    for (gsize t = 0; t < G_N_ELEMENTS (texts); t++)
      {
        GByteArray *out = g_byte_array_new ();
        guint8 head[] = { (guint8) i, (guint8) (i % 4) };

        g_byte_array_append (out, head, sizeof head);
        g_byte_array_append (out, (const guint8 *) texts[t], (guint) strlen (texts[t]));
        g_ptr_array_add (seeds, g_byte_array_free_to_bytes (out));
      }
  return seeds;
}

/* One character more, less or another, or a piece once more: the text stays UTF-8. */
GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  static const gunichar ends[] = { 0x20, 0x80, 0x250, 0x600, 0x2000, 0x3000, 0xa000, 0xd7ff, 0x1f700, 0x10ffff };
  gsize size, more;
  const char *data = g_bytes_get_data (input, &size), *text = data + 2, *at, *end;
  GByteArray *out;
  gunichar c;
  char bytes[6];
  int n;

  if (size < 3 || size > 4096 || !g_utf8_validate_len (text, size - 2, NULL))
    return NULL;
  at = text + g_rand_int_range (rand, 0, (gint32) size - 2);
  while (((guint8) *at & 0xc0) == 0x80)
    at--;
  end = g_utf8_next_char (at);
  out = g_byte_array_new ();
  g_byte_array_append (out, (const guint8 *) data, (guint) (at - data));
  switch (g_rand_int_range (rand, 0, 4))
    {
    case 0: /* gone */
      break;
    case 1: /* again, a few times, with what is around it */
      more = (gsize) g_rand_int_range (rand, 0, 8);
      end += MIN (more, (gsize) (data + size - end));
      while (end < data + size && ((guint8) *end & 0xc0) == 0x80)
        end++;
      for (gint32 i = g_rand_int_range (rand, 2, 9); i > 0; i--)
        g_byte_array_append (out, (const guint8 *) at, (guint) (end - at));
      break;
    default:
      c = (gunichar) g_rand_int_range (rand, 1, (gint32) ends[g_rand_int_range (rand, 0, G_N_ELEMENTS (ends))]);
      n = g_unichar_to_utf8 (c >= 0xd800 && c < 0xe000 ? ' ' : c, bytes);
      g_byte_array_append (out, (const guint8 *) bytes, (guint) n);
      if (g_rand_boolean (rand))
        end = at;
      break;
    }
  g_byte_array_append (out, (const guint8 *) end, (guint) (data + size - end));
  return g_byte_array_free_to_bytes (out);
}
