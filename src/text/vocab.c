/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading: what the loaded tables say.  Loading is vocab-load.c.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "text/utf8.h"
#include "text/vocab-private.h"

LlmVocab *
llm_vocab_ref (LlmVocab *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static void
free_tables (LlmVocab *self)
{
  llm_piece_index_clear (&self->index);
  llm_char_pairs_clear (&self->pairs);
  llm_prefix_set_clear (&self->control);
  llm_prefix_set_clear (&self->user);
  llm_prefix_set_clear (&self->pieces);
  llm_charsmap_clear (&self->charsmap);
  g_free (self->arena);
  g_free (self->offsets);
  g_free (self->types);
  g_free (self->eog);
  g_free (self->scores);
  g_free (self->merges);
  g_free (self->strip);
}

void
llm_vocab_unref (LlmVocab *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  if (self->lender != NULL)
    self->lender_free (self->lender);
  else
    free_tables (self);
  g_free (self);
}

guint
llm_vocab_size (const LlmVocab *self)
{
  return self->n;
}

gint32
llm_vocab_bos (const LlmVocab *self)
{
  return self->bos;
}

gint32
llm_vocab_eos (const LlmVocab *self)
{
  return self->eos;
}

gboolean
llm_vocab_add_bos (const LlmVocab *self)
{
  return self->add_bos;
}

gboolean
llm_vocab_add_eos (const LlmVocab *self)
{
  return self->add_eos;
}

static gboolean
is_known (const LlmVocab *self, gint32 id)
{
  return id >= 0 && (guint) id < self->n;
}

gboolean
llm_vocab_is_eog (const LlmVocab *self, gint32 id)
{
  return is_known (self, id) && self->eog[id];
}

gboolean
llm_vocab_is_special (const LlmVocab *self, gint32 id)
{
  return is_known (self, id)
         && (self->types[id] == LLM_TOKEN_CONTROL || self->types[id] == LLM_TOKEN_USER_DEFINED || self->types[id] == LLM_TOKEN_UNKNOWN);
}

gint32
llm_vocab_find_special (const LlmVocab *self, const char *text)
{
  gsize len = strlen (text);
  gint32 id;

  if (len > 0 && (llm_prefix_set_match (&self->control, text, len, &id) == len || llm_prefix_set_match (&self->user, text, len, &id) == len))
    return id;
  return LLM_TOKEN_NONE;
}

gboolean
llm_vocab_piece (const LlmVocab *self, gint32 id, LlmStr *bytes)
{
  if (!is_known (self, id))
    return FALSE;
  *bytes = llm_vocab_bytes (self, id);
  return TRUE;
}

/* ---- tokenizing ---- */

typedef struct {
  const LlmVocab *vocab;
  GArray *ids;
  gboolean after_special; /* SPM puts its space prefix only there */
  GError **error;
} Run;

static gboolean
add_text (Run *run, const char *text, gsize len)
{
  gboolean prefix = run->vocab->add_space_prefix && run->after_special;

  if (len == 0)
    return TRUE;
  run->after_special = FALSE;
  switch (run->vocab->kind)
    {
    case LLM_VOCAB_SPM:
      llm_spm_tokenize (run->vocab, text, len, prefix, run->ids);
      return TRUE;
    case LLM_VOCAB_BPE:
      llm_bpe_tokenize (run->vocab, text, len, run->ids);
      return TRUE;
    case LLM_VOCAB_WPM:
      llm_wpm_tokenize (run->vocab, text, len, run->ids);
      return TRUE;
    case LLM_VOCAB_UGM:
      return llm_ugm_tokenize (run->vocab, text, len, run->ids, run->error);
    default:
      g_assert_not_reached ();
    }
}

static void
add_token (Run *run, gint32 id)
{
  g_array_append_val (run->ids, id);
  run->after_special = TRUE;
}

/* The length of the special token at @text, 0 for none. */
static gsize
special_at (const LlmVocab *vocab, const char *text, gsize len, gboolean parse_special, gint32 *id)
{
  gint32 control_id;
  gsize user = llm_prefix_set_match (&vocab->user, text, len, id);
  gsize control = parse_special ? llm_prefix_set_match (&vocab->control, text, len, &control_id) : 0;

  if (control > 0 && control >= user)
    *id = control_id;
  return MAX (user, control);
}

static gboolean
is_white (char c)
{
  return g_ascii_isspace (c) || c == '\v';
}

/* Special tokens leftmost, then longest; what lies between them is text. */
static gboolean
add_mixed (Run *run, const char *text, gsize len, gboolean parse_special)
{
  gsize begin = 0, at = 0;

  while (at < len)
    {
      gint32 id;
      gsize n = special_at (run->vocab, text + at, len - at, parse_special, &id), end = at;
      guint8 strip = n > 0 && run->vocab->strip != NULL ? run->vocab->strip[id] : 0;

      if (n == 0)
        {
          at++;
          continue;
        }
      while ((strip & LLM_STRIP_LEFT) != 0 && end > begin && is_white (text[end - 1]))
        end--;
      if (!add_text (run, text + begin, end - begin))
        return FALSE;
      add_token (run, id);
      at += n;
      while ((strip & LLM_STRIP_RIGHT) != 0 && at < len && is_white (text[at]))
        at++;
      begin = at;
    }
  return add_text (run, text + begin, len - begin);
}

static gboolean
check_text (const char *text, gsize len, GError **error)
{
  gssize bad;

  if (len > LLM_TEXT_MAX_BYTES)
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "the text is %" G_GSIZE_FORMAT " bytes long; at most %llu are allowed", len,
                   LLM_TEXT_MAX_BYTES);
      return FALSE;
    }
  bad = llm_utf8_first_bad (text, len);
  if (bad >= 0)
    g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "the text is not UTF-8 at byte %" G_GSSIZE_FORMAT, bad);
  return bad < 0;
}

static gboolean
check_part (const LlmVocab *self, const LlmTextPart *part, GError **error)
{
  if (part->token == LLM_TOKEN_NONE)
    return check_text (part->text, part->len, error);
  if (!is_known (self, part->token))
    g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "token id %d is not one of 0 to %u", part->token, self->n - 1);
  return is_known (self, part->token);
}

/* WordPiece files name the same token as separator, as EOS or as both; it is added once. */
static void
add_end (Run *run)
{
  const LlmVocab *vocab = run->vocab;

  if (vocab->kind == LLM_VOCAB_WPM && vocab->sep >= 0)
    {
      if (vocab->add_sep || vocab->add_eos)
        add_token (run, vocab->sep);
    }
  else if (vocab->add_eos && vocab->eos >= 0)
    add_token (run, vocab->eos);
}

gboolean
llm_tokenize_parts (const LlmVocab *self, const LlmTextPart *parts, guint n_parts, LlmTokenizeFlags flags, GArray *ids, GError **error)
{
  Run run = { self, ids, TRUE, error };
  gboolean add = (flags & LLM_TOKENIZE_ADD_SPECIAL) != 0;
  guint before = ids->len;

  for (guint i = 0; i < n_parts; i++)
    if (!check_part (self, &parts[i], error))
      return FALSE;
  if (add && self->add_bos && self->bos >= 0)
    add_token (&run, self->bos);
  for (guint i = 0; i < n_parts; i++)
    if (parts[i].token != LLM_TOKEN_NONE)
      add_token (&run, parts[i].token);
    else if (!add_mixed (&run, parts[i].text, parts[i].len, (flags & LLM_TOKENIZE_PARSE_SPECIAL) != 0))
      {
        g_array_set_size (ids, before);
        return FALSE;
      }
  if (add)
    add_end (&run);
  return TRUE;
}

gboolean
llm_tokenize (const LlmVocab *self, const char *text, gsize len, LlmTokenizeFlags flags, GArray *ids, GError **error)
{
  LlmTextPart part = { text, len, LLM_TOKEN_NONE };

  return llm_tokenize_parts (self, &part, 1, flags, ids, error);
}
