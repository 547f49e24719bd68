/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may reach the recursive JSON parser: at each limit, and one over it. */
#include <string.h>

#include "base/json-guard.h"
#include "base/limits.h"

static gboolean
guard (const char *text, gsize max, GError **error)
{
  return llm_json_guard (text, strlen (text), max, error);
}

static void
test_size (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (guard ("[1,2]", 5, NULL));
  g_assert_true (guard ("", 0, NULL));
  g_assert_false (guard ("[1,2]", 4, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
  g_assert_nonnull (strstr (error->message, "5 bytes; at most 4"));
}

static char *
nested (guint depth, char open, char close)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < depth; i++)
    g_string_append_c (text, open);
  for (guint i = 0; i < depth && close != '\0'; i++)
    g_string_append_c (text, close);
  return g_string_free (text, FALSE);
}

static void
test_depth (void)
{
  static const char brackets[][2] = { { '[', ']' }, { '{', '}' }, { '[', '\0' }, { '[', '}' } };

  for (gsize i = 0; i < G_N_ELEMENTS (brackets); i++)
    {
      g_autofree char *at = nested (LLM_JSON_MAX_DEPTH, brackets[i][0], brackets[i][1]);
      g_autofree char *over = nested (LLM_JSON_MAX_DEPTH + 1, brackets[i][0], brackets[i][1]);
      g_autoptr (GError) error = NULL;

      g_assert_true (guard (at, 1000, NULL));
      g_assert_false (guard (over, 1000, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
      g_assert_nonnull (strstr (error->message, "deeper than 64 levels at byte 64"));
    }
}

static void
test_bomb (void)
{
  g_autofree char *bomb = nested (100000, '[', '\0');
  g_autoptr (GError) error = NULL;

  g_assert_false (guard (bomb, LLM_MIB, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
}

/* Many, but beside each other. */
static void
test_breadth (void)
{
  g_autoptr (GString) text = g_string_new ("[");

  for (guint i = 0; i < 10000; i++)
    g_string_append (text, "[],{},");
  g_string_append (text, "0]");
  g_assert_true (guard (text->str, LLM_MIB, NULL));
}

static void
test_strings (void)
{
  g_autofree char *inside = nested (200, '[', '\0');
  g_autofree char *quoted = g_strdup_printf ("{\"a\": \"%s\"}", inside);
  g_autofree char *after_escape = g_strdup_printf ("[\"\\\"%s\"]", inside);       /* "\"[[[..." : still inside */
  g_autofree char *after_backslash = g_strdup_printf ("[\"\\\\\"%s", inside);     /* "\\" ends; then brackets */
  g_autofree char *unfinished = g_strdup_printf ("\"%s", inside);

  g_assert_true (guard (quoted, 1000, NULL));
  g_assert_true (guard (after_escape, 1000, NULL));
  g_assert_false (guard (after_backslash, 1000, NULL));
  g_assert_true (guard (unfinished, 1000, NULL));
  g_assert_true (guard ("\"\\", 10, NULL)); /* a backslash at the end */
}

static void
test_utf8 (void)
{
  static const struct { const char *text; gsize len; const char *at; } bad[] = {
    { "[\"\xff\"]", 5, "byte 2" },
    { "\xc3", 1, "byte 0" },
    { "[1]\xed\xa0\x80", 6, "byte 3" }, /* a surrogate */
    { "[1]\0", 4, "byte 3" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (llm_json_guard (bad[i].text, bad[i].len, 100, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
      g_assert_nonnull (strstr (error->message, bad[i].at));
    }
  g_assert_true (guard ("[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\"]", 100, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-guard/size", test_size);
  g_test_add_func ("/json-guard/depth", test_depth);
  g_test_add_func ("/json-guard/bomb", test_bomb);
  g_test_add_func ("/json-guard/breadth", test_breadth);
  g_test_add_func ("/json-guard/strings", test_strings);
  g_test_add_func ("/json-guard/utf8", test_utf8);
  return g_test_run ();
}
