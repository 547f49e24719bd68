/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stop strings: however the text is cut into pieces, the same comes out, and nothing that
 * belongs to a stop string is ever shown.
 */
#include "engine/stop.h"

#include <string.h>

/* Pushes @text in pieces that end where @cuts has a bit. */
static char *
run (const char *const *stops, const char *text, gsize len, guint cuts, gboolean *stopped)
{
  g_autoptr (GString) out = g_string_new (NULL);
  LlmStop stop;
  gsize from = 0;

  *stopped = FALSE;
  llm_stop_init (&stop, (char **) stops);
  for (gsize i = 0; i < len && !*stopped; i++)
    if ((cuts >> i & 1) != 0 || i + 1 == len)
      {
        *stopped = llm_stop_push (&stop, text + from, i + 1 - from, out);
        g_assert_true (g_utf8_validate (out->str, (gssize) out->len, NULL) || memchr (out->str, 0, out->len) != NULL);
        from = i + 1;
      }
  if (!*stopped)
    llm_stop_finish (&stop, out);
  llm_stop_clear (&stop);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void
check (const char *const *stops, const char *text, const char *want, gboolean want_stopped)
{
  gsize len = strlen (text);

  g_assert_cmpuint (len, <=, 12);
  for (guint cuts = 0; cuts < 1u << len; cuts++)
    {
      gboolean stopped;
      g_autofree char *got = run (stops, text, len, cuts, &stopped);

      g_assert_cmpint (stopped, ==, want_stopped);
      g_assert_cmpstr (got, ==, want);
    }
}

#define STOPS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static void
test_splits (void)
{
  check (NULL, "all of it", "all of it", FALSE);
  check (STOPS ("END"), "one ENDtwo", "one ", TRUE);
  check (STOPS ("END"), "one ENtwo", "one ENtwo", FALSE);
  check (STOPS ("END"), "one EN", "one EN", FALSE); /* the end gives back what was held */
  check (STOPS ("END"), "ENENEND", "ENEN", TRUE);
  check (STOPS ("aab"), "aaaaab.", "aaa", TRUE);
  check (STOPS ("x"), "x", "", TRUE);
  check (STOPS ("\n\n", "###"), "a\nb##\n\n#", "a\nb##", TRUE);
  check (STOPS (""), "text", "text", FALSE);
}

/* The one that is complete first; of those that end together, the longest. */
static void
test_overlaps (void)
{
  check (STOPS ("abcd", "bc"), "xabcd", "xa", TRUE);
  check (STOPS ("bc", "abc"), "xabcd", "x", TRUE);
  check (STOPS ("abc", "bc"), "xabcd", "x", TRUE);
  check (STOPS ("abcde", "cd"), "abce", "abce", FALSE);
}

static void
test_utf8 (void)
{
  const char *text = "ä€ß€x";
  LlmStop stop;
  g_autoptr (GString) out = g_string_new (NULL);

  llm_stop_init (&stop, (char **) STOPS ("€x"));
  for (const char *c = text; *c != '\0'; c = g_utf8_next_char (c))
    {
      gboolean stopped = llm_stop_push (&stop, c, (gsize) (g_utf8_next_char (c) - c), out);

      g_assert_true (g_utf8_validate (out->str, (gssize) out->len, NULL));
      g_assert_cmpint (stopped, ==, *c == 'x');
    }
  g_assert_cmpstr (out->str, ==, "ä€ß");
  llm_stop_clear (&stop);
}

/* A model may say NUL. */
static void
test_nul (void)
{
  for (guint cuts = 0; cuts < 128; cuts++)
    {
      gboolean stopped;
      g_autofree char *got = run (STOPS ("END"), "a\0EE\0ENDx", 9, cuts, &stopped);

      g_assert_true (stopped);
      g_assert_cmpmem (got, 5, "a\0EE\0", 5);
    }
}

/* What cannot become a stop string any more is shown at once. */
static void
test_prompt (void)
{
  LlmStop stop;
  g_autoptr (GString) out = g_string_new (NULL);

  llm_stop_init (&stop, (char **) STOPS ("END", "\nUser:"));
  g_assert_false (llm_stop_push (&stop, "abcE", 4, out));
  g_assert_cmpstr (out->str, ==, "abc");
  g_assert_false (llm_stop_push (&stop, "N\n", 2, out));
  g_assert_cmpstr (out->str, ==, "abcEN");
  g_assert_false (llm_stop_push (&stop, "\n", 1, out));
  g_assert_cmpstr (out->str, ==, "abcEN\n");
  g_assert_true (llm_stop_push (&stop, "User: hello", 11, out));
  g_assert_cmpstr (out->str, ==, "abcEN\n");
  llm_stop_clear (&stop);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stop/splits", test_splits);
  g_test_add_func ("/stop/overlaps", test_overlaps);
  g_test_add_func ("/stop/utf8", test_utf8);
  g_test_add_func ("/stop/nul", test_nul);
  g_test_add_func ("/stop/prompt", test_prompt);
  return g_test_run ();
}
