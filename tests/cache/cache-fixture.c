/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/cache-fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"

static GBytes *
make (gpointer user_data, GError **error)
{
  Making *making = user_data;
  guint8 *bytes = g_malloc (making->size);
  gsize n = strlen (making->text);

  g_atomic_int_inc (&making->calls);
  while (making->hold != NULL && g_atomic_int_get (making->hold) == 0)
    g_usleep (1000);
  for (gsize i = 0; i < making->size; i++)
    bytes[i] = (guint8) making->text[i % n];
  if (!making->fails)
    return g_bytes_new_take (bytes, making->size);
  g_free (bytes);
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "not today");
  return NULL;
}

/* An empty payload is none. */
static gboolean
check (gconstpointer payload, gsize size, gpointer user_data)
{
  return size > 0;
}

const LlmCacheKind test_kind = { "test-kind", 3, make, check };

/* In memory where that can be had: a thousand files are synced. */
static char *
make_root (void)
{
  char *root = g_strdup ("/dev/shm/llm-cache-XXXXXX");

  if (g_mkdtemp (root) != NULL)
    return root;
  g_free (root);
  return g_dir_make_tmp ("llm-cache-XXXXXX", NULL);
}

void
cache_fixture_set_up (CacheFixture *f, gconstpointer data)
{
  f->root = make_root ();
  f->folder = -1;
  cache_fixture_restart (f, ENGINE);
}

void
cache_fixture_restart (CacheFixture *f, const char *engine)
{
  g_autofree char *path = g_build_filename (f->root, engine, NULL);

  g_clear_pointer (&f->cache, llm_cache_unref);
  if (f->folder >= 0)
    close (f->folder);
  g_assert_true (g_mkdir (path, 0755) == 0 || g_file_test (path, G_FILE_TEST_IS_DIR));
  f->folder = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (f->folder, >=, 0);
  f->cache = llm_cache_new (f->folder, engine, LLM_CACHE_MEMORY_BYTES);
}

void
cache_fixture_remove (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (path, name, NULL);
      struct stat st;

      if (g_lstat (below, &st) == 0 && S_ISDIR (st.st_mode))
        cache_fixture_remove (below);
      else
        g_unlink (below);
    }
  g_clear_pointer (&dir, g_dir_close);
  g_rmdir (path);
}

void
cache_fixture_tear_down (CacheFixture *f, gconstpointer data)
{
  g_clear_pointer (&f->cache, llm_cache_unref);
  close (f->folder);
  cache_fixture_remove (f->root);
  g_free (f->root);
}

LlmCacheKey *
cache_fixture_key (const char *model)
{
  LlmCacheKey *key = llm_cache_kind_key (&test_kind, DEVICE);

  llm_cache_key_add (key, "model", model);
  return key;
}

void
cache_fixture_get (CacheFixture *f, const char *model, Making *making)
{
  g_autoptr (LlmCacheKey) key = cache_fixture_key (model);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmArtifact) artifact = llm_cache_get (f->cache, &test_kind, key, making, &error);
  const char *payload;
  gsize size, n = strlen (making->text);

  g_assert_no_error (error);
  payload = llm_artifact_data (artifact, &size);
  g_assert_cmpuint (size, ==, making->size);
  for (gsize i = 0; i < size; i++)
    g_assert_cmpint (payload[i], ==, making->text[i % n]);
}

guint64
cache_fixture_count (LlmCache *cache, const char *counter)
{
  g_autoptr (GVariant) statistics = llm_cache_statistics (cache), kind = g_variant_lookup_value (statistics, test_kind.name, G_VARIANT_TYPE_VARDICT);
  guint64 count = 0;

  if (kind != NULL)
    g_assert_true (g_variant_lookup (kind, counter, "t", &count));
  return count;
}

static void
add_files (GPtrArray *files, const char *path, const char *prefix)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (path, name, NULL), *shown = g_build_filename (prefix, name, NULL);

      if (g_file_test (below, G_FILE_TEST_IS_DIR))
        add_files (files, below, shown);
      else
        g_ptr_array_add (files, g_steal_pointer (&shown));
    }
  g_dir_close (dir);
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
cache_fixture_files (CacheFixture *f)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d/.", f->folder);
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);

  add_files (files, path, "");
  g_ptr_array_sort (files, by_name);
  return files;
}

char *
cache_fixture_path (CacheFixture *f, const char *model)
{
  g_autoptr (LlmCacheKey) key = cache_fixture_key (model);

  return g_build_filename (f->root, ENGINE, DEVICE, llm_cache_key_file_name (key), NULL);
}
