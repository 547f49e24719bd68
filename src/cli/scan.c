/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/scan.h"

#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/part-name.h"

void
llm_found_free (LlmFound *self)
{
  g_free (self->program);
  g_free (self->name);
  g_free (self->origin);
  g_free (self->version);
  g_free (self->digest);
  g_ptr_array_unref (self->paths);
  g_free (self);
}

/* ---- names: the store takes letters, digits, '.', '_' and '-', in parts that do not begin with '.' ---- */

static void
append_fit (GString *out, const char *text, gboolean slashes)
{
  for (const char *p = text; *p != '\0'; p++)
    {
      gboolean begins = out->len == 0 || strchr ("/:", out->str[out->len - 1]) != NULL;

      if (*p == '/' && slashes && !begins && p[1] != '\0')
        g_string_append_c (out, '/');
      else if (g_ascii_isalnum (*p) || *p == '_' || *p == '-' || (*p == '.' && !begins))
        g_string_append_c (out, *p);
      else if (!begins)
        g_string_append_c (out, '-');
    }
}

static gboolean
is_taken (const GPtrArray *found, const char *name)
{
  for (guint i = 0; i < found->len; i++)
    if (strcmp (((const LlmFound *) found->pdata[i])->name, name) == 0)
      return TRUE;
  return FALSE;
}

/* "name:tag", not too long, and with a number when another has it. */
static char *
fit_name (const GPtrArray *found, const char *name, const char *tag)
{
  g_autoptr (GString) fit = g_string_new (NULL), whole_tag = g_string_new (NULL);
  guint room = LLM_MAX_MODEL_NAME_BYTES / 2 - 3; /* ":", "-99" */

  append_fit (fit, name, TRUE);
  append_fit (whole_tag, tag, FALSE);
  g_string_truncate (fit, MIN (fit->len, room));
  g_string_truncate (whole_tag, MIN (whole_tag->len, room));
  while (fit->len > 0 && fit->str[fit->len - 1] == '/')
    g_string_truncate (fit, fit->len - 1);
  for (guint i = 1;; i++)
    {
      g_autofree char *one = g_strdup_printf ("%s:%s", fit->len > 0 ? fit->str : "model", whole_tag->len > 0 ? whole_tag->str : "latest");
      g_autofree char *numbered = i > 1 ? g_strdup_printf ("%s-%u", one, i) : g_strdup (one);

      if (!is_taken (found, numbered))
        return g_steal_pointer (&numbered);
    }
}

static char *
fit_origin (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  gsize n = MIN (strlen (valid), LLM_MAX_ORIGIN_BYTES);

  while (n > 0 && n < strlen (valid) && ((guint8) valid[n] & 0xc0) == 0x80)
    n--;
  return g_strndup (valid, n);
}

LlmFound *
llm_found_add (GPtrArray *found, const char *program, const char *name, const char *tag, const char *origin, const char *version)
{
  LlmFound *self = g_new0 (LlmFound, 1);
  g_autofree char *whole = g_strdup_printf ("%s:%s", program, origin);

  self->program = g_strdup (program);
  self->name = fit_name (found, name, tag);
  self->origin = fit_origin (whole);
  self->version = fit_origin (version);
  self->paths = g_ptr_array_new_with_free_func (g_free);
  self->n_parts = 1;
  g_ptr_array_add (found, self);
  return self;
}

gboolean
llm_found_add_file (LlmFound *self, const char *path)
{
  struct stat st;

  if (stat (path, &st) < 0 || !S_ISREG (st.st_mode))
    return FALSE;
  g_ptr_array_add (self->paths, g_strdup (path));
  self->size += (guint64) st.st_size;
  return TRUE;
}

/* ---- files ---- */

static void
look_into (GPtrArray *files, const char *folder, guint depth, guint *n_left)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && *n_left > 0 && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      struct stat st;

      --*n_left;
      if (name[0] == '.' || stat (path, &st) < 0)
        continue;
      if (S_ISDIR (st.st_mode) && depth > 0)
        look_into (files, path, depth - 1, n_left);
      else if (S_ISREG (st.st_mode) && g_str_has_suffix (name, ".gguf"))
        g_ptr_array_add (files, g_steal_pointer (&path));
    }
}

GPtrArray *
llm_scan_gguf_files (const char *folder, guint depth)
{
  GPtrArray *files = g_ptr_array_new_with_free_func (g_free);
  guint n_left = LLM_SCAN_MAX_FILES;

  look_into (files, folder, depth, &n_left);
  return files;
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* What looks at images beside a model; it is no model by itself. */
static gboolean
is_projector (const char *path)
{
  g_autofree char *base = g_path_get_basename (path), *lower = g_ascii_strdown (base, -1);

  return strstr (lower, "mmproj") != NULL;
}

/* Moves what belongs to the split model @stem of @count parts from files[i...], which is sorted, to @parts. */
static void
take_parts (GPtrArray *files, guint i, const char *stem, guint count, GPtrArray *parts)
{
  for (; i < files->len && (files->pdata[i] == NULL || g_str_has_prefix (files->pdata[i], stem)); i++)
    {
      g_autofree char *other = NULL;
      guint other_no, other_count;

      if (files->pdata[i] != NULL && llm_part_name_parse (files->pdata[i], &other, &other_no, &other_count) && strcmp (other, stem) == 0
          && other_count == count)
        g_ptr_array_add (parts, g_steal_pointer (&files->pdata[i]));
    }
}

void
llm_scan_group (GPtrArray *files, LlmScanModel add, gpointer user_data)
{
  g_ptr_array_sort (files, by_text);
  for (guint i = 0; i < files->len; i++)
    {
      g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
      g_autofree char *stem = NULL;
      guint no, count = 1;

      if (files->pdata[i] == NULL || is_projector (files->pdata[i]))
        continue;
      if (llm_part_name_parse (files->pdata[i], &stem, &no, &count))
        take_parts (files, i, stem, count, parts);
      else
        {
          count = 1;
          stem = g_strndup (files->pdata[i], strlen (files->pdata[i]) - strlen (".gguf"));
          g_ptr_array_add (parts, g_steal_pointer (&files->pdata[i]));
        }
      add (stem, parts, count, user_data);
    }
}

static gint
by_program_and_name (gconstpointer a, gconstpointer b)
{
  const LlmFound *x = *(LlmFound *const *) a, *y = *(LlmFound *const *) b;
  int order = strcmp (x->program, y->program);

  return order != 0 ? order : strcmp (x->name, y->name);
}

GPtrArray *
llm_scan (void)
{
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_found_free);

  llm_scan_ollama (found);
  llm_scan_huggingface (found);
  llm_scan_llama_cpp (found);
  g_ptr_array_sort (found, by_program_and_name);
  return found;
}
