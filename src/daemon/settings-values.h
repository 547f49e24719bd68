/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of settings as clients send them: to the type of the schema, within its range.
 *
 * What comes out is what GSettings takes without a word; what does not, is refused here with a message that names
 * the key and what would be right.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* When a change counts: settings.h. */
guint llm_setting_applies (const char *key);
const char *llm_setting_applies_name (guint applies);

/* @value as @key of @schema wants it; InvalidArgs. (transfer full, not floating) */
GVariant *llm_setting_convert (GSettingsSchema *schema, const char *key, GVariant *value, GError **error);
/* InvalidArgs "unknown setting", with those that are named alike. */
void llm_setting_set_unknown (GSettingsSchema *schema, const char *key, GError **error);
/* The keys whose names are near, with ", " between; "" when there are none. Pure. (transfer full) */
char *llm_setting_near (const char *const *keys, const char *wanted);
/* Adds minimum and maximum, or choices, to a description. */
void llm_setting_add_range (GSettingsSchemaKey *key, GVariantDict *description);

G_END_DECLS
