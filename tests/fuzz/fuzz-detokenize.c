/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any ids: an error that names one out of range, or bytes; as a stream whole UTF-8, which is the
 * same text where that is UTF-8.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "text/vocab.h"

const char llm_fuzz_name[] = "detokenize";

static void
check_stream (const LlmFuzzVocab *v, const GArray *ids, LlmDetokFlags flags, const GString *whole)
{
  g_autoptr (LlmDetok) detok = llm_detok_new (v->vocab, flags, FALSE);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++)
    {
      gsize before = text->len;

      llm_detok_push (detok, g_array_index (ids, gint32, i), text);
      g_assert_true (g_utf8_validate (text->str + before, (gssize) (text->len - before), NULL)); /* NUL is none to GLib */
    }
  llm_detok_finish (detok, text);
  g_assert_true (g_utf8_validate (text->str, (gssize) text->len, NULL));
  if (v->exact && g_utf8_validate (whole->str, (gssize) whole->len, NULL))
    g_assert_cmpmem (text->str, text->len, whole->str, whole->len);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) text = g_string_new ("before");
  g_autoptr (GError) error = NULL;
  const LlmFuzzVocab *v;
  LlmDetokFlags flags;
  LlmReader in;
  guint16 number;
  gboolean known = TRUE, ok;

  llm_reader_init (&in, data, size);
  v = llm_fuzz_vocab (llm_fuzz_choose (&in, 256));
  flags = (LlmDetokFlags) llm_fuzz_choose (&in, 2);
  while (llm_reader_u16 (&in, &number))
    {
      gint32 id = number < 1024 ? number : number < 65000 ? number % (gint32) llm_vocab_size (v->vocab) : (gint32) (number % 1024 - 512) * 4194304;

      known = known && id >= 0 && (guint) id < llm_vocab_size (v->vocab);
      g_array_append_val (ids, id);
    }
  ok = llm_detokenize (v->vocab, (const gint32 *) (gpointer) ids->data, ids->len, flags, text, &error);
  llm_fuzz_check_error (ok, &error);
  g_assert_true (ok == known && g_str_has_prefix (text->str, "before"));
  g_string_erase (text, 0, strlen ("before"));
  if (ok)
    check_stream (v, ids, flags, text);
  return 0;
}

/* ---- where to start ---- */

GPtrArray *
llm_fuzz_seeds (void)
{
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (guint i = 0; i < llm_fuzz_n_vocabs (); i++)
    {
      GByteArray *out = g_byte_array_new ();
      guint8 head[] = { (guint8) i, (guint8) (i % 2) };

      g_byte_array_append (out, head, sizeof head);
      for (guint16 id = 0; id < 600; id = (guint16) (id + 7))
        {
          guint16 le = GUINT16_TO_LE (id);
          g_byte_array_append (out, (const guint8 *) &le, 2);
        }
      g_ptr_array_add (seeds, g_byte_array_free_to_bytes (out));
    }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  return NULL;
}
