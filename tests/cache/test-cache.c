/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a caller of the cache may rely on: once made, it is there; two who ask at once make it once; errors are not kept. */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "cache/cache-fixture.h"

static void
test_key (void)
{
  g_autoptr (LlmCacheKey) one = cache_fixture_key ("m"), two = llm_cache_key_new ("test-kind", 3, NULL), three = cache_fixture_key ("n");
  g_autofree char *folder = llm_cache_device_folder ("00ff", "llvmpipe 22.3/\xc3\xa4"), *dots = llm_cache_device_folder ("..", "x");
  g_autofree char *long_driver = g_strnfill (500, 'd'), *long_one = llm_cache_device_folder ("00", long_driver), *longer = NULL;

  llm_cache_key_add (one, "cols", "a\nb\\c");
  llm_cache_key_add_uint (one, "a", 7);
  llm_cache_key_add_uint (two, "a", 7);
  llm_cache_key_add (two, "model", "m");
  llm_cache_key_add (two, "cols", "a\nb\\c");
  g_assert_cmpstr (llm_cache_key_text (one), ==, "test-kind\na=7\ncols=a\\0ab\\5cc\nmodel=m\npayload-version=3");
  g_assert_cmpstr (llm_cache_key_text (two), ==, llm_cache_key_text (one));
  g_assert_cmpstr (llm_cache_key_file_name (two), ==, llm_cache_key_file_name (one));
  g_assert_cmpstr (llm_cache_key_file_name (three), !=, llm_cache_key_file_name (one));
  g_assert_cmpuint (llm_cache_name_kind (llm_cache_key_file_name (one)), ==, strlen ("test-kind"));
  g_assert_cmpuint (llm_cache_name_kind ("test-kind-0123"), ==, 0);
  g_assert_cmpuint (llm_cache_name_kind ("tmp-1-1"), ==, 0);
  g_assert_cmpstr (llm_cache_key_device (two), ==, "any");
  g_assert_cmpstr (folder, ==, "00ff-llvmpipe_22.3___");
  g_assert_cmpstr (dots, ==, "_.-x");
  long_driver[400] = 'e';
  longer = llm_cache_device_folder ("00", long_driver);
  g_assert_cmpuint (strlen (long_one), ==, 120);
  g_assert_cmpstr (long_one, !=, longer);
}

static void
test_tiers (CacheFixture *f, gconstpointer data)
{
  Making making = { .text = "abc", .size = 1000 };
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");

  g_assert_null (llm_cache_open (f->cache, &test_kind, key, &making));
  cache_fixture_get (f, "m", &making);
  cache_fixture_get (f, "m", &making); /* whoever had it has let it go */
  g_assert_cmpint (making.calls, ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 2);
  g_assert_cmpuint (cache_fixture_count (f->cache, "made"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "stored"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-memory"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "memory-bytes"), ==, 1000);
  g_assert_cmpuint (cache_fixture_count (f->cache, "file-bytes"), >, 1000);
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-file"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-memory"), ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 0);
  cache_fixture_get (f, "another", &making);
  g_assert_cmpint (making.calls, ==, 2);
}

static void
test_put (CacheFixture *f, gconstpointer data)
{
  Making making = { .text = "new", .size = 30 };
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");
  g_autoptr (GBytes) old = g_bytes_new_static ("old", 3), bytes = g_bytes_new_static ("newnewnewnewnewnewnewnewnewnew", 30);

  g_assert_true (llm_cache_put (f->cache, &test_kind, key, old, 5));
  g_assert_true (llm_cache_put (f->cache, &test_kind, key, bytes, 7));
  cache_fixture_get (f, "m", &making);
  g_assert_cmpuint (cache_fixture_count (f->cache, "made"), ==, 2);
  g_assert_cmpuint (cache_fixture_count (f->cache, "make-us"), ==, 12);
  cache_fixture_restart (f, ENGINE);
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, 0);
}

static void
test_without_folder (void)
{
  CacheFixture f = { NULL, -1, llm_cache_new (-1, ENGINE, LLM_CACHE_MEMORY_BYTES) };
  Making making = { .text = "abc", .size = 10 };

  cache_fixture_get (&f, "m", &making);
  cache_fixture_get (&f, "m", &making);
  g_assert_cmpint (making.calls, ==, 1);
  llm_cache_unref (f.cache);
}

/* ---- threads ---- */

#define N_THREADS 10
#define N_ASKS 1000

typedef struct {
  CacheFixture *f;
  Making *making;
  gint ready, started;
} Crowd;

static gpointer
ask (gpointer data)
{
  Crowd *crowd = data;

  g_atomic_int_inc (&crowd->ready);
  while (g_atomic_int_get (&crowd->started) == 0)
    g_thread_yield ();
  for (int i = 0; i < N_ASKS / N_THREADS; i++)
    cache_fixture_get (crowd->f, "m", crowd->making);
  return NULL;
}

/* They all ask before the first maker is done. */
static void
test_single_flight (CacheFixture *f, gconstpointer data)
{
  gint hold = 0;
  Making making = { .text = "abc", .size = 100, .hold = &hold };
  Crowd crowd = { f, &making, 0, 1 };
  GThread *threads[N_THREADS];

  for (int i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("ask", ask, &crowd);
  while (g_atomic_int_get (&crowd.ready) < N_THREADS || g_atomic_int_get (&making.calls) == 0)
    g_usleep (1000);
  g_atomic_int_set (&hold, 1);
  for (int i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (making.calls, ==, 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "hits-shared") + cache_fixture_count (f->cache, "hits-memory"), ==, N_ASKS - 1);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 1);
}

static gpointer
ask_and_fail (gpointer data)
{
  Crowd *crowd = data;
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");
  g_autoptr (GError) error = NULL;

  g_atomic_int_inc (&crowd->ready);
  g_assert_null (llm_cache_get (crowd->f->cache, &test_kind, key, crowd->making, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
  return NULL;
}

static void
test_error (CacheFixture *f, gconstpointer data)
{
  gint hold = 0;
  Making making = { .text = "abc", .size = 100, .hold = &hold, .fails = TRUE };
  Crowd crowd = { f, &making, 0, 1 };
  GThread *threads[N_THREADS];

  for (int i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("ask", ask_and_fail, &crowd);
  while (g_atomic_int_get (&crowd.ready) < N_THREADS)
    g_usleep (1000);
  g_atomic_int_set (&hold, 1);
  for (int i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (cache_fixture_count (f->cache, "failed"), ==, making.calls);
  making.fails = FALSE;
  making.calls = 0;
  cache_fixture_get (f, "m", &making);
  g_assert_cmpint (making.calls, ==, 1);
}

/* Looking is not making: who only looks finds nothing, who makes meanwhile is not held up for good. */
static void
test_open_is_not_make (CacheFixture *f, gconstpointer data)
{
  Making making = { .text = "abc", .size = 100 };
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("m");
  g_autoptr (LlmArtifact) artifact = llm_cache_open (f->cache, &test_kind, key, &making);

  g_assert_null (artifact);
  g_assert_cmpint (making.calls, ==, 0);
  g_assert_true (llm_cache_make (f->cache, &test_kind, key, &making, NULL));
  g_assert_true (llm_cache_make (f->cache, &test_kind, key, &making, NULL));
  artifact = llm_cache_open (f->cache, &test_kind, key, &making);
  g_assert_nonnull (artifact);
  g_assert_cmpint (making.calls, ==, 1);
}

/* ---- bytes ---- */

static void
test_eviction (void)
{
  CacheFixture f = { NULL, -1, llm_cache_new (-1, ENGINE, 1000) };
  Making making = { .text = "abc", .size = 300 };
  g_autoptr (LlmCacheKey) key = cache_fixture_key ("held");
  LlmArtifact *held = llm_cache_get (f.cache, &test_kind, key, &making, NULL);

  cache_fixture_get (&f, "1", &making);
  cache_fixture_get (&f, "2", &making);
  cache_fixture_get (&f, "1", &making); /* used again: 2 goes first */
  cache_fixture_get (&f, "3", &making);
  g_assert_cmpint (making.calls, ==, 4);
  g_assert_cmpuint (cache_fixture_count (f.cache, "memory-bytes"), ==, 900);
  cache_fixture_get (&f, "1", &making);
  cache_fixture_get (&f, "held", &making); /* the oldest, but in use */
  g_assert_cmpint (making.calls, ==, 4);
  cache_fixture_get (&f, "2", &making);
  g_assert_cmpint (making.calls, ==, 5);
  llm_artifact_unref (held);
  making.size = 1000;
  cache_fixture_get (&f, "large", &making);
  g_assert_cmpuint (cache_fixture_count (f.cache, "memory-bytes"), ==, 1000);
  making.size = 1001;
  cache_fixture_get (&f, "too large", &making);
  g_assert_cmpuint (cache_fixture_count (f.cache, "memory-bytes"), ==, 1000);
  llm_cache_unref (f.cache);
}

/* The largest payload and the longest key that are kept, and one over. */
static void
test_limits (CacheFixture *f, gconstpointer data)
{
  g_autofree guint8 *zeros = g_malloc0 (LLM_CACHE_MAX_PAYLOAD_BYTES + 1);
  LlmArtifactLabel label = { ENGINE, "key" };
  g_autoptr (GByteArray) largest = llm_artifact_header (&label, zeros, LLM_CACHE_MAX_PAYLOAD_BYTES), over = NULL;
  g_autofree char *text = g_strnfill (LLM_CACHE_MAX_LABEL_BYTES - 64, 'x');
  g_autoptr (GByteArray) longest = NULL;

  g_assert_nonnull (largest);
  g_assert_null (llm_artifact_header (&label, zeros, LLM_CACHE_MAX_PAYLOAD_BYTES + 1));
  label.identity = "";
  label.key = text;
  longest = llm_artifact_header (&label, zeros, 1);
  g_assert_nonnull (longest);
  label.identity = "1";
  over = llm_artifact_header (&label, zeros, 1);
  g_assert_null (over);
}

/* Names beyond LLM_CACHE_MAX_SEEN are not remembered, and are absent then. */
static void
test_seen_limit (CacheFixture *f, gconstpointer data)
{
  g_autofree char *folder = g_build_filename (f->root, "v0.9-1", "a-device", NULL);
  Making making = { .text = "abc", .size = 10 };

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  for (guint i = 0; i <= LLM_CACHE_MAX_SEEN; i++)
    {
      g_autofree char *model = g_strdup_printf ("%u", i);
      g_autoptr (LlmCacheKey) key = cache_fixture_key (model);
      g_autofree char *path = g_build_filename (folder, llm_cache_key_file_name (key), NULL);

      g_assert_true (g_file_set_contents_full (path, "", 0, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
    }
  cache_fixture_restart (f, ENGINE);
  for (guint i = 0; i <= LLM_CACHE_MAX_SEEN; i++)
    {
      g_autofree char *model = g_strdup_printf ("%u", i);
      g_autoptr (LlmCacheKey) key = cache_fixture_key (model);

      g_assert_null (llm_cache_open (f->cache, &test_kind, key, &making));
    }
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-version"), ==, LLM_CACHE_MAX_SEEN);
  g_assert_cmpuint (cache_fixture_count (f->cache, "misses-absent"), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cache/key", test_key);
#define WITH_FOLDER(name_, test_) g_test_add ("/cache/" name_, CacheFixture, NULL, cache_fixture_set_up, test_, cache_fixture_tear_down)
  WITH_FOLDER ("tiers", test_tiers);
  WITH_FOLDER ("put", test_put);
  WITH_FOLDER ("single-flight", test_single_flight);
  WITH_FOLDER ("error", test_error);
  WITH_FOLDER ("open-is-not-make", test_open_is_not_make);
  WITH_FOLDER ("limits", test_limits);
  WITH_FOLDER ("seen-limit", test_seen_limit);
  g_test_add_func ("/cache/without-folder", test_without_folder);
  g_test_add_func ("/cache/eviction", test_eviction);
  return g_test_run ();
}
