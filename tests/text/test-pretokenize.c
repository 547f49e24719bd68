/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every pre-tokenizer against the regular expressions that its model was published
 * with, run by GRegex on random text; and some words by hand.
 */
#include <string.h>

#include "text/pretokenize.h"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define LLAMA3 CONTRACTION "|" WORD "|\\p{N}{1,3}" OTHERS SPACES
#define QWEN2 CONTRACTION "|" WORD "|\\p{N}" OTHERS SPACES
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define CASED(suffix) LEAD "[" UPPER "]*[" LOWER "]+" suffix "|" LEAD "[" UPPER "]+[" LOWER "]*" suffix
#define SLASHED "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES
#define O200K CASED (CONTRACTION "?") "|\\p{N}{1,3}" SLASHED
#define NO_HAN(set) "(?:(?!\\p{sc:Han})[" set "])"
#define ASCII_WORDS "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
#define DEEPSEEK3 ASCII_WORDS "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES
#define CJK "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+"
#define WIDE "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define MARKS "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+"
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"
/* the letters of it that the alphabet below has */
#define CASED_LETTERS "\\s?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1C4}-\\x{293}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}" \
  "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}]+"

static const struct {
  const char *names; /* with a blank between them */
  const char *stages[LLM_PRETOKENIZER_MAX_STAGES];
} published[] = {
  { "default", { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
  { "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo jais trillion "
    "granite-docling jina-v1-en jina-v2-code roberta-bpe",
    { GPT2 } },
  { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe glm4 chatglm-bpe", { LLAMA3 } },
  { "jais-2",
    { CONTRACTION "|" WORD "|\\p{N}{1,3}" OTHERS
      "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)"
      "|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}" } },
  { "minicpm5", { "\\p{N}{1,3}", CONTRACTION "|" WORD "|\\p{N}+" OTHERS SPACES } },
  { "qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2", { QWEN2 } },
  { "bailingmoe bailingmoe2 llada-moe",
    { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
  { "laguna", { "[^\\n]+|[\\n]+", QWEN2 } },
  { "ufakzeka", { WORD "|\\p{N}" OTHERS SPACES } },
  { "seed-coder", { CONTRACTION "|" WORD "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES } },
  { "qwen35", { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES } },
  { "exaone-moe",
    { CONTRACTION "|" LEAD "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
  { "deepseek-llm", { "[\\r\\n]", CASED_LETTERS, MARKS, "\\s+$", WIDE, "\\p{N}+" } },
  { "deepseek-coder", { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", WIDE, "\\p{N}" } },
  { "deepseek-v3 hunyuan-dense joyai-llm hy_v4", { "\\p{N}{1,3}", CJK, DEEPSEEK3 } },
  { "spark2_5", { "\\p{N}{1,3}", CJK, ASCII_WORDS "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+", "\\p{N}" } },
  { "afmoe",
    { "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{30FF}\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}"
      "\\x{0E40}-\\x{0EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}"
      "\\x{1100}-\\x{11FF}]+",
      DEEPSEEK3 } },
  { "youtu",
    { "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+"
      "|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+"
      "|[\\x{3105}-\\x{312F}]+|" CJK,
      CASED (CONTRACTION "?") "|\\p{N}" SLASHED } },
  { "falcon", { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]" } },
  { "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", { "\\p{N}", GPT2 } },
  { "bloom gpt3-finnish poro-chat", { BLOOM } },
  { "viking", { BLOOM, "\\p{N}" } },
  { "tekken", { CASED ("") "|\\p{N}" SLASHED } },
  { "gpt-4o llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m", { O200K } },
  /* \b at the end; GRegex's does not count marks as letters */
  { "tiny_aya cohere2moe", { "\\d{1,3}(?=(?:\\d{3})*(?![\\p{L}\\p{M}\\p{N}_]))", O200K } },
  { "kimi-k2",
    { "\\p{sc:Han}+|" LEAD NO_HAN (UPPER) "*" NO_HAN (LOWER) "+" CONTRACTION "?|" LEAD NO_HAN (UPPER) "+" NO_HAN (LOWER) "*" CONTRACTION
      "?|\\p{N}{1,3}" OTHERS SPACES } },
  { "superbpe", { "\\p{N}+", "(?=(\\d{3})+(?!\\d))" } },
  { "chameleon",
    { "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2 } },
  { "gemma4 granite-embed-multi-311m sarvam-moe", { "[^\\n]+|[\\n]+" } },
};

/* Cuts every piece of @ends once more; matches are pieces and so is what lies between. */
static GArray *
split (const char *text, const GArray *ends, GRegex *regex)
{
  GArray *out = g_array_new (FALSE, FALSE, sizeof (gsize));
  gsize begin = 0;

  for (guint i = 0; i < ends->len; i++)
    {
      gsize end = g_array_index (ends, gsize, i), at = begin;
      g_autofree char *piece = g_strndup (text + begin, end - begin);
      g_autoptr (GMatchInfo) info = NULL;
      int from, to;

      for (g_regex_match (regex, piece, 0, &info); g_match_info_fetch_pos (info, 0, &from, &to); g_match_info_next (info, NULL))
        {
          gsize a = begin + (gsize) from, b = begin + (gsize) to;

          if (a > at)
            g_array_append_val (out, a);
          if (b > a)
            g_array_append_val (out, b);
          at = b;
        }
      if (at < end)
        g_array_append_val (out, end);
      begin = end;
    }
  return out;
}

static GArray *
words_of (const LlmPretokenizer *pre, const char *text, gsize n)
{
  GArray *ends = g_array_new (FALSE, FALSE, sizeof (gsize));
  LlmWords words;
  gsize end = 0, len;

  llm_words_init (&words, pre, text, n);
  while ((len = llm_words_next (&words)) > 0)
    {
      end += len;
      g_array_append_val (ends, end);
    }
  g_assert_cmpuint (end, ==, n);
  return ends;
}

static char *
show (const char *text, const GArray *ends)
{
  GString *s = g_string_new (NULL);
  gsize begin = 0;

  for (guint i = 0; i < ends->len; i++)
    {
      gsize end = g_array_index (ends, gsize, i);
      g_autofree char *word = g_strndup (text + begin, end - begin);
      g_autofree char *plain = g_strescape (word, NULL);

      g_string_append_printf (s, "%s%s", i > 0 ? "|" : "", plain);
      begin = end;
    }
  return g_string_free (s, FALSE);
}

/* What texts are made of: something of every category, and what the expressions name. */
static const char *const bits[] = {
  " ", " ", " ", " ", "  ", "    ", "\t", "\n", "\n", "\r\n", "\r", "\v", "\xc2\x85", "\xc2\xa0", "\xe2\x80\xa8", "\xe3\x80\x80",
  "a", "b", "x", "Z", "Q", "hello", "World", "don't", "'s", "'S", "'re", "'Ve", "'m", "'ll", "'d", "'t", "'", "\"", ".", ",", "!", "?",
  "(", ")", "[", "]", "|", "/", "/\n", "-", "_", "#", "$", "+", "<", "=", ">", "^", "~", "`", "*", "1", "2", "34", "567", "8901", "0",
  "\xd9\xa3", "\xc2\xb2", "\xe2\x85\xa7", "\xc2\xbd", "\xc3\xa9", "\xc3\x89", "\xc7\x85", "\xca\xb0", "e\xcc\x81", "\xcc\x81", "\xd1\x8f",
  "\xd0\x96", "\xce\xa9", "\xd7\xa9", "\xe0\xa4\x95\xe0\xa4\xbf", "\xe0\xa4\xbf", "\xe0\xb9\x84\xe0\xb8\x97\xe0\xb8\xa2", "\xe4\xbd\xa0",
  "\xe5\xa5\xbd", "\xe3\x81\x82", "\xe3\x82\xab", "\xed\x95\x9c", "\xe3\x84\x85", "\xe3\x80\x87", "\xe3\x80\x85", "\xe2\x80\xa6",
  "\xe3\x80\x82", "\xef\xbc\x8c", "\xe3\x80\x81", "\xe0\xa5\xa4", "\xdb\x94", "\xd8\x8c", "\xe2\x80\x98", "\xe2\x80\x9d", "\xef\xbc\x81",
  "\xf0\x9f\x98\x80", "\xe2\x80\x8d", "\x01", "\x02", "\x7f", "\xee\x80\x80", "\xe2\x82\xac", "\xc2\xab", "<sentinel:", "12>", "IMGIMG",
  "AB", "CZ", "\xef\xbc\xa1", "\xef\xbd\x81",
};

static char *
random_text (GRand *rand)
{
  GString *s = g_string_new (NULL);
  int n = g_rand_int_range (rand, 0, 25);
  int few = g_rand_boolean (rand) ? g_rand_int_range (rand, 1, 6) : 0; /* half of the texts: a few bits over and over */
  int some[6];

  for (int i = 0; i < 6; i++)
    some[i] = g_rand_int_range (rand, 0, G_N_ELEMENTS (bits));
  for (int i = 0; i < n; i++)
    g_string_append (s, bits[few > 0 ? some[g_rand_int_range (rand, 0, few)] : g_rand_int_range (rand, 0, G_N_ELEMENTS (bits))]);
  return g_string_free (s, FALSE);
}

static void
check_text (const char *name, const LlmPretokenizer *pre, GRegex *const *regexes, const char *text)
{
  gsize n = strlen (text);
  g_autoptr (GArray) got = words_of (pre, text, n);
  GArray *want = g_array_new (FALSE, FALSE, sizeof (gsize));
  g_autofree char *got_text = show (text, got), *want_text = NULL;

  if (n > 0)
    g_array_append_val (want, n);
  for (; *regexes != NULL; regexes++)
    {
      GArray *next = split (text, want, *regexes);

      g_array_unref (want);
      want = next;
    }
  want_text = show (text, want);
  g_array_unref (want);
  if (g_strcmp0 (got_text, want_text) != 0)
    g_test_message ("%s", name);
  g_assert_cmpstr (got_text, ==, want_text);
}

static void
test_published (void)
{
  guint n_known = 0, n_checked = 0;

  while (llm_pretokenizer_nth (n_known) != NULL)
    n_known++;
  for (gsize i = 0; i < G_N_ELEMENTS (published); i++)
    {
      g_auto (GStrv) names = g_strsplit (published[i].names, " ", -1);
      GRegex *regexes[LLM_PRETOKENIZER_MAX_STAGES + 1] = { NULL };
      g_autoptr (GError) error = NULL;
      const LlmPretokenizer *last = NULL;

      for (guint s = 0; s < LLM_PRETOKENIZER_MAX_STAGES && published[i].stages[s] != NULL; s++)
        {
          regexes[s] = g_regex_new (published[i].stages[s], G_REGEX_OPTIMIZE, 0, &error);
          g_assert_no_error (error);
        }
      for (guint k = 0; names[k] != NULL; k++, n_checked++)
        {
          const LlmPretokenizerInfo *info = llm_pretokenizer_find (names[k], strlen (names[k]));
          g_autoptr (GRand) rand = g_rand_new_with_seed (20);

          g_assert_nonnull (info);
          if (info->pre == last)
            continue;
          last = info->pre;
          for (int t = 0; t < 1500; t++)
            {
              g_autofree char *text = random_text (rand);
              check_text (names[k], info->pre, regexes, text);
            }
        }
      for (guint s = 0; regexes[s] != NULL; s++)
        g_regex_unref (regexes[s]);
    }
  g_assert_cmpuint (n_checked, ==, n_known); /* a new row needs its expression here */
}

static void
test_by_hand (void)
{
  static const struct {
    const char *name, *text, *words;
  } cases[] = {
    { "llama-bpe", "Hello world", "Hello| world" },
    { "llama-bpe", "12345", "123|45" },
    { "qwen2", "12345", "1|2|3|4|5" },
    { "gpt-2", " 12345", " 12345" },
    { "llama-bpe", "it's don'T we'LL", "it|'s| don|'T| we|'LL" },
    { "gpt-2", "don'T it's", "don|'|T| it|'s" },
    { "llama-bpe", "a  b", "a| | b" },
    { "llama-bpe", "a \\n\\n  b", "a| \\n\\n| | b" },
    { "gpt-2", "a \\n\\n  b", "a| \\n\\n | b" },
    { "llama-bpe", "end   ", "end|   " },
    { "llama-bpe", "x = (y);\\n", "x| =| (|y|);\\n" },
    { "llama-bpe", "\\n x", "\\n| x" },
    { "gpt-4o", "HelloWorld's HTTPServer", "Hello|World's| HTTPServer" },
    { "tekken", "HelloWorld's", "Hello|World|'s" },
    { "deepseek-v3", "a.b_c 1234", "a|.b|_c| |123|4" },
    { "tiny_aya", "1234567 1234x", "1|234|567| |123|4|x" },
    { "chameleon", "IMGIMGABZ<sentinel:12>", "IMGIMGABZ|<|sentinel|:|1|2|>" },
    { "superbpe", "by the way 1234", "by the way |1|234" },
    { "gemma4", "a b\\n\\nc", "a b|\\n\\n|c" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const LlmPretokenizerInfo *info = llm_pretokenizer_find (cases[i].name, strlen (cases[i].name));
      g_autofree char *text = g_strcompress (cases[i].text);
      g_autoptr (GArray) ends = words_of (info->pre, text, strlen (text));
      g_autofree char *got = show (text, ends);

      g_assert_cmpstr (got, ==, cases[i].words);
    }
}

static void
test_unknown (void)
{
  g_assert_null (llm_pretokenizer_find ("magic", 5));
  g_assert_null (llm_pretokenizer_find ("gpt-2", 4));
  g_assert_null (llm_pretokenizer_find ("", 0));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/pretokenize/published", test_published);
  g_test_add_func ("/text/pretokenize/by-hand", test_by_hand);
  g_test_add_func ("/text/pretokenize/unknown", test_unknown);
  return g_test_run ();
}
