/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any vocabulary, as the metadata of a GGUF file: an error, or one that tokenizes the text that
 * stands there under "fuzz.text" and its own tokens, and takes its ids back; and so does the one of its saved tables.
 */
#include <string.h>

#include "chat/forms.h"
#include "fuzz/fuzz.h"
#include "fuzz/gguf-edit.h"
#include "text/vocab-tables.h"

const char llm_fuzz_name[] = "vocab";

static void
tokenize (LlmVocab *vocab, const char *text, gsize len, LlmTokenizeFlags flags)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) back = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean ok = llm_tokenize (vocab, text, len, flags, ids, &error);

  llm_fuzz_check_error (ok, &error);
  if (!ok)
    return;
  g_assert_true (llm_detokenize (vocab, (const gint32 *) (gpointer) ids->data, ids->len, LLM_DETOK_SHOW_SPECIAL, back, NULL));
}

static void
use (LlmVocab *vocab, LlmStr text)
{
  g_autoptr (LlmDetok) detok = llm_detok_new (vocab, LLM_DETOK_SHOW_SPECIAL, TRUE);
  g_autoptr (GString) all = g_string_new (NULL), valid = g_string_new (NULL);

  for (gint32 id = 0; id < (gint32) llm_vocab_size (vocab); id++)
    {
      LlmStr piece;

      g_assert_true (llm_vocab_piece (vocab, id, &piece));
      if (g_utf8_validate_len (piece.bytes, piece.len, NULL))
        g_string_append_len (valid, piece.bytes, (gssize) piece.len);
      llm_detok_push (detok, id, all);
      g_assert_true (!llm_vocab_is_eog (vocab, id) || id >= 0);
    }
  llm_detok_finish (detok, all);
  g_assert_true (g_utf8_validate (all->str, (gssize) all->len, NULL));
  for (guint flags = 0; flags < 4; flags++)
    {
      tokenize (vocab, text.bytes, text.len, (LlmTokenizeFlags) flags);
      tokenize (vocab, valid->str, valid->len, (LlmTokenizeFlags) flags);
    }
  g_assert_true (llm_vocab_bos (vocab) < (gint32) llm_vocab_size (vocab) && llm_vocab_eos (vocab) < (gint32) llm_vocab_size (vocab));
  llm_chat_form_detect ("<|im_start|>", vocab);
}

/* The next start has it from its tables. */
static LlmVocab *
through_tables (const LlmVocab *vocab)
{
  GBytes *tables = llm_vocab_tables_save (vocab);
  gsize size;
  gconstpointer data = g_bytes_get_data (tables, &size);

  g_assert_true (llm_vocab_tables_are_sound (data, size));
  return llm_vocab_tables_open (data, size, tables, (GDestroyNotify) g_bytes_unref);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, size, NULL);
  g_autoptr (LlmVocab) vocab = NULL, again = NULL;
  LlmStr text = { "", 0 };

  if (gguf == NULL)
    return 0;
  vocab = llm_vocab_new (gguf, &error);
  llm_fuzz_check_error (vocab != NULL, &error);
  if (vocab == NULL)
    return 0;
  llm_gguf_str (gguf, "fuzz.text", &text, NULL);
  use (vocab, text);
  again = through_tables (vocab);
  use (again, text);
  return 0;
}

/* ---- where to start ---- */

GPtrArray *
llm_fuzz_seeds (void)
{
  static const char text[] = "hello hello<s> abc \xe4\xb8\xad\n\n 123<|im_start|>";
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (guint i = 0; i < llm_fuzz_n_vocabs (); i++)
    {
      g_autoptr (LlmEdit) edit = llm_edit_new (llm_fuzz_vocab (i)->file);
      LlmEditKey *key = llm_edit_key_copy (edit->keys->pdata[0]);

      g_bytes_unref (key->name);
      key->name = g_bytes_new ("fuzz.text", strlen ("fuzz.text"));
      llm_edit_set (key, LLM_GGUF_STRING, sizeof text - 1, 8);
      g_byte_array_append (key->value, (const guint8 *) text, sizeof text - 1);
      g_ptr_array_add (edit->keys, key);
      llm_edit_shrink_vocab (edit, 60, 12);
      g_ptr_array_add (seeds, llm_edit_end (edit));
    }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  g_autoptr (LlmEdit) edit = llm_edit_new (input);

  if (edit == NULL)
    return NULL;
  llm_edit_mutate (edit, rand);
  return llm_edit_end (edit);
}
