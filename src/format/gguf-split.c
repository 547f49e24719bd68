/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a split model -> one LlmGguf.
 *
 * Every part is a GGUF file of its own: `split.no` (from 0) of `split.count`; the first one has the
 * model's metadata, each has some of its tensors.  The files may come in any order.  Messages count
 * parts from 1, as file names do, and files in the order in which they were given.
 */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-private.h"

#define invalid(error, ...) llm_error_fail (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, __VA_ARGS__)

static gboolean
read_u64 (const LlmGguf *gguf, const char *key, guint64 *out, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (llm_gguf_u64 (gguf, key, out, &local_error))
    return TRUE;
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  else
    invalid (error, "%s is not there; every part of a split model has it", key);
  return FALSE;
}

/* Which part @gguf is, and of how many. A model in one file is part 0 of 1; parts that were merged say split.count 0. */
static gboolean
read_place (const LlmGguf *gguf, guint n_files, guint64 *no, guint64 *count, GError **error)
{
  *no = *count = 0;
  if ((llm_gguf_has (gguf, "split.count") || llm_gguf_has (gguf, "split.no")) && !read_u64 (gguf, "split.count", count, error))
    return FALSE;
  if (*count == 0)
    {
      *count = 1;
      return n_files == 1 || invalid (error, "it is no part of a split model (it has no split.count); give the parts of one model, or a single file");
    }
  if (!read_u64 (gguf, "split.no", no, error))
    return FALSE;
  if (*count > LLM_MODEL_MAX_PARTS)
    return invalid (error, "split.count is %" G_GUINT64_FORMAT "; 1 to %d parts are allowed", *count, LLM_MODEL_MAX_PARTS);
  if (*no >= *count)
    return invalid (error, "split.no is %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " parts; it counts from 0", *no, *count);
  return TRUE;
}

static char *
missing_parts (const guint *file_of, guint count)
{
  GString *s = g_string_new (NULL);
  guint n = 0;

  for (guint i = 0; i < count; i++)
    if (file_of[i] == G_MAXUINT && ++n <= 8)
      g_string_append_printf (s, "%s%u", n > 1 ? ", " : "", i + 1);
  if (n > 8)
    g_string_append_printf (s, " and %u more", n - 8);
  return g_string_free (s, FALSE);
}

/* @file_of [*count]: the file that is each part. */
static gboolean
order_files (LlmGguf *const *files, guint n_files, guint **file_of, guint *count, GError **error)
{
  g_autofree guint *order = NULL;
  guint64 n_parts = 0, no, its_count;

  for (guint i = 0; i < n_files; i++)
    {
      if (!read_place (files[i], n_files, &no, &its_count, error))
        {
          if (n_files > 1)
            g_prefix_error (error, "file %u of %u: ", i + 1, n_files);
          return FALSE;
        }
      if (i == 0)
        {
          n_parts = its_count;
          order = g_new (guint, n_parts);
          memset (order, 0xff, n_parts * sizeof *order);
        }
      if (its_count != n_parts)
        return invalid (error, "file %u is a part of %" G_GUINT64_FORMAT ", file 1 is a part of %" G_GUINT64_FORMAT "; give the parts of one model", i + 1,
                        its_count, n_parts);
      if (order[no] != G_MAXUINT)
        return invalid (error, "part %u of %" G_GUINT64_FORMAT " was given twice, as files %u and %u; each part is needed once", (guint) no + 1, n_parts,
                        order[no] + 1, i + 1);
      order[no] = i;
    }
  if (n_files < n_parts)
    {
      g_autofree char *missing = missing_parts (order, (guint) n_parts);
      return invalid (error, "of the %" G_GUINT64_FORMAT " parts of the model these are missing: %s; give all of them at once", n_parts, missing);
    }
  *file_of = g_steal_pointer (&order);
  *count = (guint) n_parts;
  return TRUE;
}

/* What both parts say, they must say alike. */
static gboolean
check_same_model (const LlmGguf *first, const LlmGguf *other, guint part, guint count, GError **error)
{
  for (guint i = 0; i < other->entries->len; i++)
    {
      const LlmGgufEntry *theirs = &g_array_index (other->entries, LlmGgufEntry, i), *ours;
      guint at = GPOINTER_TO_UINT (g_hash_table_lookup (first->by_key, theirs->key));

      if (at == 0 || strcmp (theirs->key, "split.no") == 0 || strcmp (theirs->key, "general.alignment") == 0)
        continue;
      ours = &g_array_index (first->entries, LlmGgufEntry, at - 1);
      if (ours->type != theirs->type || ours->n_bytes != theirs->n_bytes || memcmp (ours->bytes, theirs->bytes, ours->n_bytes) != 0)
        return invalid (error, "part %u of %u belongs to another model: its %s is not that of part 1", part + 1, count, theirs->key);
    }
  return TRUE;
}

static gboolean
take_tensors (LlmGguf *self, LlmGguf *other, guint part, GError **error)
{
  if (self->tensors->len + other->tensors->len > LLM_GGUF_MAX_TENSORS)
    return invalid (error, "parts 1 to %u have more than the %d tensors that are allowed", part + 1, LLM_GGUF_MAX_TENSORS);
  for (guint i = 0; i < other->tensors->len; i++)
    {
      LlmGgufTensor *t = &g_array_index (other->tensors, LlmGgufTensor, i), moved = *t;
      const LlmGgufTensor *there = llm_gguf_find_tensor (self, t->name);

      if (there != NULL)
        {
          guint earlier = 0;

          while (self->file_of[earlier] != there->file)
            earlier++;
          return invalid (error, "the tensor %s stands in part %u and in part %u of %u; it must be in one of them", t->name, earlier + 1, part + 1,
                          self->n_files);
        }
      t->name = NULL;
      moved.file = self->file_of[part];
      g_array_append_val (self->tensors, moved);
      g_hash_table_insert (self->by_name, moved.name, GUINT_TO_POINTER (self->tensors->len));
    }
  return TRUE;
}

static gboolean
check_n_tensors (const LlmGguf *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  guint64 n;

  if (llm_gguf_u64 (self, "split.tensors.count", &n, &local_error))
    return n == self->tensors->len
           || invalid (error, "split.tensors.count is %" G_GUINT64_FORMAT ", but the %u parts have %u tensors; a part was changed or belongs to another model", n,
                       self->n_files, self->tensors->len);
  if (local_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

LlmGguf *
llm_gguf_join (LlmGguf **files, guint n_files, GError **error)
{
  g_autofree guint *file_of = NULL;
  g_autofree guint64 *sizes = g_new (guint64, n_files);
  g_autoptr (LlmGguf) self = NULL;
  guint64 total = 0;
  guint count = 0;

  if (!order_files (files, n_files, &file_of, &count, error))
    return NULL;
  for (guint i = 0; i < n_files; i++)
    {
      sizes[i] = files[i]->file_size;
      if (!llm_add_u64 (total, sizes[i], &total))
        {
          invalid (error, "the sizes of the %u files do not fit 64 bits", n_files);
          return NULL;
        }
    }
  self = llm_gguf_ref (files[file_of[0]]);
  self->n_files = n_files;
  self->file_of = g_steal_pointer (&file_of);
  self->file_sizes = g_steal_pointer (&sizes);
  self->file_size = total;
  for (guint i = 0; i < self->tensors->len; i++)
    g_array_index (self->tensors, LlmGgufTensor, i).file = self->file_of[0];
  for (guint part = 1; part < count; part++)
    if (!check_same_model (self, files[self->file_of[part]], part, count, error) || !take_tensors (self, files[self->file_of[part]], part, error))
      return NULL;
  return check_n_tensors (self, error) ? g_steal_pointer (&self) : NULL;
}
