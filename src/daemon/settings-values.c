/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-values.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/numbers.h"
#include "daemon/settings.h"
#include "store/store.h"

#define invalid(error, ...) (llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, __VA_ARGS__), NULL)

/* ---- when a change counts ---- */

static const struct {
  const char *key;
  LlmSettingApplies applies;
} exceptions[] = { /* the others: at once */
  { "device", LLM_SETTING_AT_LOAD }, { "context-window", LLM_SETTING_AT_LOAD }, { "kv-type", LLM_SETTING_AT_LOAD },
  { "kv-bytes", LLM_SETTING_AT_LOAD }, { "memory-budget", LLM_SETTING_AT_LOAD }, { "model-overrides", LLM_SETTING_AT_LOAD },
  { "threads", LLM_SETTING_AT_ENGINE }, { "sliding-window", LLM_SETTING_FOR_SESSIONS }, { "sink-size", LLM_SETTING_FOR_SESSIONS },
  { "last-engine-version", LLM_SETTING_KEPT }, { "last-build-id", LLM_SETTING_KEPT }, { "last-formats", LLM_SETTING_KEPT },
  { "last-gc", LLM_SETTING_KEPT }, { "last-models", LLM_SETTING_KEPT }, { "last-costs", LLM_SETTING_KEPT },
};

static const char *const of_a_model[] = { "device", "context-window", "sliding-window", "sink-size", "kv-type", "kv-bytes", "keep-alive", NULL };

guint
llm_setting_applies (const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (exceptions); i++)
    if (strcmp (exceptions[i].key, key) == 0)
      return exceptions[i].applies;
  return LLM_SETTING_NOW;
}

const char *
llm_setting_applies_name (guint applies)
{
  static const char *const names[] = { "now", "at-load", "at-engine-start", "for-sessions", "kept" };

  return names[applies];
}

/* ---- names that are near ---- */

/* Letters to insert, delete or replace (Levenshtein 1966); names are short. */
static guint
distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);

  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (gsize i = 1; a[i - 1] != '\0'; i++)
    {
      guint diagonal = row[0];

      row[0] = (guint) i;
      for (gsize j = 1; j <= n; j++)
        {
          guint above = row[j];

          row[j] = MIN (MIN (row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
          diagonal = above;
        }
    }
  return row[n];
}

static gboolean
is_near (const char *key, const char *wanted)
{
  gsize n = strlen (wanted);

  if (n < 3 || n > 64)
    return FALSE;
  return strstr (key, wanted) != NULL || strstr (wanted, key) != NULL || distance (key, wanted) <= MAX (1, n / 4);
}

char *
llm_setting_near (const char *const *keys, const char *wanted)
{
  g_autofree char *plain = g_strdelimit (g_ascii_strdown (wanted, -1), "_ .", '-');
  GString *near = g_string_new (NULL);

  for (; *keys != NULL; keys++)
    if (is_near (*keys, plain))
      g_string_append_printf (near, "%s%s", near->len > 0 ? ", " : "", *keys);
  return g_string_free (near, FALSE);
}

static void
set_unknown (const char *const *keys, const char *what, const char *key, GError **error)
{
  g_autofree char *near = llm_setting_near (keys, key);
  g_autofree char *all = g_strjoinv (", ", (char **) keys);

  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "unknown %s \"%.*s\"; %s %s", what, llm_error_quote (key, -1), key,
               near[0] != '\0' ? "near ones are" : "known are", near[0] != '\0' ? near : all);
}

void
llm_setting_set_unknown (GSettingsSchema *schema, const char *key, GError **error)
{
  g_auto (GStrv) keys = g_settings_schema_list_keys (schema);

  set_unknown ((const char *const *) keys, "setting", key, error);
}

/* ---- values ---- */

static guint64
integer_of (GVariant *value)
{
  gboolean negative;
  guint64 magnitude = 0;

  llm_number_read_integer (value, &negative, &magnitude);
  return magnitude;
}

static gboolean
range_of (GSettingsSchemaKey *key, const char **kind, GVariant **detail)
{
  g_autoptr (GVariant) range = g_settings_schema_key_get_range (key);

  g_variant_get_child (range, 0, "&s", kind);
  g_variant_get_child (range, 1, "v", detail);
  *kind = g_intern_string (*kind);
  return strcmp (*kind, "type") != 0;
}

/* Integers of the schema are u and t, and all have a range (a test looks). */
static GVariant *
convert_integer (GSettingsSchemaKey *schema_key, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GVariant) range = NULL, low = NULL, high = NULL;
  const char *kind;
  gboolean negative;
  guint64 n;

  range_of (schema_key, &kind, &range);
  low = g_variant_get_child_value (range, 0);
  high = g_variant_get_child_value (range, 1);
  if (!llm_number_read_integer (value, &negative, &n))
    return invalid (error, "%s is of type %s; an integer (%s) is needed", key, g_variant_get_type_string (value), g_variant_get_type_string (low));
  if (negative || n < integer_of (low) || n > integer_of (high))
    return invalid (error, "%s is %s%" G_GUINT64_FORMAT "; an integer from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " is needed", key,
                    negative ? "-" : "", n, integer_of (low), integer_of (high));
  return g_variant_is_of_type (low, G_VARIANT_TYPE_UINT32) ? g_variant_new_uint32 ((guint32) n) : g_variant_new_uint64 (n);
}

static GVariant *
convert_choice (GVariant *choices, const char *key, GVariant *value, GError **error)
{
  g_autofree const char **names = g_variant_get_strv (choices, NULL);
  g_autofree char *known = g_strjoinv (", ", (char **) names);
  const char *text = g_variant_get_string (value, NULL);

  if (!g_strv_contains (names, text))
    return invalid (error, "%s is \"%.*s\"; one of %s is needed", key, llm_error_quote (text, -1), text, known);
  return g_variant_ref (value);
}

static gboolean
is_device (const char *text)
{
  gsize n = strlen ("vulkan");

  if (text[0] == '\0' || strcmp (text, "cpu") == 0)
    return TRUE;
  return strncmp (text, "vulkan", n) == 0 && text[n] != '\0' && strspn (text + n, "0123456789") == strlen (text + n) && strlen (text) <= n + 3;
}

/* The two of the schema's free texts: the default model and the device. */
static GVariant *
convert_text (const char *key, GVariant *value, GError **error)
{
  const char *text = g_variant_get_string (value, NULL);
  g_autoptr (GError) why = NULL;
  g_autofree char *name = NULL;

  if (strcmp (key, "device") == 0 && !is_device (text))
    return invalid (error, "%s is \"%.*s\"; cpu, vulkan0, vulkan1 ... or \"\" is needed", key, llm_error_quote (text, -1), text);
  if (strcmp (key, "default-model") == 0 && text[0] != '\0' && (name = llm_store_normalize_name (text, &why)) == NULL)
    return invalid (error, "%s: %s", key, why->message);
  return g_variant_ref (value);
}

static GVariant *convert_overrides (GSettingsSchema *schema, const char *key, GVariant *value, GError **error);

GVariant *
llm_setting_convert (GSettingsSchema *schema, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (schema, key);
  const GVariantType *type = g_settings_schema_key_get_value_type (schema_key);
  g_autoptr (GVariant) range = NULL;
  g_autofree char *needed = g_variant_type_dup_string (type);
  const char *kind;
  gboolean ranged = range_of (schema_key, &kind, &range);

  if (g_variant_get_size (value) > LLM_MAX_SETTING_BYTES)
    return invalid (error, "%s has %" G_GSIZE_FORMAT " bytes; at most %llu are allowed", key, g_variant_get_size (value), LLM_MAX_SETTING_BYTES);
  if (ranged && strcmp (kind, "range") == 0)
    {
      GVariant *number = convert_integer (schema_key, key, value, error);
      return number != NULL ? g_variant_ref_sink (number) : NULL;
    }
  if (!g_variant_is_of_type (value, type))
    return invalid (error, "%s is of type %s; %s is needed", key, g_variant_get_type_string (value), strcmp (needed, "s") == 0 ? "a string (s)" : needed);
  if (ranged)
    return convert_choice (range, key, value, error);
  if (strcmp (needed, "s") == 0)
    return convert_text (key, value, error);
  return convert_overrides (schema, key, value, error);
}

/* ---- overrides ---- */

/* A dictionary's own order is that of its hash table. */
static GVariant *
in_order (GVariantDict *dict)
{
  GVariantBuilder out;

  g_variant_builder_init (&out, G_VARIANT_TYPE_VARDICT);
  for (gsize i = 0; of_a_model[i] != NULL; i++)
    {
      g_autoptr (GVariant) value = g_variant_dict_lookup_value (dict, of_a_model[i], NULL);

      if (value != NULL)
        g_variant_builder_add (&out, "{sv}", of_a_model[i], value);
    }
  return g_variant_builder_end (&out);
}

static GVariant *
convert_override (GSettingsSchema *schema, const char *model, GVariant *settings, GError **error)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) why = NULL;
  GVariantIter iter;
  GVariant *value;
  const char *key;

  g_variant_iter_init (&iter, settings);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      g_autoptr (GVariant) converted = NULL;

      if (!g_strv_contains (of_a_model, key))
        set_unknown (of_a_model, "setting of a model", key, &why);
      else
        converted = llm_setting_convert (schema, key, value, &why);
      if (converted == NULL)
        {
          g_variant_unref (value);
          return invalid (error, "model-overrides: %s: %s", model, why->message);
        }
      g_variant_dict_insert_value (&dict, key, converted);
    }
  return in_order (&dict);
}

/* "name" and "name:latest" are one. */
static GVariant *
convert_overrides (GSettingsSchema *schema, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GVariantBuilder) out = g_variant_builder_new (G_VARIANT_TYPE ("a{sa{sv}}"));
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GVariantIter iter;
  GVariant *entry;

  if (g_variant_n_children (value) > LLM_MAX_MODEL_OVERRIDES)
    return invalid (error, "%s has %" G_GSIZE_FORMAT " models; at most %d are allowed", key, g_variant_n_children (value), LLM_MAX_MODEL_OVERRIDES);
  g_variant_iter_init (&iter, value);
  while ((entry = g_variant_iter_next_value (&iter)) != NULL)
    {
      g_autoptr (GVariant) owned = entry, settings = g_variant_get_child_value (entry, 1);
      g_autoptr (GError) why = NULL;
      g_autofree char *name = NULL;
      const char *model;
      GVariant *converted;

      g_variant_get_child (entry, 0, "&s", &model);
      name = llm_store_normalize_name (model, &why);
      if (name == NULL)
        return invalid (error, "%s: %s", key, why->message);
      converted = convert_override (schema, name, settings, error);
      if (converted == NULL)
        return NULL;
      g_variant_builder_add (out, "{s@a{sv}}", name, converted);
      if (!g_hash_table_add (seen, g_steal_pointer (&name)))
        return invalid (error, "%s has %s twice", key, model);
    }
  return g_variant_ref_sink (g_variant_builder_end (out));
}

/* ---- descriptions ---- */

void
llm_setting_add_range (GSettingsSchemaKey *key, GVariantDict *description)
{
  g_autoptr (GVariant) range = NULL, low = NULL, high = NULL;
  const char *kind;

  if (!range_of (key, &kind, &range))
    return;
  if (strcmp (kind, "range") != 0)
    {
      g_variant_dict_insert_value (description, "choices", range);
      return;
    }
  low = g_variant_get_child_value (range, 0);
  high = g_variant_get_child_value (range, 1);
  g_variant_dict_insert_value (description, "minimum", low);
  g_variant_dict_insert_value (description, "maximum", high);
}
