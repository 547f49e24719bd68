/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See char-class.h.  GLib knows the categories; White_Space it does not. */
#include "text/char-class.h"

#include "text/utf8.h"

static guint
class_of_type (GUnicodeType type)
{
  switch (type)
    {
    case G_UNICODE_UPPERCASE_LETTER:
      return LLM_CLASS_UPPER;
    case G_UNICODE_LOWERCASE_LETTER:
      return LLM_CLASS_LOWER;
    case G_UNICODE_TITLECASE_LETTER:
      return LLM_CLASS_TITLE;
    case G_UNICODE_MODIFIER_LETTER:
      return LLM_CLASS_MODIFIER;
    case G_UNICODE_OTHER_LETTER:
      return LLM_CLASS_CASELESS;
    case G_UNICODE_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
    case G_UNICODE_NON_SPACING_MARK:
      return LLM_CLASS_MARK;
    case G_UNICODE_DECIMAL_NUMBER:
      return LLM_CLASS_DIGIT;
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
      return LLM_CLASS_FIGURE;
    case G_UNICODE_CONNECT_PUNCTUATION:
    case G_UNICODE_DASH_PUNCTUATION:
    case G_UNICODE_CLOSE_PUNCTUATION:
    case G_UNICODE_FINAL_PUNCTUATION:
    case G_UNICODE_INITIAL_PUNCTUATION:
    case G_UNICODE_OTHER_PUNCTUATION:
    case G_UNICODE_OPEN_PUNCTUATION:
      return LLM_CLASS_PUNCT;
    case G_UNICODE_CURRENCY_SYMBOL:
    case G_UNICODE_MODIFIER_SYMBOL:
    case G_UNICODE_MATH_SYMBOL:
    case G_UNICODE_OTHER_SYMBOL:
      return LLM_CLASS_SYMBOL;
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SPACE_SEPARATOR:
      return LLM_CLASS_SPACE;
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    default:
      return LLM_CLASS_REST;
    }
}

guint
llm_char_class (gunichar c)
{
  if (c == '\n' || c == '\r')
    return LLM_CLASS_NEWLINE;
  if ((c >= 9 && c <= 12) || c == 0x85) /* controls, yet white space */
    return LLM_CLASS_SPACE;
  return class_of_type (g_unichar_type (c));
}

gunichar
llm_span_look (LlmSpan span, gsize at, guint *klass, gsize *after)
{
  gunichar c;
  int step;

  *klass = 0;
  *after = at;
  if (at >= span.n)
    return 0;
  step = llm_utf8_step (span.text + at, span.n - at);
  if (step <= 0)
    step = 1; /* callers check; stay in step all the same */
  c = llm_utf8_decode (span.text + at, step);
  *klass = llm_char_class (c);
  *after = at + (gsize) step;
  return c;
}

gsize
llm_span_skip (LlmSpan span, gsize at, guint classes)
{
  guint klass;
  gsize after;

  for (llm_span_look (span, at, &klass, &after); (klass & classes) != 0; llm_span_look (span, at, &klass, &after))
    at = after;
  return at;
}
