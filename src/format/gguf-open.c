/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File descriptor -> LlmGguf.  The header's length is not known before it has been read, so
 * ever longer beginnings are parsed until one is long enough; most fit the first.  The parts
 * of a split model are opened one by one and then joined.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-private.h"

#define FIRST_READ_BYTES (4 * LLM_MIB)

/* The first @n bytes of @fd, as a private copy: the file may change under us. */
static GBytes *
read_head (int fd, guint64 n, GError **error)
{
  g_autofree guint8 *bytes = g_try_malloc (MAX (n, 1));
  guint64 at = 0;

  if (bytes == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for a GGUF header of %" G_GUINT64_FORMAT " bytes", n);
      return NULL;
    }
  while (at < n)
    {
      gssize got = pread (fd, bytes + at, n - at, (off_t) at);

      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the model file cannot be read at byte %" G_GUINT64_FORMAT ": %s", at,
                       got < 0 ? g_strerror (errno) : "it became shorter");
          return NULL;
        }
      at += (guint64) got;
    }
  return g_bytes_new_take (g_steal_pointer (&bytes), n);
}

static LlmGguf *
open_file (int fd, GError **error)
{
  struct stat st;

  if (fstat (fd, &st) < 0 || !S_ISREG (st.st_mode))
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the model's file descriptor is not a regular file");
      return NULL;
    }
  for (guint64 n = FIRST_READ_BYTES;; n *= 4)
    {
      g_autoptr (GError) local_error = NULL;
      guint64 take = MIN (MIN (n, (guint64) st.st_size), LLM_GGUF_MAX_HEADER_BYTES);
      g_autoptr (GBytes) head = read_head (fd, take, error);
      LlmGguf *gguf;

      if (head == NULL)
        return NULL;
      gguf = llm_gguf_parse (head, (guint64) st.st_size, &local_error);
      if (gguf != NULL)
        return gguf;
      if (!g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT))
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return NULL;
        }
      if (take == LLM_GGUF_MAX_HEADER_BYTES)
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the GGUF header is longer than %llu bytes", LLM_GGUF_MAX_HEADER_BYTES);
          return NULL;
        }
    }
}

LlmGguf *
llm_gguf_open (int fd, GError **error)
{
  return llm_gguf_open_parts (&fd, 1, error);
}

LlmGguf *
llm_gguf_open_parts (const int *fds, guint n_fds, GError **error)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_gguf_unref);

  if (n_fds == 0 || n_fds > LLM_MODEL_MAX_PARTS)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "%u files were given; a model has 1 to %d", n_fds, LLM_MODEL_MAX_PARTS);
      return NULL;
    }
  for (guint i = 0; i < n_fds; i++)
    {
      LlmGguf *file = open_file (fds[i], error);

      if (file == NULL)
        {
          if (n_fds > 1)
            g_prefix_error (error, "file %u of %u: ", i + 1, n_fds);
          return NULL;
        }
      g_ptr_array_add (files, file);
    }
  return llm_gguf_join ((LlmGguf **) files->pdata, n_fds, error);
}
