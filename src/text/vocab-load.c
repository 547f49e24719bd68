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
  if (self->types[id] == LLM_TOKEN_UNUSED && self->kind != LLM_VOCAB_UGM)
    return 0; /* padding: it stands for nothing */
  if (self->types[id] == LLM_TOKEN_CONTROL || self->types[id] == LLM_TOKEN_USER_DEFINED || self->types[id] == LLM_TOKEN_UNKNOWN)
    {
      memcpy (out, text.bytes, text.len);
      return text.len;
    }
  if (byte_level && self->types[id] == LLM_TOKEN_NORMAL && !llm_byte_level_covers (text.bytes, text.len))
    self->types[id] = LLM_TOKEN_RAW;
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
        return llm_vocab_invalid (error, "token %u is %" G_GSIZE_FORMAT " bytes long; at most %d are allowed", i, texts[i].len, LLM_TOKEN_MAX_BYTES);
      total += texts[i].len;
    }
  if (total > G_MAXUINT32)
    return llm_vocab_invalid (error, "the tokens together are %" G_GUINT64_FORMAT " bytes long; at most %u are allowed", total, G_MAXUINT32);
  self->arena = g_try_malloc (MAX (total, 1));
  self->offsets = g_try_new (guint32, (gsize) self->n + 1);
  if (self->arena == NULL || self->offsets == NULL)
    return llm_vocab_out_of_memory (error);
  for (guint i = 0; i < self->n; i++)
    {
      self->offsets[i] = (guint32) at;
      at += token_bytes (self, (gint32) i, texts[i], self->arena + at);
    }
  self->offsets[self->n] = (guint32) at;
  return TRUE;
}

static gboolean
read_types (LlmVocab *self, const LlmGguf *gguf, const LlmStr *texts, GError **error)
{
  g_autofree gint64 *types = NULL;
  guint64 count;

  self->types = g_try_malloc (self->n);
  self->eog = g_try_malloc0 (self->n);
  if (self->types == NULL || self->eog == NULL)
    return llm_vocab_out_of_memory (error);
  memset (self->types, LLM_TOKEN_NORMAL, self->n);
  if (!llm_gguf_has (gguf, "tokenizer.ggml.token_type"))
    return TRUE;
  types = llm_gguf_array_i64 (gguf, "tokenizer.ggml.token_type", &count, error);
  if (types == NULL)
    return FALSE;
  if (count != self->n)
    return llm_vocab_invalid (error, "tokenizer.ggml.token_type has %" G_GUINT64_FORMAT " items for %u tokens", count, self->n);
  for (guint i = 0; i < self->n; i++)
    {
      if (types[i] < LLM_TOKEN_NORMAL || types[i] > LLM_TOKEN_BYTE)
        return llm_vocab_invalid (error, "tokenizer.ggml.token_type[%u] is %" G_GINT64_FORMAT "; 1 to 6 are known", i, types[i]);
      self->types[i] = (guint8) types[i];
      if ((types[i] == LLM_TOKEN_USER_DEFINED && llm_vocab_looks_like_control (texts[i]))
          || ((types[i] == LLM_TOKEN_USER_DEFINED || types[i] == LLM_TOKEN_NORMAL) && llm_vocab_is_control_text (texts[i])
              && !(self->spm_spaces && llm_str_is (texts[i], "</s>")))) /* in Gemma 4 that is a tag of HTML */
        self->types[i] = LLM_TOKEN_CONTROL; /* whatever the file says */
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
    return llm_vocab_invalid (error, "tokenizer.ggml.scores has %" G_GUINT64_FORMAT " items for %u tokens", count, self->n);
  self->scores = g_try_new (float, self->n);
  if (self->scores == NULL)
    return llm_vocab_out_of_memory (error);
  for (guint i = 0; i < self->n; i++)
    {
      if (isnan (scores[i]))
        return llm_vocab_invalid (error, "tokenizer.ggml.scores[%u] is not a number", i);
      self->scores[i] = (float) scores[i];
      if (self->types[i] == LLM_TOKEN_NORMAL)
        self->unknown_score = MIN (self->unknown_score, (double) self->scores[i]);
    }
  return TRUE;
}

static gboolean
read_charsmap (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  static const char key[] = "tokenizer.ggml.precompiled_charsmap";
  LlmGgufType type;
  guint64 count;
  g_autofree gint64 *items = NULL;
  g_autofree guint8 *bytes = NULL;

  if (!llm_gguf_has (gguf, key))
    return TRUE;
  if (!llm_gguf_array (gguf, key, &type, &count, error))
    return FALSE;
  if (count > LLM_CHARSMAP_MAX_BYTES)
    return llm_vocab_invalid (error, "%s has %" G_GUINT64_FORMAT " bytes; at most %llu are allowed", key, count, LLM_CHARSMAP_MAX_BYTES);
  items = llm_gguf_array_i64 (gguf, key, &count, error);
  if (items == NULL)
    return FALSE;
  bytes = g_try_malloc (MAX (count, 1));
  if (bytes == NULL)
    return llm_vocab_out_of_memory (error);
  for (guint64 i = 0; i < count; i++)
    bytes[i] = (guint8) items[i]; /* i8 or u8 */
  return llm_charsmap_init (&self->charsmap, bytes, count, error);
}

/* Whether words are taken apart by looking for token @id in them. */
static gboolean
is_walked (const LlmVocab *self, gint32 id)
{
  guint8 type = self->types[id];

  if (self->kind == LLM_VOCAB_UGM)
    return type == LLM_TOKEN_NORMAL || type == LLM_TOKEN_USER_DEFINED || type == LLM_TOKEN_UNUSED;
  return self->kind == LLM_VOCAB_WPM && type == LLM_TOKEN_NORMAL;
}

static void
index_normal (LlmVocab *self, gint32 id)
{
  LlmStr bytes = llm_vocab_bytes (self, id);

  llm_piece_index_add (&self->index, id);
  if (self->pairs.bits != NULL)
    llm_char_pairs_add (&self->pairs, bytes.bytes, bytes.len);
}

static gboolean
build_index (LlmVocab *self, GError **error)
{
  gboolean pairs = self->kind == LLM_VOCAB_SPM || self->spm_spaces;

  if (!llm_piece_index_init (&self->index, self->arena, self->offsets, self->n) || (pairs && !llm_char_pairs_init (&self->pairs)))
    return llm_vocab_out_of_memory (error);
  llm_prefix_set_init (&self->control, self->arena, self->offsets);
  llm_prefix_set_init (&self->user, self->arena, self->offsets);
  llm_prefix_set_init (&self->pieces, self->arena, self->offsets);
  for (gint32 i = 0; i < (gint32) self->n; i++)
    {
      if (self->types[i] == LLM_TOKEN_CONTROL || self->types[i] == LLM_TOKEN_UNKNOWN)
        llm_prefix_set_add (&self->control, i);
      else if (self->types[i] == LLM_TOKEN_USER_DEFINED)
        llm_prefix_set_add (&self->user, i);
      else if (self->types[i] == LLM_TOKEN_NORMAL)
        index_normal (self, i);
      if (is_walked (self, i))
        llm_prefix_set_add (&self->pieces, i);
    }
  llm_prefix_set_sort (&self->control);
  llm_prefix_set_sort (&self->user);
  llm_prefix_set_sort (&self->pieces);
  for (int b = 0; b < 256; b++)
    {
      char byte = (char) b;

      if (self->byte_token[b] == LLM_TOKEN_NONE)
        self->byte_token[b] = llm_piece_index_find (&self->index, &byte, 1);
    }
  return TRUE;
}

/* ---- all of it ---- */

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
    return llm_vocab_invalid (error, "tokenizer.ggml.tokens has %" G_GUINT64_FORMAT " items; 1 to %d are allowed", count, LLM_MODEL_MAX_VOCAB);
  self->n = (guint) count;
  return read_types (self, gguf, texts, error) && read_texts (self, texts, error)
         && ((self->kind != LLM_VOCAB_SPM && self->kind != LLM_VOCAB_UGM) || read_scores (self, gguf, error)) && build_index (self, error)
         && (self->kind != LLM_VOCAB_BPE || llm_bpe_load_merges (self, gguf, error))
         && (self->kind != LLM_VOCAB_UGM || read_charsmap (self, gguf, error)) && llm_vocab_read_special (self, gguf, error);
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
