/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other bytes are another build; the linker's note counts where there is one, and a broken program is no crash. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/build-id.h"

static char *path;

static char *
id_of (const char *bytes, gsize n)
{
  FILE *file = fopen (path, "w");

  g_assert_cmpuint (fwrite (bytes, 1, n, file), ==, n);
  g_assert_cmpint (fclose (file), ==, 0);
  return llm_build_id_of_file (path);
}

static void
test_file (void)
{
  g_autofree char *one = id_of ("abc", 3), *two = id_of ("abd", 3), *none = llm_build_id_of_file ("/nonexistent");

  g_assert_cmpstr (one, ==, "ba7816bf8f01cfea414140de5dae2223"); /* SHA-256 of "abc", FIPS 180-2 */
  g_assert_cmpstr (two, !=, one);
  g_assert_null (none);
}

/* This program has a note: the rest of it may change. */
static void
test_note (void)
{
  g_autofree char *program = NULL, *own = llm_build_id_of_file ("/proc/self/exe"), *copy = NULL, *changed = NULL;
  gsize n;

  g_assert_true (g_file_get_contents ("/proc/self/exe", &program, &n, NULL));
  g_assert_cmpuint (strlen (own), ==, 32);
  copy = id_of (program, n);
  g_assert_cmpstr (copy, ==, own);
  program[n - 1] ^= 1;
  changed = id_of (program, n);
  g_assert_cmpstr (changed, ==, own);
}

static void
test_broken (void)
{
  g_autofree char *program = NULL;
  gsize n;

  g_assert_true (g_file_get_contents ("/proc/self/exe", &program, &n, NULL));
  for (gsize i = 0; i < MIN (n, 1200); i++)
    {
      g_autofree char *cut = id_of (program, i), *flipped = NULL;

      program[i] ^= 0xff;
      flipped = id_of (program, MIN (n, 4096));
      program[i] ^= 0xff;
      g_assert_cmpuint (strlen (cut), ==, 32);
      g_assert_cmpuint (strlen (flipped), ==, 32);
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *folder = g_dir_make_tmp ("llm-build-id-XXXXXX", NULL);
  int result;

  path = g_build_filename (folder, "program", NULL);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/build-id/file", test_file);
  g_test_add_func ("/build-id/note", test_note);
  g_test_add_func ("/build-id/broken", test_broken);
  result = g_test_run ();
  g_unlink (path);
  g_rmdir (folder);
  g_free (path);
  return result;
}
