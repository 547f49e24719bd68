/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model's manifest with another pin: written on a thread, put in its place on the main loop unless the
 * name stands for something else by then.
 */
#include <unistd.h>

#include "base/error.h"
#include "store/manifest.h"
#include "store/store-private.h"

typedef struct {
  LlmStoreModel *base, *model; /* (owned) as it was, as it is to be */
  char *tmp_dir;
  char *tmp;                   /* (owned) the written manifest, or NULL */
} Pin;

static void
pin_free (gpointer data)
{
  Pin *pin = data;

  if (pin->tmp != NULL)
    unlink (pin->tmp);
  llm_store_model_unref (pin->base);
  llm_store_model_unref (pin->model);
  g_free (pin->tmp_dir);
  g_free (pin->tmp);
  g_free (pin);
}

static void
write_thread (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Pin *pin = task_data;
  GError *error = NULL;

  pin->tmp = llm_manifest_write (pin->model, pin->tmp_dir, &error);
  if (pin->tmp != NULL)
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static LlmStoreModel *
with_pin (const LlmStoreModel *model, gboolean pinned)
{
  const LlmStoreOrigin origin = { model->source, model->version, model->uid };

  return llm_manifest_new (model->name, model->blobs, model->imported, model->info, &origin, pinned);
}

void
llm_store_set_pinned_async (LlmStore *self, const char *name, gboolean pinned, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  Pin *pin;

  g_task_set_source_tag (task, llm_store_set_pinned_async);
  if (model == NULL || model->pinned == pinned)
    {
      if (model != NULL)
        g_task_return_boolean (task, TRUE);
      else
        g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no model %s in the store", name);
      return;
    }
  pin = g_new0 (Pin, 1);
  *pin = (Pin) { llm_store_model_ref (model), with_pin (model, pinned), g_strdup (self->tmp_dir), NULL };
  g_task_set_task_data (task, pin, pin_free);
  g_task_run_in_thread (task, write_thread);
}

gboolean
llm_store_set_pinned_finish (LlmStore *self, GAsyncResult *result, GError **error)
{
  Pin *pin = g_task_get_task_data (G_TASK (result));

  if (!g_task_propagate_boolean (G_TASK (result), error))
    return FALSE;
  if (pin == NULL) /* it was so already */
    return TRUE;
  if (g_hash_table_lookup (self->models, pin->base->name) != pin->base)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_BUSY, "%s was replaced or changed meanwhile; try again", pin->base->name);
  if (!llm_manifest_install (pin->tmp, self->models_dir, pin->model->name, error))
    return FALSE;
  g_clear_pointer (&pin->tmp, g_free);
  g_hash_table_replace (self->models, g_strdup (pin->model->name), llm_store_model_ref (pin->model));
  llm_store_sync_async (self, pin->model->name, NULL, NULL);
  return TRUE;
}
