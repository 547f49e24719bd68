/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See word-rule.h.  Each function here is one alternative of the expression and
 * returns the end of its match, @at for none.
 */
#include "text/word-rule.h"

#include <string.h>

/* o200k: capitals, small letters, and what is both: Lm, Lo, M */
#define BOTH (LLM_CLASS_MODIFIER | LLM_CLASS_CASELESS | LLM_CLASS_MARK)
#define CAPITAL (LLM_CLASS_UPPER | LLM_CLASS_TITLE | BOTH)
#define SMALL (LLM_CLASS_LOWER | BOTH)

/* For words: there alone is Han apart. */
static gunichar
look (const LlmWordRule *rule, LlmSpan span, gsize at, guint *klass, gsize *after)
{
  gunichar c = llm_span_look (span, at, klass, after);

  if (rule->han && c >= 0x2E80 && g_unichar_get_script (c) == G_UNICODE_SCRIPT_HAN)
    *klass = LLM_CLASS_HAN;
  return c;
}

static gsize
skip (const LlmWordRule *rule, LlmSpan span, gsize at, guint classes)
{
  guint klass;
  gsize after;

  for (look (rule, span, at, &klass, &after); (klass & classes) != 0; look (rule, span, at, &klass, &after))
    at = after;
  return at;
}

static gsize
contraction (LlmSpan span, gsize at, gboolean any_case)
{
  char a = at + 1 < span.n ? span.text[at + 1] : 0;
  char b = at + 2 < span.n ? span.text[at + 2] : 0;

  if (at >= span.n || span.text[at] != '\'')
    return at;
  if (any_case)
    {
      a = g_ascii_tolower (a);
      b = g_ascii_tolower (b);
    }
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
    return at + 3;
  return a == 's' || a == 't' || a == 'm' || a == 'd' ? at + 2 : at;
}

/* upper* lower+: as many capitals as leave a small letter; what is both may be either. */
static gsize
capitals_then_small (const LlmWordRule *rule, LlmSpan span, gsize at)
{
  gsize after, after_both = at;
  guint klass;

  for (look (rule, span, at, &klass, &after); (klass & CAPITAL) != 0; look (rule, span, at, &klass, &after))
    {
      at = after;
      if ((klass & BOTH) != 0)
        after_both = after;
    }
  return (klass & LLM_CLASS_LOWER) != 0 ? skip (rule, span, at, SMALL) : after_both;
}

/* @first: after the character that may lead, or @at. */
static gsize
cased_word (const LlmWordRule *rule, LlmSpan span, gsize at, gsize first)
{
  const gsize starts[] = { first, at };
  gsize end = at;

  for (guint i = 0; i < 4 && end == at; i++)
    {
      gsize start = starts[i % 2];

      end = i < 2 ? capitals_then_small (rule, span, start) : skip (rule, span, start, CAPITAL);
      if (end == start)
        end = at;
    }
  return end > at && rule->contraction == LLM_CONTRACTION_SUFFIX ? contraction (span, end, TRUE) : end;
}

/* (?:L M* (?: L M*)*)+: what looks for a letter after each blank. */
static gsize
joined_words (const LlmWordRule *rule, LlmSpan span, gsize at)
{
  guint klass;
  gsize after, second;

  for (;;)
    {
      gunichar c = look (rule, span, at, &klass, &after);

      if (c == ' ')
        look (rule, span, after, &klass, &second);
      else
        second = after;
      if ((klass & LLM_CLASS_L) == 0)
        return at;
      at = skip (rule, span, second, LLM_CLASS_MARK);
    }
}

static gsize
word (const LlmWordRule *rule, LlmSpan span, gsize at)
{
  guint klass, next;
  gsize after, second;
  gunichar c = look (rule, span, at, &klass, &after);
  gboolean leads = rule->lead != 0 ? (klass & rule->lead) != 0 : c == ' ';

  if (rule->letters == 0)
    return cased_word (rule, span, at, leads ? after : at);
  if (leads)
    {
      look (rule, span, after, &next, &second);
      if ((next & rule->letters) != 0)
        return rule->joined ? joined_words (rule, span, after) : skip (rule, span, second, rule->letters);
    }
  if ((klass & rule->letters) == 0)
    return at;
  return rule->joined ? joined_words (rule, span, at) : skip (rule, span, after, rule->letters);
}

/* After a blank, where @blank says that one may stand there. */
static gsize
past_blank (LlmSpan span, gsize at, gboolean blank)
{
  return blank && at < span.n && span.text[at] == ' ' ? at + 1 : at;
}

static gsize
number (const LlmWordRule *rule, LlmSpan span, gsize at)
{
  gsize begin = past_blank (span, at, rule->lead == 0), end = begin, after;
  guint klass;

  for (guint n = 0; n < rule->max_digits; n++)
    {
      llm_span_look (span, end, &klass, &after);
      if ((klass & LLM_CLASS_N) == 0)
        break;
      end = after;
    }
  return end > begin ? end : at;
}

static gsize
others (const LlmWordRule *rule, LlmSpan span, gsize at)
{
  gsize begin = past_blank (span, at, TRUE), end = llm_span_skip (span, begin, rule->other);

  if (end == begin)
    return at;
  while (end < span.n && span.text[end] != '\0' && strchr (rule->tail, span.text[end]) != NULL)
    {
      end++;
      if (rule->one_tail)
        break;
    }
  return end;
}

static gsize
ascii_word (LlmSpan span, gsize at)
{
  gsize end = at + 1;

  if (!g_ascii_ispunct (span.text[at]))
    return at;
  while (end < span.n && g_ascii_isalpha (span.text[end]))
    end++;
  return end > at + 1 ? end : at;
}

/* The largest power of two up to 512 that leaves white space, or the end, behind it; else two, or one. */
static gsize
power_of_white_space (LlmSpan span, gsize at)
{
  gsize ends[514], after;
  guint n = 0, power = 512, klass;

  ends[0] = at;
  for (llm_span_look (span, at, &klass, &after); n < 513 && (klass & LLM_CLASS_WHITE) != 0; llm_span_look (span, after, &klass, &after))
    ends[++n] = after;
  if (n == 0)
    return at;
  if (n < 513 && klass != 0)
    n = MAX (n - 1, 1);
  while (power > n)
    power /= 2;
  return ends[power];
}

/* \s*[\r\n]+ | \s+(?!\S) | \s+ */
static gsize
white_space (const LlmWordRule *rule, LlmSpan span, gsize at, gsize *no_newline)
{
  gsize end = at, after, last_newline = at, before_last = at;
  guint klass;

  if (rule->newline == LLM_NEWLINE_EACH && (span.text[at] == '\n' || span.text[at] == '\r'))
    return at + 1;
  if (at < *no_newline)
    return power_of_white_space (span, at);
  for (look (rule, span, end, &klass, &after); (klass & LLM_CLASS_WHITE) != 0; look (rule, span, end, &klass, &after))
    {
      if (klass == LLM_CLASS_NEWLINE)
        last_newline = after;
      before_last = end;
      end = after;
    }
  if (rule->newline == LLM_NEWLINE_RUNS && last_newline > at)
    return last_newline;
  if (rule->powers)
    {
      *no_newline = end;
      return power_of_white_space (span, at);
    }
  return klass == 0 || before_last == at ? end : before_last;
}

gsize
llm_word_rule_match (const LlmWordRule *rule, LlmSpan span, gsize at, gsize *no_newline)
{
  gsize end = at;

  if (rule->contraction == LLM_CONTRACTION_LOWER || rule->contraction == LLM_CONTRACTION_ANY)
    end = contraction (span, at, rule->contraction == LLM_CONTRACTION_ANY);
  if (end == at && rule->han)
    end = skip (rule, span, at, LLM_CLASS_HAN);
  if (end == at && rule->ascii_words)
    end = ascii_word (span, at);
  if (end == at)
    end = word (rule, span, at);
  if (end == at)
    end = number (rule, span, at);
  if (end == at)
    end = others (rule, span, at);
  return end > at ? end : white_space (rule, span, at, no_newline);
}
