/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/update.h"

#include <string.h>

#include "base/limits.h"
#include "base/names.h"
#include "daemon/broker.h"
#include "daemon/cache-folder.h"
#include "daemon/loader.h"
#include "daemon/models.h"

struct _LlmUpdate {
  LlmBroker *broker;
  char *from;     /* "" = the same engine */
  GQueue waiting; /* names of models (owned) */
  guint pending;  /* of them, and the one that is being loaded */
  gboolean began;
};

/* @folder: "v<version>-<build id>" */
static void
compare (LlmUpdate *self, const char *folder, const LlmLastRun *last)
{
  const char *dash = strchr (folder, '-');
  g_autofree char *version = g_strndup (folder + 1, (gsize) (dash - folder - 1));
  g_autoptr (GVariant) formats = g_variant_ref_sink (g_variant_new_parsed ("{'api': %u}", (guint32) LLM_API_VERSION));
  LlmLastRun now = { .engine_version = version, .build_id = (char *) dash + 1, .formats = formats };

  if (last->engine_version[0] != '\0' && (strcmp (last->engine_version, version) != 0 || strcmp (last->build_id, now.build_id) != 0))
    {
      g_free (self->from);
      self->from = g_strdup_printf ("%s-%s", last->engine_version, last->build_id);
      g_message ("the engine was %s at the last run and is %s now: what it compiles is made again", self->from, folder + 1);
      for (guint i = 0; last->models[i] != NULL && i < LLM_ENGINE_MAX_MODELS; i++)
        g_queue_push_tail (&self->waiting, g_strdup (last->models[i]));
    }
  llm_settings_record_run (self->broker->settings, &now);
}

LlmUpdate *
llm_update_new (LlmBroker *broker, const char *engine_path)
{
  LlmUpdate *self = g_new0 (LlmUpdate, 1);
  g_autofree char *folder = llm_cache_folder_name (engine_path);
  g_auto (LlmLastRun) last = { 0 };

  self->broker = broker;
  self->from = g_strdup ("");
  g_queue_init (&self->waiting);
  llm_settings_last_run (broker->settings, &last);
  if (folder != NULL)
    compare (self, folder, &last);
  self->pending = g_queue_get_length (&self->waiting);
  return self;
}

void
llm_update_free (LlmUpdate *self)
{
  g_queue_clear_full (&self->waiting, g_free);
  g_free (self->from);
  g_free (self);
}

/* ---- one model after the other ---- */

static void next (LlmUpdate *self);

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LlmBroker *broker = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info = llm_loader_ensure_finish (NULL, result, &error);

  if (broker->update == NULL)
    return; /* shutting down */
  if (info == NULL)
    g_debug ("after the update: %s", error->message);
  broker->update->pending--;
  next (broker->update);
}

static void
next (LlmUpdate *self)
{
  while (!g_queue_is_empty (&self->waiting))
    {
      g_autofree char *name = g_queue_pop_head (&self->waiting);
      LlmStoreModel *model = llm_store_find (self->broker->store, name);

      if (model != NULL)
        {
          llm_loader_ensure_async (self->broker->loader, model, on_loaded, self->broker);
          return;
        }
      self->pending--;
    }
  llm_broker_notify (self->broker, "Health", g_variant_new_take_string (llm_broker_health (self->broker)));
}

void
llm_update_begin (LlmUpdate *self)
{
  if (self->began)
    return;
  self->began = TRUE;
  if (self->pending > 0)
    next (self);
}

/* ---- for the next time ---- */

void
llm_update_loads_changed (LlmUpdate *self)
{
  g_autoptr (GPtrArray) list = llm_store_list (self->broker->store), names = g_ptr_array_new ();
  LlmLastRun now = { 0 };

  for (guint i = 0; i < list->len && names->len < LLM_ENGINE_MAX_MODELS; i++)
    {
      LlmStoreModel *model = list->pdata[i];

      if (llm_loader_state (self->broker->loader, model->digest) == LLM_LOAD_LOADED)
        g_ptr_array_add (names, model->name);
    }
  g_ptr_array_add (names, NULL);
  now.models = (char **) names->pdata;
  llm_settings_record_run (self->broker->settings, &now);
}

const char *
llm_update_from (LlmUpdate *self)
{
  return self->from;
}

guint
llm_update_pending (LlmUpdate *self)
{
  return self->pending;
}
