/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/loader.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "daemon/models.h"

struct _LlmLoader {
  LlmBroker *broker;
  GHashTable *loads;    /* digest -> Load */
  guint linger_timer;
  guint generation;     /* of the engine */
};

typedef struct {
  LlmLoader *loader;
  char *digest;
  LlmLoadState state;
  GVariant *info;       /* while loaded */
  LlmStoreModel *model; /* while loading and loaded (owned) */
  LlmStoreLease *lease; /* on its files, as long */
  GPtrArray *waiting;   /* GTask (owned), while loading */
  gboolean stale;       /* its files were found to be damaged after it was loaded */
  guint users;
  gint64 used_us;       /* when its last user has ended */
  guint keep_alive_timer;
  guint promise;        /* idle source: somebody is about to be told that it is loaded */
} Load;

static const char *const state_names[] = { "unloaded", "loading", "loaded" };

const char *
llm_load_state_name (LlmLoadState state)
{
  return state_names[state];
}

static void
load_free (gpointer data)
{
  Load *load = data;

  g_clear_handle_id (&load->keep_alive_timer, g_source_remove);
  g_clear_handle_id (&load->promise, g_source_remove);
  g_clear_pointer (&load->info, g_variant_unref);
  g_clear_pointer (&load->lease, llm_store_lease_free);
  g_clear_pointer (&load->model, llm_store_model_unref);
  g_ptr_array_unref (load->waiting);
  g_free (load->digest);
  g_free (load);
}

LlmLoader *
llm_loader_new (LlmBroker *broker)
{
  LlmLoader *self = g_new0 (LlmLoader, 1);

  self->broker = broker;
  self->loads = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, load_free);
  return self;
}

void
llm_loader_free (LlmLoader *self)
{
  g_clear_handle_id (&self->linger_timer, g_source_remove);
  g_hash_table_unref (self->loads);
  g_free (self);
}

static Load *
find_or_add (LlmLoader *self, const char *digest)
{
  Load *load = g_hash_table_lookup (self->loads, digest);

  if (load != NULL)
    return load;
  load = g_new0 (Load, 1);
  load->loader = self;
  load->digest = g_strdup (digest);
  load->waiting = g_ptr_array_new_with_free_func (g_object_unref);
  g_hash_table_insert (self->loads, load->digest, load);
  return load;
}

LlmLoadState
llm_loader_state (LlmLoader *self, const char *digest)
{
  const Load *load = g_hash_table_lookup (self->loads, digest);

  return load != NULL ? load->state : LLM_LOAD_UNLOADED;
}

guint64
llm_loader_memory_bytes (LlmLoader *self, const char *digest)
{
  const Load *load = g_hash_table_lookup (self->loads, digest);
  guint64 bytes = 0;

  if (load != NULL && load->info != NULL)
    g_variant_lookup (load->info, "memory-bytes", "t", &bytes);
  return bytes;
}

gboolean
llm_loader_is_on_vulkan (LlmLoader *self, const char *digest)
{
  const Load *load = g_hash_table_lookup (self->loads, digest);
  const char *device = "";

  if (load != NULL && load->info != NULL)
    g_variant_lookup (load->info, "device", "&s", &device);
  return g_str_has_prefix (device, "vulkan");
}

gboolean
llm_loader_has_damaged (LlmLoader *self)
{
  GHashTableIter iter;
  gpointer load;

  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &load))
    if (((Load *) load)->model != NULL && !llm_store_model_is_whole (((Load *) load)->model))
      return TRUE;
  return FALSE;
}

static void
set_state (Load *load, LlmLoadState state)
{
  if (load->state == state)
    return;
  g_debug ("model %s: %s -> %s", load->digest, state_names[load->state], state_names[state]);
  load->state = state;
  if (state == LLM_LOAD_UNLOADED)
    {
      g_clear_pointer (&load->info, g_variant_unref);
      g_clear_pointer (&load->lease, llm_store_lease_free);
      g_clear_pointer (&load->model, llm_store_model_unref);
      load->stale = FALSE;
    }
  llm_models_load_changed (load->loader->broker->models, load->digest);
}

/* ---- keep-alive and lingering ---- */

static gboolean
has_model (LlmLoader *self)
{
  GHashTableIter iter;
  gpointer load;

  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &load))
    if (((Load *) load)->state != LLM_LOAD_UNLOADED)
      return TRUE;
  return FALSE;
}

/* It has told what it did; a model may have come meanwhile. */
static void
end_engine (LlmBroker *broker, GVariant *engine, gpointer user_data)
{
  LlmLoader *self = user_data;

  if (engine == NULL || self->linger_timer != 0 || has_model (self))
    return;
  g_debug ("the engine has no model any more; it ends");
  llm_engine_client_stop (broker->engine);
}

static gboolean
on_linger (gpointer user_data)
{
  LlmLoader *self = user_data;

  self->linger_timer = 0;
  if (!has_model (self))
    llm_broker_ask_engine (self->broker, end_engine, self);
  return G_SOURCE_REMOVE;
}

/* From now on; what was counted before does not matter. */
static void
linger (LlmLoader *self)
{
  g_clear_handle_id (&self->linger_timer, g_source_remove);
  self->linger_timer = g_timeout_add_seconds (LLM_ENGINE_LINGER_SECONDS, on_linger, self);
}

static void
unloaded (Load *load)
{
  g_clear_handle_id (&load->keep_alive_timer, g_source_remove);
  set_state (load, LLM_LOAD_UNLOADED);
  linger (load->loader);
}

static void
drop (Load *load)
{
  llm_engine_client_call_async (load->loader->broker->engine, "Unload", g_variant_new ("(s)", load->digest), NULL, NULL, NULL);
  unloaded (load);
}

static gboolean
on_keep_alive (gpointer user_data)
{
  Load *load = user_data;

  load->keep_alive_timer = 0;
  drop (load);
  return G_SOURCE_REMOVE;
}

/* A model that was deleted or replaced cannot be asked for any more: it goes at once. */
static void
restart_keep_alive (Load *load)
{
  LlmBroker *broker = load->loader->broker;
  g_auto (LlmModelSettings) settings = { 0 };

  g_clear_handle_id (&load->keep_alive_timer, g_source_remove);
  if (load->users > 0 || load->state != LLM_LOAD_LOADED)
    return;
  llm_settings_for_model (broker->settings, load->model->name, &settings);
  if (load->stale || llm_store_find (broker->store, load->digest) == NULL)
    load->keep_alive_timer = g_idle_add (on_keep_alive, load);
  else if (settings.keep_alive > 0)
    load->keep_alive_timer = g_timeout_add_seconds (settings.keep_alive, on_keep_alive, load);
}

void
llm_loader_keep_alive_changed (LlmLoader *self)
{
  GHashTableIter iter;
  gpointer load;

  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &load))
    restart_keep_alive (load);
}

/* The same weights have another name or other files now: a load needs only those. */
static void
take_over (Load *load, LlmStoreModel *model)
{
  LlmStoreLease *lease = llm_store_lease (load->loader->broker->store, model);

  g_clear_pointer (&load->lease, llm_store_lease_free);
  load->lease = lease;
  llm_store_model_unref (load->model);
  load->model = llm_store_model_ref (model);
}

void
llm_loader_store_changed (LlmLoader *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Load *load = value;
      LlmStoreModel *model = llm_store_find (self->broker->store, load->digest);

      load->stale = load->stale || (load->model != NULL && !llm_store_check (self->broker->store, load->model, NULL));
      if (model == NULL || load->stale)
        restart_keep_alive (load);
      else if (load->model != NULL && llm_store_find (self->broker->store, load->model->name) != load->model)
        take_over (load, model);
    }
}

void
llm_loader_use (LlmLoader *self, const char *digest)
{
  Load *load = find_or_add (self, digest);

  load->users++;
  restart_keep_alive (load);
}

void
llm_loader_unuse (LlmLoader *self, const char *digest)
{
  Load *load = find_or_add (self, digest);

  load->users--;
  load->used_us = g_get_monotonic_time ();
  restart_keep_alive (load);
}

/* ---- the memory budget ---- */

/* What loaded models have, and at least what those being loaded will have; @idlest: of those that nobody uses, the one that was
 * not used for longest. */
static guint64
memory_in_use (LlmLoader *self, const Load *but, Load **idlest)
{
  GHashTableIter iter;
  gpointer value;
  guint64 total = 0;

  *idlest = NULL;
  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Load *load = value;

      if (load == but || load->state == LLM_LOAD_UNLOADED)
        continue;
      total += load->state == LLM_LOAD_LOADED ? llm_loader_memory_bytes (self, load->digest) : load->model->size;
      if (load->state == LLM_LOAD_LOADED && load->users == 0 && load->promise == 0 && (*idlest == NULL || load->used_us < (*idlest)->used_us))
        *idlest = load;
    }
  return total;
}

/* Unloads models that nobody uses until @bytes for @mine fit the budget. */
static gboolean
make_room (LlmLoader *self, const Load *mine, guint64 bytes, GError **error)
{
  LlmSettingsValues values;
  Load *idlest;
  guint64 total;

  llm_settings_read (self->broker->settings, &values);
  while (values.memory_budget > 0 && (total = memory_in_use (self, mine, &idlest)) + bytes > values.memory_budget)
    {
      if (idlest == NULL)
        return llm_error_fail (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "the model needs at least %" G_GUINT64_FORMAT " bytes beside %" G_GUINT64_FORMAT
                               " of models in use; the setting memory-budget is %" G_GUINT64_FORMAT, bytes, total, values.memory_budget);
      g_debug ("model %s makes room", idlest->digest);
      drop (idlest);
    }
  return TRUE;
}

/* ---- loading ---- */

typedef struct {
  LlmLoader *loader;
  char *digest;
  guint generation;
} Answer;

static void
settle (Load *load, const GError *error)
{
  g_autoptr (GPtrArray) waiting = load->waiting;

  load->waiting = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < waiting->len; i++)
    if (error == NULL)
      g_task_return_pointer (waiting->pdata[i], g_variant_ref (load->info), (GDestroyNotify) g_variant_unref);
    else
      g_task_return_error (waiting->pdata[i], g_error_copy (error));
}

static void
on_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Answer *answer = user_data;
  g_autofree char *digest = answer->digest;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error);
  Load *load;

  if (g_error_matches (error, LLM_ERROR, LLM_ERROR_CANCELLED) || answer->generation != answer->loader->generation)
    return; /* shutting down, or lost() has settled it */
  load = g_hash_table_lookup (answer->loader->loads, digest);
  if (reply != NULL)
    {
      load->info = g_variant_get_child_value (reply, 0);
      set_state (load, LLM_LOAD_LOADED);
      load->used_us = g_get_monotonic_time ();
      make_room (load->loader, load, llm_loader_memory_bytes (load->loader, load->digest), NULL); /* with its KV cache, which was not known before */
      settle (load, NULL);
      restart_keep_alive (load);
      return;
    }
  set_state (load, LLM_LOAD_UNLOADED);
  settle (load, error);
  linger (answer->loader);
}

static gboolean
start (LlmLoader *self, Load *load, LlmStoreModel *model, GError **error)
{
  g_autoptr (GUnixFDList) fds = llm_store_model_open (model, error);
  g_auto (LlmModelSettings) wanted = { 0 };
  GVariantBuilder settings, handles;
  Answer *answer;

  if (fds == NULL || !make_room (self, load, model->size, error))
    return FALSE;
  llm_settings_for_model (self->broker->settings, model->name, &wanted);
  g_variant_builder_init (&handles, G_VARIANT_TYPE ("ah"));
  for (int i = 0; i < g_unix_fd_list_get_length (fds); i++)
    g_variant_builder_add (&handles, "h", i);
  g_variant_builder_init (&settings, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&settings, "{sv}", "device", g_variant_new_string (llm_crash_ledger_prefers_cpu (self->broker->ledger) ? "cpu" : wanted.device));
  g_variant_builder_add (&settings, "{sv}", "context-window", g_variant_new_uint32 (wanted.context_window));
  g_variant_builder_add (&settings, "{sv}", "kv-type", g_variant_new_string (wanted.kv_type));
  g_variant_builder_add (&settings, "{sv}", "kv-bytes", g_variant_new_uint64 (wanted.kv_bytes));
  answer = g_new0 (Answer, 1);
  *answer = (Answer) { self, g_strdup (load->digest), self->generation };
  llm_engine_client_call_async (self->broker->engine, "Load",
                                g_variant_new ("(saha{sv})", load->digest, &handles, &settings), fds, on_loaded, answer);
  return TRUE;
}

static gboolean
on_promise_kept (gpointer user_data)
{
  Load *load = user_data;

  load->promise = 0;
  return G_SOURCE_REMOVE;
}

/* Its files are whole, says a hash, or the error tells. */
static void
on_verified (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Answer *answer = user_data;
  g_autofree char *digest = answer->digest;
  LlmLoader *self = answer->loader;
  Load *load = g_hash_table_lookup (self->loads, digest);
  g_autoptr (GError) error = NULL;

  if (!llm_store_verify_finish (self->broker->store, result, &error) && g_error_matches (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED))
    llm_models_damage_changed (self->broker->models);
  if (answer->generation != self->generation) /* lost() has settled it */
    return;
  if (error == NULL && start (self, load, load->model, &error))
    return;
  set_state (load, LLM_LOAD_UNLOADED);
  settle (load, error);
}

/* Hashes files first that somebody has been at since they were imported. */
static gboolean
begin (LlmLoader *self, Load *load, LlmStoreModel *model, GError **error)
{
  Answer *answer;

  if (!llm_store_model_is_touched (model))
    return start (self, load, model, error);
  g_debug ("model %s: its files were touched; they are verified", load->digest);
  answer = g_new0 (Answer, 1);
  *answer = (Answer) { self, g_strdup (load->digest), self->generation };
  llm_store_verify_async (self->broker->store, model, NULL, NULL, NULL, on_verified, answer);
  return TRUE;
}

void
llm_loader_ensure_async (LlmLoader *self, LlmStoreModel *model, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  Load *load = find_or_add (self, model->digest);
  GError *error = NULL;

  if (!llm_store_check (self->broker->store, model, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  if (load->state == LLM_LOAD_LOADED && load->stale)
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_BUSY, "the damaged files of %s are still in use; try again later", model->name);
      return;
    }
  if (load->state == LLM_LOAD_LOADED)
    {
      g_clear_handle_id (&load->promise, g_source_remove);
      load->promise = g_idle_add_full (G_PRIORITY_LOW, on_promise_kept, load, NULL); /* after the callback */
      g_task_return_pointer (task, g_variant_ref (load->info), (GDestroyNotify) g_variant_unref);
      return;
    }
  if (load->state == LLM_LOAD_UNLOADED && !begin (self, load, model, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_ptr_array_add (load->waiting, g_steal_pointer (&task));
  if (load->model == NULL)
    {
      load->model = llm_store_model_ref (model);
      load->lease = llm_store_lease (self->broker->store, model);
    }
  set_state (load, LLM_LOAD_LOADING);
}

GVariant *
llm_loader_ensure_finish (LlmLoader *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_unloaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply = llm_engine_client_call_finish (NULL, result, &error);

  if (reply == NULL && !g_error_matches (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST) && !g_error_matches (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND))
    {
      g_task_return_error (task, error);
      return;
    }
  g_clear_error (&error); /* it is not there any more, which is what was asked for */
  g_task_return_boolean (task, TRUE);
}

void
llm_loader_unload_async (LlmLoader *self, LlmStoreModel *model, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  Load *load = find_or_add (self, model->digest);

  if (load->state == LLM_LOAD_LOADING)
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_BUSY, "%s is being loaded; unload it when that is done", model->name);
      g_object_unref (task);
      return;
    }
  if (load->state == LLM_LOAD_UNLOADED)
    {
      g_task_return_boolean (task, TRUE);
      g_object_unref (task);
      return;
    }
  llm_engine_client_call_async (self->broker->engine, "Unload", g_variant_new ("(s)", load->digest), NULL, on_unloaded, task);
  unloaded (load);
}

gboolean
llm_loader_unload_finish (LlmLoader *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
llm_loader_lost (LlmLoader *self)
{
  g_autoptr (GError) error = g_error_new (LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the inference engine ended while it loaded the model");
  g_autoptr (GPtrArray) loads = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  self->generation++;
  g_hash_table_iter_init (&iter, self->loads);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (loads, value);
  for (guint i = 0; i < loads->len; i++)
    {
      Load *load = loads->pdata[i];

      g_clear_handle_id (&load->keep_alive_timer, g_source_remove);
      set_state (load, LLM_LOAD_UNLOADED);
      settle (load, error);
    }
}
