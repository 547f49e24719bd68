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

void
llm_vocab_unref (LlmVocab *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  llm_piece_index_clear (&self->index);
  llm_special_set_clear (&self->control);
  llm_special_set_clear (&self->user);
  g_free (self->arena);
  g_free (self->offsets);
  g_free (self->types);
  g_free (self->eog);
  g_free (self->scores);
  g_free (self->merges);
  g_free (self->strip_right);
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

  if (len > 0 && (llm_special_set_match (&self->control, text, len, &id) == len || llm_special_set_match (&self->user, text, len, &id) == len))
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
} Run;

static void
add_text (Run *run, const char *text, gsize len)
{
  if (len == 0)
    return;
  if (run->vocab->kind == LLM_VOCAB_BPE)
    llm_bpe_tokenize (run->vocab, text, len, run->ids);
  else
    llm_spm_tokenize (run->vocab, text, len, run->vocab->add_space_prefix && run->after_special, run->ids);
  run->after_special = FALSE;
}

static void
add_token (Run *run, gint32 id)
{
  g_array_append_val (run->ids, id);
  run->after_special = TRUE;
}

/* Special tokens leftmost, then longest; what lies between them is text. */
static void
add_mixed (Run *run, const char *text, gsize len, gboolean parse_special)
{
  gsize begin = 0, at = 0;

  while (at < len)
    {
      gint32 user_id, control_id;
      gsize user = llm_special_set_match (&run->vocab->user, text + at, len - at, &user_id);
      gsize control = parse_special ? llm_special_set_match (&run->vocab->control, text + at, len - at, &control_id) : 0;

      if (user == 0 && control == 0)
        {
          at++;
          continue;
        }
      add_text (run, text + begin, at - begin);
      add_token (run, control >= user ? control_id : user_id);
      at += MAX (control, user);
      while (run->vocab->strip_right != NULL && at < len && g_ascii_isspace (text[at])
             && run->vocab->strip_right[g_array_index (run->ids, gint32, run->ids->len - 1)])
        at++;
      begin = at;
    }
  add_text (run, text + begin, len - begin);
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

gboolean
llm_tokenize_parts (const LlmVocab *self, const LlmTextPart *parts, guint n_parts, LlmTokenizeFlags flags, GArray *ids, GError **error)
{
  Run run = { self, ids, TRUE };

  for (guint i = 0; i < n_parts; i++)
    {
      if (parts[i].token == LLM_TOKEN_NONE ? !check_text (parts[i].text, parts[i].len, error) : !is_known (self, parts[i].token))
        {
          if (parts[i].token != LLM_TOKEN_NONE)
            g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "token id %d is not one of 0 to %u", parts[i].token, self->n - 1);
          return FALSE;
        }
    }
  if ((flags & LLM_TOKENIZE_ADD_SPECIAL) != 0 && self->add_bos && self->bos >= 0)
    add_token (&run, self->bos);
  for (guint i = 0; i < n_parts; i++)
    if (parts[i].token != LLM_TOKEN_NONE)
      add_token (&run, parts[i].token);
    else
      add_mixed (&run, parts[i].text, parts[i].len, (flags & LLM_TOKENIZE_PARSE_SPECIAL) != 0);
  if ((flags & LLM_TOKENIZE_ADD_SPECIAL) != 0 && self->add_eos && self->eos >= 0)
    add_token (&run, self->eos);
  return TRUE;
}

gboolean
llm_tokenize (const LlmVocab *self, const char *text, gsize len, LlmTokenizeFlags flags, GArray *ids, GError **error)
{
  LlmTextPart part = { text, len, LLM_TOKEN_NONE };

  return llm_tokenize_parts (self, &part, 1, flags, ids, error);
}
