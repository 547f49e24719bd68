/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cache-key.h. */
#include "cache/cache-key.h"

#include <string.h>

#define KIND_MAX 32
#define HASH_DIGITS 64
#define FOLDER_MAX 120

struct _LlmCacheKey {
  char *kind;
  char *device;
  GPtrArray *inputs; /* "name=value" */
  char *text;        /* NULL until it is asked for */
  char *file_name;
};

static gboolean
is_word (const char *word)
{
  return word[0] != '\0' && word[strspn (word, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

LlmCacheKey *
llm_cache_key_new (const char *kind, guint version, const char *device)
{
  LlmCacheKey *self = g_new0 (LlmCacheKey, 1);

  g_assert (is_word (kind) && strlen (kind) <= KIND_MAX);
  self->kind = g_strdup (kind);
  self->device = g_strdup (device != NULL ? device : "any");
  self->inputs = g_ptr_array_new_with_free_func (g_free);
  llm_cache_key_add_uint (self, "payload-version", version);
  return self;
}

void
llm_cache_key_free (LlmCacheKey *self)
{
  g_ptr_array_unref (self->inputs);
  g_free (self->kind);
  g_free (self->device);
  g_free (self->text);
  g_free (self->file_name);
  g_free (self);
}

/* One line, whatever is in it. */
static char *
escape (const char *value)
{
  GString *out = g_string_new (NULL);

  for (; *value != '\0'; value++)
    if (*value == '\n' || *value == '\\')
      g_string_append_printf (out, "\\%02x", (guint8) *value);
    else
      g_string_append_c (out, *value);
  return g_string_free (out, FALSE);
}

static gboolean
is_of (const char *input, const char *name)
{
  return g_str_has_prefix (input, name) && input[strlen (name)] == '=';
}

void
llm_cache_key_add (LlmCacheKey *self, const char *name, const char *value)
{
  g_autofree char *escaped = escape (value);

  g_assert (self->text == NULL && is_word (name));
  for (guint i = 0; i < self->inputs->len; i++)
    g_assert (!is_of (self->inputs->pdata[i], name));
  g_ptr_array_add (self->inputs, g_strdup_printf ("%s=%s", name, escaped));
}

void
llm_cache_key_add_uint (LlmCacheKey *self, const char *name, guint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);

  llm_cache_key_add (self, name, text);
}

void
llm_cache_key_add_hash (LlmCacheKey *self, const char *name, const void *bytes, gsize n)
{
  g_autofree char *text = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, n);

  llm_cache_key_add (self, name, text);
}

const char *
llm_cache_key_kind (const LlmCacheKey *self)
{
  return self->kind;
}

const char *
llm_cache_key_device (const LlmCacheKey *self)
{
  return self->device;
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

const char *
llm_cache_key_text (LlmCacheKey *self)
{
  GString *text;

  if (self->text != NULL)
    return self->text;
  text = g_string_new (self->kind);
  g_ptr_array_sort (self->inputs, by_text);
  for (guint i = 0; i < self->inputs->len; i++)
    g_string_append_printf (text, "\n%s", (const char *) self->inputs->pdata[i]);
  self->text = g_string_free (text, FALSE);
  return self->text;
}

const char *
llm_cache_key_file_name (LlmCacheKey *self)
{
  if (self->file_name == NULL)
    {
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, llm_cache_key_text (self), -1);

      self->file_name = g_strdup_printf ("%s-%s", self->kind, hash);
    }
  return self->file_name;
}

gsize
llm_cache_name_kind (const char *name)
{
  gsize n = strlen (name), kind = n > HASH_DIGITS + 1 ? n - HASH_DIGITS - 1 : 0;

  if (kind == 0 || kind > KIND_MAX || name[kind] != '-' || !is_word (name) || strspn (name + kind + 1, "0123456789abcdef") != HASH_DIGITS)
    return 0;
  return kind;
}

char *
llm_cache_device_folder (const char *uuid, const char *driver)
{
  g_autofree char *whole = g_strdup_printf ("%s-%s", uuid, driver), *hash = NULL, *name = g_strdup (whole);

  g_strcanon (name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-", '_');
  if (name[0] == '.')
    name[0] = '_';
  if (strlen (name) <= FOLDER_MAX)
    return g_steal_pointer (&name);
  hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, whole, -1);
  return g_strdup_printf ("%.*s-%.16s", FOLDER_MAX - 17, name, hash);
}
