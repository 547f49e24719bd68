/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose files are used where they lie: those that nobody else can change, on no step of the way there. */
#include "store/trusted.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* root/a/b/file.gguf, as if the test were the administrator of that root. */
typedef struct {
  char *folder;
  int root;
} Fixture;

static char *
path_in (Fixture *f, const char *relative)
{
  return g_build_filename (f->folder, relative, NULL);
}

static void
change_mode (Fixture *f, const char *relative, guint mode)
{
  g_autofree char *path = path_in (f, relative);

  g_assert_cmpint (g_chmod (path, (int) mode), ==, 0);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *file = NULL, *below = NULL;

  f->folder = g_dir_make_tmp ("llm-trusted-XXXXXX", NULL);
  file = path_in (f, "a/b/file.gguf");
  below = path_in (f, "a/b");
  g_assert_cmpint (g_mkdir_with_parents (below, 0755), ==, 0);
  g_assert_true (g_file_set_contents (file, "weights", -1, NULL));
  change_mode (f, "", 0755);
  change_mode (f, "a", 0755);
  change_mode (f, "a/b", 0755);
  change_mode (f, "a/b/file.gguf", 0644);
  f->root = open (f->folder, O_PATH | O_DIRECTORY);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  const char *argv[] = { "rm", "-rf", f->folder, NULL };

  close (f->root);
  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_free (f->folder);
}

static void
check_opens (Fixture *f, const char *path)
{
  g_autoptr (GError) error = NULL;
  int fd = llm_trusted_open (f->root, getuid (), path, &error);
  char text[8] = { 0 };

  g_assert_no_error (error);
  g_assert_cmpint (read (fd, text, sizeof text - 1), ==, 7);
  g_assert_cmpstr (text, ==, "weights");
  close (fd);
}

static void
check_refused (Fixture *f, uid_t owner, const char *path, const char *says)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (llm_trusted_open (f->root, owner, path, &error), ==, -1);
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  if (strstr (error->message, says) == NULL)
    g_error ("%s: \"%s\" is not in: %s", path, says, error->message);
}

static void
test_modes (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *path;
    guint mode, back;
  } changes[] = {
    { "", 0775, 0755 },    { "", 01777, 0755 },   { "a", 0775, 0755 },           { "a", 0757, 0755 },           { "a/b", 01777, 0755 },
    { "a/b", 0770, 0755 }, { "a/b", 0702, 0755 }, { "a/b/file.gguf", 0664, 0644 }, { "a/b/file.gguf", 0646, 0644 },
  };

  check_opens (f, "/a/b/file.gguf");
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      change_mode (f, changes[i].path, changes[i].mode);
      check_refused (f, getuid (), "/a/b/file.gguf", "may write to");
      change_mode (f, changes[i].path, changes[i].back);
      check_opens (f, "/a/b/file.gguf");
    }
}

static void
test_owner (Fixture *f, gconstpointer data)
{
  check_refused (f, getuid () + 1, "/a/b/file.gguf", "belongs to user");
}

static void
test_kinds (Fixture *f, gconstpointer data)
{
  g_autofree char *link = path_in (f, "a/link"), *file_link = path_in (f, "a/b/link.gguf"), *pipe = path_in (f, "a/b/pipe");

  g_assert_cmpint (symlink ("b", link), ==, 0);
  g_assert_cmpint (symlink ("file.gguf", file_link), ==, 0);
  g_assert_cmpint (mkfifo (pipe, 0644), ==, 0);
  check_refused (f, getuid (), "/a/link/file.gguf", "a link");
  check_refused (f, getuid (), "/a/b/link.gguf", "a link");
  check_refused (f, getuid (), "/a/b/pipe", "no regular file"); /* nobody waits for its writer */
  check_refused (f, getuid (), "/a/b", "no regular file");
  check_refused (f, getuid (), "/a/b/file.gguf/x", "no folder");
  check_refused (f, getuid (), "/a/b/gone.gguf", "gone.gguf");
}

static void
test_paths (Fixture *f, gconstpointer data)
{
  static const char *const bad[] = { "", "a/b/file.gguf", "/", "/a/../a/b/file.gguf", "/a/./b/file.gguf", "/a//b/file.gguf", "/a/b/file.gguf/" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    check_refused (f, getuid (), bad[i], "in-place");
}

#define ADD(name, func) g_test_add ("/store/trusted/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("modes", test_modes);
  ADD ("owner", test_owner);
  ADD ("kinds", test_kinds);
  ADD ("paths", test_paths);
  return g_test_run ();
}
