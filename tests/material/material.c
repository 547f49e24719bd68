/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "material/material.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char *
llm_material_folder (const char *sub)
{
  const char *root = g_getenv ("LLM_MATERIAL");
  g_autofree char *folder = g_build_filename (root != NULL ? root : LLM_DEFAULT_MATERIAL, sub, NULL);
  g_autofree char *text = NULL;

  if (g_file_test (folder, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&folder);
  text = g_strdup_printf ("no test material %s (set LLM_MATERIAL to its folder)", sub);
  g_test_skip (text);
  return NULL;
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

GPtrArray *
llm_material_list (const char *folder, const char *suffix)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, suffix))
      g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (paths, by_text);
  return paths;
}

static GBytes *
unpack (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) xz = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "xz", "-dc", path, NULL);
  GBytes *bytes = NULL;

  g_assert_no_error (error);
  g_subprocess_communicate (xz, NULL, NULL, &bytes, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_successful (xz));
  return bytes;
}

GBytes *
llm_material_read (const char *path)
{
  g_autofree char *packed = g_strconcat (path, ".xz", NULL);
  g_autoptr (GError) error = NULL;
  char *text;
  gsize len;

  if (g_str_has_suffix (path, ".xz"))
    return unpack (path);
  if (!g_file_test (path, G_FILE_TEST_EXISTS) && g_file_test (packed, G_FILE_TEST_EXISTS))
    return unpack (packed);
  g_file_get_contents (path, &text, &len, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (text, len);
}

JsonObject *
llm_material_json (JsonParser *parser, const char *path, const char *format)
{
  g_autoptr (GError) error = NULL;
  JsonObject *root;

  json_parser_load_from_mapped_file (parser, path, &error);
  g_assert_no_error (error);
  root = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (json_object_get_string_member_with_default (root, "format", ""), ==, format);
  return root;
}

int
llm_material_memfd (GBytes *bytes)
{
  int fd = memfd_create ("material", MFD_CLOEXEC);
  gsize size, at = 0;
  const char *data = g_bytes_get_data (bytes, &size);

  g_assert_cmpint (fd, >=, 0);
  while (at < size)
    {
      gssize n = write (fd, data + at, size - at);

      g_assert_cmpint (n, >, 0);
      at += (gsize) n;
    }
  return fd;
}
