/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every range of the schema at its ends and beyond, the administrator's defaults and locks, and what a keyfile remembers. */
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/settings-values.h"
#include "daemon/settings.h"

typedef struct {
  char *state, *etc;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->state = g_dir_make_tmp ("llm-settings-XXXXXX", NULL);
  f->etc = g_build_filename (f->state, "etc", NULL);
  g_assert_cmpint (g_mkdir (f->etc, 0755), ==, 0);
}

static void
remove_in (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_remove (path);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  remove_in (f->etc, "defaults");
  remove_in (f->etc, "locks");
  g_rmdir (f->etc);
  remove_in (f->state, "settings.ini");
  g_assert_cmpint (g_rmdir (f->state), ==, 0);
  g_free (f->etc);
  g_free (f->state);
}

static void
write_in (const char *folder, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static gboolean
set (LlmSettings *s, const char *key, const char *text, GError **error)
{
  g_autoptr (GError) syntax = NULL;
  g_autoptr (GVariant) value = g_variant_parse (NULL, text, NULL, NULL, &syntax);

  g_assert_no_error (syntax);
  return llm_settings_set (s, key, value, error);
}

static void
expect_value (LlmSettings *s, const char *key, const char *printed)
{
  g_autoptr (GVariant) value = llm_settings_get (s, key, NULL);
  g_autofree char *text = g_variant_print (value, TRUE);

  g_assert_cmpstr (text, ==, printed);
}

static void
expect_ok (LlmSettings *s, const char *key, const char *text, const char *printed)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (set (s, key, text, &error));
  g_assert_no_error (error);
  expect_value (s, key, printed);
}

static void
expect_error (LlmSettings *s, const char *key, const char *text, int code, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) before = llm_settings_list (s), after = NULL;

  g_assert_false (set (s, key, text, &error));
  g_assert_error (error, G_DBUS_ERROR, code);
  if (strstr (error->message, says) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, says);
  after = llm_settings_list (s);
  g_assert_true (g_variant_equal (before, after));
}

/* ---- values ---- */

static void
test_ranges (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *key, *type;
    guint64 low, high;
  } keys[] = {
    { "context-window", "uint32", 0, LLM_MODEL_MAX_CONTEXT }, { "sliding-window", "uint32", 0, LLM_MODEL_MAX_CONTEXT },
    { "sink-size", "uint32", 0, LLM_MAX_SINK_TOKENS }, { "kv-bytes", "uint64", 0, LLM_MAX_DISK_BYTES }, { "memory-budget", "uint64", 0, LLM_MAX_DISK_BYTES },
    { "threads", "uint32", 0, LLM_POOL_MAX_THREADS }, { "keep-alive", "uint32", 0, LLM_MAX_KEEP_ALIVE_SECONDS },
    { "artifact-bytes", "uint64", 0, LLM_MAX_DISK_BYTES }, { "artifact-age", "uint32", 0, LLM_MAX_ARTIFACT_AGE_DAYS },
    { "model-bytes", "uint64", 0, LLM_MAX_DISK_BYTES }, { "keep-versions", "uint32", 1, LLM_MAX_KEEP_VERSIONS },
    { "minimum-free-disk", "uint64", 0, LLM_MAX_DISK_BYTES }, { "gc-interval", "uint32", 0, LLM_MAX_GC_SECONDS }, { "gc-grace", "uint32", 0, LLM_MAX_GC_SECONDS },
  };
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *low = g_strdup_printf ("int64 %" G_GUINT64_FORMAT, keys[i].low), *high = g_strdup_printf ("uint64 %" G_GUINT64_FORMAT, keys[i].high);
      g_autofree char *below = g_strdup_printf ("int64 %" G_GINT64_FORMAT, (gint64) keys[i].low - 1), *above = g_strdup_printf ("uint64 %" G_GUINT64_FORMAT, keys[i].high + 1);
      g_autofree char *low_printed = g_strdup_printf ("%s %" G_GUINT64_FORMAT, keys[i].type, keys[i].low);
      g_autofree char *high_printed = g_strdup_printf ("%s %" G_GUINT64_FORMAT, keys[i].type, keys[i].high);
      g_autofree char *range = g_strdup_printf ("from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, keys[i].low, keys[i].high);

      expect_ok (s, keys[i].key, low, low_printed);
      expect_ok (s, keys[i].key, high, high_printed);
      expect_error (s, keys[i].key, below, G_DBUS_ERROR_INVALID_ARGS, range);
      expect_error (s, keys[i].key, above, G_DBUS_ERROR_INVALID_ARGS, range);
      expect_error (s, keys[i].key, "'many'", G_DBUS_ERROR_INVALID_ARGS, "an integer");
    }
  expect_ok (s, "threads", "byte 0x07", "uint32 7");
  expect_ok (s, "threads", "int16 8", "uint32 8");
  expect_error (s, "threads", "2.0", G_DBUS_ERROR_INVALID_ARGS, "an integer (u)");
  expect_error (s, "threads", "int64 -9223372036854775808", G_DBUS_ERROR_INVALID_ARGS, "-9223372036854775808");
}

/* Every integer that can be set has a range: convert_integer() counts on it. And without a schema the defaults are the same. */
static void
test_schema (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autoptr (GVariant) all = llm_settings_list (s);
  LlmSettingsValues values;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, all);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    if (strchr ("ybnqiuxtd", g_variant_get_type_string (value)[0]) != NULL && llm_setting_applies (key) != LLM_SETTING_KEPT)
      expect_error (s, key, "uint64 18446744073709551615", G_DBUS_ERROR_INVALID_ARGS, "from");
  llm_settings_read (s, &values);
  g_assert_cmpuint (values.artifact_bytes, ==, LLM_DEFAULT_ARTIFACT_BYTES);
  g_assert_cmpuint (values.artifact_age_days, ==, LLM_DEFAULT_ARTIFACT_AGE_DAYS);
  g_assert_cmpuint (values.keep_versions, ==, 1);
  g_assert_cmpuint (values.minimum_free, ==, LLM_DEFAULT_MINIMUM_FREE_BYTES);
  g_assert_cmpuint (values.gc_interval, ==, LLM_DEFAULT_GC_INTERVAL_SECONDS);
  g_assert_cmpuint (values.gc_grace, ==, LLM_DEFAULT_GC_GRACE_SECONDS);
  g_assert_true (values.gc_automatic);
}

static void
test_texts (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);

  expect_ok (s, "device", "'cpu'", "'cpu'");
  expect_ok (s, "device", "'vulkan12'", "'vulkan12'");
  expect_ok (s, "device", "''", "''");
  expect_error (s, "device", "'vulkan'", G_DBUS_ERROR_INVALID_ARGS, "vulkan0");
  expect_error (s, "device", "'gpu'", G_DBUS_ERROR_INVALID_ARGS, "\"gpu\"");
  expect_error (s, "device", "5", G_DBUS_ERROR_INVALID_ARGS, "a string (s)");
  expect_ok (s, "default-model", "'llama/8b:q4'", "'llama/8b:q4'");
  expect_error (s, "default-model", "'../x'", G_DBUS_ERROR_INVALID_ARGS, "default-model");
  expect_ok (s, "kv-type", "'q8_0'", "'q8_0'");
  expect_error (s, "kv-type", "'q4_0'", G_DBUS_ERROR_INVALID_ARGS, "f16, f32, q8_0");
  expect_ok (s, "gc-policy", "'manual'", "'manual'");
  expect_error (s, "gc-policy", "'never'", G_DBUS_ERROR_INVALID_ARGS, "automatic, manual");
}

static void
test_unknown (Fixture *f, gconstpointer data)
{
  static const char *const keys[] = { "context-window", "sliding-window", "kv-type", "threads", NULL };
  static const struct {
    const char *wanted, *near;
  } cases[] = {
    { "window", "context-window, sliding-window" }, { "kv-typ", "kv-type" }, { "KV_TYPE", "kv-type" }, { "thread", "threads" }, { "treads", "threads" },
    { "zzz", "" }, { "", "" }, { "k", "" },
  };
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *near = llm_setting_near (keys, cases[i].wanted);
      g_assert_cmpstr (near, ==, cases[i].near);
    }
  expect_error (s, "keep-alve", "1", G_DBUS_ERROR_INVALID_ARGS, "unknown setting \"keep-alve\"; near ones are keep-alive");
  expect_error (s, "", "1", G_DBUS_ERROR_INVALID_ARGS, "known are");
  g_assert_null (llm_settings_get (s, "nothing", &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

/* ---- overrides ---- */

static void
test_overrides (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_auto (LlmModelSettings) mine = { 0 }, other = { 0 };

  expect_ok (s, "keep-alive", "77", "uint32 77");
  expect_ok (s, "model-overrides", "{'a': {'context-window': <512>, 'kv-type': <'f32'>, 'device': <'cpu'>, 'kv-bytes': <byte 9>}, 'b:1': {}}",
             "{'a:latest': {'device': <'cpu'>, 'context-window': <uint32 512>, 'kv-type': <'f32'>, 'kv-bytes': <uint64 9>}, 'b:1': {}}");
  llm_settings_for_model (s, "a:latest", &mine);
  g_assert_cmpuint (mine.context_window, ==, 512);
  g_assert_cmpuint (mine.kv_bytes, ==, 9);
  g_assert_cmpuint (mine.keep_alive, ==, 77);
  g_assert_cmpstr (mine.kv_type, ==, "f32");
  g_assert_cmpstr (mine.device, ==, "cpu");
  llm_settings_for_model (s, "b:1", &other);
  g_assert_cmpuint (other.context_window, ==, 0);
  g_assert_cmpstr (other.kv_type, ==, "f16");
  expect_error (s, "model-overrides", "{'a': {'threads': <1>}}", G_DBUS_ERROR_INVALID_ARGS, "unknown setting of a model \"threads\"");
  expect_error (s, "model-overrides", "{'a': {'context-windw': <1>}}", G_DBUS_ERROR_INVALID_ARGS, "near ones are context-window");
  expect_error (s, "model-overrides", "{'a': {'context-window': <-1>}}", G_DBUS_ERROR_INVALID_ARGS, "a:latest: context-window is -1");
  expect_error (s, "model-overrides", "{'': {'context-window': <1>}}", G_DBUS_ERROR_INVALID_ARGS, "model-overrides");
  expect_error (s, "model-overrides", "{'a': @a{sv} {}, 'a:latest': {}}", G_DBUS_ERROR_INVALID_ARGS, "twice");
  expect_error (s, "model-overrides", "'a'", G_DBUS_ERROR_INVALID_ARGS, "a{sa{sv}} is needed");
  expect_ok (s, "model-overrides", "@a{sa{sv}} {}", "@a{sa{sv}} {}");
}

static GVariant *
many_overrides (guint n)
{
  GVariantBuilder out;

  g_variant_builder_init (&out, G_VARIANT_TYPE ("a{sa{sv}}"));
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("m%u", i);
      g_variant_builder_add (&out, "{sa{sv}}", name, NULL);
    }
  return g_variant_ref_sink (g_variant_builder_end (&out));
}

static void
test_limits (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autoptr (GVariant) at = many_overrides (LLM_MAX_MODEL_OVERRIDES), over = many_overrides (LLM_MAX_MODEL_OVERRIDES + 1);
  g_autofree char *long_text = g_strnfill (LLM_MAX_SETTING_BYTES - 1, 'x'), *longer_text = g_strnfill (LLM_MAX_SETTING_BYTES, 'x');
  g_autoptr (GVariant) long_value = g_variant_ref_sink (g_variant_new_string (long_text)), longer_value = g_variant_ref_sink (g_variant_new_string (longer_text));
  g_autoptr (GError) error = NULL;

  g_assert_true (llm_settings_set (s, "model-overrides", at, NULL));
  g_assert_false (llm_settings_set (s, "model-overrides", over, &error));
  g_assert_nonnull (strstr (error->message, "at most 256"));
  g_clear_error (&error);
  g_assert_false (llm_settings_set (s, "default-model", long_value, &error));
  g_assert_null (strstr (error->message, "bytes; at most 65536"));
  g_clear_error (&error);
  g_assert_false (llm_settings_set (s, "default-model", longer_value, &error));
  g_assert_nonnull (strstr (error->message, "bytes; at most 65536"));
}

/* ---- the keyfile, defaults, locks ---- */

static void
test_keyfile (Fixture *f, gconstpointer data)
{
  LlmSettings *s = llm_settings_new (f->state, f->etc);
  char *models[] = { (char *) "a:1", (char *) "b:1", NULL };
  LlmLastRun run = { (char *) "1.2", (char *) "abc", NULL, 99, models };
  g_auto (LlmLastRun) last = { 0 };

  expect_ok (s, "threads", "3", "uint32 3");
  run.formats = g_variant_ref_sink (g_variant_new_parsed ("{'cache': uint32 1}"));
  llm_settings_record_run (s, &run);
  g_variant_unref (run.formats);
  llm_settings_free (s);
  s = llm_settings_new (f->state, f->etc);
  expect_value (s, "threads", "uint32 3");
  llm_settings_last_run (s, &last);
  g_assert_cmpstr (last.engine_version, ==, "1.2");
  g_assert_cmpstr (last.build_id, ==, "abc");
  g_assert_cmpint (last.last_gc, ==, 99);
  g_assert_true (g_strv_equal ((const char *const *) models, (const char *const *) last.models));
  g_assert_cmpuint (g_variant_n_children (last.formats), ==, 1);
  expect_error (s, "last-gc", "int64 1", G_DBUS_ERROR_ACCESS_DENIED, "kept by the service");
  g_assert_true (llm_settings_reset (s, "threads", NULL));
  expect_value (s, "threads", "uint32 0");
  g_assert_false (llm_settings_reset (s, "last-gc", NULL));
  llm_settings_free (s);
}

static void
test_administrator (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = NULL;

  write_in (f->etc, "defaults", "[org/local/LLM]\nkeep-alive=uint32 11\nthreads=uint32 2\n");
  write_in (f->etc, "locks", "/org/local/LLM/threads\n");
  s = llm_settings_new (f->state, f->etc);
  expect_value (s, "keep-alive", "uint32 11");
  expect_ok (s, "keep-alive", "12", "uint32 12");
  g_assert_true (llm_settings_reset (s, "keep-alive", NULL));
  expect_value (s, "keep-alive", "uint32 11");
  expect_value (s, "threads", "uint32 2");
  expect_error (s, "threads", "4", G_DBUS_ERROR_ACCESS_DENIED, "threads is locked by the administrator");
  g_assert_false (llm_settings_reset (s, "threads", NULL));
}

/* The disk refuses: the value counts for now, and who has set it is told. */
static void
test_not_written (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autofree char *path = g_build_filename (f->state, "settings.ini", NULL), *below = g_build_filename (path, "x", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir (path, 0755), ==, 0);
  write_in (path, "x", "");
  g_test_expect_message ("GLib-GIO", G_LOG_LEVEL_WARNING, "*keyfile*");
  g_assert_false (set (s, "threads", "3", &error));
  g_test_assert_expected_messages ();
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_IO_ERROR);
  expect_value (s, "threads", "uint32 3");
  g_remove (below);
}

/* Written by hand: nothing that is not right ever comes out. */
static void
test_handwritten (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = NULL;
  g_auto (LlmModelSettings) mine = { 0 };

  write_in (f->state, "settings.ini",
            "[org/local/LLM]\nkeep-versions=uint32 0\nthreads='many'\nkv-type='f8'\ncontext-window=uint32 99\nmodel-overrides={'a': {'kv-type': <'f9'>}}\n");
  s = llm_settings_new (f->state, f->etc);
  expect_value (s, "keep-versions", "uint32 1");
  expect_value (s, "threads", "uint32 0");
  expect_value (s, "kv-type", "'f16'");
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*kv-type is \"f9\"*");
  llm_settings_for_model (s, "a:latest", &mine);
  g_test_assert_expected_messages ();
  g_assert_cmpstr (mine.kv_type, ==, "f16");
  g_assert_cmpuint (mine.context_window, ==, 99);
}

/* ---- who listens ---- */

static void
count (const char *key, GVariant *value, gpointer user_data)
{
  g_string_append_printf (user_data, "%s ", key);
}

static void
test_hook (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autoptr (GString) heard = g_string_new (NULL);

  llm_settings_set_hook (s, count, heard);
  set (s, "threads", "3", NULL);
  set (s, "threads", "3", NULL);
  set (s, "threads", "4", NULL);
  llm_settings_reset (s, "threads", NULL);
  llm_settings_reset (s, "threads", NULL);
  g_assert_cmpstr (heard->str, ==, "threads threads threads ");
}

static void
keep (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
test_describe (Fixture *f, gconstpointer data)
{
  g_autoptr (LlmSettings) s = llm_settings_new (f->state, f->etc);
  g_autoptr (GVariant) all = llm_settings_list (s);
  GVariantIter iter;
  const char *key;

  g_variant_iter_init (&iter, all);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, NULL))
    {
      g_autoptr (GAsyncResult) answer = NULL;
      g_autoptr (GVariant) facts = NULL, value = NULL;
      const char *summary = "", *description = "", *type = "";

      llm_settings_describe_async (s, key, keep, &answer);
      while (answer == NULL)
        g_main_context_iteration (NULL, TRUE);
      facts = llm_settings_describe_finish (s, answer, NULL);
      value = g_variant_lookup_value (facts, "value", NULL);
      g_variant_lookup (facts, "type", "&s", &type);
      g_assert_cmpstr (type, ==, g_variant_get_type_string (value));
      g_variant_lookup (facts, "summary", "&s", &summary);
      g_variant_lookup (facts, "description", "&s", &description);
      g_assert_cmpuint (strlen (summary), >, 5);
      g_assert_cmpuint (strlen (description), >, 5);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) g_test_add ("/settings/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("schema", test_schema);
  ADD ("ranges", test_ranges);
  ADD ("texts", test_texts);
  ADD ("unknown", test_unknown);
  ADD ("overrides", test_overrides);
  ADD ("limits", test_limits);
  ADD ("keyfile", test_keyfile);
  ADD ("administrator", test_administrator);
  ADD ("not-written", test_not_written);
  ADD ("handwritten", test_handwritten);
  ADD ("hook", test_hook);
  ADD ("describe", test_describe);
  return g_test_run ();
}
