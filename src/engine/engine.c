/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The doors to the engine: any thread comes in here, and hands over.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/limits.h"
#include "engine/engine-thread.h"

#define PREPARE_THREADS 2

static void
load_free (LlmEngineLoad *load)
{
  for (guint i = 0; i < load->fds->len; i++)
    close (g_array_index (load->fds, int, i));
  g_array_unref (load->fds);
  g_clear_pointer (&load->model, llm_model_unref);
  g_free (load->digest);
  g_free (load->settings.device);
  g_free ((gpointer) load->settings.devices.isa);
  g_free (load);
}

void
llm_engine_post (LlmEngine *self, LlmEngineCommand command)
{
  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->inbox, g_memdup2 (&command, sizeof command));
  g_cond_signal (&self->wake);
  g_mutex_unlock (&self->lock);
}

void
llm_engine_settle_load (LlmEngine *self, LlmEngineLoad *load, const GError *error)
{
  g_autoptr (GPtrArray) waiting = NULL;

  g_mutex_lock (&self->lock);
  waiting = g_ptr_array_ref (g_hash_table_lookup (self->loading, load->digest));
  g_hash_table_remove (self->loading, load->digest);
  if (error == NULL)
    g_hash_table_insert (self->models, g_strdup (load->digest), llm_model_ref (load->model));
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i < waiting->len; i++)
    if (error == NULL)
      g_task_return_pointer (waiting->pdata[i], llm_model_ref (load->model), (GDestroyNotify) llm_model_unref);
    else
      g_task_return_error (waiting->pdata[i], g_error_copy (error));
  load_free (load);
}

/* ---- the doors ---- */

static void
prepare (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  LlmActive *active = data;

  if (active->error == NULL && !g_atomic_int_get (&active->cancelled))
    llm_active_prepare (active);
  llm_engine_post (self, (LlmEngineCommand) { .kind = LLM_COMMAND_REQUEST, .active = active });
}

static void
prepare_embed (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  LlmEmbed *embed = data;

  if (embed->error == NULL && !g_atomic_int_get (&embed->cancelled))
    llm_embed_prepare (embed);
  llm_engine_post (self, (LlmEngineCommand) { .kind = LLM_COMMAND_EMBED, .embed = embed });
}

static void
open_model (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  LlmEngineLoad *load = data;
  g_autoptr (GError) error = NULL;

  load->model = llm_model_open (load->digest, (const int *) load->fds->data, load->fds->len, &load->settings, &error);
  if (load->model == NULL)
    llm_engine_settle_load (self, load, error);
  else
    llm_engine_post (self, (LlmEngineCommand) { .kind = LLM_COMMAND_INSTALL, .load = load });
}

LlmEngine *
llm_engine_new (const LlmEngineEvents *events, gpointer user_data)
{
  LlmEngine *self = g_new0 (LlmEngine, 1);

  self->events = *events;
  self->user_data = user_data;
  self->stepper = (LlmStepper) { .events = &self->events, .user_data = user_data, .finished = llm_engine_finish, .embedded = llm_engine_finish_embed, .engine = self };
  g_mutex_init (&self->lock);
  g_cond_init (&self->wake);
  g_queue_init (&self->inbox);
  self->live = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->embeds = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) llm_model_unref);
  self->loading = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  self->installed = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_model_unref);
  self->devices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) llm_device_free);
  self->preparers = g_thread_pool_new (prepare, self, PREPARE_THREADS, FALSE, NULL);
  self->embed_preparers = g_thread_pool_new (prepare_embed, self, 1, FALSE, NULL);
  self->loaders = g_thread_pool_new (open_model, self, 1, FALSE, NULL);
  self->thread = g_thread_new ("llm-engine", llm_engine_thread, self);
  return self;
}

void
llm_engine_free (LlmEngine *self)
{
  /* these wait: everything is in the inbox then */
  g_thread_pool_free (self->preparers, FALSE, TRUE);
  g_thread_pool_free (self->embed_preparers, FALSE, TRUE);
  g_thread_pool_free (self->loaders, FALSE, TRUE);
  g_mutex_lock (&self->lock);
  self->quit = TRUE;
  g_cond_signal (&self->wake);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);
  g_ptr_array_unref (self->installed);
  g_hash_table_unref (self->models);
  g_hash_table_unref (self->loading);
  g_hash_table_unref (self->live);
  g_hash_table_unref (self->embeds);
  g_hash_table_unref (self->devices);
  g_cond_clear (&self->wake);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* Settles @task at once when the model is there or there is no room, else lets it wait. TRUE: somebody has to load it. */
static gboolean
wait_for_load (LlmEngine *self, const char *digest, GTask *task)
{
  g_autoptr (LlmModel) model = NULL;
  GPtrArray *waiting;
  gboolean first = FALSE;

  g_mutex_lock (&self->lock);
  model = g_hash_table_lookup (self->models, digest);
  if (model != NULL)
    llm_model_ref (model);
  waiting = g_hash_table_lookup (self->loading, digest);
  if (model == NULL && waiting == NULL && g_hash_table_size (self->models) + g_hash_table_size (self->loading) < LLM_ENGINE_MAX_MODELS)
    {
      first = TRUE;
      waiting = g_ptr_array_new_with_free_func (g_object_unref);
      g_hash_table_insert (self->loading, g_strdup (digest), waiting);
    }
  if (waiting != NULL)
    g_ptr_array_add (waiting, g_object_ref (task));
  g_mutex_unlock (&self->lock);
  if (model != NULL)
    g_task_return_pointer (task, g_steal_pointer (&model), (GDestroyNotify) llm_model_unref);
  else if (waiting == NULL)
    g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_BUSY, "%d models are loaded already; unload one first", LLM_ENGINE_MAX_MODELS);
  return first;
}

void
llm_engine_load_async (LlmEngine *self, const char *digest, const int *fds, guint n_fds, const LlmLoadSettings *settings,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  LlmEngineLoad *load;

  g_task_set_source_tag (task, llm_engine_load_async);
  if (!wait_for_load (self, digest, task))
    return;
  load = g_new0 (LlmEngineLoad, 1);
  load->digest = g_strdup (digest);
  load->fds = g_array_new (FALSE, FALSE, sizeof (int));
  for (guint i = 0; i < n_fds; i++)
    {
      int fd = fcntl (fds[i], F_DUPFD_CLOEXEC, 3);
      g_array_append_val (load->fds, fd);
    }
  load->settings = *settings;
  load->settings.device = g_strdup (settings->device);
  load->settings.devices.isa = g_strdup (settings->devices.isa);
  g_thread_pool_push (self->loaders, load, NULL);
}

LlmModel *
llm_engine_load_finish (LlmEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
llm_engine_unload_async (LlmEngine *self, const char *digest, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  gpointer key = NULL, model = NULL;

  g_task_set_source_tag (task, llm_engine_unload_async);
  /* out of the table at once: a load that comes next must not find what is about to go */
  g_mutex_lock (&self->lock);
  g_hash_table_steal_extended (self->models, digest, &key, &model);
  g_mutex_unlock (&self->lock);
  g_free (key);
  if (model != NULL)
    {
      llm_engine_post (self, (LlmEngineCommand) { .kind = LLM_COMMAND_UNLOAD, .task = task, .model = model });
      return;
    }
  g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "the model %s is not loaded", digest);
  g_object_unref (task);
}

gboolean
llm_engine_unload_finish (LlmEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

LlmModel *
llm_engine_find_model (LlmEngine *self, const char *digest)
{
  LlmModel *model;

  g_mutex_lock (&self->lock);
  model = g_hash_table_lookup (self->models, digest);
  if (model != NULL)
    llm_model_ref (model);
  g_mutex_unlock (&self->lock);
  return model;
}

/* Puts @item into @table, for its model. Why it cannot run is in *@error then. (transfer full, nullable) */
static LlmModel *
enlist (LlmEngine *self, GHashTable *table, const guint64 *id, gpointer item, const char *digest, GError **error)
{
  LlmModel *model = llm_engine_find_model (self, digest);
  guint n_live;

  g_mutex_lock (&self->lock);
  n_live = g_hash_table_size (self->live) + g_hash_table_size (self->embeds);
  g_hash_table_insert (table, (gpointer) id, item);
  g_mutex_unlock (&self->lock);
  if (model == NULL)
    g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "the model %s is not loaded", digest);
  else if (n_live >= LLM_ENGINE_MAX_REQUESTS)
    g_set_error (error, LLM_ERROR, LLM_ERROR_QUEUE_FULL, "%d requests are queued or running; try again later", LLM_ENGINE_MAX_REQUESTS);
  return model;
}

void
llm_engine_submit (LlmEngine *self, LlmJob *job)
{
  LlmActive *active = llm_active_new (job);

  active->model = enlist (self, self->live, &job->id, active, job->digest, &active->error);
  g_thread_pool_push (self->preparers, active, NULL);
}

void
llm_engine_embed_async (LlmEngine *self, LlmEmbedJob *job, GAsyncReadyCallback callback, gpointer user_data)
{
  LlmEmbed *embed = llm_embed_new (job, callback, user_data);

  embed->model = enlist (self, self->embeds, &job->id, embed, job->digest, &embed->error);
  g_thread_pool_push (self->embed_preparers, embed, NULL);
}

LlmEmbedding *
llm_engine_embed_finish (LlmEngine *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* The flag at @offset of the item @id of @table, when there is one. */
static void
set_flag (LlmEngine *self, GHashTable *table, guint64 id, gsize offset, gint value)
{
  guint8 *item;

  g_mutex_lock (&self->lock);
  item = g_hash_table_lookup (table, &id);
  if (item != NULL)
    {
      g_atomic_int_set ((gint *) (gpointer) (item + offset), value);
      self->poked = TRUE;
      g_cond_signal (&self->wake);
    }
  g_mutex_unlock (&self->lock);
}

void
llm_engine_cancel (LlmEngine *self, guint64 id)
{
  set_flag (self, self->live, id, G_STRUCT_OFFSET (LlmActive, cancelled), 1);
  set_flag (self, self->embeds, id, G_STRUCT_OFFSET (LlmEmbed, cancelled), 1);
}

void
llm_engine_pause (LlmEngine *self, guint64 id, gboolean paused)
{
  set_flag (self, self->live, id, G_STRUCT_OFFSET (LlmActive, paused), paused);
}

GVariant *
llm_engine_statistics (LlmEngine *self)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  GVariantBuilder models;
  GHashTableIter iter;
  gpointer value;
  guint running = 0, live;

  g_variant_builder_init (&models, G_VARIANT_TYPE ("aa{sv}"));
  g_mutex_lock (&self->lock);
  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      LlmModel *model = value;
      guint total = llm_kv_pool_n_pages (model->pool);

      g_variant_builder_open (&models, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&models, "{sv}", "digest", g_variant_new_string (model->digest));
      g_variant_builder_add (&models, "{sv}", "device", g_variant_new_string (model->device_id));
      g_variant_builder_add (&models, "{sv}", "memory-bytes", g_variant_new_uint64 (model->memory_bytes + llm_embedder_memory_bytes (model->embedder)));
      g_variant_builder_add (&models, "{sv}", "kv-pages-total", g_variant_new_uint32 (total));
      g_variant_builder_add (&models, "{sv}", "kv-pages-used", g_variant_new_uint32 (total - llm_kv_pool_n_free (model->pool)));
      g_variant_builder_add (&models, "{sv}", "context-window", g_variant_new_uint32 (model->context_window));
      g_variant_builder_close (&models);
    }
  live = g_hash_table_size (self->live) + g_hash_table_size (self->embeds);
  g_hash_table_iter_init (&iter, self->live);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    running += ((LlmActive *) value)->admitted;
  g_hash_table_iter_init (&iter, self->embeds);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    running += ((LlmEmbed *) value)->n_begun > 0;
  g_mutex_unlock (&self->lock);
  g_variant_dict_insert (&dict, "requests-queued", "u", live - running);
  g_variant_dict_insert (&dict, "requests-running", "u", running);
  g_variant_dict_insert (&dict, "tokens-prefilled", "t", self->stepper.n_prefilled);
  g_variant_dict_insert (&dict, "tokens-decoded", "t", self->stepper.n_decoded);
  g_variant_dict_insert (&dict, "tokens-embedded", "t", self->stepper.n_embedded);
  g_variant_dict_insert (&dict, "steps", "t", self->stepper.n_steps);
  g_variant_dict_insert (&dict, "batch-rows", "t", self->stepper.n_rows);
  g_variant_dict_insert (&dict, "preemptions", "t", self->stepper.n_preempted);
  g_variant_dict_insert_value (&dict, "models", g_variant_builder_end (&models));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
