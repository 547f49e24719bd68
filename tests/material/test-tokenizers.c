/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tokenizer-cases/1: every vocabulary in the material with ids that others computed;
 * mistral-samples/1: the texts of whole conversations.
 */
#include <string.h>

#include "base/error.h"
#include "material/material.h"
#include "text/vocab.h"
#include "text/vocab-tables.h"

static char *
ids_to_string (const GArray *ids)
{
  GString *s = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (s, "%d ", g_array_index (ids, gint32, i));
  return g_string_free (s, FALSE);
}

static GArray *
expected_ids (JsonObject *test)
{
  JsonArray *list = json_object_get_array_member (test, "ids");
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      gint32 id = (gint32) json_array_get_int_element (list, i);
      g_array_append_val (ids, id);
    }
  return ids;
}

static GBytes *
from_hex (const char *hex)
{
  GByteArray *bytes = g_byte_array_new ();

  for (; hex[0] != '\0'; hex += 2)
    {
      guint8 b = (guint8) (g_ascii_xdigit_value (hex[0]) * 16 + g_ascii_xdigit_value (hex[1]));
      g_byte_array_append (bytes, &b, 1);
    }
  return g_byte_array_free_to_bytes (bytes);
}

static gboolean
same (gconstpointer a, gsize n_a, gconstpointer b, gsize n_b)
{
  return n_a == n_b && (n_a == 0 || memcmp (a, b, n_a) == 0);
}

static gboolean
check_case (LlmVocab *vocab, gboolean bert, JsonObject *test)
{
  JsonNode *text_node = json_object_get_member (test, "text");
  const char *text = json_node_get_string (text_node);
  g_autoptr (GArray) want = expected_ids (test);
  g_autoptr (GArray) got = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) shown = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  LlmTokenizeFlags flags = (json_object_get_boolean_member (test, "add_special") ? LLM_TOKENIZE_ADD_SPECIAL : 0)
                           | (json_object_get_boolean_member (test, "parse_special") ? LLM_TOKENIZE_PARSE_SPECIAL : 0);
  gboolean ok = TRUE;

  llm_tokenize (vocab, text, strlen (text), flags, got, &error);
  g_assert_no_error (error);
  if (!same (got->data, got->len * sizeof (gint32), want->data, want->len * sizeof (gint32)))
    {
      g_autofree char *got_text = ids_to_string (got), *want_text = ids_to_string (want);
      g_test_message ("case %s\n  want %.300s\n  got  %.300s", json_object_get_string_member_with_default (test, "id", "?"), want_text, got_text);
      ok = FALSE;
    }
  if (json_object_has_member (test, "detok") || json_object_has_member (test, "detok_hex"))
    {
      const char *plain = json_object_get_string_member_with_default (test, "detok", NULL);
      g_autoptr (GBytes) bytes = plain != NULL ? g_bytes_new (plain, strlen (plain)) : from_hex (json_object_get_string_member (test, "detok_hex"));
      gsize size;
      const char *data = g_bytes_get_data (bytes, &size);

      llm_detokenize (vocab, (const gint32 *) (gpointer) want->data, want->len, LLM_DETOK_SHOW_SPECIAL, shown, &error);
      g_assert_no_error (error);
      /* llama.cpp keeps the space before the first word of a WordPiece text */
      if (bert && size > 0 && data[0] == ' ')
        {
          data++;
          size--;
        }
      if (!same (shown->str, shown->len, data, size))
        {
          g_test_message ("case %s: detokenized to other bytes (%" G_GSIZE_FORMAT ", want %" G_GSIZE_FORMAT ")",
                          json_object_get_string_member_with_default (test, "id", "?"), shown->len, size);
          ok = FALSE;
        }
    }
  return ok;
}

static gboolean
is_bert (const LlmGguf *gguf)
{
  LlmStr model = { "", 0 };

  return llm_gguf_str (gguf, "tokenizer.ggml.model", &model, NULL) && model.len == 4 && memcmp (model.bytes, "bert", 4) == 0;
}

static guint
check_pieces (LlmVocab *vocab, JsonObject *root)
{
  JsonArray *pieces = json_object_get_array_member (root, "token_pieces");
  guint bad = 0;

  for (guint i = 0; pieces != NULL && i < json_array_get_length (pieces); i++)
    {
      JsonObject *piece = json_array_get_object_element (pieces, i);
      g_autoptr (GBytes) want = from_hex (json_object_get_string_member (piece, "hex"));
      LlmStr got = { "", 0 };

      if (!llm_vocab_piece (vocab, (gint32) json_object_get_int_member (piece, "id"), &got)
          || !same (got.bytes, got.len, g_bytes_get_data (want, NULL), g_bytes_get_size (want)))
        {
          g_test_message ("piece %d differs", (int) json_object_get_int_member (piece, "id"));
          bad++;
        }
    }
  return bad;
}

/* As the next start of the service has it: from its tables. Takes @vocab. */
static LlmVocab *
through_tables (LlmVocab *vocab)
{
  g_autoptr (LlmVocab) made = vocab;
  GBytes *bytes = llm_vocab_tables_save (made);
  gsize size;
  gconstpointer data = g_bytes_get_data (bytes, &size);

  g_assert_true (llm_vocab_tables_are_sound (data, size));
  return llm_vocab_tables_open (data, size, bytes, (GDestroyNotify) g_bytes_unref);
}

/* NULL: not supported. */
static LlmVocab *
load_vocab (const char *beside, const char *name, gboolean *bert)
{
  g_autofree char *folder = g_path_get_dirname (beside);
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GBytes) bytes = llm_material_read (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), &error);
  LlmVocab *vocab;

  g_assert_no_error (error);
  *bert = is_bert (gguf);
  vocab = llm_vocab_new (gguf, &error);
  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    g_test_skip (error->message);
  else
    g_assert_no_error (error);
  return vocab;
}

static void
test_samples (gconstpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *root = llm_material_json (parser, data, "mistral-samples/1");
  JsonArray *cases = json_object_get_array_member (root, "cases");
  guint bad = 0;

  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *test = json_array_get_object_element (cases, i);
      gboolean bert;
      g_autoptr (LlmVocab) vocab = load_vocab (data, json_object_get_string_member (test, "gguf"), &bert);

      if (vocab == NULL)
        return;
      bad += !check_case (vocab, bert, test);
    }
  g_assert_cmpuint (bad, ==, 0);
}

static void
test_cases (gconstpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *root = llm_material_json (parser, data, "tokenizer-cases/1");
  gboolean bert;
  g_autoptr (LlmVocab) vocab = load_vocab (data, json_object_get_string_member (root, "gguf"), &bert);
  JsonArray *cases = json_object_get_array_member (root, "cases");
  guint bad = 0;

  if (vocab == NULL)
    return;
  g_assert_cmpint (llm_vocab_size (vocab), ==, json_object_get_int_member (root, "n_tokens"));
  g_assert_cmpint (llm_vocab_bos (vocab), ==, json_object_get_int_member_with_default (root, "bos", -1));
  g_assert_cmpint (llm_vocab_eos (vocab), ==, json_object_get_int_member_with_default (root, "eos", -1));
  g_assert_cmpint (llm_vocab_add_bos (vocab), ==, json_object_get_boolean_member (root, "add_bos"));
  g_assert_cmpint (llm_vocab_add_eos (vocab), ==, json_object_get_boolean_member (root, "add_eos"));
  for (guint i = 0; i < json_array_get_length (cases); i++)
    bad += !check_case (vocab, bert, json_array_get_object_element (cases, i));
  bad += check_pieces (vocab, root);
  vocab = through_tables (vocab);
  for (guint i = 0; i < json_array_get_length (cases); i++)
    bad += !check_case (vocab, bert, json_array_get_object_element (cases, i));
  g_assert_cmpuint (bad, ==, 0);
}

static gboolean
is_of_format (const char *path, const char *format)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *root;

  json_parser_load_from_mapped_file (parser, path, &error);
  g_assert_no_error (error);
  root = json_node_get_object (json_parser_get_root (parser));
  return g_strcmp0 (json_object_get_string_member_with_default (root, "format", ""), format) == 0;
}

static void
test_missing (void)
{
  g_autofree char *folder = llm_material_folder ("tokenizers");

  g_assert_null (folder);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GPtrArray) paths = NULL;

  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  folder = g_build_filename (g_getenv ("LLM_MATERIAL") != NULL ? g_getenv ("LLM_MATERIAL") : LLM_DEFAULT_MATERIAL, "tokenizers", NULL);
  paths = llm_material_list (folder, ".json");
  if (paths->len == 0)
    g_test_add_func ("/material/tokenizers/missing", test_missing);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autofree char *name = g_path_get_basename (paths->pdata[i]);
      g_autofree char *test = g_strconcat ("/material/tokenizers/", name, NULL);

      if (is_of_format (paths->pdata[i], "tokenizer-cases/1"))
        g_test_add_data_func (test, paths->pdata[i], test_cases);
      else if (is_of_format (paths->pdata[i], "mistral-samples/1"))
        g_test_add_data_func (test, paths->pdata[i], test_samples);
    }
  return g_test_run ();
}
