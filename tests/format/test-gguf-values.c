/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading metadata: every type as every kind of value; absent is no error, wrong is one.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "format/gguf-builder.h"

static const char *const values[][2] = {
  { "u8", "u32:0 u8:255" },
  { "i8", "u32:1 i8:-128" },
  { "u16", "u32:2 u16:65535" },
  { "i16", "u32:3 i16:-2" },
  { "u32", "u32:4 u32:4294967295" },
  { "i32", "u32:5 i32:2147483647" },
  { "f32", "u32:6 f32:1.5" },
  { "bool", "u32:7 u8:1" },
  { "str", "u32:8 s:text" },
  { "u64", "u32:10 u64:18446744073709551615" },
  { "i64", "u32:11 i64:-9223372036854775808" },
  { "f64", "u32:12 f64:-0.25" },
  { "a-i8", "u32:9 u32:1 u64:3 i8:-1 i8:0 i8:127" },
  { "a-u64", "u32:9 u32:10 u64:2 u64:9223372036854775807 u64:9223372036854775808" },
  { "a-f32", "u32:9 u32:6 u64:2 f32:0.5 f32:-2" },
  { "a-f64", "u32:9 u32:12 u64:1 f64:0.125" },
  { "a-bool", "u32:9 u32:7 u64:2 u8:0 u8:1" },
  { "a-str", "u32:9 u32:8 u64:4 s:a s: s:three s:d" },
  { "a-none", "u32:9 u32:8 u64:0" },
};

static LlmGguf *gguf;

static void
load (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;

  g_string_printf (text, "'GGUF' u32:3 u64:1 u64:%u", (guint) G_N_ELEMENTS (values));
  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    g_string_append_printf (text, " s:%s %s", values[i][0], values[i][1]);
  g_string_append (text, " s:t u32:3 u64:32 u64:2 u64:3 u32:8 u64:32 pad:32 zero:300");
  bytes = llm_test_bytes (text->str);
  gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), &error);
  g_assert_no_error (error);
}

/* Not TRUE, and the out-parameter untouched; an error that names the key when @wrong. */
static void
check_refused (const char *key, gboolean got, GError **error, gboolean wrong)
{
  g_assert_false (got);
  if (!wrong)
    {
      g_assert_no_error (*error);
      return;
    }
  g_assert_error (*error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr ((*error)->message, key));
  g_clear_error (error);
}

static void
test_u64 (void)
{
  static const struct { const char *key; guint64 value; } good[] = {
    { "u8", 255 }, { "u16", 65535 }, { "u32", G_MAXUINT32 }, { "i32", G_MAXINT32 }, { "u64", G_MAXUINT64 },
  };
  static const char *const bad[] = { "i8", "i16", "i64", "f32", "f64", "bool", "str", "a-i8", "a-str" };
  g_autoptr (GError) none = NULL;
  guint64 v = 7;

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (llm_gguf_u64 (gguf, good[i].key, &v, &error));
      g_assert_cmpuint (v, ==, good[i].value);
    }
  v = 7;
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      check_refused (bad[i], llm_gguf_u64 (gguf, bad[i], &v, &error), &error, TRUE);
    }
  check_refused ("none", llm_gguf_u64 (gguf, "none", &v, &none), &none, FALSE);
  g_assert_cmpuint (v, ==, 7);
}

static void
test_f64 (void)
{
  static const struct { const char *key; double value; } good[] = {
    { "u8", 255 }, { "i8", -128 }, { "i16", -2 }, { "f32", 1.5 }, { "f64", -0.25 }, { "i64", -9223372036854775808.0 },
    { "u64", 18446744073709551615.0 },
  };
  static const char *const bad[] = { "bool", "str", "a-f32" };
  g_autoptr (GError) none = NULL;
  double v = 7;

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_assert_true (llm_gguf_f64 (gguf, good[i].key, &v, NULL));
      g_assert_cmpfloat (v, ==, good[i].value);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      check_refused (bad[i], llm_gguf_f64 (gguf, bad[i], &v, &error), &error, TRUE);
    }
  check_refused ("none", llm_gguf_f64 (gguf, "none", &v, &none), &none, FALSE);
}

static void
test_bool_and_str (void)
{
  g_autoptr (GError) error = NULL;
  gboolean flag = 7;
  LlmStr s = { NULL, 7 };

  check_refused ("none", llm_gguf_bool (gguf, "none", &flag, &error), &error, FALSE);
  check_refused ("u8", llm_gguf_bool (gguf, "u8", &flag, &error), &error, TRUE);
  g_assert_cmpint (flag, ==, 7);
  g_assert_true (llm_gguf_bool (gguf, "bool", &flag, NULL));
  g_assert_cmpint (flag, ==, TRUE);

  check_refused ("none", llm_gguf_str (gguf, "none", &s, &error), &error, FALSE);
  check_refused ("a-str", llm_gguf_str (gguf, "a-str", &s, &error), &error, TRUE);
  g_assert_cmpuint (s.len, ==, 7);
  g_assert_true (llm_gguf_str (gguf, "str", &s, NULL));
  g_assert_cmpmem (s.bytes, s.len, "text", 4);
}

static void
test_arrays (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree gint64 *i8 = NULL;
  g_autofree double *f32 = NULL, *f64 = NULL;
  g_autofree LlmStr *strs = NULL;
  LlmGgufType type;
  guint64 count = 0;

  g_assert_true (llm_gguf_array (gguf, "a-bool", &type, &count, NULL));
  g_assert_cmpint (type, ==, LLM_GGUF_BOOL);
  g_assert_cmpuint (count, ==, 2);
  check_refused ("none", llm_gguf_array (gguf, "none", &type, &count, &error), &error, FALSE);
  check_refused ("u8", llm_gguf_array (gguf, "u8", &type, &count, &error), &error, TRUE);

  i8 = llm_gguf_array_i64 (gguf, "a-i8", &count, NULL);
  g_assert_cmpuint (count, ==, 3);
  g_assert_true (i8[0] == -1 && i8[1] == 0 && i8[2] == 127);
  f32 = llm_gguf_array_f64 (gguf, "a-f32", &count, NULL);
  g_assert_true (count == 2 && f32[0] == 0.5 && f32[1] == -2);
  f64 = llm_gguf_array_f64 (gguf, "a-f64", &count, NULL);
  g_assert_true (count == 1 && f64[0] == 0.125);

  strs = llm_gguf_array_strs (gguf, "a-str", &count, NULL);
  g_assert_cmpuint (count, ==, 4);
  g_assert_cmpmem (strs[2].bytes, strs[2].len, "three", 5);
  for (guint i = 0; i < 4; i++)
    {
      LlmStr one = llm_gguf_array_str (gguf, "a-str", i);

      g_assert_true (one.bytes == strs[i].bytes && one.len == strs[i].len);
    }
}

static void
test_wrong_arrays (void)
{
  guint64 count = 7;

  for (guint i = 0; i < 5; i++)
    {
      static const char *const keys[] = { "a-u64", "a-f32", "a-str", "u8", "none" };
      g_autoptr (GError) error = NULL;

      g_assert_null (llm_gguf_array_i64 (gguf, keys[i], &count, &error));
      check_refused (keys[i], FALSE, &error, TRUE);
    }
  for (guint i = 0; i < 3; i++)
    {
      static const char *const keys[] = { "a-bool", "a-str", "none" };
      g_autoptr (GError) error = NULL;

      g_assert_null (llm_gguf_array_f64 (gguf, keys[i], &count, &error));
      check_refused (keys[i], FALSE, &error, TRUE);
    }
  for (guint i = 0; i < 3; i++)
    {
      static const char *const keys[] = { "a-i8", "str", "none" };
      g_autoptr (GError) error = NULL;

      g_assert_null (llm_gguf_array_strs (gguf, keys[i], &count, &error));
      check_refused (keys[i], FALSE, &error, TRUE);
    }
  g_assert_cmpuint (count, ==, 7);
}

static void
test_empty_array (void)
{
  guint64 count = 7;
  g_autofree LlmStr *strs = llm_gguf_array_strs (gguf, "a-none", &count, NULL);

  g_assert_nonnull (strs);
  g_assert_cmpuint (count, ==, 0);
}

static void
test_keys (void)
{
  g_assert_cmpuint (llm_gguf_n_keys (gguf), ==, G_N_ELEMENTS (values));
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    {
      LlmGgufType type;

      g_assert_cmpstr (llm_gguf_key (gguf, i, &type), ==, values[i][0]);
      g_assert_true (llm_gguf_has (gguf, values[i][0]));
      g_assert_cmpuint (type, ==, g_ascii_strtoull (values[i][1] + 4, NULL, 10));
    }
  g_assert_false (llm_gguf_has (gguf, "u"));
}

static void
test_tensor (void)
{
  const LlmGgufTensor *t = llm_gguf_find_tensor (gguf, "t");

  g_assert_cmpuint (llm_gguf_version (gguf), ==, 3);
  g_assert_cmpuint (llm_gguf_n_tensors (gguf), ==, 1);
  g_assert_true (t == llm_gguf_tensor (gguf, 0));
  g_assert_null (llm_gguf_find_tensor (gguf, "u"));
  g_assert_cmpuint (t->n_dims, ==, 3);
  g_assert_true (t->dims[0] == 32 && t->dims[1] == 2 && t->dims[2] == 3 && t->dims[3] == 1);
  g_assert_cmpstr (t->dtype->name, ==, "Q8_0");
  g_assert_cmpuint (t->n_bytes, ==, 6 * 34);
  g_assert_cmpuint (t->offset % 32, ==, 0);
  g_assert_cmpuint (t->offset, ==, llm_gguf_file_size (gguf) - 300 + 32);
}

static void
test_drop (void)
{
  LlmGguf *whole = gguf;
  g_autoptr (GError) error = NULL;
  guint64 number;

  load ();
  llm_gguf_drop_metadata (gguf);
  g_assert_cmpuint (llm_gguf_n_keys (gguf), ==, 0);
  g_assert_false (llm_gguf_has (gguf, "u8"));
  g_assert_false (llm_gguf_u64 (gguf, "u8", &number, &error));
  g_assert_no_error (error);
  test_tensor ();
  llm_gguf_drop_metadata (gguf); /* again: nothing happens */
  llm_gguf_unref (gguf);
  gguf = whole;
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  load ();
  g_test_add_func ("/gguf-values/u64", test_u64);
  g_test_add_func ("/gguf-values/f64", test_f64);
  g_test_add_func ("/gguf-values/bool-and-str", test_bool_and_str);
  g_test_add_func ("/gguf-values/arrays", test_arrays);
  g_test_add_func ("/gguf-values/wrong-arrays", test_wrong_arrays);
  g_test_add_func ("/gguf-values/empty-array", test_empty_array);
  g_test_add_func ("/gguf-values/keys", test_keys);
  g_test_add_func ("/gguf-values/tensor", test_tensor);
  g_test_add_func ("/gguf-values/drop", test_drop);
  status = g_test_run ();
  llm_gguf_unref (gguf);
  return status;
}
