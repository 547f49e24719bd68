/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/gguf-builder.h"

#include <math.h>
#include <string.h>

#include "format/random-blocks.h"

#define ALIGNMENT 32

/* ---- bytes ---- */

static void
put (GByteArray *out, guint64 value, guint n_bytes)
{
  for (guint i = 0; i < n_bytes; i++)
    {
      guint8 b = (guint8) (value >> (8 * i));
      g_byte_array_append (out, &b, 1);
    }
}

static void
put_f32 (GByteArray *out, float value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof bits);
  put (out, bits, 4);
}

static void
put_f64 (GByteArray *out, double value)
{
  guint64 bits;

  memcpy (&bits, &value, sizeof bits);
  put (out, bits, 8);
}

static void
put_str (GByteArray *out, const char *text, gsize len)
{
  put (out, len, 8);
  g_byte_array_append (out, (const guint8 *) text, (guint) len);
}

static void
put_zeros (GByteArray *out, guint n)
{
  guint at = out->len;

  if (n == 0)
    return;
  g_byte_array_set_size (out, at + n);
  if (n > 0) /* an empty array has no data */
    memset (out->data + at, 0, n);
}

static void
pad (GByteArray *out, guint to)
{
  put_zeros (out, (to - out->len % to) % to);
}

static void
put_word (GByteArray *out, const char *word)
{
  const char *colon = strchr (word, ':'), *value = colon != NULL ? colon + 1 : "";
  char kind = word[0];

  if (kind == '\'')
    g_byte_array_append (out, (const guint8 *) word + 1, (guint) strlen (word) - 2);
  else if (g_str_has_prefix (word, "s:"))
    put_str (out, value, strlen (value));
  else if (g_str_has_prefix (word, "zero:"))
    put_zeros (out, (guint) g_ascii_strtoull (value, NULL, 0));
  else if (g_str_has_prefix (word, "pad:"))
    pad (out, (guint) g_ascii_strtoull (value, NULL, 0));
  else if (g_str_has_prefix (word, "f32:"))
    put_f32 (out, (float) g_ascii_strtod (value, NULL));
  else if (g_str_has_prefix (word, "f64:"))
    put_f64 (out, g_ascii_strtod (value, NULL));
  else if ((kind == 'u' || kind == 'i') && colon != NULL)
    put (out, value[0] == '-' ? (guint64) g_ascii_strtoll (value, NULL, 0) : g_ascii_strtoull (value, NULL, 0),
         (guint) g_ascii_strtoull (word + 1, NULL, 10) / 8);
  else
    g_error ("llm_test_bytes: what is \"%s\"?", word);
}

GBytes *
llm_test_bytes (const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  GByteArray *out = g_byte_array_new ();

  for (guint i = 0; words[i] != NULL; i++)
    if (words[i][0] != '\0')
      put_word (out, words[i]);
  return g_byte_array_free_to_bytes (out);
}

/* ---- the builder ---- */

struct _LlmGgufBuilder {
  guint32 version;
  guint n_keys, n_tensors;
  GByteArray *keys;    /* (owned) metadata, as it will stand in the file */
  GByteArray *tensors; /* (owned) the tensor table */
  GByteArray *data;    /* (owned) */
};

LlmGgufBuilder *
llm_gguf_builder_new (guint32 version)
{
  LlmGgufBuilder *self = g_new0 (LlmGgufBuilder, 1);

  self->version = version;
  self->keys = g_byte_array_new ();
  self->tensors = g_byte_array_new ();
  self->data = g_byte_array_new ();
  return self;
}

void
llm_gguf_builder_free (LlmGgufBuilder *self)
{
  g_byte_array_unref (self->keys);
  g_byte_array_unref (self->tensors);
  g_byte_array_unref (self->data);
  g_free (self);
}

static GByteArray *
begin_key (LlmGgufBuilder *self, const char *key, LlmGgufType type)
{
  put_str (self->keys, key, strlen (key));
  put (self->keys, type, 4);
  self->n_keys++;
  return self->keys;
}

static GByteArray *
begin_array (LlmGgufBuilder *self, const char *key, LlmGgufType type, guint n)
{
  GByteArray *out = begin_key (self, key, LLM_GGUF_ARRAY);

  put (out, type, 4);
  put (out, n, 8);
  return out;
}

void
llm_gguf_builder_u32 (LlmGgufBuilder *self, const char *key, guint32 value)
{
  put (begin_key (self, key, LLM_GGUF_U32), value, 4);
}

void
llm_gguf_builder_f32 (LlmGgufBuilder *self, const char *key, float value)
{
  put_f32 (begin_key (self, key, LLM_GGUF_F32), value);
}

void
llm_gguf_builder_bool (LlmGgufBuilder *self, const char *key, gboolean value)
{
  put (begin_key (self, key, LLM_GGUF_BOOL), value != FALSE, 1);
}

void
llm_gguf_builder_str (LlmGgufBuilder *self, const char *key, const char *value)
{
  put_str (begin_key (self, key, LLM_GGUF_STRING), value, strlen (value));
}

void
llm_gguf_builder_strs (LlmGgufBuilder *self, const char *key, const char *const *values, guint n)
{
  GByteArray *out = begin_array (self, key, LLM_GGUF_STRING, n);

  for (guint i = 0; i < n; i++)
    put_str (out, values[i], strlen (values[i]));
}

void
llm_gguf_builder_i32s (LlmGgufBuilder *self, const char *key, const gint32 *values, guint n)
{
  GByteArray *out = begin_array (self, key, LLM_GGUF_I32, n);

  for (guint i = 0; i < n; i++)
    put (out, (guint32) values[i], 4);
}

void
llm_gguf_builder_f32s (LlmGgufBuilder *self, const char *key, const float *values, guint n)
{
  GByteArray *out = begin_array (self, key, LLM_GGUF_F32, n);

  for (guint i = 0; i < n; i++)
    put_f32 (out, values[i]);
}

void
llm_gguf_builder_raw (LlmGgufBuilder *self, const char *key, LlmGgufType type, GBytes *value)
{
  gsize size;
  const guint8 *bytes = g_bytes_get_data (value, &size);

  g_byte_array_append (begin_key (self, key, type), bytes, (guint) size);
}

/* q = round (x / d), d = max |x| / 127 */
static void
quantize_q8_0 (GByteArray *out, const float *x)
{
  float max = 0;

  for (int i = 0; i < 32; i++)
    max = fmaxf (max, fabsf (x[i]));
  put (out, llm_float_to_half (max / 127), 2);
  for (int i = 0; i < 32; i++)
    put (out, (guint8) (gint8) lrintf (max > 0 ? x[i] * 127 / max : 0), 1);
}

/* q = round (x / d) + 8 in 0..15; d = -extreme / 8, so that the largest value is met exactly */
static void
quantize_q4_0 (GByteArray *out, const float *x)
{
  float extreme = 0, d;
  guint8 q[32];

  for (int i = 0; i < 32; i++)
    if (fabsf (x[i]) > fabsf (extreme))
      extreme = x[i];
  d = extreme / -8;
  put (out, llm_float_to_half (d), 2);
  for (int i = 0; i < 32; i++)
    q[i] = (guint8) CLAMP (lrintf (extreme != 0 ? x[i] / d : 0) + 8, 0, 15);
  for (int i = 0; i < 16; i++)
    put (out, (guint8) (q[i] | q[i + 16] << 4), 1);
}

/* Not the values, but random codes of their size; the same for the same values. */
static void
put_random (GByteArray *out, const LlmDtypeInfo *dtype, const float *values)
{
  g_autoptr (GRand) rand = NULL;
  guint8 block[256];
  guint32 seed;
  double squares = 0;

  g_assert (dtype->block_bytes <= sizeof block);
  for (guint i = 0; i < dtype->block_elems; i++)
    squares += (double) values[i] * (double) values[i];
  memcpy (&seed, values, sizeof seed);
  rand = g_rand_new_with_seed (seed);
  llm_test_random_block (rand, dtype, (float) sqrt (squares / dtype->block_elems), block);
  g_byte_array_append (out, block, dtype->block_bytes);
}

static void
put_values (GByteArray *out, LlmDtype dtype, const float *values, guint n)
{
  const LlmDtypeInfo *info = llm_dtype_info (dtype);
  guint step = info->block_elems;

  g_assert (n % step == 0);
  for (guint i = 0; i < n; i += step)
    switch (dtype)
      {
      case LLM_DTYPE_F32:
        put_f32 (out, values[i]);
        break;
      case LLM_DTYPE_F16:
        put (out, llm_float_to_half (values[i]), 2);
        break;
      case LLM_DTYPE_Q8_0:
        quantize_q8_0 (out, values + i);
        break;
      case LLM_DTYPE_Q4_0:
        quantize_q4_0 (out, values + i);
        break;
      default:
        put_random (out, info, values + i);
      }
}

void
llm_gguf_builder_tensor (LlmGgufBuilder *self, const char *name, LlmDtype dtype, guint n_cols, guint n_rows, const float *values)
{
  pad (self->data, ALIGNMENT);
  put_str (self->tensors, name, strlen (name));
  put (self->tensors, n_rows > 0 ? 2 : 1, 4);
  put (self->tensors, n_cols, 8);
  if (n_rows > 0)
    put (self->tensors, n_rows, 8);
  put (self->tensors, dtype, 4);
  put (self->tensors, self->data->len, 8);
  put_values (self->data, dtype, values, n_cols * MAX (n_rows, 1));
  self->n_tensors++;
}

GBytes *
llm_gguf_builder_end (LlmGgufBuilder *self)
{
  GByteArray *out = g_byte_array_new ();

  g_byte_array_append (out, (const guint8 *) "GGUF", 4);
  put (out, self->version, 4);
  put (out, self->n_tensors, 8);
  put (out, self->n_keys, 8);
  g_byte_array_append (out, self->keys->data, self->keys->len);
  g_byte_array_append (out, self->tensors->data, self->tensors->len);
  pad (out, ALIGNMENT);
  g_byte_array_append (out, self->data->data, self->data->len);
  return g_byte_array_free_to_bytes (out);
}
