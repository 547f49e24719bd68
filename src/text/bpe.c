/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BPE (Sennrich et al. 2016): words are cut by the pre-tokenizer; bytes, in GPT-2's byte
 * alphabet, merge within a word by the rank of the pair.  Gemma 4 merges characters instead,
 * writes a space as U+2581 and cuts at line feeds only.
 */
#include <string.h>

#include "base/error.h"
#include "text/byte-level.h"
#include "text/merger.h"
#include "text/utf8.h"
#include "text/vocab-private.h"

static guint32
pair_slot (const LlmVocab *self, guint64 pair)
{
  guint64 h = (pair ^ self->index.seed) * 0x9E3779B97F4A7C15u;

  return (guint32) (h >> 32) & self->merges_mask;
}

static const LlmMerge *
find_merge (const LlmVocab *self, gint32 left, gint32 right)
{
  guint64 pair = ((guint64) (guint32) left << 32 | (guint32) right) + 1;
  guint32 at = pair_slot (self, pair);

  for (; self->merges[at].pair != 0; at = (at + 1) & self->merges_mask)
    if (self->merges[at].pair == pair)
      return &self->merges[at];
  return NULL;
}

static void
add_merge (LlmVocab *self, gint32 left, gint32 right, guint32 rank, gint32 id)
{
  guint64 pair = ((guint64) (guint32) left << 32 | (guint32) right) + 1;
  guint32 at = pair_slot (self, pair);

  for (; self->merges[at].pair != 0; at = (at + 1) & self->merges_mask)
    if (self->merges[at].pair == pair)
      return; /* the first one counts */
  self->merges[at] = (LlmMerge) { pair, rank, id };
}

/* "left right", written as tokens are. A pair whose parts or result are no tokens can never apply. */
static gboolean
load_merge (LlmVocab *self, LlmStr text, guint32 rank, GByteArray *scratch, GError **error)
{
  const char *space = text.len > 2 ? memchr (text.bytes + 1, ' ', text.len - 2) : NULL;
  gsize (*decode) (const char *, gsize, char *) = self->spm_spaces ? llm_spm_decode : llm_byte_level_decode;
  gsize n_left, n_right;
  gint32 left, right, whole;
  char *out;

  if (space == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "tokenizer.ggml.merges[%u] is not two pieces with a space between", rank);
      return FALSE;
    }
  g_byte_array_set_size (scratch, (guint) text.len);
  out = (char *) scratch->data;
  n_left = decode (text.bytes, (gsize) (space - text.bytes), out);
  n_right = decode (space + 1, text.len - (gsize) (space + 1 - text.bytes), out + n_left);
  left = llm_piece_index_find (&self->index, out, n_left);
  right = llm_piece_index_find (&self->index, out + n_left, n_right);
  whole = llm_piece_index_find (&self->index, out, n_left + n_right);
  if (left >= 0 && right >= 0 && whole >= 0)
    add_merge (self, left, right, rank, whole);
  return TRUE;
}

gboolean
llm_bpe_load_merges (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  guint64 count = 0;
  g_autofree LlmStr *texts = llm_gguf_array_strs (gguf, "tokenizer.ggml.merges", &count, error);
  g_autoptr (GByteArray) scratch = g_byte_array_new ();
  gsize size = 16;

  if (texts == NULL)
    return FALSE;
  while (size < 2 * count)
    size *= 2;
  self->merges = g_try_new0 (LlmMerge, size);
  if (self->merges == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for %" G_GUINT64_FORMAT " merges", count);
      return FALSE;
    }
  self->merges_mask = (guint32) (size - 1);
  for (guint64 i = 0; i < count; i++)
    if (!load_merge (self, texts[i], (guint32) i, scratch, error))
      return FALSE;
  return TRUE;
}

static gboolean
merge_pair (gconstpointer vocab, const LlmSymbol *left, const LlmSymbol *right, gint32 *id, double *urgency)
{
  const LlmMerge *merge = left->id >= 0 && right->id >= 0 ? find_merge (vocab, left->id, right->id) : NULL;

  if (merge == NULL)
    return FALSE;
  *id = merge->id;
  *urgency = -(double) merge->rank;
  return TRUE;
}

/* One symbol per byte, or per character where tokens are UTF-8. */
static void
add_symbols (const LlmVocab *self, LlmMerger *merger, const char *word, gsize len)
{
  for (gsize i = 0; i < len;)
    {
      int step = self->spm_spaces ? llm_utf8_step (word + i, len - i) : 1;
      gint32 id = self->spm_spaces ? llm_piece_index_find (&self->index, word + i, (gsize) step) : self->byte_token[(guint8) word[i]];

      llm_merger_add (merger, word + i, (guint32) step, id);
      i += (gsize) step;
    }
}

/* What is no token is its bytes; a vocabulary without those loses it. */
static void
emit (const LlmVocab *self, const LlmSymbol *symbol, GArray *ids)
{
  if (symbol->id >= 0)
    g_array_append_val (ids, symbol->id);
  else
    for (guint32 i = 0; i < symbol->len; i++)
      {
        gint32 id = self->byte_token[(guint8) symbol->start[i]];

        if (id >= 0)
          g_array_append_val (ids, id);
      }
}

static void
merge_part (const LlmVocab *self, LlmMerger *merger, const char *part, gsize len, GArray *ids)
{
  llm_merger_reset (merger);
  add_symbols (self, merger, part, len);
  llm_merger_run (merger, merge_pair, self);
  for (guint i = 0; i < merger->symbols->len; i++)
    if (g_array_index (merger->symbols, LlmSymbol, i).len > 0)
      emit (self, &g_array_index (merger->symbols, LlmSymbol, i), ids);
}

static void
tokenize_word (const LlmVocab *self, LlmMerger *merger, const char *word, gsize len, GArray *ids)
{
  /* Gemma 4's runs of line feeds are tokens that no merge makes */
  gboolean as_it_is = self->ignore_merges || (self->spm_spaces && word[0] == '\n');
  gint32 whole = as_it_is ? llm_piece_index_find (&self->index, word, len) : LLM_TOKEN_NONE;

  if (whole >= 0)
    {
      g_array_append_val (ids, whole);
      return;
    }
  for (gsize at = 0, part; at < len; at += part)
    {
      part = self->spm_spaces ? llm_char_pairs_next (&self->pairs, word + at, len - at) : len;
      merge_part (self, merger, word + at, part, ids);
    }
}

void
llm_bpe_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids)
{
  g_autofree char *spaced = self->spm_spaces ? llm_spm_spaces (text, len, FALSE, &len) : NULL;
  LlmMerger merger;
  LlmWords words;
  gsize word;

  if (spaced != NULL)
    text = spaced;
  llm_merger_init (&merger);
  llm_words_init (&words, self->pre, text, len);
  while ((word = llm_words_next (&words)) > 0)
    tokenize_word (self, &merger, text + words.at - word, word, ids);
  llm_merger_clear (&merger);
}
