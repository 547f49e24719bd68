/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weights on the device, each once: executables of one model (for text, for embeddings) share them.  They are known
 * by the host's bytes, which outlive every executable that was made of them.
 */
#include "compute/vulkan/vk.h"

static guint
weight_hash (gconstpointer key)
{
  const LlmVkWeight *weight = key;

  return g_direct_hash (weight->data) ^ (guint) weight->n_bytes;
}

static gboolean
weight_equal (gconstpointer a, gconstpointer b)
{
  const LlmVkWeight *x = a, *y = b;

  return x->data == y->data && x->n_bytes == y->n_bytes;
}

LlmVkWeight *
llm_vk_weight_take (LlmVkDevice *device, const LlmWeight *w, gboolean *is_new, GError **error)
{
  LlmVkWeight wanted = { w->data, w->n_bytes, 0, { 0 } }, *self;

  if (device->weights == NULL)
    device->weights = g_hash_table_new (weight_hash, weight_equal);
  self = g_hash_table_lookup (device->weights, &wanted);
  *is_new = self == NULL;
  if (self != NULL)
    {
      self->refs++;
      return self;
    }
  self = g_memdup2 (&wanted, sizeof wanted);
  if (!llm_vk_buffer_init (device, &self->buffer, (w->n_bytes + 3) & ~(guint64) 3, LLM_VK_DEVICE_ONLY,
                           VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, error))
    {
      g_free (self);
      return NULL;
    }
  self->refs = 1;
  g_hash_table_add (device->weights, self);
  if (llm_vk_upload (device, &self->buffer, w->data, w->n_bytes, error))
    return self;
  llm_vk_weight_release (device, self);
  return NULL;
}

void
llm_vk_weight_release (LlmVkDevice *device, LlmVkWeight *self)
{
  if (--self->refs > 0)
    return;
  g_hash_table_remove (device->weights, self);
  llm_vk_buffer_clear (device, &self->buffer);
  g_free (self);
}
