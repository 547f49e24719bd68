/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/weights.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/error.h"

struct _LlmWeights {
  LlmGguf *gguf; /* (owned) */
  guint8 **maps;      /* (owned) [n_files]; NULL: not mapped yet */
  GPtrArray *vectors; /* (owned) those that were not F32 */
};

static guint8 *
map_file (int fd, guint64 size, GError **error)
{
  struct stat st;
  guint8 *map;

  if (fstat (fd, &st) < 0 || (guint64) st.st_size < size)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the model file became shorter than the %" G_GUINT64_FORMAT " bytes it had", size);
      return NULL;
    }
  map = mmap (NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "the model file cannot be mapped: %s", g_strerror (errno));
      return NULL;
    }
  return map;
}

LlmWeights *
llm_weights_new (LlmGguf *gguf, const int *fds, GError **error)
{
  g_autoptr (LlmWeights) self = g_new0 (LlmWeights, 1);
  guint n_files = llm_gguf_n_files (gguf);

  self->gguf = llm_gguf_ref (gguf);
  self->maps = g_new0 (guint8 *, n_files);
  self->vectors = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < n_files; i++)
    if ((self->maps[i] = map_file (fds[i], llm_gguf_size_of_file (gguf, i), error)) == NULL)
      return NULL;
  return g_steal_pointer (&self);
}

void
llm_weights_free (LlmWeights *self)
{
  g_ptr_array_unref (self->vectors);
  for (guint i = 0; i < llm_gguf_n_files (self->gguf); i++)
    if (self->maps[i] != NULL)
      munmap (self->maps[i], llm_gguf_size_of_file (self->gguf, i));
  g_free (self->maps);
  llm_gguf_unref (self->gguf);
  g_free (self);
}

guint64
llm_weights_bytes (const LlmWeights *self)
{
  return llm_gguf_file_size (self->gguf);
}

/* A vector of another type, decoded; it is small. */
static gboolean
as_f32 (LlmWeights *self, LlmWeight *vector, GError **error)
{
  float *values = g_try_new (float, vector->n_cols);

  if (values == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the %" G_GUINT64_FORMAT " numbers of %s", vector->n_cols, vector->name);
      return FALSE;
    }
  vector->dtype->decode (vector->data, values, vector->n_cols);
  g_ptr_array_add (self->vectors, values);
  *vector = (LlmWeight) { vector->name, llm_dtype_info (LLM_DTYPE_F32), vector->n_cols, 1, values, vector->n_cols * sizeof (float) };
  return TRUE;
}

gboolean
llm_weights_find (LlmWeights *self, const char *name, guint64 n_cols, guint64 n_rows, guint64 n_experts, LlmWeight *weight, GError **error)
{
  const LlmGgufTensor *t = llm_gguf_find_tensor (self->gguf, name);

  if (t == NULL)
    return FALSE;
  if (t->dims[0] != n_cols || t->dims[1] != n_rows || t->dims[2] != n_experts || t->dims[3] != 1)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                   "the tensor %s is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                   "]; the model's metadata asks for [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]",
                   name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], n_cols, n_rows, n_experts);
      return FALSE;
    }
  *weight = (LlmWeight) { t->name, t->dtype, n_cols, n_rows * n_experts, self->maps[t->file] + t->offset, t->n_bytes };
  return n_rows * n_experts > 1 || t->dtype->id == LLM_DTYPE_F32 || as_f32 (self, weight, error);
}
