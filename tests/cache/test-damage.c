/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are not what they should be: no crash, no wrong result, a miss of the right kind, and whole again afterwards. */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/cache-fixture.h"

#define SIZE 300

static Making making = { .text = "0123456789", .size = SIZE };

/* A file of the artifact "m"; its bytes. */
static char *
make_file (CacheFixture *f, gsize *size)
{
  g_autofree char *path = cache_fixture_path (f, "m");
  char *bytes;

  cache_fixture_get (f, "m", &making);
  g_assert_true (g_file_get_contents (path, &bytes, size, NULL));
  return bytes;
}

static void
write_file (CacheFixture *f, const char *bytes, gsize size)
{
  g_autofree char *path = cache_fixture_path (f, "m");
  FILE *file = fopen (path, "w");

  g_assert_cmpuint (fwrite (bytes, 1, size, file), ==, size);
  g_assert_cmpint (fclose (file), ==, 0);
}

/* @bytes in place of the file are a miss of that kind, and made anew. */
static void
expect_miss (CacheFixture *f, const char *bytes, gsize size, const char *counter)
{
  gint calls = making.calls;

  write_file (f, bytes, size);
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, calls + 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, counter), ==, 1);
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, calls + 1);
}

static void
test_flips (CacheFixture *f, gconstpointer data)
{
  gsize size;
  g_autofree char *bytes = make_file (f, &size);

  for (gsize i = 0; i < size; i++)
    {
      char was = bytes[i];

      bytes[i] = (char) (was ^ (i % 2 == 0 ? 1 << i % 8 : 0xff));
      expect_miss (f, bytes, size, "misses-damaged");
      bytes[i] = was;
    }
}

static void
test_truncations (CacheFixture *f, gconstpointer data)
{
  gsize size;
  g_autofree char *bytes = make_file (f, &size);
  g_autofree char *longer = g_malloc0 (size + 64);

  for (gsize n = 0; n < size; n++)
    expect_miss (f, bytes, n, "misses-damaged");
  memcpy (longer, bytes, size);
  expect_miss (f, longer, size + 1, "misses-damaged");
  expect_miss (f, longer, size + 64, "misses-damaged");
}

/* Whole, checksum and all, but no payload that the kind makes. */
static void
test_check (CacheFixture *f, gconstpointer data)
{
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");
  g_autoptr (GBytes) none = g_bytes_new_static ("", 0);
  gint calls = making.calls;

  g_assert_true (llm_cache_put (f->cache, &test_kind, key, none, 0));
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, calls + 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-damaged"), ==, 1);
}

/* The file of one model under the name of another: as a collision of hashes would be. */
static void
test_foreign_key (CacheFixture *f, gconstpointer data)
{
  Making other = { .text = "other", .size = 50 };
  g_autofree char *path = NULL, *from = cache_fixture_path (f, "another");
  g_autofree char *bytes = NULL;
  gsize size;

  cache_fixture_get (f, "another", &other);
  g_assert_true (g_file_get_contents (from, &bytes, &size, NULL));
  path = cache_fixture_path (f, "m");
  expect_miss (f, bytes, size, "misses-foreign");
}

/* Another engine or device wrote the file that has this name. */
static void
wrong_place (CacheFixture *f, const char *engine, const char *device)
{
  g_autoptr (LlmCacheKey) key = llm_cache_kind_key (&test_kind, device);
  g_autoptr (LlmArtifact) artifact = NULL;
  g_autofree char *from = NULL, *bytes = NULL;
  gsize size;

  llm_cache_key_add (key, "model", "m");
  from = g_build_filename (f->root, engine, device, llm_cache_key_file_name (key), NULL);
  cache_fixture_restart (f, engine);
  artifact = llm_cache_get (f->cache, &test_kind, key, &making, NULL);
  g_assert_nonnull (artifact);
  g_assert_true (g_file_get_contents (from, &bytes, &size, NULL));
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  expect_miss (f, bytes, size, "misses-version");
}

static void
test_wrong_place (CacheFixture *f, gconstpointer data)
{
  wrong_place (f, "v1.2.4-0123456789abcdef", DEVICE); /* version */
  wrong_place (f, "v1.2.3-0123456789abcdee", DEVICE); /* build */
  wrong_place (f, ENGINE, "00000000-another-driver");
}

/* There is one for another version, build or driver: it is not used, not touched, and known for what it is. */
static void
other_version (CacheFixture *f, const char *engine, const char *device)
{
  g_autoptr (LlmCacheKey) key = llm_cache_kind_key (&test_kind, device);
  g_autoptr (LlmArtifact) first = NULL, second = NULL;
  g_autofree char *name = g_strdup (engine), *before = NULL;

  llm_cache_key_add (key, "model", name);
  llm_cache_key_add (key, "device", device); /* for a file of its own */
  cache_fixture_restart (f, engine);
  first = llm_cache_get (f->cache, &test_kind, key, &making, NULL);
  before = g_build_filename (f->root, engine, device, llm_cache_key_file_name (key), NULL);
  cache_fixture_restart (f, ENGINE);
  {
    g_autoptr (LlmCacheKey) mine = llm_cache_kind_key (&test_kind, DEVICE);

    llm_cache_key_add (mine, "model", name);
    llm_cache_key_add (mine, "device", device);
    second = llm_cache_get (f->cache, &test_kind, mine, &making, NULL);
  }
  g_assert_nonnull (second);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-version"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "rebuilds"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 0);
  g_assert_true (g_file_test (before, G_FILE_TEST_EXISTS));
}

static void
test_other_version (CacheFixture *f, gconstpointer data)
{
  other_version (f, "v1.2.4-0123456789abcdef", DEVICE);
  other_version (f, "v1.2.3-0123456789abcdee", DEVICE);
  other_version (f, ENGINE, "00000000-another-driver");
  other_version (f, ENGINE, "00000000-another-cpu");
}

static void
test_failed_rebuild (CacheFixture *f, gconstpointer data)
{
  Making failing = { .text = "x", .size = 1, .fails = TRUE };
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");

  cache_fixture_get (f, "m", &making);
  cache_fixture_restart (f, "v2-1");
  g_assert_null (llm_cache_get (f->cache, &test_kind, key, &failing, NULL));
  g_assert_cmpuint (cache_fixture_count (f->cache, "rebuild-failures"), ==, 1);
}

/* What is gone from its own place is absent, whatever there is elsewhere in its name. */
static void
test_gone (CacheFixture *f, gconstpointer data)
{
  g_autofree char *path = cache_fixture_path (f, "m");

  cache_fixture_get (f, "m", &making);
  cache_fixture_restart (f, ENGINE);
  g_assert_cmpint (g_unlink (path), ==, 0);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 1);
}

/* An unlinked file that is mapped stays what it was. */
static void
test_unlinked (CacheFixture *f, gconstpointer data)
{
  g_autofree char *path = cache_fixture_path (f, "m");

  cache_fixture_get (f, "m", &making);
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (g_unlink (path), ==, 0);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-memory"), ==, 1);
}

static void
make_link (const char *path)
{
  g_assert_cmpint (symlink ("/dev/zero", path), ==, 0);
}

static void
make_fifo (const char *path)
{
  g_assert_cmpint (mkfifo (path, 0644), ==, 0);
}

static void
make_socket (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path), *old = g_get_current_dir (), *name = g_path_get_basename (path);
  struct sockaddr_un address = { AF_UNIX, { 0 } };
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  g_strlcpy (address.sun_path, name, sizeof address.sun_path);
  g_assert_cmpint (g_chdir (folder), ==, 0); /* such a path is short */
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (g_chdir (old), ==, 0);
  close (fd);
}

static void
make_folder (const char *path)
{
  g_assert_cmpint (g_mkdir (path, 0755), ==, 0);
}

/* In place of the file: no file. */
static void
test_no_file (CacheFixture *f, gconstpointer data)
{
  static void (*const make_it[]) (const char *) = { make_link, make_fifo, make_socket, make_folder };
  g_autofree char *path = cache_fixture_path (f, "m");

  for (guint i = 0; i < G_N_ELEMENTS (make_it); i++)
    {
      cache_fixture_get (f, "m", &making);
      g_assert_cmpint (g_unlink (path), ==, 0);
      make_it[i](path);
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      g_assert_cmpuint (cache_fixture_count (f->cache, "misses-foreign"), ==, 1);
      cache_fixture_restart (f, ENGINE);
      cache_fixture_get (f, "m", &making);
      g_assert_cmpuint (cache_fixture_count (f->cache, "hits-file"), ==, make_it[i] != make_folder);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define WITH_FOLDER(name_, test_) g_test_add ("/cache/damage/" name_, CacheFixture, NULL, cache_fixture_set_up, test_, cache_fixture_tear_down)
  WITH_FOLDER ("flips", test_flips);
  WITH_FOLDER ("truncations", test_truncations);
  WITH_FOLDER ("check", test_check);
  WITH_FOLDER ("foreign-key", test_foreign_key);
  WITH_FOLDER ("wrong-place", test_wrong_place);
  WITH_FOLDER ("other-version", test_other_version);
  WITH_FOLDER ("failed-rebuild", test_failed_rebuild);
  WITH_FOLDER ("gone", test_gone);
  WITH_FOLDER ("unlinked", test_unlinked);
  WITH_FOLDER ("no-file", test_no_file);
  return g_test_run ();
}
