/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every code crosses the bus and comes back as itself. */
#include <string.h>

#include "base/error.h"

static const char *const names[LLM_N_ERRORS] = {
  "ModelNotFound", "InvalidModel", "NotSupported", "InvalidMessage", "InvalidSchema", "ContextExceeded", "Busy", "QueueFull", "QuotaExceeded",
  "OutOfMemory", "EngineLost", "Cancelled", "Closed", "Network", "IntegrityFailed", "DiskFull",
};

static void
test_round_trip (void)
{
  for (int code = 0; code < LLM_N_ERRORS; code++)
    {
      g_autoptr (GError) error = g_error_new_literal (LLM_ERROR, code, "what was wrong"), back = NULL;
      g_autofree char *name = llm_error_dbus_name (error), *wanted = g_strconcat ("org.local.LLM.Error.", names[code], NULL);

      g_assert_cmpstr (name, ==, wanted);
      back = llm_error_from_dbus (name, error->message);
      g_assert_error (back, LLM_ERROR, code);
      g_assert_cmpstr (back->message, ==, "what was wrong"); /* nothing put in front */
    }
}

static void
test_quote (void)
{
  g_autofree char *ascii = g_strnfill (200, 'a');
  char text[3 * 40 + 1] = "";

  for (guint i = 0; i < 40; i++)
    memcpy (text + 3 * i, "\xe2\x82\xac", 4); /* the euro sign; 64 is in the middle of one */
  g_assert_cmpint (llm_error_quote (ascii, -1), ==, 64);
  g_assert_cmpint (llm_error_quote (ascii, 64), ==, 64);
  g_assert_cmpint (llm_error_quote (ascii, 5), ==, 5);
  g_assert_cmpint (llm_error_quote ("", -1), ==, 0);
  g_assert_cmpint (llm_error_quote (text, -1), ==, 63);
}

static void
test_standard_names (void)
{
  static const struct { int code; const char *name; } table[] = {
    { G_DBUS_ERROR_INVALID_ARGS, "org.freedesktop.DBus.Error.InvalidArgs" },
    { G_DBUS_ERROR_ACCESS_DENIED, "org.freedesktop.DBus.Error.AccessDenied" },
    { G_DBUS_ERROR_LIMITS_EXCEEDED, "org.freedesktop.DBus.Error.LimitsExceeded" },
    { G_DBUS_ERROR_UNKNOWN_OBJECT, "org.freedesktop.DBus.Error.UnknownObject" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autoptr (GError) error = g_error_new_literal (G_DBUS_ERROR, table[i].code, "m"), back = NULL;
      g_autofree char *name = llm_error_dbus_name (error);

      g_assert_cmpstr (name, ==, table[i].name);
      back = llm_error_from_dbus (name, "m");
      g_assert_error (back, G_DBUS_ERROR, table[i].code);
    }
}

static void
test_others (void)
{
  g_autoptr (GError) cancelled = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "m");
  g_autoptr (GError) full = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_NO_SPACE, "m");
  g_autoptr (GError) other = g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_ACCES, "m");
  g_autofree char *a = llm_error_dbus_name (cancelled), *b = llm_error_dbus_name (full), *c = llm_error_dbus_name (other);

  g_assert_cmpstr (a, ==, "org.local.LLM.Error.Cancelled");
  g_assert_cmpstr (b, ==, "org.local.LLM.Error.DiskFull");
  g_assert_cmpstr (c, ==, "org.freedesktop.DBus.Error.Failed");
}

static void
test_unknown_name (void)
{
  g_autoptr (GError) error = llm_error_from_dbus ("org.local.LLM.Error.OfTheFuture", "m");

  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_DBUS_ERROR);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/error/round-trip", test_round_trip);
  g_test_add_func ("/error/quote", test_quote);
  g_test_add_func ("/error/standard-names", test_standard_names);
  g_test_add_func ("/error/others", test_others);
  g_test_add_func ("/error/unknown-name", test_unknown_name);
  return g_test_run ();
}
