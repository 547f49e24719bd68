/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_SETTINGS_ENABLE_BACKEND /* g_keyfile_settings_backend_new() */
#include "daemon/settings.h"

#include <gio/gsettingsbackend.h>

#include "base/limits.h"
#include "base/names.h"
#include "config.h"

struct _LlmSettings {
  GSettings *gsettings; /* NULL: no schema is installed, the defaults hold */
};

/* The backend's `defaults-dir` holds the administrator's `defaults` and `locks`. Its type has no public
 * name, so a throw-away instance is asked for it. */
static GSettingsBackend *
keyfile_backend (const char *state_dir)
{
  g_autofree char *path = g_build_filename (state_dir, "settings.ini", NULL);
  g_autoptr (GSettingsBackend) any = g_keyfile_settings_backend_new (path, "/", NULL);

  return g_object_new (G_OBJECT_TYPE (any), "filename", path, "root-path", "/", "defaults-dir", LLM_SYSCONFDIR "/local-llm", NULL);
}

LlmSettings *
llm_settings_new (const char *state_dir)
{
  LlmSettings *self = g_new0 (LlmSettings, 1);
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();
  g_autoptr (GSettingsSchema) schema = source != NULL ? g_settings_schema_source_lookup (source, LLM_SCHEMA_ID, TRUE) : NULL;
  g_autoptr (GSettingsBackend) backend = NULL;

  if (schema == NULL)
    {
      g_warning ("the settings schema " LLM_SCHEMA_ID " is not installed; built-in defaults are used");
      return self;
    }
  if (state_dir != NULL)
    backend = keyfile_backend (state_dir);
  self->gsettings = g_settings_new_full (schema, backend, NULL);
  return self;
}

void
llm_settings_free (LlmSettings *self)
{
  g_clear_object (&self->gsettings);
  g_free (self);
}

static char *
get_string (LlmSettings *self, const char *key)
{
  return self->gsettings != NULL ? g_settings_get_string (self->gsettings, key) : g_strdup ("");
}

static guint
get_uint (LlmSettings *self, const char *key, guint otherwise)
{
  return self->gsettings != NULL ? g_settings_get_uint (self->gsettings, key) : otherwise;
}

char *
llm_settings_default_model (LlmSettings *self)
{
  return get_string (self, "default-model");
}

char *
llm_settings_device (LlmSettings *self)
{
  return get_string (self, "device");
}

guint
llm_settings_context_window (LlmSettings *self)
{
  return get_uint (self, "context-window", 0);
}

const char *
llm_settings_kv_type (LlmSettings *self)
{
  static const char *const types[] = { "f16", "f32", "q8_0" }; /* as the schema counts them */

  return self->gsettings != NULL ? types[MIN ((guint) g_settings_get_enum (self->gsettings, "kv-type"), 2)] : "f16";
}

guint64
llm_settings_kv_bytes (LlmSettings *self)
{
  return self->gsettings != NULL ? g_settings_get_uint64 (self->gsettings, "kv-bytes") : 0;
}

guint
llm_settings_threads (LlmSettings *self)
{
  return get_uint (self, "threads", 0);
}

guint
llm_settings_keep_alive_seconds (LlmSettings *self)
{
  return get_uint (self, "keep-alive", LLM_DEFAULT_KEEP_ALIVE_SECONDS);
}
