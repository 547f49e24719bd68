/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options table: every key at the ends of its range and beyond, and what types it takes. */
#include <string.h>

#include "base/limits.h"
#include "daemon/embedding.h"
#include "daemon/options.h"

static GVariant *
parse (LlmOptionsTable table, const char *text, GError **error)
{
  g_autoptr (GError) syntax = NULL;
  g_autoptr (GVariant) options = g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &syntax);

  g_assert_no_error (syntax);
  return llm_options_parse (table, options, error);
}

static void
expect_ok (const char *text, const char *key, const char *printed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) options = parse (LLM_OPTIONS_GENERATE, text, &error);
  g_autoptr (GVariant) value = NULL;
  g_autofree char *got = NULL;

  g_assert_no_error (error);
  value = g_variant_lookup_value (options, key, NULL);
  got = g_variant_print (value, TRUE);
  g_assert_cmpstr (got, ==, printed);
}

static void
expect_error (LlmOptionsTable table, const char *text, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) options = parse (table, text, &error);

  g_assert_null (options);
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  if (strstr (error->message, says) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, says);
}

static void
test_numbers (void)
{
  static const struct {
    const char *key, *low, *high, *below, *above;
  } keys[] = {
    { "temperature", "0.0", "2.0", "-0.001", "2.001" }, { "top-p", "0.001", "1.0", "0.0", "1.001" }, { "min-p", "0.0", "1.0", "-0.001", "1.001" },
    { "repetition-penalty", "0.001", "2.0", "0.0", "2.001" }, { "frequency-penalty", "-2.0", "2.0", "-2.001", "2.001" },
    { "presence-penalty", "-2.0", "2.0", "-2.001", "2.001" }, { "top-k", "uint32 0", "uint32 2097152", "-1", "uint32 2097153" },
    { "max-tokens", "uint32 0", "uint32 16777216", "-1", "uint32 16777217" }, { "logprobs", "uint32 0", "uint32 20", "-1", "uint32 21" },
    { "typical-p", "0.001", "1.0", "0.0", "1.001" }, { "top-n-sigma", "0.0", "100.0", "-0.001", "100.001" },
    { "xtc-probability", "0.0", "1.0", "-0.001", "1.001" }, { "xtc-threshold", "0.0", "1.0", "-0.001", "1.001" },
    { "dry-multiplier", "0.0", "10.0", "-0.001", "10.001" }, { "dry-base", "1.0", "10.0", "0.999", "10.001" },
    { "dry-allowed-length", "uint32 0", "uint32 64", "-1", "uint32 65" },
    { "deadline-ms", "uint32 0", "uint32 86400000", "-1", "uint32 86400001" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *low = g_strdup_printf ("{'%s': <%s>}", keys[i].key, keys[i].low), *high = g_strdup_printf ("{'%s': <%s>}", keys[i].key, keys[i].high);
      g_autofree char *below = g_strdup_printf ("{'%s': <%s>}", keys[i].key, keys[i].below), *above = g_strdup_printf ("{'%s': <%s>}", keys[i].key, keys[i].above);
      g_autofree char *text = g_strdup_printf ("{'%s': <'x'>}", keys[i].key);

      expect_ok (low, keys[i].key, keys[i].low);
      expect_ok (high, keys[i].key, keys[i].high);
      expect_error (LLM_OPTIONS_GENERATE, below, keys[i].key);
      expect_error (LLM_OPTIONS_GENERATE, above, keys[i].key);
      expect_error (LLM_OPTIONS_GENERATE, text, "type s");
    }
}

static void
test_integer_types (void)
{
  static const char *const types[] = { "byte", "int16", "uint16", "int32", "uint32", "int64", "uint64" };

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    {
      g_autofree char *text = g_strdup_printf ("{'top-k': <%s 7>, 'temperature': <%s 1>, 'seed': <%s 9>}", types[i], types[i], types[i]);

      expect_ok (text, "top-k", "uint32 7");
      expect_ok (text, "temperature", "1.0");
      expect_ok (text, "seed", "uint64 9");
    }
  expect_ok ("{'seed': <uint64 18446744073709551615>}", "seed", "uint64 18446744073709551615");
  expect_error (LLM_OPTIONS_GENERATE, "{'seed': <-1>}", "seed");
  expect_error (LLM_OPTIONS_GENERATE, "{'seed': <1.0>}", "integer");
}

static void
test_stop (void)
{
  GVariantBuilder strings;
  g_autofree char *longest = g_strnfill (LLM_MAX_STOP_BYTES, 'x'), *over = g_strnfill (LLM_MAX_STOP_BYTES + 1, 'x');

  for (guint extra = 0; extra < 3; extra++)
    {
      g_autoptr (GVariant) options = NULL, parsed = NULL;
      g_autoptr (GError) error = NULL;
      GVariantBuilder dict;

      g_variant_builder_init (&strings, G_VARIANT_TYPE_STRING_ARRAY);
      for (guint i = 0; i < LLM_MAX_STOP_STRINGS + (extra == 1); i++)
        g_variant_builder_add (&strings, "s", extra == 2 ? over : longest);
      g_variant_builder_init (&dict, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&dict, "{sv}", "stop", g_variant_builder_end (&strings));
      options = g_variant_ref_sink (g_variant_builder_end (&dict));
      parsed = llm_options_parse (LLM_OPTIONS_CHAT, options, &error);
      g_assert_cmpint (parsed != NULL, ==, extra == 0);
    }
  expect_error (LLM_OPTIONS_GENERATE, "{'stop': <['']>}", "stop[0]");
  expect_error (LLM_OPTIONS_GENERATE, "{'stop': <'x'>}", "as");
}

static void
test_logit_bias (void)
{
  expect_ok ("{'logit-bias': <{uint32 5: -100.0, 6: 100.0}>}", "logit-bias", "{uint32 5: -100.0, 6: 100.0}");
  expect_ok ("{'logit-bias': <{5: 1.5}>}", "logit-bias", "{uint32 5: 1.5}");
  expect_error (LLM_OPTIONS_GENERATE, "{'logit-bias': <{uint32 5: 100.5}>}", "100.5");
  expect_error (LLM_OPTIONS_GENERATE, "{'logit-bias': <{-5: 1.0}>}", "-5");
  expect_error (LLM_OPTIONS_GENERATE, "{'logit-bias': <['x']>}", "a{ud}");
  for (guint extra = 0; extra < 2; extra++)
    {
      g_autoptr (GVariant) options = NULL, parsed = NULL;
      GVariantBuilder biases, dict;

      g_variant_builder_init (&biases, G_VARIANT_TYPE ("a{ud}"));
      for (guint i = 0; i < LLM_MAX_LOGIT_BIAS + extra; i++)
        g_variant_builder_add (&biases, "{ud}", i, 1.0);
      g_variant_builder_init (&dict, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&dict, "{sv}", "logit-bias", g_variant_builder_end (&biases));
      options = g_variant_ref_sink (g_variant_builder_end (&dict));
      parsed = llm_options_parse (LLM_OPTIONS_CHAT, options, NULL);
      g_assert_cmpint (parsed != NULL, ==, extra == 0);
    }
}

/* Its message crosses D-Bus, which takes UTF-8 alone. */
static void
test_unknown_key (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) parsed = NULL;
  g_autoptr (GString) text = g_string_new ("{'");

  for (guint i = 0; i < 30; i++)
    g_string_append (text, "\xe2\x82\xac");
  g_string_append (text, "': <1>}");
  parsed = parse (LLM_OPTIONS_CHAT, text->str, &error);
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
test_handle_token (void)
{
  g_autofree char *longest = g_strnfill (LLM_MAX_HANDLE_TOKEN_BYTES, 'a');
  g_autofree char *at = g_strdup_printf ("{'handle-token': <'%s'>}", longest), *over = g_strdup_printf ("{'handle-token': <'%sa'>}", longest);
  g_autoptr (GVariant) parsed = parse (LLM_OPTIONS_REQUEST, at, NULL);

  g_assert_nonnull (parsed);
  expect_error (LLM_OPTIONS_REQUEST, over, "handle-token");
  expect_error (LLM_OPTIONS_REQUEST, "{'handle-token': <''>}", "handle-token");
  expect_error (LLM_OPTIONS_REQUEST, "{'handle-token': <'a/b'>}", "handle-token");
  expect_error (LLM_OPTIONS_REQUEST, "{'handle-token': <5>}", "handle-token");
}

static void
test_embed (void)
{
  g_autofree char *at = g_strdup_printf ("{'dimensions': <%d>}", LLM_MODEL_MAX_WIDTH), *over = g_strdup_printf ("{'dimensions': <%d>}", LLM_MODEL_MAX_WIDTH + 1);
  g_autoptr (GVariant) least = parse (LLM_OPTIONS_EMBED, "{'dimensions': <1>}", NULL), most = parse (LLM_OPTIONS_EMBED, at, NULL);
  g_autoptr (GVariant) all = parse (LLM_OPTIONS_EMBED, "{'pooling': <'cls'>, 'normalize': <false>, 'truncate': <true>, 'deadline-ms': <5>, 'handle-token': <'a'>}", NULL);

  g_assert_true (least != NULL && most != NULL && all != NULL);
  expect_error (LLM_OPTIONS_EMBED, over, "dimensions");
  expect_error (LLM_OPTIONS_EMBED, "{'dimensions': <0>}", "from 1");
  expect_error (LLM_OPTIONS_EMBED, "{'pooling': <'rank'>}", "mean, cls or last");
  expect_error (LLM_OPTIONS_EMBED, "{'temperature': <1.0>}", "pooling");
}

/* As many texts and bytes as there may be, and one more. */
static void
test_embed_inputs (void)
{
  g_autofree char *half = g_strnfill (LLM_EMBED_MAX_BYTES / 2, 'a');

  for (guint extra = 0; extra < 2; extra++)
    {
      g_autoptr (GVariant) many = NULL, large = NULL;
      g_autoptr (GError) error = NULL;
      GVariantBuilder texts;

      g_variant_builder_init (&texts, G_VARIANT_TYPE_STRING_ARRAY);
      for (guint i = 0; i < LLM_EMBED_MAX_INPUTS + extra; i++)
        g_variant_builder_add (&texts, "s", "");
      many = g_variant_ref_sink (g_variant_builder_end (&texts));
      g_assert_cmpint (llm_embedding_check_inputs (many, &error), ==, extra == 0);
      if (extra == 1)
        g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
      g_clear_error (&error);
      large = g_variant_ref_sink (g_variant_new_parsed ("[%s, %s, %s]", half, half, extra == 1 ? "a" : ""));
      g_assert_cmpint (llm_embedding_check_inputs (large, &error), ==, extra == 0);
      if (extra == 1)
        g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
    }
}

static void
test_tables (void)
{
  expect_error (LLM_OPTIONS_CHAT, "{'raw': <true>}", "raw"); /* Generate's alone */
  expect_ok ("{'raw': <true>}", "raw", "true");
  expect_error (LLM_OPTIONS_NONE, "{'x': <1>}", "none");
  expect_error (LLM_OPTIONS_TOKENIZE, "{'show-special': <true>}", "add-special");
  expect_error (LLM_OPTIONS_DETOKENIZE, "{'show-special': <1>}", "boolean");
  expect_error (LLM_OPTIONS_FILTER, "{'architecture': <1>}", "string");
  expect_error (LLM_OPTIONS_GENERATE, "{'nonsense': <1>}", "temperature");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/options/numbers", test_numbers);
  g_test_add_func ("/options/integer-types", test_integer_types);
  g_test_add_func ("/options/stop", test_stop);
  g_test_add_func ("/options/logit-bias", test_logit_bias);
  g_test_add_func ("/options/unknown-key", test_unknown_key);
  g_test_add_func ("/options/handle-token", test_handle_token);
  g_test_add_func ("/options/embed", test_embed);
  g_test_add_func ("/options/embed-inputs", test_embed_inputs);
  g_test_add_func ("/options/tables", test_tables);
  return g_test_run ();
}
