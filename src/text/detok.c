/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ids -> bytes, and the streaming form that lets only whole characters out.
 */
#include <string.h>

#include "text/utf8.h"
#include "text/vocab-private.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* The bytes that @id stands for under @flags; the first visible piece may lose one space. */
static LlmStr
visible_bytes (const LlmVocab *vocab, gint32 id, LlmDetokFlags flags, gboolean *strip)
{
  LlmStr piece = { "", 0 };

  if ((flags & LLM_DETOK_SHOW_SPECIAL) != 0 || !llm_vocab_is_special (vocab, id) || vocab->types[id] == LLM_TOKEN_USER_DEFINED)
    piece = llm_vocab_bytes (vocab, id);
  if (piece.len > 0 && *strip)
    {
      *strip = FALSE;
      if (piece.bytes[0] == ' ')
        piece = (LlmStr) { piece.bytes + 1, piece.len - 1 };
    }
  return piece;
}

static gboolean
begins_any (const char *p, const char *const *texts)
{
  for (; *texts != NULL; texts++)
    if (g_str_has_prefix (p, *texts))
      return TRUE;
  return FALSE;
}

/* " ." " ?" " !" " ," " 's" " 'm" " 're" " 've" lose their space, " ' " both; in that order, as
 * Hugging Face's tokenizers do it. Only whole texts: a stream cannot take back a space. */
static void
clean_spaces (GString *s, gsize from)
{
  static const char *const marks[] = { " ?", " !", " .", " ,", NULL };
  static const char *const quote[] = { " ' ", NULL };
  static const char *const endings[] = { " 's", " 'm", " 're", " 've", NULL };
  static const char *const *const passes[] = { marks, quote, endings };

  for (gsize pass = 0; pass < G_N_ELEMENTS (passes); pass++)
    {
      gsize out = from;

      for (gsize i = from; i < s->len; i++)
        {
          if (s->str[i] == ' ' && begins_any (s->str + i, passes[pass]))
            {
              s->str[out++] = s->str[++i];
              if (passes[pass] == quote)
                i++;
            }
          else
            s->str[out++] = s->str[i];
        }
      g_string_truncate (s, out);
    }
}

gboolean
llm_detokenize (const LlmVocab *self, const gint32 *ids, gsize n, LlmDetokFlags flags, GString *out, GError **error)
{
  gboolean strip = self->add_space_prefix && self->kind != LLM_VOCAB_WPM;
  gsize from = out->len;

  for (gsize i = 0; i < n; i++)
    if (ids[i] < 0 || (guint) ids[i] >= self->n)
      {
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "token %" G_GSIZE_FORMAT " is %d; the ids of this model are 0 to %u", i, ids[i],
                     self->n - 1);
        return FALSE;
      }
  for (gsize i = 0; i < n; i++)
    {
      LlmStr piece = visible_bytes (self, ids[i], flags, &strip);

      g_string_append_len (out, piece.bytes, (gssize) piece.len);
    }
  if (self->clean_spaces)
    clean_spaces (out, from);
  if (self->kind == LLM_VOCAB_WPM && out->len > from && out->str[from] == ' ') /* after that: " ' " is one of them */
    g_string_erase (out, (gssize) from, 1);
  return TRUE;
}

struct _LlmDetok {
  LlmVocab *vocab;
  LlmDetokFlags flags;
  gboolean strip;
  GString *pending; /* bytes that are not whole characters yet */
};

LlmDetok *
llm_detok_new (LlmVocab *vocab, LlmDetokFlags flags, gboolean strip_leading_space)
{
  LlmDetok *self = g_new0 (LlmDetok, 1);

  self->vocab = llm_vocab_ref (vocab);
  self->flags = flags;
  self->strip = strip_leading_space;
  self->pending = g_string_new (NULL);
  return self;
}

void
llm_detok_free (LlmDetok *self)
{
  llm_vocab_unref (self->vocab);
  g_string_free (self->pending, TRUE);
  g_free (self);
}

void
llm_detok_push (LlmDetok *self, gint32 id, GString *out)
{
  LlmStr piece = visible_bytes (self->vocab, id, self->flags, &self->strip);
  gsize at = 0;

  g_string_append_len (self->pending, piece.bytes, (gssize) piece.len);
  while (at < self->pending->len)
    {
      int step = llm_utf8_step (self->pending->str + at, self->pending->len - at);

      if (step == 0)
        break;
      /* a NUL cannot cross D-Bus in a string */
      if (step < 0 || self->pending->str[at] == '\0')
        g_string_append (out, REPLACEMENT);
      else
        g_string_append_len (out, self->pending->str + at, step);
      at += (gsize) ABS (step);
    }
  g_string_erase (self->pending, 0, (gssize) at);
}

void
llm_detok_finish (LlmDetok *self, GString *out)
{
  if (self->pending->len > 0)
    g_string_append (out, REPLACEMENT);
  g_string_truncate (self->pending, 0);
}
