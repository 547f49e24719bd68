/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See run-sets.h. */
#include "text/run-sets.h"

typedef struct {
  gunichar first, last;
} Range;

/* Sorted.  As published with the vocabularies; Unicode has gained cased letters since. */
static const Range cased[] = {
  { 0x0041, 0x005A }, { 0x0061, 0x007A }, { 0x00B5, 0x00B5 }, { 0x00C0, 0x00D6 }, { 0x00D8, 0x00F6 }, { 0x00F8, 0x01BA },
  { 0x01BC, 0x01BF }, { 0x01C4, 0x0293 }, { 0x0295, 0x02AF }, { 0x0370, 0x0373 }, { 0x0376, 0x0377 }, { 0x037B, 0x037D },
  { 0x037F, 0x037F }, { 0x0386, 0x0386 }, { 0x0388, 0x038A }, { 0x038C, 0x038C }, { 0x038E, 0x03A1 }, { 0x03A3, 0x03F5 },
  { 0x03F7, 0x0481 }, { 0x048A, 0x052F }, { 0x0531, 0x0556 }, { 0x10A0, 0x10C5 }, { 0x13A0, 0x13F5 }, { 0x13F8, 0x13FD },
  { 0x1C90, 0x1CBA }, { 0x1CBD, 0x1CBF }, { 0x1D00, 0x1D2B }, { 0x1D6B, 0x1D77 }, { 0x1D79, 0x1D9A }, { 0x1E00, 0x1F15 },
  { 0x1F18, 0x1F1D }, { 0x1F20, 0x1F45 }, { 0x1F48, 0x1F4D }, { 0x1F50, 0x1F57 }, { 0x1F59, 0x1F59 }, { 0x1F5B, 0x1F5B },
  { 0x1F5D, 0x1F5D }, { 0x1F5F, 0x1F7D }, { 0x1F80, 0x1FB4 }, { 0x1FB6, 0x1FBC }, { 0x1FBE, 0x1FBE }, { 0x1FC2, 0x1FC4 },
  { 0x1FC6, 0x1FCC }, { 0x1FD0, 0x1FD3 }, { 0x1FD6, 0x1FDB }, { 0x1FE0, 0x1FEC }, { 0x1FF2, 0x1FF4 }, { 0x1FF6, 0x1FFC },
  { 0x2102, 0x2102 }, { 0x2107, 0x2107 }, { 0x210A, 0x2113 }, { 0x2115, 0x2115 }, { 0x2119, 0x211D }, { 0x2124, 0x2124 },
  { 0x2126, 0x2126 }, { 0x2128, 0x2128 }, { 0x212A, 0x212D }, { 0x212F, 0x2134 }, { 0x2139, 0x2139 }, { 0x213C, 0x213F },
  { 0x2145, 0x2149 }, { 0x214E, 0x214E }, { 0x2183, 0x2184 }, { 0x2C00, 0x2C7B }, { 0x2C7E, 0x2CE4 }, { 0x2CEB, 0x2CEE },
  { 0x2CF2, 0x2CF3 }, { 0xA640, 0xA66D }, { 0xA680, 0xA69B }, { 0xA722, 0xA76F }, { 0xA771, 0xA787 }, { 0xA78B, 0xA78E },
  { 0xAB70, 0xABBF }, { 0xFB00, 0xFB06 }, { 0xFB13, 0xFB17 }, { 0xFF21, 0xFF3A }, { 0xFF41, 0xFF5A }, { 0x10400, 0x1044F },
  { 0x104B0, 0x104D3 }, { 0x104D8, 0x104FB }, { 0x10C80, 0x10CB2 }, { 0x10CC0, 0x10CF2 }, { 0x118A0, 0x118DF }, { 0x1E900, 0x1E943 },
};

static const Range marks[] = {
  { 0x0021, 0x002F }, { 0x003A, 0x007E }, { 0x2018, 0x201F }, { 0x3000, 0x3002 }, { 0xFF01, 0xFF0F }, { 0xFF1A, 0xFF5E },
};

static const Range wide[] = { { 0x0800, 0x9FA5 }, { 0xAC00, 0xD7FF } };

static const Range cjk[] = { { 0x3040, 0x30FF }, { 0x4E00, 0x9FA5 } };

static const Range asian[] = {
  { 0x0E40, 0x0EFF }, { 0x1000, 0x109F }, { 0x1100, 0x11FF }, { 0x1780, 0x17FF }, { 0x2F00, 0x2FDF }, { 0x3040, 0x30FF },
  { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xA9E0, 0xA9FF }, { 0xAA60, 0xAA7F }, { 0xAC00, 0xD7AF }, { 0xF900, 0xFAFF },
  { 0xFF65, 0xFF9F },
};

static const Range hangul[] = { { 0x3131, 0x318E }, { 0xAC00, 0xD7A3 } };
static const Range bopomofo[] = { { 0x3105, 0x312F } };
static const Range east_asian_punctuation[] = {
  { 0x2014, 0x2014 }, { 0x2018, 0x2019 }, { 0x201C, 0x201D }, { 0x2026, 0x2026 }, { 0x3001, 0x303F },
  { 0xFE30, 0xFE4F }, { 0xFF01, 0xFF01 }, { 0xFF0C, 0xFF0C }, { 0xFF1A, 0xFF1B },
};

static gboolean
in_ranges (gunichar c, const Range *ranges, gsize n)
{
  gsize lo = 0, hi = n;

  while (lo < hi)
    {
      gsize mid = lo + (hi - lo) / 2;

      if (c > ranges[mid].last)
        lo = mid + 1;
      else
        hi = mid;
    }
  return lo < n && c >= ranges[lo].first;
}

#define IN(c, ranges) in_ranges (c, ranges, G_N_ELEMENTS (ranges))

guint
llm_run_of_newlines (G_GNUC_UNUSED gunichar c, guint klass)
{
  return klass == LLM_CLASS_NEWLINE;
}

guint
llm_run_of_line_feeds (gunichar c, G_GNUC_UNUSED guint klass)
{
  return c == '\n';
}

guint
llm_run_of_numbers (G_GNUC_UNUSED gunichar c, guint klass)
{
  return (klass & LLM_CLASS_N) != 0;
}

guint
llm_run_of_digits (gunichar c, G_GNUC_UNUSED guint klass)
{
  return c >= '0' && c <= '9';
}

guint
llm_run_of_letters (G_GNUC_UNUSED gunichar c, guint klass)
{
  return (klass & LLM_CLASS_L) != 0;
}

guint
llm_run_of_punctuation (G_GNUC_UNUSED gunichar c, guint klass)
{
  return klass == LLM_CLASS_PUNCT;
}

guint
llm_run_of_any_punctuation (gunichar c, guint klass)
{
  return klass == LLM_CLASS_PUNCT || (c < 128 && klass == LLM_CLASS_SYMBOL);
}

guint
llm_run_of_most_punctuation (gunichar c, guint klass)
{
  return c != '`' && llm_run_of_any_punctuation (c, klass);
}

guint
llm_run_of_white_space (G_GNUC_UNUSED gunichar c, guint klass)
{
  return (klass & LLM_CLASS_WHITE) != 0;
}

guint
llm_run_of_visibles (G_GNUC_UNUSED gunichar c, guint klass)
{
  return (klass & (LLM_CLASS_ALL & ~LLM_CLASS_WHITE)) != 0;
}

guint
llm_run_of_phrases (gunichar c, guint klass)
{
  switch (c)
    {
    case '|':
    case '.':
    case ',':
    case '!':
    case '?':
    case '(':
    case ')':
    case 0x2026: /* ellipsis */
    case 0x3001: /* ideographic comma, full stop */
    case 0x3002:
    case 0xFF0C: /* full-width comma */
    case 0x0964: /* danda */
    case 0x06D4: /* Arabic full stop, comma */
    case 0x060C:
      return 0;
    default:
      return llm_run_of_visibles (c, klass);
    }
}

guint
llm_run_of_cased (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, cased);
}

guint
llm_run_of_marks (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, marks);
}

guint
llm_run_of_wide (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, wide);
}

guint
llm_run_of_cjk (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, cjk);
}

guint
llm_run_of_asian (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, asian);
}

guint
llm_run_of_east_asian (gunichar c, G_GNUC_UNUSED guint klass)
{
  return IN (c, hangul) ? 1 : IN (c, east_asian_punctuation) ? 2 : IN (c, bopomofo) ? 3 : IN (c, cjk) ? 4 : 0;
}
