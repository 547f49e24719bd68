/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading what the parser has checked.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "format/gguf-private.h"

LlmGguf *
llm_gguf_ref (LlmGguf *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
llm_gguf_unref (LlmGguf *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->by_key);
  g_hash_table_unref (self->by_name);
  g_array_unref (self->entries);
  g_array_unref (self->tensors);
  g_bytes_unref (self->header);
  g_free (self->file_of);
  g_free (self->file_sizes);
  g_free (self);
}

void
llm_gguf_drop_metadata (LlmGguf *self)
{
  g_hash_table_remove_all (self->by_key);
  g_array_set_size (self->entries, 0);
  g_bytes_unref (self->header);
  self->header = g_bytes_new (NULL, 0);
}

guint32
llm_gguf_version (const LlmGguf *self)
{
  return self->version;
}

guint64
llm_gguf_file_size (const LlmGguf *self)
{
  return self->file_size;
}

guint
llm_gguf_n_files (const LlmGguf *self)
{
  return MAX (self->n_files, 1);
}

guint64
llm_gguf_size_of_file (const LlmGguf *self, guint file)
{
  return self->n_files > 0 ? self->file_sizes[file] : self->file_size;
}

guint
llm_gguf_file_of_part (const LlmGguf *self, guint part)
{
  return self->n_files > 0 ? self->file_of[part] : 0;
}

static const LlmGgufEntry *
find (const LlmGguf *self, const char *key)
{
  guint i = GPOINTER_TO_UINT (g_hash_table_lookup (self->by_key, key));

  return i > 0 ? &g_array_index (self->entries, LlmGgufEntry, i - 1) : NULL;
}

gboolean
llm_gguf_has (const LlmGguf *self, const char *key)
{
  return find (self, key) != NULL;
}

guint
llm_gguf_n_keys (const LlmGguf *self)
{
  return self->entries->len;
}

const char *
llm_gguf_key (const LlmGguf *self, guint i, LlmGgufType *type)
{
  const LlmGgufEntry *entry = &g_array_index (self->entries, LlmGgufEntry, i);

  if (type != NULL)
    *type = entry->type;
  return entry->key;
}

/* ---- numbers ---- */

/* An integer of any width as int64 or, when it is too large for that, as uint64. */
typedef struct {
  gboolean is_integer;
  gboolean negative;
  guint64 magnitude; /* two's complement when negative */
  double value;
} Number;

static Number
load_number (LlmGgufType type, const guint8 *p)
{
  Number n = { .is_integer = TRUE };
  guint size = llm_gguf_type_size[type];
  guint64 raw = llm_gguf_load (p, size);
  gint64 wide;

  switch (type)
    {
    case LLM_GGUF_F32:
      {
        guint32 bits = (guint32) raw;
        float f;

        memcpy (&f, &bits, sizeof f);
        return (Number) { .value = (double) f };
      }
    case LLM_GGUF_F64:
      memcpy (&n.value, &raw, sizeof n.value);
      n.is_integer = FALSE;
      return n;
    case LLM_GGUF_I8:
    case LLM_GGUF_I16:
    case LLM_GGUF_I32:
    case LLM_GGUF_I64:
      wide = (gint64) (raw << (64 - 8 * size)) >> (64 - 8 * size);
      n.negative = wide < 0;
      n.magnitude = (guint64) wide;
      n.value = (double) wide;
      return n;
    default:
      n.magnitude = raw;
      n.value = (double) raw;
      return n;
    }
}

static gboolean
wrong (const LlmGgufEntry *entry, const char *wanted, GError **error)
{
  g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the metadata key %s is of type %s; %s is needed", entry->key,
               llm_gguf_type_name[entry->type], wanted);
  return FALSE;
}

static gboolean
is_number (LlmGgufType type)
{
  return type != LLM_GGUF_STRING && type != LLM_GGUF_ARRAY && type != LLM_GGUF_BOOL;
}

gboolean
llm_gguf_u64 (const LlmGguf *self, const char *key, guint64 *out, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);
  Number n;

  if (entry == NULL)
    return FALSE;
  if (!is_number (entry->type))
    return wrong (entry, "an integer", error);
  n = load_number (entry->type, entry->bytes);
  if (!n.is_integer)
    return wrong (entry, "an integer", error);
  if (n.negative)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the metadata key %s is %" G_GINT64_FORMAT "; it cannot be negative", key, (gint64) n.magnitude);
      return FALSE;
    }
  *out = n.magnitude;
  return TRUE;
}

gboolean
llm_gguf_f64 (const LlmGguf *self, const char *key, double *out, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);

  if (entry == NULL)
    return FALSE;
  if (!is_number (entry->type))
    return wrong (entry, "a number", error);
  *out = load_number (entry->type, entry->bytes).value;
  return TRUE;
}

gboolean
llm_gguf_bool (const LlmGguf *self, const char *key, gboolean *out, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);

  if (entry == NULL)
    return FALSE;
  if (entry->type != LLM_GGUF_BOOL)
    return wrong (entry, "a bool", error);
  *out = entry->bytes[0] != 0;
  return TRUE;
}

gboolean
llm_gguf_str (const LlmGguf *self, const char *key, LlmStr *out, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);

  if (entry == NULL)
    return FALSE;
  if (entry->type != LLM_GGUF_STRING)
    return wrong (entry, "a string", error);
  *out = (LlmStr) { (const char *) entry->bytes, (gsize) entry->n_bytes };
  return TRUE;
}

/* ---- arrays ---- */

gboolean
llm_gguf_array (const LlmGguf *self, const char *key, LlmGgufType *item_type, guint64 *count, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);

  if (entry == NULL)
    return FALSE;
  if (entry->type != LLM_GGUF_ARRAY)
    return wrong (entry, "an array", error);
  *item_type = entry->item_type;
  *count = entry->count;
  return TRUE;
}

static LlmStr
item_str (const LlmGgufEntry *entry, guint64 i)
{
  const guint8 *at = entry->bytes + entry->item_offset[i];

  return (LlmStr) { (const char *) at + 8, (gsize) llm_gguf_load (at, 8) };
}

LlmStr
llm_gguf_array_str (const LlmGguf *self, const char *key, guint64 i)
{
  return item_str (find (self, key), i);
}

static const LlmGgufEntry *
find_array (const LlmGguf *self, const char *key, gboolean strings, GError **error)
{
  const LlmGgufEntry *entry = find (self, key);

  if (entry == NULL)
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the metadata key %s is missing", key);
  else if (entry->type != LLM_GGUF_ARRAY)
    wrong (entry, "an array", error);
  else if (strings ? entry->item_type != LLM_GGUF_STRING : !is_number (entry->item_type))
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the metadata key %s is an array of %s; one of %s is needed", key,
                 llm_gguf_type_name[entry->item_type], strings ? "strings" : "numbers");
  else
    return entry;
  return NULL;
}

static gpointer
allocate (const LlmGgufEntry *entry, gsize item_size, GError **error)
{
  gpointer items = g_try_malloc_n (MAX (entry->count, 1), item_size);

  if (items == NULL)
    g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the %" G_GUINT64_FORMAT " items of %s", entry->count, entry->key);
  return items;
}

double *
llm_gguf_array_f64 (const LlmGguf *self, const char *key, guint64 *count, GError **error)
{
  const LlmGgufEntry *entry = find_array (self, key, FALSE, error);
  double *items = entry != NULL ? allocate (entry, sizeof *items, error) : NULL;

  if (items == NULL)
    return NULL;
  for (guint64 i = 0; i < entry->count; i++)
    items[i] = load_number (entry->item_type, entry->bytes + i * llm_gguf_type_size[entry->item_type]).value;
  *count = entry->count;
  return items;
}

gint64 *
llm_gguf_array_i64 (const LlmGguf *self, const char *key, guint64 *count, GError **error)
{
  const LlmGgufEntry *entry = find_array (self, key, FALSE, error);
  g_autofree gint64 *items = entry != NULL ? allocate (entry, sizeof *items, error) : NULL;

  if (items == NULL)
    return NULL;
  for (guint64 i = 0; i < entry->count; i++)
    {
      Number n = load_number (entry->item_type, entry->bytes + i * llm_gguf_type_size[entry->item_type]);

      if (!n.is_integer || (!n.negative && n.magnitude > G_MAXINT64))
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "item %" G_GUINT64_FORMAT " of %s is no 64-bit integer", i, key);
          return NULL;
        }
      items[i] = (gint64) n.magnitude;
    }
  *count = entry->count;
  return g_steal_pointer (&items);
}

LlmStr *
llm_gguf_array_strs (const LlmGguf *self, const char *key, guint64 *count, GError **error)
{
  const LlmGgufEntry *entry = find_array (self, key, TRUE, error);
  LlmStr *items = entry != NULL ? allocate (entry, sizeof *items, error) : NULL;

  if (items == NULL)
    return NULL;
  for (guint64 i = 0; i < entry->count; i++)
    items[i] = item_str (entry, i);
  *count = entry->count;
  return items;
}

/* ---- tensors ---- */

guint
llm_gguf_n_tensors (const LlmGguf *self)
{
  return self->tensors->len;
}

const LlmGgufTensor *
llm_gguf_tensor (const LlmGguf *self, guint i)
{
  return &g_array_index (self->tensors, LlmGgufTensor, i);
}

const LlmGgufTensor *
llm_gguf_find_tensor (const LlmGguf *self, const char *name)
{
  guint i = GPOINTER_TO_UINT (g_hash_table_lookup (self->by_name, name));

  return i > 0 ? llm_gguf_tensor (self, i - 1) : NULL;
}
