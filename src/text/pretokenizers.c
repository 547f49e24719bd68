/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every pre-tokenizer that tokenizer.ggml.pre can name, as data.  The expressions are
 * those of the models' own tokenizer files.
 */
#include <string.h>

#include "text/stages.h"

#define L LLM_CLASS_L
#define M LLM_CLASS_MARK
#define N LLM_CLASS_N
#define PS (LLM_CLASS_PUNCT | LLM_CLASS_SYMBOL)
#define NOT(classes) (LLM_CLASS_ALL & ~(classes))
#define ANY_LEAD NOT (L | N | LLM_CLASS_NEWLINE)
#define REST NOT (L | N | LLM_CLASS_WHITE)

/* 's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^\sLN]+|\s+(?!\S)|\s+ */
static const LlmWordRule gpt2 = {
  .letters = L, .other = REST, .max_digits = G_MAXUINT, .contraction = LLM_CONTRACTION_LOWER, .tail = "",
};
/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nLN]?L+|N{1,3}| ?[^\sLN]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const LlmWordRule llama3 = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 3, .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS,
  .tail = "\r\n",
};
static const LlmWordRule jais2 = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 3, .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS,
  .tail = "\r\n", .powers = TRUE,
};
static const LlmWordRule qwen2 = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 1, .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS,
  .tail = "\r\n",
};
static const LlmWordRule minicpm5 = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = G_MAXUINT, .contraction = LLM_CONTRACTION_ANY,
  .newline = LLM_NEWLINE_RUNS, .tail = "\r\n",
};
static const LlmWordRule seed_coder = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 1, .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS,
  .tail = "",
};
static const LlmWordRule ufakzeka = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 1, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n",
};
/* marks are letters */
static const LlmWordRule qwen35 = {
  .letters = L | M, .lead = ANY_LEAD, .other = NOT (L | M | N | LLM_CLASS_WHITE), .max_digits = 1,
  .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n",
};
/* ...|[^\r\nLN]?(?:LM*(?: LM*)*)+|N| ?[^\sLN]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+ */
static const LlmWordRule exaone_moe = {
  .letters = L, .lead = ANY_LEAD, .other = REST, .max_digits = 1, .contraction = LLM_CONTRACTION_ANY, .newline = LLM_NEWLINE_RUNS,
  .tail = "\r\n/", .one_tail = TRUE, .joined = TRUE,
};
/* [ASCII punctuation][A-Za-z]+|[^\r\nLPS]?[LM]+| ?[PS]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const LlmWordRule deepseek3 = {
  .letters = L | M, .lead = NOT (L | PS | LLM_CLASS_NEWLINE), .other = PS, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n",
  .ascii_words = TRUE,
};
/* the same with [\r\n] each on its own */
static const LlmWordRule spark = {
  .letters = L | M, .lead = NOT (L | PS | LLM_CLASS_NEWLINE), .other = PS, .newline = LLM_NEWLINE_EACH, .tail = "", .ascii_words = TRUE,
};
/* With U = [Lu Lt Lm Lo M] and W = [Ll Lm Lo M]:
 * [^\r\nLN]?U*W+(?i:'s|...)?|[^\r\nLN]?U+W*(?i:'s|...)?|N{1,3}| ?[^\sLN]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static const LlmWordRule o200k = {
  .lead = ANY_LEAD, .other = REST, .max_digits = 3, .contraction = LLM_CONTRACTION_SUFFIX, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n/",
};
static const LlmWordRule youtu = {
  .lead = ANY_LEAD, .other = REST, .max_digits = 1, .contraction = LLM_CONTRACTION_SUFFIX, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n/",
};
static const LlmWordRule tekken = {
  .lead = ANY_LEAD, .other = REST, .max_digits = 1, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n/",
};
/* Han+ first, and no Han in U and W */
static const LlmWordRule kimi = {
  .lead = ANY_LEAD, .other = REST, .max_digits = 3, .contraction = LLM_CONTRACTION_SUFFIX, .newline = LLM_NEWLINE_RUNS, .tail = "\r\n",
  .han = TRUE,
};

#define WORDS(row) { .kind = LLM_STAGE_WORDS, .rule = &row }
#define RUNS(name) { .kind = LLM_STAGE_RUNS, .set = llm_run_of_##name, .min = 1 }
#define UP_TO(name, n) { .kind = LLM_STAGE_RUNS, .set = llm_run_of_##name, .min = 1, .max = n }
#define EXACTLY(name, n) { .kind = LLM_STAGE_RUNS, .set = llm_run_of_##name, .min = n, .max = n }
#define AFTER_BLANK(name) { .kind = LLM_STAGE_RUNS, .set = llm_run_of_##name, .min = 1, .lead = LLM_LEAD_BLANK }
#define AFTER_WHITE(name) { .kind = LLM_STAGE_RUNS, .set = llm_run_of_##name, .min = 1, .lead = LLM_LEAD_WHITE_SPACE }
#define GROUPS(classes, words) { .kind = LLM_STAGE_GROUPS, .digits = classes, .whole_words = words }

static const LlmPretokenizer pre_gpt2 = { { WORDS (gpt2) } };
static const LlmPretokenizer pre_llama3 = { { WORDS (llama3) } };
static const LlmPretokenizer pre_jais2 = { { WORDS (jais2) } };
static const LlmPretokenizer pre_qwen2 = { { WORDS (qwen2) } };
static const LlmPretokenizer pre_qwen35 = { { WORDS (qwen35) } };
static const LlmPretokenizer pre_seed_coder = { { WORDS (seed_coder) } };
static const LlmPretokenizer pre_ufakzeka = { { WORDS (ufakzeka) } };
static const LlmPretokenizer pre_exaone_moe = { { WORDS (exaone_moe) } };
static const LlmPretokenizer pre_o200k = { { WORDS (o200k) } };
static const LlmPretokenizer pre_tekken = { { WORDS (tekken) } };
static const LlmPretokenizer pre_kimi = { { WORDS (kimi) } };
static const LlmPretokenizer pre_starcoder = { { UP_TO (numbers, 1), WORDS (gpt2) } };
static const LlmPretokenizer pre_minicpm5 = { { UP_TO (numbers, 3), WORDS (minicpm5) } };
static const LlmPretokenizer pre_laguna = { { RUNS (line_feeds), WORDS (qwen2) } };
static const LlmPretokenizer pre_tiny_aya = { { GROUPS (LLM_CLASS_DIGIT, TRUE), WORDS (o200k) } };
static const LlmPretokenizer pre_superbpe = { { RUNS (numbers), { .kind = LLM_STAGE_THOUSANDS } } };
static const LlmPretokenizer pre_afmoe = { { GROUPS (N, FALSE), RUNS (asian), WORDS (deepseek3) } };
static const LlmPretokenizer pre_youtu = { { RUNS (east_asian), WORDS (youtu) } };
static const LlmPretokenizer pre_deepseek3 = { { UP_TO (numbers, 3), RUNS (cjk), WORDS (deepseek3) } };
static const LlmPretokenizer pre_spark = { { UP_TO (numbers, 3), RUNS (cjk), WORDS (spark), UP_TO (numbers, 1) } };
static const LlmPretokenizer pre_deepseek_coder = {
  { UP_TO (newlines, 1), AFTER_WHITE (letters), AFTER_WHITE (punctuation), RUNS (wide), UP_TO (numbers, 1) },
};
static const LlmPretokenizer pre_deepseek_llm = {
  { UP_TO (newlines, 1), AFTER_WHITE (cased), AFTER_WHITE (marks), { .kind = LLM_STAGE_TRAILING }, RUNS (wide), RUNS (numbers) },
};
static const LlmPretokenizer pre_falcon = { { RUNS (any_punctuation), WORDS (gpt2), EXACTLY (digits, 3) } };
static const LlmPretokenizer pre_default = { { RUNS (most_punctuation), WORDS (gpt2), RUNS (numbers), EXACTLY (digits, 3) } };
static const LlmPretokenizer pre_bloom = { { AFTER_BLANK (phrases) } };
static const LlmPretokenizer pre_viking = { { AFTER_BLANK (phrases), UP_TO (numbers, 1) } };
static const LlmPretokenizer pre_chameleon = {
  { { .kind = LLM_STAGE_SENTINEL }, { .kind = LLM_STAGE_IMAGE }, { .kind = LLM_STAGE_INDENT }, UP_TO (numbers, 1),
    UP_TO (any_punctuation, 1), WORDS (gpt2) },
};
static const LlmPretokenizer pre_lines = { { RUNS (line_feeds) } };

/* Names from the models' converters, and what else they imply. */
static const LlmPretokenizerInfo infos[] = {
  { .name = "default", .pre = &pre_default, .clean_spaces = TRUE },
  { .name = "gpt-2", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "phi-2", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jina-es", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jina-de", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jina-v2-es", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jina-v2-de", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "gigachat", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "a.x-4.0", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "mellum", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "modern-bert", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "exaone4", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "mpt", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "olmo", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jais", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "trillion", .pre = &pre_gpt2 },
  { .name = "granite-docling", .pre = &pre_gpt2 },
  { .name = "jina-v1-en", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "jina-v2-code", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "roberta-bpe", .pre = &pre_gpt2, .clean_spaces = TRUE },
  { .name = "llama-bpe", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "llama3", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "llama-v3", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "falcon3", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "falcon-h1", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "pixtral", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "midm-2.0", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "lfm2", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "jina-v5-nano", .pre = &pre_llama3, .ignore_merges = TRUE, .add_bos = TRUE, .clean_spaces = TRUE },
  { .name = "dbrx", .pre = &pre_llama3, .clean_spaces = TRUE },
  { .name = "smaug-bpe", .pre = &pre_llama3, .clean_spaces = TRUE },
  { .name = "glm4", .pre = &pre_llama3, .clean_spaces = TRUE },
  { .name = "chatglm-bpe", .pre = &pre_llama3, .clean_spaces = TRUE },
  { .name = "jais-2", .pre = &pre_jais2, .clean_spaces = TRUE },
  { .name = "minicpm5", .pre = &pre_minicpm5, .ignore_merges = TRUE, .clean_spaces = TRUE },
  { .name = "qwen2", .pre = &pre_qwen2 },
  { .name = "deepseek-r1-qwen", .pre = &pre_qwen2 },
  { .name = "kormo", .pre = &pre_qwen2 },
  { .name = "f2llmv2", .pre = &pre_qwen2 },
  { .name = "stablelm2", .pre = &pre_qwen2, .clean_spaces = TRUE },
  { .name = "megrez", .pre = &pre_qwen2, .clean_spaces = TRUE },
  { .name = "hunyuan", .pre = &pre_qwen2 },
  { .name = "solar-open", .pre = &pre_qwen2 },
  { .name = "grok-2", .pre = &pre_qwen2 },
  { .name = "bailingmoe", .pre = &pre_qwen2 },
  { .name = "bailingmoe2", .pre = &pre_qwen2 },
  { .name = "llada-moe", .pre = &pre_qwen2 },
  { .name = "laguna", .pre = &pre_laguna },
  { .name = "ufakzeka", .pre = &pre_ufakzeka },
  { .name = "seed-coder", .pre = &pre_seed_coder },
  { .name = "qwen35", .pre = &pre_qwen35 },
  { .name = "exaone-moe", .pre = &pre_exaone_moe },
  { .name = "deepseek-llm", .pre = &pre_deepseek_llm },
  { .name = "deepseek-coder", .pre = &pre_deepseek_coder },
  { .name = "deepseek-v3", .pre = &pre_deepseek3 },
  { .name = "hunyuan-dense", .pre = &pre_deepseek3 },
  { .name = "joyai-llm", .pre = &pre_deepseek3 },
  { .name = "hy_v4", .pre = &pre_deepseek3 },
  { .name = "spark2_5", .pre = &pre_spark },
  { .name = "afmoe", .pre = &pre_afmoe },
  { .name = "youtu", .pre = &pre_youtu, .ignore_merges = TRUE },
  { .name = "falcon", .pre = &pre_falcon, .clean_spaces = TRUE },
  { .name = "starcoder", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "refact", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "command-r", .pre = &pre_starcoder },
  { .name = "smollm", .pre = &pre_starcoder },
  { .name = "codeshell", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "exaone", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "minerva-7b", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "mellum2", .pre = &pre_starcoder, .clean_spaces = TRUE },
  { .name = "bloom", .pre = &pre_bloom, .clean_spaces = TRUE },
  { .name = "gpt3-finnish", .pre = &pre_bloom, .clean_spaces = TRUE },
  { .name = "poro-chat", .pre = &pre_bloom },
  { .name = "viking", .pre = &pre_viking },
  { .name = "tekken", .pre = &pre_tekken, .ignore_merges = TRUE, .add_bos = TRUE },
  { .name = "gpt-4o", .pre = &pre_o200k },
  { .name = "llama4", .pre = &pre_o200k },
  { .name = "kanana2", .pre = &pre_o200k },
  { .name = "talkie", .pre = &pre_o200k },
  { .name = "minimax-m2", .pre = &pre_o200k },
  { .name = "granite-embed-multi-97m", .pre = &pre_o200k, .ignore_merges = TRUE },
  { .name = "tiny_aya", .pre = &pre_tiny_aya },
  { .name = "cohere2moe", .pre = &pre_tiny_aya },
  { .name = "kimi-k2", .pre = &pre_kimi },
  { .name = "superbpe", .pre = &pre_superbpe },
  { .name = "chameleon", .pre = &pre_chameleon, .add_bos = TRUE },
  { .name = "gemma4", .pre = &pre_lines, .add_bos = TRUE, .clean_spaces = TRUE, .spm_spaces = TRUE },
  { .name = "granite-embed-multi-311m", .pre = &pre_lines, .add_bos = TRUE, .clean_spaces = TRUE, .spm_spaces = TRUE },
  { .name = "sarvam-moe", .pre = &pre_lines, .spm_spaces = TRUE },
};

const LlmPretokenizerInfo *
llm_pretokenizer_find (const char *name, gsize len)
{
  for (gsize i = 0; i < G_N_ELEMENTS (infos); i++)
    if (strlen (infos[i].name) == len && memcmp (infos[i].name, name, len) == 0)
      return &infos[i];
  return NULL;
}

const LlmPretokenizerInfo *
llm_pretokenizer_nth (guint i)
{
  return i < G_N_ELEMENTS (infos) ? &infos[i] : NULL;
}
