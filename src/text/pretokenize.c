/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Llama 3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * Qwen 2: the same with \p{N} instead of \p{N}{1,3}.
 */
#include "text/pretokenize.h"

#include <string.h>

#include "text/utf8.h"

static const LlmPretokenizerInfo pretokenizers[] = {
  { "llama-bpe", LLM_PRE_LLAMA3, TRUE, TRUE, TRUE },
  { "llama3", LLM_PRE_LLAMA3, TRUE, TRUE, TRUE },
  { "llama-v3", LLM_PRE_LLAMA3, TRUE, TRUE, TRUE },
  { "qwen2", LLM_PRE_QWEN2, FALSE, FALSE, FALSE },
};

const LlmPretokenizerInfo *
llm_pretokenizer_find (const char *name, gsize len)
{
  for (gsize i = 0; i < G_N_ELEMENTS (pretokenizers); i++)
    if (strlen (pretokenizers[i].name) == len && memcmp (pretokenizers[i].name, name, len) == 0)
      return &pretokenizers[i];
  return NULL;
}

typedef enum { LETTER, NUMBER, SPACE, NEWLINE, OTHER, END } Class;

static Class
classify (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_LOWERCASE_LETTER:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
    case G_UNICODE_UPPERCASE_LETTER:
      return LETTER;
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
      return NUMBER;
    default:
      break;
    }
  if (c == '\n' || c == '\r')
    return NEWLINE;
  /* the White_Space property */
  if ((c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028
      || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000)
    return SPACE;
  return OTHER;
}

typedef struct {
  const char *text;
  gsize n;
} Text;

/* The class of the character at @at and the offset after it. */
static Class
look (const Text *t, gsize at, gsize *after)
{
  int step;

  *after = at;
  if (at >= t->n)
    return END;
  step = llm_utf8_step (t->text + at, t->n - at);
  if (step <= 0)
    step = 1; /* callers check; stay in step all the same */
  *after = at + (gsize) step;
  return classify (llm_utf8_decode (t->text + at, step));
}

static gsize
skip (const Text *t, gsize at, Class wanted)
{
  gsize after;

  while (look (t, at, &after) == wanted)
    at = after;
  return at;
}

/* 's 't 're 've 'm 'll 'd in any case; 0: none. */
static gsize
contraction (const Text *t)
{
  char a = t->n > 1 ? (char) g_ascii_tolower (t->text[1]) : 0;
  char b = t->n > 2 ? (char) g_ascii_tolower (t->text[2]) : 0;

  if (t->text[0] != '\'')
    return 0;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
    return 3;
  return a == 's' || a == 't' || a == 'm' || a == 'd' ? 2 : 0;
}

/* \s*[\r\n]+ | \s+(?!\S) | \s+ over the run of white space at the start. */
static gsize
white_space (const Text *t)
{
  gsize at = 0, after, last_newline = 0, before_last = 0;
  Class c;

  while ((c = look (t, at, &after)) == SPACE || c == NEWLINE)
    {
      if (c == NEWLINE)
        last_newline = after;
      before_last = at;
      at = after;
    }
  if (last_newline > 0)
    return last_newline;
  return c == END || before_last == 0 ? at : before_last;
}

gsize
llm_pretokenize_next (LlmPretokenizer pre, const char *text, gsize n)
{
  Text t = { text, n };
  gsize first, second, length = contraction (&t);
  Class c, next;

  if (length > 0)
    return length;
  c = look (&t, 0, &first);
  if (c == LETTER)
    return skip (&t, first, LETTER);
  if (c == NUMBER)
    {
      if (pre == LLM_PRE_LLAMA3)
        for (int more = 2; more > 0 && look (&t, first, &second) == NUMBER; more--)
          first = second;
      return first;
    }
  next = look (&t, first, &second);
  if (c != NEWLINE && next == LETTER)
    return skip (&t, second, LETTER);
  if (c == OTHER)
    return skip (&t, skip (&t, first, OTHER), NEWLINE);
  if (text[0] == ' ' && next == OTHER)
    return skip (&t, skip (&t, second, OTHER), NEWLINE);
  return white_space (&t);
}
