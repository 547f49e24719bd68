/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz/gguf-edit.h"

#include <string.h>

#include "base/reader.h"

static const guint8 type_size[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* ---- pieces ---- */

static void
key_free (gpointer data)
{
  LlmEditKey *key = data;

  g_bytes_unref (key->name);
  g_byte_array_unref (key->value);
  g_free (key);
}

static void
tensor_free (gpointer data)
{
  LlmEditTensor *tensor = data;

  g_bytes_unref (tensor->name);
  g_bytes_unref (tensor->data);
  g_free (tensor);
}

LlmEditKey *
llm_edit_key_copy (const LlmEditKey *key)
{
  LlmEditKey *copy = g_memdup2 (key, sizeof *key);

  g_bytes_ref (copy->name);
  copy->value = g_byte_array_new ();
  g_byte_array_append (copy->value, key->value->data, key->value->len);
  return copy;
}

LlmEditTensor *
llm_edit_tensor_copy (const LlmEditTensor *tensor)
{
  LlmEditTensor *copy = g_memdup2 (tensor, sizeof *tensor);

  g_bytes_ref (copy->name);
  g_bytes_ref (copy->data);
  return copy;
}

static LlmEdit *
edit_new (void)
{
  LlmEdit *self = g_new0 (LlmEdit, 1);

  self->keys = g_ptr_array_new_with_free_func (key_free);
  self->tensors = g_ptr_array_new_with_free_func (tensor_free);
  return self;
}

void
llm_edit_free (LlmEdit *self)
{
  g_ptr_array_unref (self->keys);
  g_ptr_array_unref (self->tensors);
  g_free (self);
}

LlmEdit *
llm_edit_copy (const LlmEdit *self)
{
  LlmEdit *copy = edit_new ();

  copy->version = self->version;
  for (guint i = 0; i < self->keys->len; i++)
    g_ptr_array_add (copy->keys, llm_edit_key_copy (self->keys->pdata[i]));
  for (guint i = 0; i < self->tensors->len; i++)
    g_ptr_array_add (copy->tensors, llm_edit_tensor_copy (self->tensors->pdata[i]));
  return copy;
}

/* ---- apart ---- */

static GBytes *
read_string (LlmReader *in)
{
  const guint8 *bytes;
  guint64 n;

  return llm_reader_u64 (in, &n) && llm_reader_bytes (in, n, &bytes) ? g_bytes_new (bytes, (gsize) n) : NULL;
}

static gboolean
skip_value (LlmReader *in, guint32 type)
{
  const guint8 *bytes;
  guint32 item;
  guint64 n;

  if (type == LLM_GGUF_STRING)
    return llm_reader_u64 (in, &n) && llm_reader_bytes (in, n, &bytes);
  if (type != LLM_GGUF_ARRAY)
    return type < LLM_GGUF_N_TYPES && llm_reader_bytes (in, type_size[type], &bytes);
  if (!llm_reader_u32 (in, &item) || !llm_reader_u64 (in, &n) || item >= LLM_GGUF_N_TYPES || item == LLM_GGUF_ARRAY)
    return FALSE;
  if (item != LLM_GGUF_STRING)
    return llm_reader_array (in, n, type_size[item], &bytes);
  while (n-- > 0)
    if (!skip_value (in, LLM_GGUF_STRING))
      return FALSE;
  return TRUE;
}

static gboolean
read_key (LlmReader *in, LlmEdit *self)
{
  g_autoptr (GBytes) name = read_string (in);
  LlmEditKey *key;
  guint32 type;
  gsize from;

  if (name == NULL || !llm_reader_u32 (in, &type))
    return FALSE;
  from = in->at;
  if (!skip_value (in, type))
    return FALSE;
  key = g_new0 (LlmEditKey, 1);
  key->name = g_steal_pointer (&name);
  key->type = type;
  key->value = g_byte_array_new ();
  g_byte_array_append (key->value, in->data + from, (guint) (in->at - from));
  g_ptr_array_add (self->keys, key);
  return TRUE;
}

static gboolean
read_tensor (LlmReader *in, LlmEdit *self)
{
  g_autoptr (GBytes) name = read_string (in);
  LlmEditTensor *tensor;
  guint32 n_dims;

  if (name == NULL || !llm_reader_u32 (in, &n_dims) || n_dims > 4)
    return FALSE;
  tensor = g_new0 (LlmEditTensor, 1);
  tensor->name = g_steal_pointer (&name);
  tensor->data = g_bytes_new_static ("", 0);
  tensor->n_dims = n_dims;
  g_ptr_array_add (self->tensors, tensor);
  for (guint i = 0; i < n_dims; i++)
    if (!llm_reader_u64 (in, &tensor->dims[i]))
      return FALSE;
  return llm_reader_u32 (in, &tensor->dtype) && llm_reader_u64 (in, &tensor->shift);
}

static guint
alignment (const LlmEdit *self)
{
  const LlmEditKey *key = llm_edit_find (self, "general.alignment");
  guint32 value;

  if (key == NULL || key->type != LLM_GGUF_U32 || key->value->len != 4)
    return 32;
  memcpy (&value, key->value->data, 4);
  value = GUINT32_FROM_LE (value);
  return value > 0 && value <= 4096 ? value : 32;
}

/* Each tensor's bytes are those up to the next one's. */
static gboolean
read_data (LlmReader *in, LlmEdit *self)
{
  guint align = alignment (self);
  gsize begin = (in->at + align - 1) / align * align, size;

  if (begin > in->size)
    return self->tensors->len == 0;
  size = in->size - begin;
  for (guint i = 0; i < self->tensors->len; i++)
    {
      LlmEditTensor *tensor = self->tensors->pdata[i];
      gsize end = size;

      if (tensor->shift > size)
        return FALSE;
      for (guint j = 0; j < self->tensors->len; j++)
        if (j != i && ((LlmEditTensor *) self->tensors->pdata[j])->shift > tensor->shift)
          end = MIN (end, ((LlmEditTensor *) self->tensors->pdata[j])->shift);
      g_bytes_unref (tensor->data);
      tensor->data = g_bytes_new (in->data + begin + tensor->shift, end - tensor->shift);
    }
  for (guint i = 0; i < self->tensors->len; i++)
    ((LlmEditTensor *) self->tensors->pdata[i])->shift = 0;
  return TRUE;
}

LlmEdit *
llm_edit_new (GBytes *file)
{
  g_autoptr (LlmEdit) self = edit_new ();
  guint64 n_tensors, n_keys;
  const guint8 *magic;
  LlmReader in;

  llm_reader_init (&in, g_bytes_get_data (file, NULL), g_bytes_get_size (file));
  if (!llm_reader_bytes (&in, 4, &magic) || memcmp (magic, "GGUF", 4) != 0 || !llm_reader_u32 (&in, &self->version)
      || !llm_reader_u64 (&in, &n_tensors) || !llm_reader_u64 (&in, &n_keys))
    return NULL;
  while (n_keys-- > 0)
    if (!read_key (&in, self))
      return NULL;
  while (n_tensors-- > 0)
    if (!read_tensor (&in, self))
      return NULL;
  return read_data (&in, self) ? g_steal_pointer (&self) : NULL;
}

/* ---- together ---- */

static void
put (GByteArray *out, guint64 value, guint n_bytes)
{
  guint64 le = GUINT64_TO_LE (value);

  g_byte_array_append (out, (const guint8 *) &le, n_bytes);
}

static void
put_bytes (GByteArray *out, GBytes *bytes)
{
  gsize size;
  gconstpointer data = g_bytes_get_data (bytes, &size);

  if (size > 0)
    g_byte_array_append (out, data, (guint) size);
}

static void
put_string (GByteArray *out, GBytes *text)
{
  put (out, g_bytes_get_size (text), 8);
  put_bytes (out, text);
}

static void
pad (GByteArray *out, guint to)
{
  while (out->len % to != 0)
    put (out, 0, 1);
}

GBytes *
llm_edit_end (const LlmEdit *self)
{
  GByteArray *out = g_byte_array_new (), *data = g_byte_array_new ();
  guint align = alignment (self);

  g_byte_array_append (out, (const guint8 *) "GGUF", 4);
  put (out, self->version, 4);
  put (out, self->tensors->len, 8);
  put (out, self->keys->len, 8);
  for (guint i = 0; i < self->keys->len; i++)
    {
      const LlmEditKey *key = self->keys->pdata[i];

      put_string (out, key->name);
      put (out, key->type, 4);
      if (key->value->len > 0)
        g_byte_array_append (out, key->value->data, key->value->len);
    }
  for (guint i = 0; i < self->tensors->len; i++)
    {
      const LlmEditTensor *tensor = self->tensors->pdata[i];

      pad (data, align);
      put_string (out, tensor->name);
      put (out, tensor->n_dims, 4);
      for (guint d = 0; d < tensor->n_dims; d++)
        put (out, tensor->dims[d], 8);
      put (out, tensor->dtype, 4);
      put (out, data->len + tensor->shift, 8);
      put_bytes (data, tensor->data);
    }
  pad (out, align);
  if (data->len > 0)
    g_byte_array_append (out, data->data, data->len);
  g_byte_array_unref (data);
  return g_byte_array_free_to_bytes (out);
}

/* ---- changes ---- */

LlmEditKey *
llm_edit_find (const LlmEdit *self, const char *name)
{
  for (guint i = 0; i < self->keys->len; i++)
    {
      LlmEditKey *key = self->keys->pdata[i];

      if (g_bytes_get_size (key->name) == strlen (name) && memcmp (g_bytes_get_data (key->name, NULL), name, strlen (name)) == 0)
        return key;
    }
  return NULL;
}

void
llm_edit_set (LlmEditKey *key, guint32 type, guint64 bits, guint n_bytes)
{
  key->type = type;
  g_byte_array_set_size (key->value, 0);
  put (key->value, bits, n_bytes);
}

/* The first @n items of an array; the others leave. */
static void
cut_array (LlmEditKey *key, guint n)
{
  guint64 le = GUINT64_TO_LE (n), count;
  LlmReader in;
  guint32 item;

  llm_reader_init (&in, key->value->data, key->value->len);
  if (key->type != LLM_GGUF_ARRAY || !llm_reader_u32 (&in, &item) || !llm_reader_u64 (&in, &count) || count <= n)
    return;
  for (guint i = 0; i < n; i++)
    skip_value (&in, item);
  g_byte_array_set_size (key->value, (guint) in.at);
  memcpy (key->value->data + 4, &le, 8);
}

static guint64
array_count (const LlmEdit *self, const char *name)
{
  const LlmEditKey *key = llm_edit_find (self, name);
  guint64 count;

  if (key == NULL || key->type != LLM_GGUF_ARRAY || key->value->len < 12)
    return 0;
  memcpy (&count, key->value->data + 4, 8);
  return GUINT64_FROM_LE (count);
}

void
llm_edit_shrink_vocab (LlmEdit *self, guint n, guint n_merges)
{
  static const char *const keys[] = { "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type" };
  guint64 before = array_count (self, keys[0]);
  LlmEditKey *merges = llm_edit_find (self, "tokenizer.ggml.merges");

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (llm_edit_find (self, keys[i]) != NULL)
      cut_array (llm_edit_find (self, keys[i]), n);
  if (merges != NULL)
    cut_array (merges, n_merges);
  for (guint i = 0; i < self->keys->len; i++)
    {
      LlmEditKey *key = self->keys->pdata[i];
      gsize size;
      const char *name = g_bytes_get_data (key->name, &size);

      if (g_strstr_len (name, (gssize) size, "_token_id") != NULL)
        key->value->data[0] %= n, memset (key->value->data + 1, 0, key->value->len - 1);
    }
  for (guint i = 0; i < self->tensors->len; i++)
    {
      LlmEditTensor *tensor = self->tensors->pdata[i];
      GBytes *all = tensor->data;

      if (tensor->n_dims != 2 || tensor->dims[1] != before)
        continue;
      tensor->data = g_bytes_new_from_bytes (all, 0, g_bytes_get_size (all) / (gsize) before * n);
      tensor->dims[1] = n;
      g_bytes_unref (all);
    }
}
