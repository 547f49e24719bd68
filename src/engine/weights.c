/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/weights.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/error.h"

struct _LlmWeights {
  LlmGguf *gguf; /* (owned) */
  guint8 *map;
  gsize size;
};

LlmWeights *
llm_weights_new (LlmGguf *gguf, int fd, GError **error)
{
  LlmWeights *self;
  struct stat st;
  guint8 *map;

  if (fstat (fd, &st) < 0 || (guint64) st.st_size < llm_gguf_file_size (gguf))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the model file became shorter than the %" G_GUINT64_FORMAT " bytes it had",
                   llm_gguf_file_size (gguf));
      return NULL;
    }
  map = mmap (NULL, llm_gguf_file_size (gguf), PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "the model file cannot be mapped: %s", g_strerror (errno));
      return NULL;
    }
  self = g_new0 (LlmWeights, 1);
  self->gguf = llm_gguf_ref (gguf);
  self->map = map;
  self->size = llm_gguf_file_size (gguf);
  return self;
}

void
llm_weights_free (LlmWeights *self)
{
  munmap (self->map, self->size);
  llm_gguf_unref (self->gguf);
  g_free (self);
}

guint64
llm_weights_bytes (const LlmWeights *self)
{
  return self->size;
}

gboolean
llm_weights_find (const LlmWeights *self, const char *name, guint64 n_cols, guint64 n_rows, LlmWeight *weight, GError **error)
{
  const LlmGgufTensor *t = llm_gguf_find_tensor (self->gguf, name);

  if (t == NULL)
    return FALSE;
  if (t->dims[0] != n_cols || t->dims[1] != n_rows || t->dims[2] != 1 || t->dims[3] != 1)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL,
                   "the tensor %s is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                   "]; the model's metadata asks for [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]",
                   name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], n_cols, n_rows);
      return FALSE;
    }
  *weight = (LlmWeight) { t->name, t->dtype, n_cols, n_rows, self->map + t->offset, t->n_bytes };
  return TRUE;
}
