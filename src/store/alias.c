/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other names of a model.  An alias is a file in the place where the manifest of a model of that name would
 * be: one name is never both, and an import under it, or another alias, takes it over in one step.  It
 * goes with its model.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "store/manifest.h"
#include "store/store-private.h"

typedef struct {
  char *alias, *target, *tmp_dir;
  char *tmp; /* the written file, or NULL */
} Naming;

static void
naming_free (gpointer data)
{
  Naming *naming = data;

  if (naming->tmp != NULL)
    unlink (naming->tmp);
  g_free (naming->alias);
  g_free (naming->target);
  g_free (naming->tmp_dir);
  g_free (naming->tmp);
  g_free (naming);
}

/* Both looked at before the file is written and before it is put in its place. */
static gboolean
may_name (LlmStore *self, const char *alias, const char *target, GError **error)
{
  if (g_hash_table_contains (self->models, alias))
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%s is a model's own name; choose another for %s", alias, target);
  if (!g_hash_table_contains (self->models, target))
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no model %s in the store", target);
  if (!g_hash_table_contains (self->aliases, alias) && g_hash_table_size (self->aliases) >= LLM_STORE_MAX_ALIASES)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_QUOTA_EXCEEDED, "the store has %d aliases already; remove one", LLM_STORE_MAX_ALIASES);
  return TRUE;
}

static void
write_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Naming *naming = task_data;
  GError *error = NULL;

  naming->tmp = llm_manifest_write_alias (naming->target, naming->tmp_dir, &error);
  if (naming->tmp != NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
llm_store_set_alias_async (LlmStore *self, const char *alias, const char *target, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  Naming *naming = g_new0 (Naming, 1);
  GError *error = NULL;

  *naming = (Naming) { g_strdup (alias), g_strdup (target), g_strdup (self->tmp_dir), NULL };
  g_task_set_source_tag (task, llm_store_set_alias_async);
  g_task_set_task_data (task, naming, naming_free);
  if (may_name (self, alias, target, &error))
    g_task_run_in_thread (task, write_thread);
  else
    g_task_return_error (task, error);
}

gboolean
llm_store_set_alias_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  Naming *naming = g_task_get_task_data (G_TASK (result));

  if (!g_task_propagate_boolean (G_TASK (result), error) || !may_name (self, naming->alias, naming->target, error)
      || !llm_manifest_install (naming->tmp, self->models_dir, naming->alias, error))
    return FALSE;
  g_clear_pointer (&naming->tmp, g_free);
  g_hash_table_replace (self->aliases, g_strdup (naming->alias), g_strdup (naming->target));
  llm_store_sync_async (self, naming->alias, NULL, NULL);
  return TRUE;
}

gboolean
llm_store_remove_alias (LlmStore *self, const char *alias, GError **error)
{
  if (!g_hash_table_contains (self->aliases, alias))
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no alias %s", alias);
  if (!llm_manifest_remove (self->models_dir, alias))
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_IO_ERROR, "cannot remove the alias %s: %s", alias, g_strerror (errno));
  g_hash_table_remove (self->aliases, alias);
  return TRUE;
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char **
llm_store_aliases (LlmStore *self, const char *target)
{
  GPtrArray *names = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer alias, its_target;

  g_hash_table_iter_init (&iter, self->aliases);
  while (g_hash_table_iter_next (&iter, &alias, &its_target))
    if (strcmp (its_target, target) == 0)
      g_ptr_array_add (names, g_strdup (alias));
  g_ptr_array_sort (names, by_text);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

void
llm_store_drop_aliases (LlmStore *self)
{
  GHashTableIter iter;
  gpointer alias, target;

  g_hash_table_iter_init (&iter, self->aliases);
  while (g_hash_table_iter_next (&iter, &alias, &target))
    if (!g_hash_table_contains (self->models, target))
      {
        llm_manifest_remove (self->models_dir, alias); /* should it fail: again at the next start */
        g_hash_table_iter_remove (&iter);
      }
}
