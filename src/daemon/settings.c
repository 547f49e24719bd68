/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_SETTINGS_ENABLE_BACKEND /* g_keyfile_settings_backend_new() */
#include "daemon/settings.h"

#include <gio/gsettingsbackend.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "daemon/settings-values.h"

struct _LlmSettings {
  GSettings *gsettings;    /* NULL: no schema is installed, the defaults hold */
  GSettingsSchema *schema; /* with gsettings */
  GHashTable *seen;        /* key -> GVariant: what the hook knows */
  char *defaults;          /* the administrator's; NULL: there are none */
  LlmSettingsChanged changed;
  gpointer user_data;
};

/* ---- life ---- */

/* The backend's `defaults-dir` holds the administrator's `defaults` and `locks`. Its type has no public
 * name, so a throw-away instance is asked for it. */
static GSettingsBackend *
keyfile_backend (const char *state_dir, const char *defaults_dir)
{
  g_autofree char *path = g_build_filename (state_dir, "settings.ini", NULL);
  g_autoptr (GSettingsBackend) any = g_keyfile_settings_backend_new (path, "/", NULL);

  return g_object_new (G_OBJECT_TYPE (any), "filename", path, "root-path", "/", "defaults-dir", defaults_dir, NULL);
}

/* Writing a key, even with the value that it has, and files that are read again come here. */
static void
on_changed (GSettings *gsettings, const char *key, gpointer user_data)
{
  LlmSettings *self = user_data;
  g_autoptr (GVariant) value = g_settings_get_value (gsettings, key);
  GVariant *before = g_hash_table_lookup (self->seen, key);

  if (before != NULL && g_variant_equal (before, value))
    return;
  g_hash_table_insert (self->seen, g_strdup (key), g_variant_ref (value));
  if (self->changed != NULL)
    self->changed (key, value, self->user_data);
}

/* GSettings tells only of keys that were read since somebody listens. */
static void
see_all (LlmSettings *self)
{
  g_auto (GStrv) keys = g_settings_schema_list_keys (self->schema);

  g_signal_connect (self->gsettings, "changed", G_CALLBACK (on_changed), self);
  for (guint i = 0; keys[i] != NULL; i++)
    g_hash_table_insert (self->seen, g_strdup (keys[i]), g_settings_get_value (self->gsettings, keys[i]));
}

LlmSettings *
llm_settings_new (const char *state_dir, const char *defaults_dir)
{
  LlmSettings *self = g_new0 (LlmSettings, 1);
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();
  g_autoptr (GSettingsBackend) backend = NULL;

  self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
  self->schema = source != NULL ? g_settings_schema_source_lookup (source, LLM_SCHEMA_ID, TRUE) : NULL;
  if (self->schema == NULL)
    {
      g_warning ("the settings schema " LLM_SCHEMA_ID " is not installed; built-in defaults are used");
      return self;
    }
  if (state_dir != NULL)
    backend = keyfile_backend (state_dir, defaults_dir);
  if (defaults_dir != NULL)
    self->defaults = g_build_filename (defaults_dir, "defaults", NULL);
  self->gsettings = g_settings_new_full (self->schema, backend, NULL);
  see_all (self);
  return self;
}

void
llm_settings_free (LlmSettings *self)
{
  if (self->gsettings != NULL)
    g_settings_sync (); /* dconf writes late */
  g_clear_object (&self->gsettings);
  g_clear_pointer (&self->schema, g_settings_schema_unref);
  g_hash_table_unref (self->seen);
  g_free (self->defaults);
  g_free (self);
}

void
llm_settings_set_hook (LlmSettings *self, LlmSettingsChanged changed, gpointer user_data)
{
  self->changed = changed;
  self->user_data = user_data;
}

/* ---- what the broker reads ---- */

static const char *
kv_type_name (const char *text)
{
  static const char *const types[] = { "f16", "f32", "q8_0", NULL };

  for (guint i = 0; types[i] != NULL; i++)
    if (strcmp (types[i], text) == 0)
      return types[i];
  return types[0];
}

void
llm_model_settings_clear (LlmModelSettings *settings)
{
  g_clear_pointer (&settings->device, g_free);
}

static void
read_general (LlmSettings *self, LlmModelSettings *out)
{
  g_autofree char *kv_type = g_settings_get_string (self->gsettings, "kv-type");

  g_free (out->device);
  out->device = g_settings_get_string (self->gsettings, "device");
  out->context_window = g_settings_get_uint (self->gsettings, "context-window");
  out->kv_type = kv_type_name (kv_type);
  out->kv_bytes = g_settings_get_uint64 (self->gsettings, "kv-bytes");
  out->keep_alive = g_settings_get_uint (self->gsettings, "keep-alive");
}

static void
read_override (LlmModelSettings *out, const char *key, GVariant *value)
{
  if (strcmp (key, "device") == 0)
    {
      g_free (out->device);
      out->device = g_variant_dup_string (value, NULL);
    }
  else if (strcmp (key, "context-window") == 0)
    out->context_window = g_variant_get_uint32 (value);
  else if (strcmp (key, "kv-type") == 0)
    out->kv_type = kv_type_name (g_variant_get_string (value, NULL));
  else if (strcmp (key, "kv-bytes") == 0)
    out->kv_bytes = g_variant_get_uint64 (value);
  else if (strcmp (key, "keep-alive") == 0)
    out->keep_alive = g_variant_get_uint32 (value);
}

/* The file may have been written by hand: it is converted again, and left out as a whole when it is wrong. */
static GVariant *
read_overrides (LlmSettings *self)
{
  g_autoptr (GVariant) raw = g_settings_get_value (self->gsettings, "model-overrides");
  g_autoptr (GError) error = NULL;
  GVariant *overrides = llm_setting_convert (self->schema, "model-overrides", raw, &error);

  if (overrides == NULL)
    g_warning ("settings: %s; models have the general settings", error->message);
  return overrides;
}

void
llm_settings_for_model (LlmSettings *self, const char *model, LlmModelSettings *out)
{
  g_autoptr (GVariant) overrides = NULL, mine = NULL;
  GVariantIter iter;
  const char *key;
  GVariant *value;

  *out = (LlmModelSettings) { .device = g_strdup (""), .kv_type = "f16", .keep_alive = LLM_DEFAULT_KEEP_ALIVE_SECONDS };
  if (self->gsettings == NULL)
    return;
  read_general (self, out);
  overrides = read_overrides (self);
  mine = overrides != NULL ? g_variant_lookup_value (overrides, model, G_VARIANT_TYPE_VARDICT) : NULL;
  if (mine == NULL)
    return;
  g_variant_iter_init (&iter, mine);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    read_override (out, key, value);
}

void
llm_settings_read (LlmSettings *self, LlmSettingsValues *out)
{
  GSettings *g = self->gsettings;

  *out = (LlmSettingsValues) { .artifact_bytes = LLM_DEFAULT_ARTIFACT_BYTES, .artifact_age_days = LLM_DEFAULT_ARTIFACT_AGE_DAYS, .keep_versions = 1,
                               .minimum_free = LLM_DEFAULT_MINIMUM_FREE_BYTES, .gc_automatic = TRUE, .gc_interval = LLM_DEFAULT_GC_INTERVAL_SECONDS,
                               .gc_grace = LLM_DEFAULT_GC_GRACE_SECONDS };
  if (g == NULL)
    return;
  out->threads = g_settings_get_uint (g, "threads");
  out->memory_budget = g_settings_get_uint64 (g, "memory-budget");
  out->artifact_bytes = g_settings_get_uint64 (g, "artifact-bytes");
  out->artifact_age_days = g_settings_get_uint (g, "artifact-age");
  out->model_bytes = g_settings_get_uint64 (g, "model-bytes");
  out->keep_versions = g_settings_get_uint (g, "keep-versions");
  out->minimum_free = g_settings_get_uint64 (g, "minimum-free-disk");
  out->gc_automatic = g_settings_get_enum (g, "gc-policy") == 0;
  out->gc_interval = g_settings_get_uint (g, "gc-interval");
  out->gc_grace = g_settings_get_uint (g, "gc-grace");
}

char *
llm_settings_default_model (LlmSettings *self)
{
  return self->gsettings != NULL ? g_settings_get_string (self->gsettings, "default-model") : g_strdup ("");
}

/* ---- the record of the last run ---- */

void
llm_last_run_clear (LlmLastRun *last)
{
  g_clear_pointer (&last->engine_version, g_free);
  g_clear_pointer (&last->build_id, g_free);
  g_clear_pointer (&last->formats, g_variant_unref);
  g_clear_pointer (&last->models, g_strfreev);
  g_clear_pointer (&last->costs, g_variant_unref);
}

void
llm_settings_last_run (LlmSettings *self, LlmLastRun *last)
{
  GSettings *g = self->gsettings;

  *last = (LlmLastRun) { 0 };
  last->engine_version = g != NULL ? g_settings_get_string (g, "last-engine-version") : g_strdup ("");
  last->build_id = g != NULL ? g_settings_get_string (g, "last-build-id") : g_strdup ("");
  last->formats = g != NULL ? g_settings_get_value (g, "last-formats") : g_variant_ref_sink (g_variant_new ("a{su}", NULL));
  last->models = g != NULL ? g_settings_get_strv (g, "last-models") : g_new0 (char *, 1);
  last->costs = g != NULL ? g_settings_get_value (g, "last-costs") : g_variant_ref_sink (g_variant_new ("a{sd}", NULL));
  last->last_gc = g != NULL ? g_settings_get_int64 (g, "last-gc") : 0;
}

static void
record (LlmSettings *self, const char *key, GVariant *value)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (value), before = g_settings_get_value (self->gsettings, key);

  if (!g_variant_equal (before, owned))
    g_settings_set_value (self->gsettings, key, owned);
}

void
llm_settings_record_run (LlmSettings *self, const LlmLastRun *last)
{
  if (self->gsettings == NULL)
    return;
  if (last->engine_version != NULL)
    record (self, "last-engine-version", g_variant_new_string (last->engine_version));
  if (last->build_id != NULL)
    record (self, "last-build-id", g_variant_new_string (last->build_id));
  if (last->formats != NULL)
    record (self, "last-formats", last->formats);
  if (last->models != NULL)
    record (self, "last-models", g_variant_new_strv ((const char *const *) last->models, -1));
  if (last->costs != NULL)
    record (self, "last-costs", last->costs);
  if (last->last_gc != 0)
    record (self, "last-gc", g_variant_new_int64 (last->last_gc));
}

/* ---- what the bus reads and writes ---- */

static gboolean
has_key (LlmSettings *self, const char *key, GError **error)
{
  if (self->gsettings == NULL)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the settings schema is not installed; the defaults are used");
  if (g_settings_schema_has_key (self->schema, key))
    return TRUE;
  llm_setting_set_unknown (self->schema, key, error);
  return FALSE;
}

static gboolean
may_write (LlmSettings *self, const char *key, GError **error)
{
  if (!has_key (self, key, error))
    return FALSE;
  if (llm_setting_applies (key) == LLM_SETTING_KEPT)
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED, "%s is kept by the service itself; it can only be read", key);
  if (!g_settings_is_writable (self->gsettings, key))
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED, "%s is locked by the administrator", key);
  return TRUE;
}

GVariant *
llm_settings_get (LlmSettings *self, const char *key, GError **error)
{
  return has_key (self, key, error) ? g_settings_get_value (self->gsettings, key) : NULL;
}

gboolean
llm_settings_set (LlmSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GVariant) converted = may_write (self, key, error) ? llm_setting_convert (self->schema, key, value, error) : NULL;

  if (converted == NULL)
    return FALSE;
  if (!g_settings_set_value (self->gsettings, key, converted))
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_IO_ERROR, "%s has its new value until the service ends, but it cannot be written; the service's log says why", key);
  return TRUE;
}

gboolean
llm_settings_reset (LlmSettings *self, const char *key, GError **error)
{
  if (!may_write (self, key, error))
    return FALSE;
  g_settings_reset (self->gsettings, key);
  return TRUE;
}

GVariant *
llm_settings_list (LlmSettings *self)
{
  g_auto (GStrv) keys = self->schema != NULL ? g_settings_schema_list_keys (self->schema) : g_new0 (char *, 1);
  GVariantBuilder all;

  g_variant_builder_init (&all, G_VARIANT_TYPE_VARDICT);
  for (guint i = 0; keys[i] != NULL; i++)
    {
      g_autoptr (GVariant) value = g_settings_get_value (self->gsettings, keys[i]);

      g_variant_builder_add (&all, "{sv}", keys[i], value);
    }
  return g_variant_ref_sink (g_variant_builder_end (&all));
}

/* ---- descriptions ---- */

typedef struct {
  GSettingsSchemaKey *key;
  GVariantDict *facts; /* all but the texts */
} Describe;

static void
describe_free (gpointer data)
{
  Describe *d = data;

  g_settings_schema_key_unref (d->key);
  g_variant_dict_unref (d->facts);
  g_free (d);
}

static void
insert_text (GVariantDict *facts, const char *name, const char *text)
{
  if (text != NULL)
    g_variant_dict_insert (facts, name, "s", text);
}

static void
describe_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  static GMutex texts; /* of GLib: read at the first call, without a lock */
  Describe *d = data;

  g_mutex_lock (&texts);
  insert_text (d->facts, "summary", g_settings_schema_key_get_summary (d->key));
  insert_text (d->facts, "description", g_settings_schema_key_get_description (d->key));
  g_mutex_unlock (&texts);
  g_task_return_pointer (task, g_variant_ref_sink (g_variant_dict_end (d->facts)), (GDestroyNotify) g_variant_unref);
}

static GVariant *
read_key_file (const char *path, const char *key, const GVariantType *type)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL;

  if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    text = g_key_file_get_value (file, &LLM_OBJECT_PATH[1], key, NULL);
  return text != NULL ? g_variant_parse (type, text, NULL, NULL, NULL) : NULL;
}

/* What Reset gives. The keyfile backend does not tell the administrator's default from a value that was set. */
static GVariant *
default_of (LlmSettings *self, const char *key, GSettingsSchemaKey *schema_key)
{
  g_autoptr (GVariant) value = self->defaults != NULL ? read_key_file (self->defaults, key, g_settings_schema_key_get_value_type (schema_key)) : NULL;

  if (value != NULL && g_settings_schema_key_range_check (schema_key, value))
    return g_steal_pointer (&value);
  return g_settings_get_default_value (self->gsettings, key);
}

static GVariantDict *
facts_of (LlmSettings *self, const char *key, GSettingsSchemaKey *schema_key)
{
  g_autoptr (GVariant) value = g_settings_get_value (self->gsettings, key), otherwise = default_of (self, key, schema_key);
  g_autofree char *type = g_variant_type_dup_string (g_settings_schema_key_get_value_type (schema_key));
  GVariantDict *facts = g_variant_dict_new (NULL);
  guint applies = llm_setting_applies (key);

  g_variant_dict_insert (facts, "type", "s", type);
  g_variant_dict_insert_value (facts, "value", value);
  g_variant_dict_insert_value (facts, "default", otherwise);
  g_variant_dict_insert (facts, "changed", "b", !g_variant_equal (value, otherwise));
  g_variant_dict_insert (facts, "writable", "b", applies != LLM_SETTING_KEPT && g_settings_is_writable (self->gsettings, key));
  g_variant_dict_insert (facts, "applies", "s", llm_setting_applies_name (applies));
  llm_setting_add_range (schema_key, facts);
  return facts;
}

void
llm_settings_describe_async (LlmSettings *self, const char *key, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  GError *error = NULL;
  Describe *d;

  if (!has_key (self, key, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  d = g_new0 (Describe, 1);
  d->key = g_settings_schema_get_key (self->schema, key);
  d->facts = facts_of (self, key, d->key);
  g_task_set_task_data (task, d, describe_free);
  g_task_run_in_thread (task, describe_thread);
}

GVariant *
llm_settings_describe_finish (LlmSettings *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
