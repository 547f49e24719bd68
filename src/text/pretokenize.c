/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stages of all pre-tokenizers, and the walk through them.  Which name means
 * which stands in pretokenizers.c.
 */
#include "text/pretokenize.h"

#include <string.h>

#include "text/stages.h"

/* A run of what the stage's set holds; of at most max characters, cut into such pieces. */
static gsize
match_run (const LlmStage *stage, LlmSpan span, gsize at)
{
  guint klass, run, n = 0;
  gsize begin = at, end, after;
  gunichar c = llm_span_look (span, at, &klass, &after);

  if ((stage->lead == LLM_LEAD_BLANK && c == ' ') || (stage->lead == LLM_LEAD_WHITE_SPACE && (klass & LLM_CLASS_WHITE) != 0))
    {
      begin = after;
      c = llm_span_look (span, begin, &klass, &after);
      if (klass == 0 || stage->set (c, klass) == 0) /* then it may itself be of the set */
        {
          begin = at;
          c = llm_span_look (span, begin, &klass, &after);
        }
    }
  run = klass != 0 ? stage->set (c, klass) : 0;
  if (run == 0)
    return at;
  end = begin;
  while (klass != 0 && stage->set (c, klass) == run && (stage->max == 0 || n < stage->max))
    {
      end = after;
      n++;
      c = llm_span_look (span, end, &klass, &after);
    }
  return n >= stage->min ? end : at;
}

static gsize
count_digits (LlmSpan span, gsize at, guint digits, gsize *end)
{
  gsize n = 0, after;
  guint klass;

  for (llm_span_look (span, at, &klass, &after); (klass & digits) != 0; llm_span_look (span, at, &klass, &after))
    {
      at = after;
      n++;
    }
  *end = at;
  return n;
}

static gsize
skip_chars (LlmSpan span, gsize at, gsize n)
{
  guint klass;

  for (; n > 0; n--)
    llm_span_look (span, at, &klass, &at);
  return at;
}

/* Digits in groups of three, counted from the last: 1 234 567. */
static gsize
match_groups (const LlmStage *stage, LlmSpan span, gsize at, LlmStageMemo *memo)
{
  gsize end, after, group, n = memo->digits;
  guint klass;

  if (at < memo->no_match)
    return at;
  if (n == 0)
    {
      gunichar c;

      n = count_digits (span, at, stage->digits, &end);
      c = llm_span_look (span, end, &klass, &after);
      if (stage->whole_words && ((klass & (LLM_CLASS_L | LLM_CLASS_MARK | LLM_CLASS_N)) != 0 || c == '_'))
        {
          memo->no_match = end;
          return at;
        }
    }
  group = n % 3 != 0 ? n % 3 : MIN (n, 3);
  memo->digits = n - group;
  return skip_chars (span, at, group);
}

/* A cut wherever three, six, nine ... digits follow and no more: (?=(\d{3})+(?!\d)). */
static gsize
match_thousands (LlmSpan span, gsize at, LlmStageMemo *memo)
{
  gsize end, n;
  guint klass;

  if (memo->digits >= 3)
    {
      at = skip_chars (span, at, 3);
      memo->digits -= 3;
      if (memo->digits > 0)
        return at;
    }
  for (gsize begin = at; at < span.n;)
    {
      n = count_digits (span, at, LLM_CLASS_DIGIT, &end);
      if (n >= 3 && (n % 3 > 0 || at > begin))
        {
          memo->digits = n / 3 * 3;
          return skip_chars (span, at, n % 3);
        }
      if (n >= 3)
        {
          memo->digits = n;
          return match_thousands (span, at, memo);
        }
      at = end;
      if (n == 0)
        llm_span_look (span, at, &klass, &at);
    }
  return at;
}

/* White space at the end of the piece. */
static gsize
match_trailing (LlmSpan span, gsize at, LlmStageMemo *memo)
{
  gsize end;

  if (at < memo->no_match)
    return at;
  end = llm_span_skip (span, at, LLM_CLASS_WHITE);
  if (end == span.n)
    return end;
  memo->no_match = end;
  return at;
}

static gsize
skip_bytes (LlmSpan span, gsize at, const char *bytes)
{
  gsize n = strlen (bytes);

  return span.n - at >= n && memcmp (span.text + at, bytes, n) == 0 ? at + n : at;
}

/* Chameleon: <sentinel:[0-9]+> */
static gsize
match_sentinel (LlmSpan span, gsize at)
{
  gsize digits = skip_bytes (span, at, "<sentinel:"), end = digits;

  if (digits == at)
    return at;
  while (end < span.n && g_ascii_isdigit (span.text[end]))
    end++;
  return end > digits && end < span.n && span.text[end] == '>' ? end + 1 : at;
}

/* Chameleon: IMGIMG[A-I]{1,4}Z */
static gsize
match_image (LlmSpan span, gsize at)
{
  gsize letters = skip_bytes (span, at, "IMGIMG"), end = letters;

  if (letters == at)
    return at;
  while (end < span.n && end - letters < 4 && span.text[end] >= 'A' && span.text[end] <= 'I')
    end++;
  return end > letters && end < span.n && span.text[end] == 'Z' ? end + 1 : at;
}

/* Chameleon: a tab, a line feed, four blanks or two */
static gsize
match_indent (LlmSpan span, gsize at)
{
  gsize end;

  if (span.text[at] == '\t' || span.text[at] == '\n')
    return at + 1;
  end = skip_bytes (span, at, "    ");
  return end > at ? end : skip_bytes (span, at, "  ");
}

static gsize
match (const LlmStage *stage, LlmSpan span, gsize at, LlmStageMemo *memo)
{
  switch (stage->kind)
    {
    case LLM_STAGE_WORDS:
      return llm_word_rule_match (stage->rule, span, at, &memo->no_match);
    case LLM_STAGE_RUNS:
      return match_run (stage, span, at);
    case LLM_STAGE_GROUPS:
      return match_groups (stage, span, at, memo);
    case LLM_STAGE_THOUSANDS:
      return match_thousands (span, at, memo);
    case LLM_STAGE_TRAILING:
      return match_trailing (span, at, memo);
    case LLM_STAGE_SENTINEL:
      return match_sentinel (span, at);
    case LLM_STAGE_IMAGE:
      return match_image (span, at);
    case LLM_STAGE_INDENT:
      return match_indent (span, at);
    default:
      g_assert_not_reached ();
    }
}

/* The end of the piece at @at: of a match, or of what lies before the next one. */
static gsize
piece_end (const LlmStage *stage, LlmSpan span, gsize at, LlmStageMemo *memo)
{
  gsize end = memo->ready, after;
  guint klass;

  memo->ready = 0;
  if (end > at)
    return end;
  end = match (stage, span, at, memo);
  if (end > at)
    return end;
  do
    {
      llm_span_look (span, at, &klass, &after);
      at = after;
    }
  while (at < span.n && (memo->ready = match (stage, span, at, memo)) == at);
  return at;
}

void
llm_words_init (LlmWords *self, const LlmPretokenizer *pre, const char *text, gsize n)
{
  memset (self, 0, sizeof *self);
  self->pre = pre;
  self->text = text;
  self->ends[0] = n;
}

gsize
llm_words_next (LlmWords *self)
{
  const LlmStage *stages = self->pre->stages;
  gsize begin = self->at;
  guint i = 0;

  if (begin >= self->ends[0])
    return 0;
  for (; i < LLM_PRETOKENIZER_MAX_STAGES && stages[i].kind != LLM_STAGE_END; i++)
    if (self->ends[i + 1] <= begin)
      self->ends[i + 1] = piece_end (&stages[i], (LlmSpan) { self->text, self->ends[i] }, begin, &self->memos[i]);
  self->at = self->ends[i];
  return self->at - begin;
}
