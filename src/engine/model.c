/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/limits.h"
#include "engine/embed-private.h"
#include "engine/model-tables.h"

#define ACTIVATIONS_SHARE 16 /* of the weights, where runs may be shorter */

LlmModel *
llm_model_ref (LlmModel *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
llm_model_unref (LlmModel *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_assert (self->executable == NULL);
  g_clear_pointer (&self->plan, llm_plan_free);
  g_clear_pointer (&self->weights, llm_weights_free);
  g_clear_pointer (&self->vocab, llm_vocab_unref);
  g_clear_pointer (&self->config, llm_model_config_free);
  g_clear_pointer (&self->gguf, llm_gguf_unref);
  g_clear_pointer (&self->requests, g_ptr_array_unref);
  g_clear_pointer (&self->embeds, g_ptr_array_unref);
  g_free (self->digest);
  g_free (self->device_id);
  g_free (self);
}

/* Bytes of the activations of one row. */
static guint64
row_bytes (const LlmPlan *plan)
{
  guint64 bytes = 0;

  for (guint i = 0; i < llm_plan_n_buffers (plan); i++)
    if (llm_plan_buffer_rows (plan, i) == LLM_ROWS_BATCH)
      bytes += llm_plan_buffer_width (plan, i) * sizeof (float);
  return bytes;
}

/* Rows of the longest run: an encoder's input is not divided. The activations of a small model's are to be a small part
 * of its memory, and its weights are soon read twice. */
static guint
run_rows (const LlmModel *self)
{
  if (!self->config->causal)
    return MAX (LLM_BATCH_MAX_ROWS, llm_model_embed_window (self));
  return row_bytes (self->plan) * LLM_BATCH_MAX_ROWS > llm_weights_bytes (self->weights) / ACTIVATIONS_SHARE ? LLM_BATCH_MAX_ROWS / 2 : LLM_BATCH_MAX_ROWS;
}

/* What reading the vocabulary has freed goes back to the system: it is a tenth of a small model. */
static void
return_free_memory (void)
{
#ifdef __GLIBC__
  malloc_trim (0);
#endif
}

LlmModel *
llm_model_open (const char *digest, const int *fds, guint n_fds, const LlmLoadSettings *settings, GError **error)
{
  g_autoptr (LlmModel) self = g_new0 (LlmModel, 1);
  LlmArchOptions options;

  g_atomic_ref_count_init (&self->refs);
  self->digest = g_strdup (digest);
  self->requests = g_ptr_array_new ();
  self->embeds = g_ptr_array_new ();
  self->gguf = llm_gguf_open_parts (fds, n_fds, error);
  if (self->gguf == NULL)
    return NULL;
  self->config = llm_model_config_new (self->gguf, error);
  self->vocab = self->config != NULL ? llm_model_tables_vocab (settings->devices.cache, digest, self->gguf, error) : NULL;
  if (self->vocab == NULL)
    return NULL;
  if (llm_vocab_size (self->vocab) != self->config->n_vocab)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the vocabulary has %u tokens, token_embd.weight has %u rows; they must agree",
                   llm_vocab_size (self->vocab), self->config->n_vocab);
      return NULL;
    }
  self->context_window = MIN (self->config->context_length, LLM_DEFAULT_CONTEXT_WINDOW);
  if (settings->context_window > 0)
    self->context_window = MIN (self->config->context_length, settings->context_window);
  /* an encoder's keys and values live for one run: no reason to round them */
  options = (LlmArchOptions) { self->config->causal ? settings->kv_type : LLM_DTYPE_F32, self->context_window, !self->config->causal };
  self->weights = llm_weights_new (self->gguf, fds, error);
  self->plan = self->weights != NULL ? llm_arch_plan_new (self->config, self->weights, &options, error) : NULL;
  if (self->plan == NULL)
    return NULL;
  self->batch_rows = run_rows (self);
  self->form = llm_chat_form_detect (self->config->chat_template, self->vocab);
  llm_gguf_drop_metadata (self->gguf);
  return_free_memory ();
  return g_steal_pointer (&self);
}

/* Pages of the pool: of an encoder those of one run; else what the settings say, else some full windows, within a quarter of the device's memory; one window at least. */
static gboolean
budget_pages (const LlmModel *self, const LlmDevice *device, const LlmLoadSettings *settings, guint *n_pages, GError **error)
{
  guint64 window = (llm_model_embed_window (self) + LLM_KV_PAGE_TOKENS - 1) / LLM_KV_PAGE_TOKENS;
  guint64 page_bytes, pages;

  if (!llm_kv_layout_page_bytes (llm_plan_kv_layout (self->plan), &page_bytes) || page_bytes == 0)
    page_bytes = G_MAXUINT64;
  if (!self->config->causal)
    pages = self->batch_rows / LLM_KV_PAGE_TOKENS + LLM_BATCH_MAX_SLOTS;
  else if (settings->kv_bytes > 0)
    pages = settings->kv_bytes / page_bytes;
  else
    {
      pages = window * LLM_DEFAULT_KV_WINDOWS;
      if (device->info.memory_budget > 0)
        pages = MIN (pages, MAX (window, device->info.memory_budget / 4 / page_bytes));
    }
  if (pages < window || pages > G_MAXINT32)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY,
                   "a KV cache of %" G_GUINT64_FORMAT " bytes does not hold one context window of %u tokens; %" G_GUINT64_FORMAT " bytes are needed",
                   settings->kv_bytes, self->context_window, window * page_bytes);
      return FALSE;
    }
  *n_pages = (guint) pages;
  return TRUE;
}

gboolean
llm_model_install (LlmModel *self, LlmDevice *device, const LlmLoadSettings *settings, GError **error)
{
  LlmRunLimits limits = {
    .max_rows = self->batch_rows, .max_slots = LLM_BATCH_MAX_SLOTS, .max_out = self->config->causal ? LLM_BATCH_MAX_SLOTS : self->batch_rows,
    .max_pages_per_slot = (self->context_window + LLM_KV_PAGE_TOKENS - 1) / LLM_KV_PAGE_TOKENS,
  };
  guint n_pages;

  if (!budget_pages (self, device, settings, &n_pages, error))
    return FALSE;
  self->executable = llm_device_compile (device, self->plan, &limits, error);
  self->kv = self->executable != NULL ? llm_device_kv_new (device, llm_plan_kv_layout (self->plan), n_pages, error) : NULL;
  if (self->kv == NULL)
    {
      g_clear_pointer (&self->executable, llm_executable_free);
      return FALSE;
    }
  self->device = device;
  self->device_id = g_strdup (device->info.id);
  self->pool = llm_kv_pool_new (n_pages, LLM_KV_PAGE_TOKENS);
  self->embedder = llm_embedder_new (self);
  self->memory_bytes = llm_weights_bytes (self->weights) + llm_executable_memory_bytes (self->executable) + llm_kv_buffer_bytes (self->kv);
  return TRUE;
}

void
llm_model_uninstall (LlmModel *self)
{
  g_clear_pointer (&self->embedder, llm_embedder_free);
  g_clear_pointer (&self->kv, llm_kv_buffer_free);
  g_clear_pointer (&self->executable, llm_executable_free);
  g_clear_pointer (&self->pool, llm_kv_pool_free);
  self->device = NULL;
}

LlmVocab *
llm_model_vocab (const LlmModel *self)
{
  return self->vocab;
}

const LlmModelConfig *
llm_model_config (const LlmModel *self)
{
  return self->config;
}

guint
llm_model_context_window (const LlmModel *self)
{
  return self->context_window;
}

guint
llm_model_batch_rows (const LlmModel *self)
{
  return self->batch_rows;
}

guint64
llm_model_memory_bytes (const LlmModel *self)
{
  return self->memory_bytes;
}

const char *
llm_model_device_id (const LlmModel *self)
{
  return self->device_id;
}

GArray *
llm_model_tokenize_messages (const LlmModel *self, const GPtrArray *messages, gboolean open_answer, GError **error)
{
  g_autoptr (LlmPrompt) prompt = llm_chat_render (self->form, self->vocab, messages, open_answer, error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  const LlmTextPart *parts;
  guint n;

  if (prompt == NULL)
    return NULL;
  parts = llm_prompt_parts (prompt, &n);
  if (!llm_tokenize_parts (self->vocab, parts, n, LLM_TOKENIZE_NONE, ids, error))
    return NULL;
  if (!llm_prompt_has_bos (prompt) && llm_vocab_add_bos (self->vocab) && llm_vocab_bos (self->vocab) != LLM_TOKEN_NONE)
    {
      gint32 bos = llm_vocab_bos (self->vocab);
      g_array_prepend_val (ids, bos);
    }
  return g_steal_pointer (&ids);
}
