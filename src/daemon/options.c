/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/options.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/numbers.h"

typedef struct {
  const char *key;
  const char *type;   /* of the result */
  double min, max;    /* numbers; min is excluded when `above` */
  gboolean above;
} Option;

#define SAMPLING                                                                                                                           \
  { "temperature", "d", 0, 2, FALSE }, { "top-k", "u", 0, LLM_MAX_TOP_K, FALSE }, { "top-p", "d", 0, 1, TRUE }, { "min-p", "d", 0, 1, FALSE }, \
  { "repetition-penalty", "d", 0, 2, TRUE }, { "frequency-penalty", "d", -2, 2, FALSE }, { "presence-penalty", "d", -2, 2, FALSE },          \
  { "typical-p", "d", 0, 1, TRUE }, { "top-n-sigma", "d", 0, 100, FALSE }, { "xtc-probability", "d", 0, 1, FALSE },                            \
  { "xtc-threshold", "d", 0, 1, FALSE }, { "dry-multiplier", "d", 0, 10, FALSE }, { "dry-base", "d", 1, 10, FALSE },                         \
  { "dry-allowed-length", "u", 0, LLM_MAX_DRY_LENGTH, FALSE }, { "dry-breakers", "as", 0, 0, FALSE },                                        \
  { "logit-bias", "a{ud}", -100, 100, FALSE }, { "seed", "t", 0, 18446744073709551615.0, FALSE }, { "stop", "as", 0, 0, FALSE },             \
  { "max-tokens", "u", 0, LLM_MAX_MAX_TOKENS, FALSE }, { "logprobs", "u", 0, LLM_MAX_LOGPROBS, FALSE }, { "echo", "b", 0, 0, FALSE },         \
  { "deadline-ms", "u", 0, LLM_MAX_DEADLINE_MS, FALSE }, { "handle-token", "s", 0, 0, FALSE }

static const Option generate[] = { SAMPLING, { "raw", "b", 0, 0, FALSE }, { NULL } };
static const Option chat[] = { SAMPLING, { NULL } };
static const Option embed[] = {
  { "pooling", "s", 0, 0, FALSE }, { "dimensions", "u", 1, LLM_MODEL_MAX_WIDTH, FALSE }, { "normalize", "b", 0, 0, FALSE }, { "truncate", "b", 0, 0, FALSE },
  { "deadline-ms", "u", 0, LLM_MAX_DEADLINE_MS, FALSE }, { "handle-token", "s", 0, 0, FALSE }, { NULL }
};
static const Option tokenize[] = { { "add-special", "b", 0, 0, FALSE }, { "parse-special", "b", 0, 0, FALSE }, { NULL } };
static const Option detokenize[] = { { "show-special", "b", 0, 0, FALSE }, { NULL } };
static const Option filter[] = { { "architecture", "s", 0, 0, FALSE }, { "capability", "s", 0, 0, FALSE }, { NULL } };
static const Option request[] = { { "handle-token", "s", 0, 0, FALSE }, { NULL } };
static const Option import[] = {
  { "handle-token", "s", 0, 0, FALSE }, { "append-to", "o", 0, 0, FALSE }, { "more", "b", 0, 0, FALSE },
  { "in-place", "b", 0, 0, FALSE }, { "version", "s", 0, LLM_MAX_ORIGIN_BYTES, FALSE }, { "source", "s", 0, LLM_MAX_ORIGIN_BYTES, FALSE }, { NULL }
};
static const Option collect[] = { { "dry-run", "b", 0, 0, FALSE }, { NULL } };
static const Option none[] = { { NULL } };
static const Option *const tables[] = { generate, chat, embed, tokenize, detokenize, filter, request, import, collect, none };

/* NULL with an error. */
#define invalid(error, ...) (llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, __VA_ARGS__), NULL)

static gboolean
read_double (GVariant *value, double *out)
{
  gboolean negative;
  guint64 magnitude;

  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    *out = g_variant_get_double (value);
  else if (llm_number_read_integer (value, &negative, &magnitude))
    *out = negative ? -(double) magnitude : (double) magnitude;
  else
    return FALSE;
  return TRUE;
}

static gboolean
in_range (const Option *o, double number)
{
  return (o->above ? number > o->min : number >= o->min) && number <= o->max; /* FALSE for NaN */
}

static GVariant *
convert_double (const Option *o, GVariant *value, GError **error)
{
  double number;

  if (!read_double (value, &number))
    return invalid (error, "%s is of type %s; a number (d) is needed", o->key, g_variant_get_type_string (value));
  if (!in_range (o, number))
    return invalid (error, "%s is %g; a number %s %g and up to %g is needed", o->key, number, o->above ? "above" : "from", o->min, o->max);
  return g_variant_new_double (number);
}

static GVariant *
convert_integer (const Option *o, GVariant *value, GError **error)
{
  gboolean negative;
  guint64 magnitude;

  if (!llm_number_read_integer (value, &negative, &magnitude))
    return invalid (error, "%s is of type %s; an integer (%s) is needed", o->key, g_variant_get_type_string (value), o->type);
  if (negative || (o->type[0] == 'u' && ((double) magnitude > o->max || (double) magnitude < o->min)))
    return invalid (error, "%s is %s%" G_GUINT64_FORMAT "; an integer from %.0f to %.0f is needed", o->key, negative ? "-" : "", magnitude, o->min, o->max);
  return o->type[0] == 'u' ? g_variant_new_uint32 ((guint32) magnitude) : g_variant_new_uint64 (magnitude);
}

static GVariant *
convert_stop (const Option *o, GVariant *value, GError **error)
{
  gsize n;
  g_autofree const char **strings = NULL;

  if (!g_variant_is_of_type (value, G_VARIANT_TYPE ("as")))
    return invalid (error, "%s is of type %s; a list of strings (as) is needed", o->key, g_variant_get_type_string (value));
  strings = g_variant_get_strv (value, &n);
  if (n > LLM_MAX_STOP_STRINGS)
    return invalid (error, "%s has %" G_GSIZE_FORMAT " strings; at most %d are allowed", o->key, n, LLM_MAX_STOP_STRINGS);
  for (gsize i = 0; i < n; i++)
    if (strings[i][0] == '\0' || strlen (strings[i]) > LLM_MAX_STOP_BYTES)
      return invalid (error, "%s[%" G_GSIZE_FORMAT "] is %" G_GSIZE_FORMAT " bytes long; 1 to %d are allowed", o->key, i, strlen (strings[i]), LLM_MAX_STOP_BYTES);
  return value;
}

static GVariant *
convert_biases (const Option *o, GVariant *value, GError **error)
{
  GVariantBuilder out;
  GVariantIter iter;
  GVariant *entry;

  if (!g_variant_is_of_type (value, G_VARIANT_TYPE ("a{ud}")) && !g_variant_is_of_type (value, G_VARIANT_TYPE ("a{id}")))
    return invalid (error, "%s is of type %s; token ids and numbers (a{ud}) are needed", o->key, g_variant_get_type_string (value));
  if (g_variant_n_children (value) > LLM_MAX_LOGIT_BIAS)
    return invalid (error, "%s has %" G_GSIZE_FORMAT " entries; at most %d are allowed", o->key, g_variant_n_children (value), LLM_MAX_LOGIT_BIAS);
  g_variant_builder_init (&out, G_VARIANT_TYPE ("a{ud}"));
  g_variant_iter_init (&iter, value);
  while ((entry = g_variant_iter_next_value (&iter)) != NULL)
    {
      g_autoptr (GVariant) owned = entry, token = g_variant_get_child_value (entry, 0), bias = g_variant_get_child_value (entry, 1);
      gboolean negative;
      guint64 id;

      llm_number_read_integer (token, &negative, &id);
      if (negative || !in_range (o, g_variant_get_double (bias)))
        {
          g_variant_builder_clear (&out);
          return invalid (error, "%s: token %s%" G_GUINT64_FORMAT " with %g; a token id and a number from %g to %g are needed", o->key, negative ? "-" : "",
                          id, g_variant_get_double (bias), o->min, o->max);
        }
      g_variant_builder_add (&out, "{ud}", (guint32) id, g_variant_get_double (bias));
    }
  return g_variant_builder_end (&out);
}

static gboolean
is_handle_token (const char *s)
{
  gsize n = strlen (s);

  if (n == 0 || n > LLM_MAX_HANDLE_TOKEN_BYTES)
    return FALSE;
  for (; *s != '\0'; s++)
    if (!g_ascii_isalnum (*s) && *s != '_')
      return FALSE;
  return TRUE;
}

static gboolean
is_pooling (const char *s)
{
  return strcmp (s, "mean") == 0 || strcmp (s, "cls") == 0 || strcmp (s, "last") == 0;
}

static GVariant *
convert (const Option *o, GVariant *value, GError **error)
{
  if (strcmp (o->type, "d") == 0)
    return convert_double (o, value, error);
  if (strcmp (o->type, "u") == 0 || strcmp (o->type, "t") == 0)
    return convert_integer (o, value, error);
  if (strcmp (o->type, "as") == 0)
    return convert_stop (o, value, error);
  if (strcmp (o->type, "a{ud}") == 0)
    return convert_biases (o, value, error);
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE (o->type)))
    return invalid (error, "%s is of type %s; %s is needed", o->key, g_variant_get_type_string (value), o->type[0] == 'b' ? "a boolean (b)" : o->type[0] == 'o' ? "an object path (o)" : "a string (s)");
  if (strcmp (o->key, "handle-token") == 0 && !is_handle_token (g_variant_get_string (value, NULL)))
    return invalid (error, "handle-token must be 1 to %d letters, digits or \"_\"", LLM_MAX_HANDLE_TOKEN_BYTES);
  if (strcmp (o->key, "pooling") == 0 && !is_pooling (g_variant_get_string (value, NULL)))
    return invalid (error, "pooling is \"%.*s\"; mean, cls or last is needed", llm_error_quote (g_variant_get_string (value, NULL), -1),
                    g_variant_get_string (value, NULL));
  if (o->type[0] == 's' && o->max > 0 && g_variant_get_size (value) > o->max + 1)
    return invalid (error, "%s is %" G_GSIZE_FORMAT " bytes long; at most %.0f are kept", o->key, g_variant_get_size (value) - 1, o->max);
  return value;
}

static const Option *
find (const Option *table, const char *key)
{
  for (; table->key != NULL; table++)
    if (strcmp (table->key, key) == 0)
      return table;
  return NULL;
}

static char *
known_keys (const Option *table)
{
  GString *s = g_string_new (NULL);

  for (const Option *o = table; o->key != NULL; o++)
    g_string_append_printf (s, "%s%s", o > table ? ", " : "", o->key);
  return g_string_free (s, FALSE);
}

GVariant *
llm_options_parse (LlmOptionsTable table, GVariant *options, GError **error)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      const Option *o = find (tables[table], key);
      GVariant *converted = NULL;

      if (o != NULL)
        converted = convert (o, value, error);
      else
        {
          g_autofree char *known = known_keys (tables[table]);
          converted = invalid (error, "unknown option \"%.*s\"; %s%s", llm_error_quote (key, -1), key, known[0] != '\0' ? "known are " : "this method has none", known);
        }
      if (converted == NULL)
        {
          g_variant_unref (value);
          return NULL;
        }
      g_variant_dict_insert_value (&dict, key, converted);
    }
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
