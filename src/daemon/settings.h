/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's settings: GSettings org.local.LLM, read here and nowhere else.
 *
 * Session mode: the user's settings backend.  System mode: the keyfile $STATE/settings.ini, with the
 * administrator's `defaults` and `locks` in a folder of /etc.  A missing schema (running from a bare build)
 * gives the built-in defaults and one warning, never an abort.  Main loop only.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmSettings LlmSettings;

/* When a changed value counts. */
typedef enum {
  LLM_SETTING_NOW,         /* at once */
  LLM_SETTING_AT_LOAD,     /* when a model is loaded next */
  LLM_SETTING_AT_ENGINE,   /* when the engine starts next: it ends when its last model has been unloaded for a while */
  LLM_SETTING_FOR_SESSIONS,/* kept for sessions that slide */
  LLM_SETTING_KEPT,        /* the service's own record */
} LlmSettingApplies;

/* @state_dir: of the keyfile; NULL: the user's backend. @defaults_dir: the administrator's `defaults` and `locks`, or NULL. */
LlmSettings *llm_settings_new (const char *state_dir, const char *defaults_dir);
void llm_settings_free (LlmSettings *self);

/* @key has another value now, whoever changed it. */
typedef void (*LlmSettingsChanged) (const char *key, GVariant *value, gpointer user_data);
void llm_settings_set_hook (LlmSettings *self, LlmSettingsChanged changed, gpointer user_data);

/* ---- what the broker reads ---- */

/* What a model is loaded with: the override for it, or else the general setting. */
typedef struct {
  char *device;          /* "" = best */
  guint context_window;  /* 0 = default */
  const char *kv_type;   /* "f16" | "f32" | "q8_0" (static) */
  guint64 kv_bytes;      /* 0 = default */
  guint keep_alive;      /* seconds; 0 = never unloaded */
} LlmModelSettings;
void llm_model_settings_clear (LlmModelSettings *settings);
/* @model: "name:tag". */
void llm_settings_for_model (LlmSettings *self, const char *model, LlmModelSettings *settings);

/* What does not belong to a model. */
typedef struct {
  guint threads;               /* 0 = all */
  guint64 memory_budget;       /* 0 = none */
  guint64 artifact_bytes;      /* 0 = no limit */
  guint artifact_age_days;     /* 0 = no limit */
  guint64 model_bytes;         /* 0 = no limit */
  guint keep_versions;         /* at least 1 */
  guint64 minimum_free;        /* bytes; 0 = none */
  gboolean gc_automatic;
  guint gc_interval, gc_grace; /* seconds; interval 0 = not by the clock */
} LlmSettingsValues;
void llm_settings_read (LlmSettings *self, LlmSettingsValues *values);

char *llm_settings_default_model (LlmSettings *self); /* "" = the only or bundled one (transfer full) */

/* ---- the record of the last run ---- */

typedef struct {
  char *engine_version, *build_id; /* "" = there was none */
  GVariant *formats;               /* a{su} */
  gint64 last_gc;                  /* seconds since 1970; 0 = never */
  char **models;                   /* names of those that are loaded; NULL-terminated */
  GVariant *costs;                 /* a{sd}: kind of artifact -> microseconds to make one */
} LlmLastRun;
void llm_last_run_clear (LlmLastRun *last);
void llm_settings_last_run (LlmSettings *self, LlmLastRun *last);
/* Fields that are NULL or 0 stay as they are. */
void llm_settings_record_run (LlmSettings *self, const LlmLastRun *last);

/* ---- what the bus reads and writes; errors are InvalidArgs, AccessDenied, NotSupported (no schema) ---- */

GVariant *llm_settings_get (LlmSettings *self, const char *key, GError **error); /* (transfer full) */
gboolean llm_settings_set (LlmSettings *self, const char *key, GVariant *value, GError **error);
gboolean llm_settings_reset (LlmSettings *self, const char *key, GError **error);
GVariant *llm_settings_list (LlmSettings *self); /* a{sv} (transfer full) */
/* a{sv} as org.local.LLM.Settings documents it. On a thread: GLib reads the texts of all schemas. */
void llm_settings_describe_async (LlmSettings *self, const char *key, GAsyncReadyCallback callback, gpointer user_data);
GVariant *llm_settings_describe_finish (LlmSettings *self, GAsyncResult *result, GError **error); /* (transfer full) */

/* settings-object.c: org.local.LLM.Settings at /org/local/LLM. */
typedef struct _LlmBroker LlmBroker;
typedef struct _LlmSettingsObject LlmSettingsObject;
LlmSettingsObject *llm_settings_object_new (LlmBroker *broker, GError **error);
void llm_settings_object_free (LlmSettingsObject *self);
void llm_settings_object_changed (LlmSettingsObject *self, const char *key, GVariant *value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmSettings, llm_settings_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LlmModelSettings, llm_model_settings_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LlmLastRun, llm_last_run_clear)

G_END_DECLS
