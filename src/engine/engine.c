/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine thread and the doors to it.
 *
 * Two ways in: `inbox` hands over owned things (prepared requests, models to install or
 * take out), and the flags of a request (cancelled, paused) are atomic.  `live` maps ids to requests
 * from submit to done, under `lock`; a request is freed only by the engine thread, after it has left
 * `live`.  One way out: the events.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/limits.h"
#include "engine/embed-private.h"

#define PREPARE_THREADS 2

struct _LlmEngine {
  LlmEngineEvents events;
  gpointer user_data;
  LlmStepper stepper;
  GThread *thread;
  GThreadPool *preparers, *loaders;
  GThreadPool *embed_preparers; /* of their own: a thousand texts to tokenize keep no prompt waiting */

  GMutex lock;
  GCond wake;
  /* under lock */
  GQueue inbox;         /* Command */
  GHashTable *live;     /* id -> LlmActive (lent) */
  GHashTable *embeds;   /* id -> LlmEmbed (lent) */
  GHashTable *models;   /* digest -> LlmModel (owned) */
  GHashTable *loading;  /* digest -> GPtrArray of the GTasks that wait for it to be loaded */
  gboolean poked;       /* a flag of some request has changed */
  gboolean quit;

  /* engine thread */
  GPtrArray *installed; /* LlmModel (owned) */
  GHashTable *devices;  /* id as asked for -> LlmDevice (owned) */
};

/* A model on its way in. */
typedef struct {
  char *digest;
  GArray *fds; /* int (owned) */
  LlmLoadSettings settings;
  LlmModel *model; /* (owned) once it is open */
} Load;

static void
load_free (Load *load)
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

typedef enum { COMMAND_REQUEST, COMMAND_EMBED, COMMAND_INSTALL, COMMAND_UNLOAD } CommandKind;

typedef struct {
  CommandKind kind;
  LlmActive *active;
  LlmEmbed *embed;
  Load *load;      /* (owned) */
  GTask *task;     /* (owned) of an unload */
  LlmModel *model; /* (owned) of an unload */
} Command;

static void
post (LlmEngine *self, Command command)
{
  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->inbox, g_memdup2 (&command, sizeof command));
  g_cond_signal (&self->wake);
  g_mutex_unlock (&self->lock);
}

/* ---- requests: engine thread ---- */

static LlmResult
make_result (const LlmActive *active, const char *finish_reason)
{
  gint64 now = g_get_monotonic_time ();
  gint64 scheduled = active->was_scheduled ? active->first_scheduled_us : now;
  gint64 first = active->first_token_us > 0 ? active->first_token_us : now;

  return (LlmResult) {
    .finish_reason = finish_reason, .prompt_tokens = active->n_prompt, .cached_tokens = active->n_cached, .output_tokens = active->n_output,
    .context_used = active->tokens != NULL ? active->tokens->len : 0, .queue_us = scheduled - active->submitted_us,
    .prefill_us = active->was_scheduled ? first - scheduled : 0, .decode_us = active->first_token_us > 0 ? now - first : 0,
  };
}

/* The last event of a request; frees it. Takes @error. */
static void
finish (LlmEngine *self, LlmActive *active, const char *finish_reason, GError *error)
{
  LlmResult result;

  if (active->was_scheduled)
    llm_step_flush (&self->stepper, active);
  if (active->pages->len > 0)
    llm_active_drop_pages (active);
  if (active->model != NULL)
    g_ptr_array_remove (active->model->requests, active);
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->live, &active->job->id);
  g_mutex_unlock (&self->lock);
  result = make_result (active, finish_reason);
  self->events.done (active->job->id, &result, error, self->user_data);
  g_clear_error (&error);
  llm_active_free (active);
}

/* Why what was submitted then must end now; NULL: it need not. */
static GError *
reason_to_end (gint *cancelled, guint deadline_ms, gint64 submitted_us, gint64 now)
{
  if (g_atomic_int_get (cancelled))
    return g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the request was cancelled");
  if (deadline_ms > 0 && now - submitted_us >= (gint64) deadline_ms * 1000)
    return g_error_new (LLM_ERROR, LLM_ERROR_CANCELLED, "the deadline of %u ms has passed", deadline_ms);
  return NULL;
}

/* Cancelled or late: ends it. TRUE: it is gone. */
static gboolean
end_if_over (LlmEngine *self, LlmActive *active, gint64 now)
{
  GError *reason = reason_to_end (&active->cancelled, active->job->deadline_ms, active->submitted_us, now);

  if (reason != NULL)
    finish (self, active, "cancelled", reason);
  return reason != NULL;
}

/* The last of an embedding, as finish() of a request. */
static void
finish_embed (LlmEngine *self, LlmEmbed *embed, GError *error)
{
  if (embed->model != NULL)
    g_ptr_array_remove (embed->model->embeds, embed);
  if (embed->model != NULL && embed->model->embedder != NULL)
    llm_embedder_forget (embed->model->embedder, embed);
  g_mutex_lock (&self->lock);
  g_hash_table_remove (self->embeds, &embed->job->id);
  g_mutex_unlock (&self->lock);
  llm_embed_settle (embed, error);
  llm_embed_free (embed);
}

static gboolean
end_embed_if_over (LlmEngine *self, LlmEmbed *embed, gint64 now)
{
  GError *reason = reason_to_end (&embed->cancelled, embed->job->deadline_ms, embed->submitted_us, now);

  if (reason != NULL)
    finish_embed (self, embed, reason);
  return reason != NULL;
}

static void
end_those_over (LlmEngine *self)
{
  gint64 now = g_get_monotonic_time ();

  for (guint m = 0; m < self->installed->len; m++)
    {
      LlmModel *model = self->installed->pdata[m];

      for (guint i = model->requests->len; i-- > 0;)
        end_if_over (self, model->requests->pdata[i], now);
      for (guint i = model->embeds->len; i-- > 0;)
        end_embed_if_over (self, model->embeds->pdata[i], now);
    }
}

static void
take_request (LlmEngine *self, LlmActive *active)
{
  if (active->error != NULL)
    {
      finish (self, active, "cancelled", g_steal_pointer (&active->error));
      return;
    }
  if (end_if_over (self, active, g_get_monotonic_time ()))
    return;
  if (active->model->executable == NULL)
    {
      finish (self, active, "cancelled", g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded before the request began"));
      return;
    }
  g_ptr_array_add (active->model->requests, active);
  if (active->job->echo)
    llm_step_echo (&self->stepper, active);
}

static void
take_embed (LlmEngine *self, LlmEmbed *embed)
{
  if (end_embed_if_over (self, embed, g_get_monotonic_time ()))
    return;
  if (embed->error == NULL && embed->model->executable == NULL)
    g_set_error (&embed->error, LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded before the request began");
  if (embed->error != NULL)
    finish_embed (self, embed, g_steal_pointer (&embed->error));
  else
    g_ptr_array_add (embed->model->embeds, embed);
}

/* ---- models: engine thread ---- */

static LlmDevice *
open_device (LlmEngine *self, const LlmLoadSettings *settings, GError **error)
{
  const char *id = settings->device != NULL ? settings->device : "";
  LlmDevice *device = g_hash_table_lookup (self->devices, id);

  if (device != NULL)
    return device;
  device = llm_devices_open (id, &settings->devices, error);
  if (device != NULL)
    g_hash_table_insert (self->devices, g_strdup (id), device);
  return device;
}

/* The load is over: all who asked for the model get the outcome. */
static void
settle_load (LlmEngine *self, Load *load, const GError *error)
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

static void
install (LlmEngine *self, Load *load)
{
  g_autoptr (GError) error = NULL;
  LlmDevice *device = open_device (self, &load->settings, &error);

  if (device != NULL && llm_model_install (load->model, device, &load->settings, &error))
    g_ptr_array_add (self->installed, llm_model_ref (load->model));
  settle_load (self, load, error);
}

static void
uninstall (LlmEngine *self, LlmModel *model)
{
  while (model->requests->len > 0)
    finish (self, model->requests->pdata[0], "cancelled", g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded"));
  while (model->embeds->len > 0)
    finish_embed (self, model->embeds->pdata[0], g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the model was unloaded"));
  llm_model_uninstall (model);
  g_ptr_array_remove (self->installed, model);
}

/* ---- the engine thread ---- */

static void
run_command (LlmEngine *self, Command *command)
{
  if (command->kind == COMMAND_REQUEST)
    take_request (self, command->active);
  else if (command->kind == COMMAND_EMBED)
    take_embed (self, command->embed);
  else if (command->kind == COMMAND_INSTALL)
    install (self, command->load);
  else
    {
      uninstall (self, command->model);
      g_task_return_boolean (command->task, TRUE);
    }
  g_clear_object (&command->task);
  g_clear_pointer (&command->model, llm_model_unref);
  g_free (command);
}

/* The earliest deadline of all requests, or -1. Embeddings do not wait. */
static gint64
next_deadline (LlmEngine *self)
{
  gint64 next = -1;

  for (guint m = 0; m < self->installed->len; m++)
    {
      LlmModel *model = self->installed->pdata[m];

      for (guint i = 0; i < model->requests->len; i++)
        {
          LlmActive *active = model->requests->pdata[i];
          gint64 at = active->submitted_us + (gint64) active->job->deadline_ms * 1000;

          if (active->job->deadline_ms > 0 && (next < 0 || at < next))
            next = at;
        }
    }
  return next;
}

/* Waits until there is something to do, unless @busy. FALSE: quit. */
static gboolean
wait_for_work (LlmEngine *self, gboolean busy)
{
  gint64 deadline = busy ? 0 : next_deadline (self);
  gboolean quit;

  g_mutex_lock (&self->lock);
  while (!busy && !self->quit && !self->poked && g_queue_is_empty (&self->inbox))
    {
      if (deadline < 0)
        g_cond_wait (&self->wake, &self->lock);
      else if (!g_cond_wait_until (&self->wake, &self->lock, deadline))
        break;
    }
  self->poked = FALSE;
  quit = self->quit;
  g_mutex_unlock (&self->lock);
  return !quit;
}

static void
run_inbox (LlmEngine *self)
{
  for (;;)
    {
      Command *command;

      g_mutex_lock (&self->lock);
      command = g_queue_pop_head (&self->inbox);
      g_mutex_unlock (&self->lock);
      if (command == NULL)
        return;
      run_command (self, command);
    }
}

static gpointer
engine_thread (gpointer user_data)
{
  LlmEngine *self = user_data;
  gboolean busy = FALSE;

  while (wait_for_work (self, busy))
    {
      run_inbox (self);
      end_those_over (self);
      busy = FALSE;
      for (guint m = 0; m < self->installed->len; m++)
        {
          busy = llm_step (&self->stepper, self->installed->pdata[m]) || busy;
          busy = llm_embed_step (&self->stepper, self->installed->pdata[m]) || busy;
        }
    }
  run_inbox (self);
  while (self->installed->len > 0)
    uninstall (self, self->installed->pdata[0]);
  return NULL;
}

/* ---- the doors ---- */

static void
prepare (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  LlmActive *active = data;

  if (active->error == NULL && !g_atomic_int_get (&active->cancelled))
    llm_active_prepare (active);
  post (self, (Command) { .kind = COMMAND_REQUEST, .active = active });
}

static void
prepare_embed (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  LlmEmbed *embed = data;

  if (embed->error == NULL && !g_atomic_int_get (&embed->cancelled))
    llm_embed_prepare (embed);
  post (self, (Command) { .kind = COMMAND_EMBED, .embed = embed });
}

static void
open_model (gpointer data, gpointer user_data)
{
  LlmEngine *self = user_data;
  Load *load = data;
  g_autoptr (GError) error = NULL;

  load->model = llm_model_open (load->digest, (const int *) load->fds->data, load->fds->len, &load->settings, &error);
  if (load->model == NULL)
    settle_load (self, load, error);
  else
    post (self, (Command) { .kind = COMMAND_INSTALL, .load = load });
}

LlmEngine *
llm_engine_new (const LlmEngineEvents *events, gpointer user_data)
{
  LlmEngine *self = g_new0 (LlmEngine, 1);

  self->events = *events;
  self->user_data = user_data;
  self->stepper = (LlmStepper) { .events = &self->events, .user_data = user_data, .finished = finish, .embedded = finish_embed, .engine = self };
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
  self->thread = g_thread_new ("llm-engine", engine_thread, self);
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
  Load *load;

  g_task_set_source_tag (task, llm_engine_load_async);
  if (!wait_for_load (self, digest, task))
    return;
  load = g_new0 (Load, 1);
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
      post (self, (Command) { .kind = COMMAND_UNLOAD, .task = task, .model = model });
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
