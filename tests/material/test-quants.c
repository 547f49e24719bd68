/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quant-golden/1: blocks that others wrote, with the floats they stand for, bit for bit.
 */
#include <string.h>

#include "format/dtype.h"
#include "material/material.h"

typedef struct {
  char *folder;
  JsonObject *type; /* of a parser that lives as long as the program */
} Case;

static GBytes *
read_member (const Case *c, const char *member)
{
  g_autofree char *path = g_build_filename (c->folder, json_object_get_string_member (c->type, member), NULL);

  return llm_material_read (path);
}

static void
check_decode (const Case *c, const LlmDtypeInfo *info, const char *blocks_member, const char *expected_member)
{
  g_autoptr (GBytes) blocks = read_member (c, blocks_member), expected = read_member (c, expected_member);
  gsize n_bytes, n_expected;
  const guint8 *packed = g_bytes_get_data (blocks, &n_bytes), *want = g_bytes_get_data (expected, &n_expected);
  gsize n = n_bytes / info->block_bytes * info->block_elems;
  g_autofree float *got = g_new (float, n);
  guint bad = 0;

  g_assert_cmpuint (n, >, 0);
  g_assert_cmpuint (n_bytes % info->block_bytes, ==, 0);
  g_assert_cmpuint (n_expected, ==, n * sizeof (float));
  info->decode (packed, got, n);
  for (gsize i = 0; i < n; i++)
    {
      guint32 bits, want_bits;

      memcpy (&bits, &got[i], 4);
      memcpy (&want_bits, want + 4 * i, 4);
      if (bits != GUINT32_FROM_LE (want_bits) && bad++ < 5)
        g_test_message ("%s element %" G_GSIZE_FORMAT ": %08x, want %08x", blocks_member, i, bits, GUINT32_FROM_LE (want_bits));
    }
  g_assert_cmpuint (bad, ==, 0);
}

static void
test_type (gconstpointer data)
{
  const Case *c = data;
  const char *name = json_object_get_string_member (c->type, "type");
  const LlmDtypeInfo *info = llm_dtype_info ((guint32) json_object_get_int_member (c->type, "ggml_type"));

  if (info == NULL)
    {
      g_autofree char *text = g_strdup_printf ("the type %s is not known", name);

      g_test_skip (text);
      return;
    }
  g_assert_cmpstr (info->name, ==, name);
  g_assert_cmpuint (info->block_elems, ==, json_object_get_int_member (c->type, "block_elems"));
  g_assert_cmpuint (info->block_bytes, ==, json_object_get_int_member (c->type, "block_bytes"));
  if (info->decode == NULL)
    {
      g_autofree char *text = g_strdup_printf ("the type %s is not supported yet", name);

      g_test_skip (text);
      return;
    }
  check_decode (c, info, "blocks", "expected");
  if (json_object_has_member (c->type, "random_blocks"))
    check_decode (c, info, "random_blocks", "random_expected");
}

static void
test_missing (void)
{
  g_autofree char *folder = llm_material_folder ("quants");

  if (folder != NULL)
    g_test_skip ("no quant-golden/1 index in the folder quants of the material");
}

/* Every index of the folder, whatever its name. */
static guint
add_index (const char *folder, const char *path)
{
  JsonParser *parser = json_parser_new (); /* lives on */
  g_autofree char *base = g_path_get_basename (path);
  JsonArray *types = json_object_get_array_member (llm_material_json (parser, path, "quant-golden/1"), "types");

  for (guint i = 0; i < json_array_get_length (types); i++)
    {
      Case *c = g_new0 (Case, 1);
      g_autofree char *name = NULL;

      c->folder = g_strdup (folder);
      c->type = json_array_get_object_element (types, i);
      name = g_strdup_printf ("/material/quants/%s/%s", base, json_object_get_string_member (c->type, "type"));
      g_test_add_data_func (name, c, test_type);
    }
  return json_array_get_length (types);
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = NULL;
  g_autoptr (GPtrArray) paths = NULL;
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (g_getenv ("LLM_MATERIAL") != NULL ? g_getenv ("LLM_MATERIAL") : LLM_DEFAULT_MATERIAL, "quants", NULL);
  paths = llm_material_list (folder, ".json");
  for (guint i = 0; i < paths->len; i++)
    n += add_index (folder, paths->pdata[i]);
  if (n == 0)
    g_test_add_func ("/material/quants/missing", test_missing);
  return g_test_run ();
}
