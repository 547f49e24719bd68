/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes -> LlmGguf, iteratively, one record after the other.
 *
 * Two ways to fail: the header is broken (InvalidModel, with the offset, the field and its
 * value), or these bytes end before the header does while the file goes on (PARTIAL_INPUT).
 * Which of them a short read means is decided in one place, fail_short().
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/reader.h"
#include "format/gguf-private.h"

#define DEFAULT_ALIGNMENT 32

const guint8 llm_gguf_type_size[LLM_GGUF_N_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
const char *const llm_gguf_type_name[LLM_GGUF_N_TYPES] = {
  "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64", "float64",
};

typedef struct {
  LlmReader reader;
  LlmGguf *gguf;
  gsize field_at; /* where the field that is looked at begins, for messages */
  guint64 alignment;
  GError **error;
} Parser;

static gboolean G_GNUC_PRINTF (2, 3)
invalid (Parser *p, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (p->error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "GGUF header, byte %" G_GSIZE_FORMAT ": %s", p->field_at, what);
  return FALSE;
}

static gboolean
fail_short (Parser *p, const char *field)
{
  if (p->reader.size < p->gguf->file_size)
    {
      g_set_error_literal (p->error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT, "the header goes on");
      return FALSE;
    }
  return invalid (p, "the file of %" G_GUINT64_FORMAT " bytes ends inside %s; it was cut off", p->gguf->file_size, field);
}

static gboolean
read_u32 (Parser *p, const char *field, guint32 *out)
{
  p->field_at = p->reader.at;
  return llm_reader_u32 (&p->reader, out) || fail_short (p, field);
}

static gboolean
read_u64 (Parser *p, const char *field, guint64 *out)
{
  p->field_at = p->reader.at;
  return llm_reader_u64 (&p->reader, out) || fail_short (p, field);
}

/* A length-prefixed string of at most @max bytes. */
static gboolean
read_str (Parser *p, const char *field, guint64 max, LlmStr *out)
{
  const guint8 *bytes;
  guint64 len;

  if (!read_u64 (p, field, &len))
    return FALSE;
  if (len > max)
    return invalid (p, "%s is %" G_GUINT64_FORMAT " bytes long; at most %" G_GUINT64_FORMAT " are allowed", field, len, max);
  if (len > p->gguf->file_size - p->reader.at)
    return invalid (p, "%s is %" G_GUINT64_FORMAT " bytes long, but only %" G_GUINT64_FORMAT " bytes of the file are left; it was cut off, or the length is wrong", field, len,
                    p->gguf->file_size - p->reader.at);
  if (!llm_reader_bytes (&p->reader, len, &bytes))
    return fail_short (p, field);
  *out = (LlmStr) { (const char *) bytes, (gsize) len };
  return TRUE;
}

/* ---- metadata ---- */

static gboolean
read_type (Parser *p, const char *field, LlmGgufType *type)
{
  guint32 number;

  if (!read_u32 (p, field, &number))
    return FALSE;
  if (number >= LLM_GGUF_N_TYPES)
    return invalid (p, "%s has type %u; types are 0 to %d", field, number, LLM_GGUF_N_TYPES - 1);
  *type = (LlmGgufType) number;
  return TRUE;
}

static gboolean
check_bools (Parser *p, const LlmGgufEntry *entry)
{
  for (guint64 i = 0; i < entry->n_bytes; i++)
    if (entry->bytes[i] > 1)
      {
        p->field_at = (gsize) (entry->bytes + i - p->reader.data);
        return invalid (p, "the value of %s is the bool %u; 0 or 1 is needed", entry->key, entry->bytes[i]);
      }
  return TRUE;
}

static gboolean
read_string_array (Parser *p, LlmGgufEntry *entry)
{
  gsize start = p->reader.at;

  /* each item takes at least 8 bytes, so a count that the file cannot hold fails before it allocates */
  if (entry->count > (p->gguf->file_size - start) / 8)
    return invalid (p, "the array %s has %" G_GUINT64_FORMAT " strings, but the file has no room for them; it was cut off, or the count is wrong", entry->key, entry->count);
  entry->item_offset = g_try_new (guint64, MAX (entry->count, 1));
  if (entry->item_offset == NULL)
    {
      g_set_error (p->error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the %" G_GUINT64_FORMAT " strings of %s", entry->count, entry->key);
      return FALSE;
    }
  for (guint64 i = 0; i < entry->count; i++)
    {
      LlmStr item;

      entry->item_offset[i] = p->reader.at - start;
      if (!read_str (p, entry->key, LLM_GGUF_MAX_STRING_BYTES, &item))
        return FALSE;
    }
  entry->bytes = p->reader.data + start;
  entry->n_bytes = p->reader.at - start;
  return TRUE;
}

static gboolean
read_array (Parser *p, LlmGgufEntry *entry)
{
  guint64 n_bytes;

  if (!read_type (p, entry->key, &entry->item_type))
    return FALSE;
  if (entry->item_type == LLM_GGUF_ARRAY)
    return invalid (p, "%s is an array of arrays; arrays hold numbers, bools or strings", entry->key);
  if (!read_u64 (p, entry->key, &entry->count))
    return FALSE;
  if (entry->count > LLM_GGUF_MAX_ARRAY_ITEMS)
    return invalid (p, "the array %s has %" G_GUINT64_FORMAT " items; at most %d are allowed", entry->key, entry->count, LLM_GGUF_MAX_ARRAY_ITEMS);
  if (entry->item_type == LLM_GGUF_STRING)
    return read_string_array (p, entry);
  n_bytes = entry->count * llm_gguf_type_size[entry->item_type]; /* both small: cannot wrap */
  if (n_bytes > p->gguf->file_size - p->reader.at)
    return invalid (p, "the array %s has %" G_GUINT64_FORMAT " items, but the file has no room for them; it was cut off, or the count is wrong", entry->key, entry->count);
  p->field_at = p->reader.at;
  if (!llm_reader_bytes (&p->reader, n_bytes, &entry->bytes))
    return fail_short (p, entry->key);
  entry->n_bytes = n_bytes;
  return entry->item_type != LLM_GGUF_BOOL || check_bools (p, entry);
}

static gboolean
read_value (Parser *p, LlmGgufEntry *entry)
{
  LlmStr str = { NULL, 0 };

  if (entry->type == LLM_GGUF_ARRAY)
    return read_array (p, entry);
  if (entry->type == LLM_GGUF_STRING)
    {
      if (!read_str (p, entry->key, LLM_GGUF_MAX_STRING_BYTES, &str))
        return FALSE;
      if (!g_utf8_validate_len (str.bytes, str.len, NULL))
        return invalid (p, "the string %s is not UTF-8 without NULs", entry->key);
      entry->bytes = (const guint8 *) str.bytes;
      entry->n_bytes = str.len;
      return TRUE;
    }
  entry->n_bytes = llm_gguf_type_size[entry->type];
  p->field_at = p->reader.at;
  if (!llm_reader_bytes (&p->reader, entry->n_bytes, &entry->bytes))
    return fail_short (p, entry->key);
  return entry->type != LLM_GGUF_BOOL || check_bools (p, entry);
}

static void
entry_clear (gpointer data)
{
  LlmGgufEntry *entry = data;

  g_free (entry->key);
  g_free (entry->item_offset);
}

/* A name that may stand in messages and hash tables: UTF-8, no NUL, not empty. */
static char *
read_name (Parser *p, const char *field, guint64 max)
{
  LlmStr str = { NULL, 0 };

  if (!read_str (p, field, max, &str))
    return NULL;
  if (str.len == 0 || !g_utf8_validate_len (str.bytes, str.len, NULL))
    {
      invalid (p, "%s is %s; non-empty UTF-8 without NULs is needed", field, str.len == 0 ? "empty" : "not UTF-8");
      return NULL;
    }
  return g_strndup (str.bytes, str.len);
}

static gboolean
read_entry (Parser *p)
{
  LlmGgufEntry entry = { 0 };
  gsize start = p->reader.at;
  gboolean ok;

  entry.key = read_name (p, "a metadata key", LLM_GGUF_MAX_KEY_BYTES);
  if (entry.key == NULL)
    return FALSE;
  ok = read_type (p, entry.key, &entry.type) && read_value (p, &entry);
  if (ok && g_hash_table_contains (p->gguf->by_key, entry.key))
    {
      p->field_at = start;
      ok = invalid (p, "the metadata key %s stands there twice", entry.key);
    }
  if (!ok)
    {
      entry_clear (&entry);
      return FALSE;
    }
  g_array_append_val (p->gguf->entries, entry);
  g_hash_table_insert (p->gguf->by_key, entry.key, GUINT_TO_POINTER (p->gguf->entries->len));
  return TRUE;
}

static gboolean
read_alignment (Parser *p)
{
  guint64 alignment;
  GError *error = NULL;

  p->alignment = DEFAULT_ALIGNMENT;
  if (!llm_gguf_u64 (p->gguf, "general.alignment", &alignment, &error))
    {
      if (error != NULL)
        g_propagate_error (p->error, error);
      return error == NULL;
    }
  if (alignment < 8 || alignment > LLM_GGUF_MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
    return invalid (p, "general.alignment is %" G_GUINT64_FORMAT "; a power of two from 8 to %llu is needed", alignment, LLM_GGUF_MAX_ALIGNMENT);
  p->alignment = alignment;
  return TRUE;
}

/* ---- tensors ---- */

static void
tensor_clear (gpointer data)
{
  g_free (((LlmGgufTensor *) data)->name);
}

static gboolean
read_shape (Parser *p, LlmGgufTensor *t)
{
  guint64 n_rows = 1, n_elems, row_bytes;
  guint32 type;

  if (!read_u32 (p, t->name, &t->n_dims))
    return FALSE;
  if (t->n_dims < 1 || t->n_dims > 4)
    return invalid (p, "the tensor %s has %u dimensions; 1 to 4 are allowed", t->name, t->n_dims);
  for (guint i = 0; i < 4; i++)
    t->dims[i] = 1;
  for (guint i = 0; i < t->n_dims; i++)
    {
      if (!read_u64 (p, t->name, &t->dims[i]))
        return FALSE;
      if (t->dims[i] == 0)
        return invalid (p, "dimension %u of the tensor %s is 0", i, t->name);
      if (i > 0 && !llm_mul_u64 (n_rows, t->dims[i], &n_rows))
        return invalid (p, "the dimensions of the tensor %s multiply to more than 64 bits", t->name);
    }
  if (!llm_mul_u64 (n_rows, t->dims[0], &n_elems))
    return invalid (p, "the dimensions of the tensor %s multiply to more than 64 bits", t->name);
  if (!read_u32 (p, t->name, &type))
    return FALSE;
  t->dtype = llm_dtype_info (type);
  if (t->dtype == NULL)
    return invalid (p, "the tensor %s has element type %u, which GGUF does not define", t->name, type);
  if (t->dims[0] % t->dtype->block_elems != 0)
    return invalid (p, "the tensor %s has rows of %" G_GUINT64_FORMAT " elements; %s needs a multiple of %u", t->name, t->dims[0],
                    t->dtype->name, t->dtype->block_elems);
  if (!llm_dtype_row_bytes (t->dtype, t->dims[0], &row_bytes) || !llm_mul_u64 (row_bytes, n_rows, &t->n_bytes))
    return invalid (p, "the size of the tensor %s does not fit 64 bits", t->name);
  return TRUE;
}

static gboolean
read_tensor (Parser *p)
{
  LlmGgufTensor t = { 0 };
  gsize start = p->reader.at;
  gboolean ok;

  t.name = read_name (p, "a tensor name", LLM_GGUF_MAX_NAME_BYTES);
  if (t.name == NULL)
    return FALSE;
  ok = read_shape (p, &t) && read_u64 (p, t.name, &t.offset);
  if (ok && t.offset % p->alignment != 0)
    ok = invalid (p, "the offset %" G_GUINT64_FORMAT " of the tensor %s is no multiple of the alignment %" G_GUINT64_FORMAT, t.offset, t.name, p->alignment);
  if (ok && g_hash_table_contains (p->gguf->by_name, t.name))
    {
      p->field_at = start;
      ok = invalid (p, "the tensor name %s stands there twice", t.name);
    }
  if (!ok)
    {
      tensor_clear (&t);
      return FALSE;
    }
  g_array_append_val (p->gguf->tensors, t);
  g_hash_table_insert (p->gguf->by_name, t.name, GUINT_TO_POINTER (p->gguf->tensors->len));
  return TRUE;
}

static gint
by_offset (gconstpointer a, gconstpointer b)
{
  const LlmGgufTensor *const *x = a, *const *y = b;

  return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* No byte belongs to two tensors: so all of them together are no larger than the file. */
static gboolean
check_overlap (Parser *p)
{
  guint n = p->gguf->tensors->len;
  g_autofree const LlmGgufTensor **sorted = g_new (const LlmGgufTensor *, n); /* n is within limits */

  for (guint i = 0; i < n; i++)
    sorted[i] = &g_array_index (p->gguf->tensors, LlmGgufTensor, i);
  qsort (sorted, n, sizeof *sorted, by_offset);
  for (guint i = 1; i < n; i++)
    if (sorted[i]->offset - sorted[i - 1]->offset < sorted[i - 1]->n_bytes)
      return invalid (p, "the tensors %s and %s overlap at byte %" G_GUINT64_FORMAT " of the file", sorted[i - 1]->name, sorted[i]->name,
                      sorted[i]->offset);
  return TRUE;
}

/* Offsets in the file count from the aligned end of the header; ours from the start of the file. */
static gboolean
place_tensors (Parser *p)
{
  guint64 data_start, end;

  if (p->gguf->tensors->len == 0)
    return TRUE;
  p->field_at = p->reader.at;
  if (!llm_align_u64 (p->reader.at, p->alignment, &data_start))
    return invalid (p, "the header's end cannot be aligned");
  for (guint i = 0; i < p->gguf->tensors->len; i++)
    {
      LlmGgufTensor *t = &g_array_index (p->gguf->tensors, LlmGgufTensor, i);

      if (!llm_add_u64 (t->offset, data_start, &t->offset) || !llm_add_u64 (t->offset, t->n_bytes, &end) || end > p->gguf->file_size)
        return invalid (p, "the tensor %s (%" G_GUINT64_FORMAT " bytes) reaches past the end of the file of %" G_GUINT64_FORMAT " bytes; it was cut off",
                        t->name, t->n_bytes, p->gguf->file_size);
    }
  return check_overlap (p);
}

/* ---- the whole ---- */

static gboolean
read_magic_and_version (Parser *p)
{
  const guint8 *magic;

  if (!llm_reader_bytes (&p->reader, 4, &magic))
    return fail_short (p, "the magic");
  if (memcmp (magic, "GGUF", 4) != 0)
    return invalid (p, "this is no GGUF file: it begins with %02x %02x %02x %02x, not with \"GGUF\"", magic[0], magic[1], magic[2], magic[3]);
  if (!read_u32 (p, "the version", &p->gguf->version))
    return FALSE;
  if (p->gguf->version == 2 || p->gguf->version == 3)
    return TRUE;
  if (p->gguf->version == 1 || p->gguf->version == 0x02000000 || p->gguf->version == 0x03000000)
    {
      g_set_error (p->error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "GGUF %s is not supported; versions 2 and 3, little-endian, are",
                   p->gguf->version == 1 ? "version 1" : "in big-endian byte order");
      return FALSE;
    }
  return invalid (p, "the GGUF version is %u; 2 and 3 are known", p->gguf->version);
}

static gboolean
parse (Parser *p)
{
  guint64 n_tensors, n_keys;

  if (!read_magic_and_version (p) || !read_u64 (p, "the tensor count", &n_tensors) || !read_u64 (p, "the metadata count", &n_keys))
    return FALSE;
  p->field_at = 8;
  if (n_tensors > LLM_GGUF_MAX_TENSORS)
    return invalid (p, "the tensor count is %" G_GUINT64_FORMAT "; at most %d are allowed", n_tensors, LLM_GGUF_MAX_TENSORS);
  p->field_at = 16;
  if (n_keys > LLM_GGUF_MAX_KEYS)
    return invalid (p, "the metadata count is %" G_GUINT64_FORMAT "; at most %d are allowed", n_keys, LLM_GGUF_MAX_KEYS);
  for (guint64 i = 0; i < n_keys; i++)
    if (!read_entry (p))
      return FALSE;
  p->field_at = p->reader.at;
  if (!read_alignment (p))
    return FALSE;
  for (guint64 i = 0; i < n_tensors; i++)
    if (!read_tensor (p))
      return FALSE;
  return place_tensors (p);
}

LlmGguf *
llm_gguf_parse (GBytes *bytes, guint64 file_size, GError **error)
{
  g_autoptr (LlmGguf) gguf = g_new0 (LlmGguf, 1);
  Parser p = { .gguf = gguf, .error = error };
  const void *data;
  gsize size;

  data = g_bytes_get_data (bytes, &size);
  g_atomic_ref_count_init (&gguf->refs);
  gguf->header = g_bytes_ref (bytes);
  gguf->file_size = MAX (file_size, size);
  gguf->entries = g_array_new (FALSE, FALSE, sizeof (LlmGgufEntry));
  g_array_set_clear_func (gguf->entries, entry_clear);
  gguf->by_key = g_hash_table_new (g_str_hash, g_str_equal);
  gguf->tensors = g_array_new (FALSE, FALSE, sizeof (LlmGgufTensor));
  g_array_set_clear_func (gguf->tensors, tensor_clear);
  gguf->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  llm_reader_init (&p.reader, data, size);
  return parse (&p) ? g_steal_pointer (&gguf) : NULL;
}
