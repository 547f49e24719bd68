/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GGUF metadata -> the tables of a vocabulary.  Token texts become bytes here, once.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "text/byte-level.h"
#include "text/vocab-private.h"

static gboolean G_GNUC_PRINTF (2, 3)
invalid (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, what);
  return FALSE;
}

static gboolean
out_of_memory (GError **error)
{
  g_set_error_literal (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the model's vocabulary");
  return FALSE;
}

static gboolean
str_is (LlmStr s, const char *text)
{
  return s.len == strlen (text) && memcmp (s.bytes, text, s.len) == 0;
}

/* ---- tokens ---- */

/* "<0x0A>" -> 10, else -1. */
static int
byte_of_text (LlmStr text)
{
  int high, low;

  if (text.len != 6 || memcmp (text.bytes, "<0x", 3) != 0 || text.bytes[5] != '>')
    return -1;
  high = g_ascii_xdigit_value (text.bytes[3]);
  low = g_ascii_xdigit_value (text.bytes[4]);
  return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

/* The bytes of token @id, at most as many as its text has. */
static gsize
token_bytes (LlmVocab *self, gint32 id, LlmStr text, char *out)
{
  gboolean byte_level = self->kind == LLM_VOCAB_BPE && !self->spm_spaces;
  int byte = !byte_level && self->types[id] == LLM_TOKEN_BYTE ? byte_of_text (text) : -1;

  if (byte >= 0)
    {
      self->byte_token[byte] = id;
      out[0] = (char) byte;
      return 1;
    }
  if (self->types[id] == LLM_TOKEN_CONTROL || self->types[id] == LLM_TOKEN_USER_DEFINED || self->types[id] == LLM_TOKEN_UNKNOWN)
    {
      memcpy (out, text.bytes, text.len);
      return text.len;
    }
  return byte_level ? llm_byte_level_decode (text.bytes, text.len, out) : llm_spm_decode (text.bytes, text.len, out);
}

static gboolean
read_texts (LlmVocab *self, const LlmStr *texts, GError **error)
{
  guint64 total = 0;
  gsize at = 0;

  for (guint i = 0; i < self->n; i++)
    {
      if (texts[i].len > LLM_TOKEN_MAX_BYTES)
        return invalid (error, "token %u is %" G_GSIZE_FORMAT " bytes long; at most %d are allowed", i, texts[i].len, LLM_TOKEN_MAX_BYTES);
      total += texts[i].len;
    }
  if (total > G_MAXUINT32)
    return invalid (error, "the tokens together are %" G_GUINT64_FORMAT " bytes long; at most %u are allowed", total, G_MAXUINT32);
  self->arena = g_try_malloc (MAX (total, 1));
  self->offsets = g_try_new (guint32, (gsize) self->n + 1);
  if (self->arena == NULL || self->offsets == NULL)
    return out_of_memory (error);
  for (guint i = 0; i < self->n; i++)
    {
      self->offsets[i] = (guint32) at;
      at += token_bytes (self, (gint32) i, texts[i], self->arena + at);
    }
  self->offsets[self->n] = (guint32) at;
  return TRUE;
}

/* A user-defined token written like a control token is one: nobody types it into a text by right. */
static gboolean
looks_like_control (LlmStr text)
{
  return text.len > 4 && memcmp (text.bytes, "<|", 2) == 0 && memcmp (text.bytes + text.len - 2, "|>", 2) == 0;
}

static gboolean
read_types (LlmVocab *self, const LlmGguf *gguf, const LlmStr *texts, GError **error)
{
  g_autofree gint64 *types = NULL;
  guint64 count;

  self->types = g_try_malloc (self->n);
  self->eog = g_try_malloc0 (self->n);
  if (self->types == NULL || self->eog == NULL)
    return out_of_memory (error);
  memset (self->types, LLM_TOKEN_NORMAL, self->n);
  if (!llm_gguf_has (gguf, "tokenizer.ggml.token_type"))
    return TRUE;
  types = llm_gguf_array_i64 (gguf, "tokenizer.ggml.token_type", &count, error);
  if (types == NULL)
    return FALSE;
  if (count != self->n)
    return invalid (error, "tokenizer.ggml.token_type has %" G_GUINT64_FORMAT " items for %u tokens", count, self->n);
  for (guint i = 0; i < self->n; i++)
    {
      if (types[i] < LLM_TOKEN_NORMAL || types[i] > LLM_TOKEN_BYTE)
        return invalid (error, "tokenizer.ggml.token_type[%u] is %" G_GINT64_FORMAT "; 1 to 6 are known", i, types[i]);
      self->types[i] = (guint8) types[i];
      if (types[i] == LLM_TOKEN_USER_DEFINED && looks_like_control (texts[i]))
        self->types[i] = LLM_TOKEN_CONTROL;
    }
  return TRUE;
}

static gboolean
read_scores (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  guint64 count;
  g_autofree double *scores = llm_gguf_array_f64 (gguf, "tokenizer.ggml.scores", &count, error);

  if (scores == NULL)
    return FALSE;
  if (count != self->n)
    return invalid (error, "tokenizer.ggml.scores has %" G_GUINT64_FORMAT " items for %u tokens", count, self->n);
  self->scores = g_try_new (float, self->n);
  if (self->scores == NULL)
    return out_of_memory (error);
  for (guint i = 0; i < self->n; i++)
    {
      if (isnan (scores[i]))
        return invalid (error, "tokenizer.ggml.scores[%u] is not a number", i);
      self->scores[i] = (float) scores[i];
    }
  return TRUE;
}

static gboolean
build_index (LlmVocab *self, GError **error)
{
  if (!llm_piece_index_init (&self->index, self->arena, self->offsets, self->n))
    return out_of_memory (error);
  llm_special_set_init (&self->control, self->arena, self->offsets);
  llm_special_set_init (&self->user, self->arena, self->offsets);
  for (gint32 i = 0; i < (gint32) self->n; i++)
    {
      if (self->types[i] == LLM_TOKEN_CONTROL || self->types[i] == LLM_TOKEN_UNKNOWN)
        llm_special_set_add (&self->control, i);
      else if (self->types[i] == LLM_TOKEN_USER_DEFINED)
        llm_special_set_add (&self->user, i);
      else if (self->types[i] == LLM_TOKEN_NORMAL)
        llm_piece_index_add (&self->index, i);
    }
  llm_special_set_sort (&self->control);
  llm_special_set_sort (&self->user);
  for (int b = 0; b < 256; b++)
    {
      char byte = (char) b;

      if (self->byte_token[b] == LLM_TOKEN_NONE)
        self->byte_token[b] = llm_piece_index_find (&self->index, &byte, 1);
    }
  return TRUE;
}

/* ---- special ids ---- */

static gboolean
read_id (const LlmVocab *self, const LlmGguf *gguf, const char *key, gint32 otherwise, gint32 *id, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  guint64 value;

  *id = otherwise < (gint32) self->n ? otherwise : LLM_TOKEN_NONE;
  if (!llm_gguf_u64 (gguf, key, &value, &local_error))
    {
      if (local_error != NULL)
        g_propagate_error (error, g_steal_pointer (&local_error));
      return *error == NULL;
    }
  if (value == G_MAXUINT32) /* "none", as some converters write it */
    value = G_MAXUINT64;
  if (value == G_MAXUINT64)
    *id = LLM_TOKEN_NONE;
  else if (value >= self->n)
    return invalid (error, "%s is %" G_GUINT64_FORMAT "; the tokens are 0 to %u", key, value, self->n - 1);
  else
    *id = (gint32) value;
  return TRUE;
}

static gboolean
read_flag (const LlmGguf *gguf, const char *key, gboolean *flag, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  llm_gguf_bool (gguf, key, flag, &local_error);
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return *error == NULL;
}

/* Texts with which the families end a turn or a text. */
static const char *const end_texts[] = {
  "<|eot_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|eom_id|>", "<end_of_turn>", "<EOT>", "<|eot|>",
};

static gboolean
read_special_ids (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  gint32 eot;

  if (!read_id (self, gguf, "tokenizer.ggml.bos_token_id", self->bos, &self->bos, error)
      || !read_id (self, gguf, "tokenizer.ggml.eos_token_id", self->eos, &self->eos, error)
      || !read_id (self, gguf, "tokenizer.ggml.unknown_token_id", self->unk, &self->unk, error)
      || !read_id (self, gguf, "tokenizer.ggml.eot_token_id", LLM_TOKEN_NONE, &eot, error)
      || !read_flag (gguf, "tokenizer.ggml.add_bos_token", &self->add_bos, error)
      || !read_flag (gguf, "tokenizer.ggml.add_eos_token", &self->add_eos, error)
      || !read_flag (gguf, "tokenizer.ggml.add_space_prefix", &self->add_space_prefix, error))
    return FALSE;
  if (self->eos >= 0)
    self->eog[self->eos] = 1;
  if (eot >= 0)
    self->eog[eot] = 1;
  for (gsize i = 0; i < G_N_ELEMENTS (end_texts); i++)
    {
      gint32 id = llm_vocab_find_special (self, end_texts[i]);

      if (id >= 0)
        self->eog[id] = 1;
    }
  return TRUE;
}

/* Phi 3's own tokenizer lets its special tokens take the white space that follows them. */
static gboolean
read_strip_right (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  LlmStr architecture = { "", 0 };

  llm_gguf_str (gguf, "general.architecture", &architecture, NULL);
  if (!str_is (architecture, "phi3"))
    return TRUE;
  self->strip_right = g_try_malloc0 (self->n);
  if (self->strip_right == NULL)
    return out_of_memory (error);
  for (gint32 i = 0; i < (gint32) self->n; i++)
    {
      LlmStr text = llm_vocab_bytes (self, i);

      self->strip_right[i] = str_is (text, "</s>")
                             || (llm_vocab_is_special (self, i) && looks_like_control (text) && !str_is (text, "<|endoftext|>"));
    }
  return TRUE;
}

static gboolean
load (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  g_autofree LlmStr *texts = NULL;
  guint64 count;

  if (!llm_vocab_read_kind (self, gguf, error))
    return FALSE;
  texts = llm_gguf_array_strs (gguf, "tokenizer.ggml.tokens", &count, error);
  if (texts == NULL)
    return FALSE;
  if (count == 0 || count > LLM_MODEL_MAX_VOCAB)
    return invalid (error, "tokenizer.ggml.tokens has %" G_GUINT64_FORMAT " items; 1 to %d are allowed", count, LLM_MODEL_MAX_VOCAB);
  self->n = (guint) count;
  return read_types (self, gguf, texts, error) && read_texts (self, texts, error)
         && (self->kind == LLM_VOCAB_BPE || read_scores (self, gguf, error)) && build_index (self, error)
         && (self->kind == LLM_VOCAB_SPM || llm_bpe_load_merges (self, gguf, error)) && read_special_ids (self, gguf, error)
         && read_strip_right (self, gguf, error);
}

LlmVocab *
llm_vocab_new (const LlmGguf *gguf, GError **error)
{
  g_autoptr (LlmVocab) self = g_new0 (LlmVocab, 1);
  g_autoptr (GError) local_error = NULL;

  g_atomic_ref_count_init (&self->refs);
  for (int b = 0; b < 256; b++)
    self->byte_token[b] = LLM_TOKEN_NONE;
  if (load (self, gguf, &local_error))
    return g_steal_pointer (&self);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return NULL;
}
