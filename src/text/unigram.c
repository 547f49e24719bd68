/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unigram (Kudo 2018), as T5 and XLM-R have it: of all ways to write the text as
 * tokens the one with the largest sum of scores, found by Viterbi from left to right.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "text/utf8.h"
#include "text/vocab-private.h"

#define MAX_CLEAN_BYTES (2 * LLM_TEXT_MAX_BYTES)
#define UNKNOWN_PENALTY 10.0 /* SentencePiece: below the least score of all tokens */

/* SentencePiece's normalizer: the map, then spaces. */
typedef struct {
  const LlmVocab *vocab;
  GString *out;
  gboolean in_word, has_prefix;
} Normalizer;

static void
add_bytes (Normalizer *n, const char *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    {
      if (bytes[i] == ' ')
        {
          n->in_word = FALSE;
          if (!n->vocab->merge_spaces)
            g_string_append_c (n->out, ' ');
          continue;
        }
      if (!n->in_word && (n->vocab->merge_spaces || (n->vocab->add_space_prefix && !n->has_prefix)))
        {
          g_string_append_c (n->out, ' ');
          n->has_prefix = TRUE;
        }
      n->in_word = TRUE;
      g_string_append_c (n->out, bytes[i]);
    }
}

static GString *
normalize (const LlmVocab *vocab, const char *text, gsize len)
{
  Normalizer n = { vocab, g_string_sized_new (len + 16), FALSE, FALSE };

  for (gsize i = 0; i < len && n.out->len <= MAX_CLEAN_BYTES;)
    {
      const char *replacement;
      gsize matched = llm_charsmap_match (&vocab->charsmap, text + i, len - i, &replacement);

      if (matched > 0)
        add_bytes (&n, replacement, strlen (replacement));
      else
        {
          matched = (gsize) llm_utf8_step (text + i, len - i);
          add_bytes (&n, text + i, matched);
        }
      i += matched;
    }
  g_string_truncate (n.out, llm_spm_decode (n.out->str, n.out->len, n.out->str)); /* a U+2581 of the text is a space */
  return n.out;
}

/* The best way to the end of a token: its score in all, the token, its length. */
typedef struct {
  double score;
  gint32 id;
  guint32 len; /* 0: no way yet */
} Way;

static void
offer (Way *ways, gsize at, gsize len, gint32 id, double score)
{
  Way *way = &ways[at + len];

  score += ways[at].score;
  if (way->len == 0 || score > way->score)
    *way = (Way) { score, id, (guint32) len };
}

static void
find_ways (const LlmVocab *self, const GString *text, Way *ways)
{
  for (gsize at = 0; at < text->len;)
    {
      int step = llm_utf8_step (text->str + at, text->len - at);
      gsize one = (gsize) ABS (step), len;
      gboolean has_char = FALSE;
      LlmPrefixWalk walk;
      gint32 id;

      if (step == 0)
        one = text->len - at;
      llm_prefix_walk_init (&walk, &self->pieces, text->str + at, text->len - at);
      while ((len = llm_prefix_walk_next (&walk, &id)) > 0)
        {
          offer (ways, at, len, id, self->types[id] == LLM_TOKEN_USER_DEFINED ? 0 : (double) self->scores[id]);
          has_char = has_char || len == one;
        }
      if (!has_char)
        offer (ways, at, one, self->unk, self->unknown_score - UNKNOWN_PENALTY);
      at += one;
    }
}

static void
reverse (GArray *ids, guint from)
{
  gint32 *all = (gint32 *) (gpointer) ids->data;

  for (guint i = from, k = ids->len; i + 1 < k; i++)
    {
      gint32 id = all[i];

      all[i] = all[--k];
      all[k] = id;
    }
}

gboolean
llm_ugm_tokenize (const LlmVocab *self, const char *text, gsize len, GArray *ids, GError **error)
{
  g_autoptr (GString) clean = normalize (self, text, len);
  g_autofree Way *ways = NULL;
  guint before = ids->len;
  gint32 last = LLM_TOKEN_NONE;

  if (clean->len > MAX_CLEAN_BYTES)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED,
                   "the text (%" G_GSIZE_FORMAT " bytes) is more than %llu bytes long when it is normalized", len, MAX_CLEAN_BYTES);
      return FALSE;
    }
  ways = g_try_new0 (Way, clean->len + 1);
  if (ways == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory to tokenize a text of %" G_GSIZE_FORMAT " bytes", len);
      return FALSE;
    }
  find_ways (self, clean, ways);
  for (gsize at = clean->len; at > 0; at -= ways[at].len)
    {
      gint32 id = ways[at].id;

      if (id >= 0 && (id != self->unk || last != id)) /* neighbours that are unknown are one */
        g_array_append_val (ids, id);
      last = id;
    }
  reverse (ids, before);
  return TRUE;
}
