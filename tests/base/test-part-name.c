/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of the files of a split model. */
#include "base/part-name.h"

static void
test_parts (void)
{
  static const struct {
    const char *path, *stem;
    guint no, count;
  } good[] = {
    { "m-00001-of-00003.gguf", "m", 1, 3 },
    { "/a-b/Model-7B-Q4_K_M-00003-of-00003.gguf", "/a-b/Model-7B-Q4_K_M", 3, 3 },
    { "a-00001-of-00002-00099-of-99999.gguf", "a-00001-of-00002", 99, 99999 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autofree char *stem = NULL, *again = NULL;
      guint no, count;

      g_assert_true (llm_part_name_parse (good[i].path, &stem, &no, &count));
      g_assert_cmpstr (stem, ==, good[i].stem);
      g_assert_cmpuint (no, ==, good[i].no);
      g_assert_cmpuint (count, ==, good[i].count);
      again = llm_part_name_format (stem, no, count);
      g_assert_cmpstr (again, ==, good[i].path);
    }
}

static void
test_others (void)
{
  static const char *const bad[] = {
    "", ".gguf", "m.gguf", "-00001-of-00003.gguf", "/a/-00001-of-00003.gguf", "m-00000-of-00003.gguf", "m-00004-of-00003.gguf", "m-0001-of-0003.gguf",
    "m-00001-of-00003.bin", "m-00001-of-00003.gguf ", "m-0000a-of-00003.gguf", "m-00001-of-0000x.gguf", "m_00001-of-00003.gguf", "m-00001_of-00003.gguf",
  };
  guint no, count;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      char *stem = NULL;

      if (llm_part_name_parse (bad[i], &stem, &no, &count))
        g_error ("\"%s\" was taken for a part", bad[i]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/part-name/parts", test_parts);
  g_test_add_func ("/part-name/others", test_others);
  return g_test_run ();
}
