/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Byte-level BPE (Sennrich et al. 2016; GPT-2's byte alphabet): words are cut by the
 * pre-tokenizer, bytes merge within a word by the rank of the pair.
 */
#include <string.h>

#include "base/error.h"
#include "text/byte-level.h"
#include "text/merger.h"
#include "text/vocab-private.h"

static guint32
pair_slot (guint64 pair, guint32 mask)
{
  guint64 h = (pair ^ llm_hash_seed ()) * 0x9E3779B97F4A7C15u;

  return (guint32) (h >> 32) & mask;
}

static const LlmMerge *
find_merge (const LlmVocab *self, gint32 left, gint32 right)
{
  guint64 pair = ((guint64) (guint32) left << 32 | (guint32) right) + 1;
  guint32 at = pair_slot (pair, self->merges_mask);

  for (; self->merges[at].pair != 0; at = (at + 1) & self->merges_mask)
    if (self->merges[at].pair == pair)
      return &self->merges[at];
  return NULL;
}

static void
add_merge (LlmVocab *self, gint32 left, gint32 right, guint32 rank, gint32 id)
{
  guint64 pair = ((guint64) (guint32) left << 32 | (guint32) right) + 1;
  guint32 at = pair_slot (pair, self->merges_mask);

  for (; self->merges[at].pair != 0; at = (at + 1) & self->merges_mask)
    if (self->merges[at].pair == pair)
      return; /* the first one counts */
  self->merges[at] = (LlmMerge) { pair, rank, id };
}

/* "left right" in GPT-2's alphabet. A pair whose parts or result are no tokens can never apply. */
static gboolean
load_merge (LlmVocab *self, LlmStr text, guint32 rank, GByteArray *scratch, GError **error)
{
  const char *space = text.len > 2 ? memchr (text.bytes + 1, ' ', text.len - 2) : NULL;
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
  n_left = llm_byte_level_decode (text.bytes, (gsize) (space - text.bytes), out);
  n_right = llm_byte_level_decode (space + 1, text.len - (gsize) (space + 1 - text.bytes), out + n_left);
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

static void
tokenize_word (const LlmVocab *self, LlmMerger *merger, const char *word, gsize len, GArray *ids)
{
  gint32 whole = self->ignore_merges ? llm_piece_index_find (&self->index, word, len) : LLM_TOKEN_NONE;

  if (whole >= 0)
    {
      g_array_append_val (ids, whole);
      return;
    }
  llm_merger_reset (merger);
  for (gsize i = 0; i < len; i++)
    llm_merger_add (merger, word + i, 1, self->byte_token[(guint8) word[i]]);
  llm_merger_run (merger, merge_pair, self);
  for (guint i = 0; i < merger->symbols->len; i++)
    {
      const LlmSymbol *symbol = &g_array_index (merger->symbols, LlmSymbol, i);

      if (symbol->len > 0 && symbol->id >= 0)
        g_array_append_val (ids, symbol->id);
    }
}

void
llm_bpe_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids)
{
  LlmMerger merger;

  llm_merger_init (&merger);
  while (len > 0)
    {
      gsize word = llm_pretokenize_next (self->pre, text, len);

      tokenize_word (self, &merger, text, word, ids);
      text += word;
      len -= word;
    }
  llm_merger_clear (&merger);
}
