/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's settings: GSettings org.local.LLM, read here and nowhere else.
 *
 * Session mode: the user's settings backend.  System mode: the keyfile
 * $STATE/settings.ini, with the administrator's defaults and locks in /etc/local-llm.  A missing
 * schema (running from a bare build) gives the built-in defaults and one warning, never an abort.
 * Main loop only.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _LlmSettings LlmSettings;

/* @state_dir: for the keyfile; NULL in session mode. */
LlmSettings *llm_settings_new (const char *state_dir);
void llm_settings_free (LlmSettings *self);

char *llm_settings_default_model (LlmSettings *self);   /* "" = the only or bundled one (transfer full) */
char *llm_settings_device (LlmSettings *self);          /* "" = best (transfer full) */
guint llm_settings_context_window (LlmSettings *self);  /* 0 = default */
const char *llm_settings_kv_type (LlmSettings *self);   /* "f16" | "f32" | "q8_0" */
guint64 llm_settings_kv_bytes (LlmSettings *self);      /* 0 = default */
guint llm_settings_threads (LlmSettings *self);         /* 0 = all */
guint llm_settings_keep_alive_seconds (LlmSettings *self); /* an unused model is unloaded after; 0 = never */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmSettings, llm_settings_free)

G_END_DECLS
