/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The special tokens of a vocabulary: their ids, where they are added, what ends a text.
 */
#include <string.h>

#include "base/error.h"
#include "text/vocab-private.h"

gboolean
llm_vocab_out_of_memory (GError **error)
{
  g_set_error_literal (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY, "no memory for the model's vocabulary");
  return FALSE;
}

gboolean
llm_vocab_looks_like_control (LlmStr text)
{
  return text.len > 4 && memcmp (text.bytes, "<|", 2) == 0 && memcmp (text.bytes + text.len - 2, "|>", 2) == 0;
}

static gboolean
read_id (const LlmVocab *self, const LlmGguf *gguf, const char *key, gint32 otherwise, gint32 *id, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  guint64 value;

  *id = otherwise < (gint32) self->n ? otherwise : LLM_TOKEN_NONE;
  if (!llm_gguf_u64 (gguf, key, &value, &local_error))
    {
      if (local_error != NULL)
        g_propagate_error (error, g_steal_pointer (&local_error));
      return *error == NULL;
    }
  if (value == G_MAXUINT32) /* "none", as some converters write it */
    value = G_MAXUINT64;
  if (value == G_MAXUINT64)
    *id = LLM_TOKEN_NONE;
  else if (value >= self->n)
    return llm_vocab_invalid (error, "%s is %" G_GUINT64_FORMAT "; the tokens are 0 to %u", key, value, self->n - 1);
  else
    *id = (gint32) value;
  return TRUE;
}

static gboolean
read_flag (const LlmGguf *gguf, const char *key, gboolean *flag, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  llm_gguf_bool (gguf, key, flag, &local_error);
  if (local_error != NULL)
    g_propagate_error (error, g_steal_pointer (&local_error));
  return *error == NULL;
}

/* Texts with which the families end a turn or a text. */
static const char *const end_texts[] = {
  "<|eot_id|>", "<|im_end|>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "<|eom_id|>", "<end_of_turn>", "<EOT>", "<|eot|>",
  "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "[EOT]", "[EOS]", "<eos>", "<end_of_utterance>", "<turn|>", "<|tool_response>",
  "<\xef\xbd\x9c""end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "</s>", "_<EOT>", "[e~[",
};

/* What stands around the gap that a code model fills. */
static const char *const gap_texts[] = {
  "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<|fim_middle|>", "<fim-middle>", "<fim_middle>",
  "<fim-pad>", "<fim_pad>", "<|fim_repo|>", "<fim-repo>", "<reponame>",
  "<\xef\xbd\x9c""fim\xe2\x96\x81""begin\xef\xbd\x9c>", "<\xef\xbd\x9c""fim\xe2\x96\x81hole\xef\xbd\x9c>",
  "<\xef\xbd\x9c""fim\xe2\x96\x81""end\xef\xbd\x9c>",
};

gboolean
llm_vocab_is_control_text (LlmStr text)
{
  for (gsize i = 0; i < G_N_ELEMENTS (end_texts); i++)
    if (llm_str_is (text, end_texts[i]))
      return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (gap_texts); i++)
    if (llm_str_is (text, gap_texts[i]))
      return TRUE;
  return FALSE;
}

static void
find_ends (LlmVocab *self)
{
  gint32 end = llm_vocab_find_special (self, "<|end|>");

  for (gsize i = 0; i < G_N_ELEMENTS (end_texts); i++)
    {
      gint32 id = llm_vocab_find_special (self, end_texts[i]);

      if (id >= 0)
        self->eog[id] = 1;
    }
  /* gpt-oss ends its messages with it; a turn has several */
  if (end >= 0 && llm_vocab_find_special (self, "<|call|>") >= 0 && llm_vocab_find_special (self, "<|return|>") >= 0)
    self->eog[end] = 0;
}

static gboolean
read_ids (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  gint32 eot;

  if (!read_id (self, gguf, "tokenizer.ggml.bos_token_id", self->bos, &self->bos, error)
      || !read_id (self, gguf, "tokenizer.ggml.eos_token_id", self->eos, &self->eos, error)
      || !read_id (self, gguf, "tokenizer.ggml.unknown_token_id", self->unk, &self->unk, error)
      || !read_id (self, gguf, "tokenizer.ggml.seperator_token_id", self->sep, &self->sep, error) /* sic */
      || !read_id (self, gguf, "tokenizer.ggml.eot_token_id", LLM_TOKEN_NONE, &eot, error))
    return FALSE;
  find_ends (self);
  if (self->eos >= 0)
    self->eog[self->eos] = 1;
  if (eot >= 0)
    self->eog[eot] = 1;
  return TRUE;
}

static gboolean
read_flags (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  gboolean always_bos = self->spm_spaces && self->add_bos; /* Gemma 4: early files say no, and are wrong */

  self->lowercase = TRUE;
  if (!read_flag (gguf, "tokenizer.ggml.add_bos_token", &self->add_bos, error)
      || !read_flag (gguf, "tokenizer.ggml.add_eos_token", &self->add_eos, error)
      || !read_flag (gguf, "tokenizer.ggml.add_sep_token", &self->add_sep, error)
      || !read_flag (gguf, "tokenizer.ggml.add_space_prefix", &self->add_space_prefix, error)
      || !read_flag (gguf, "tokenizer.ggml.remove_extra_whitespaces", &self->merge_spaces, error)
      || !read_flag (gguf, "tokenizer.ggml.normalizer.lowercase", &self->lowercase, error))
    return FALSE;
  self->strip_accents = self->lowercase;
  self->add_bos = self->add_bos || always_bos;
  if (self->kind == LLM_VOCAB_BPE)
    self->add_space_prefix = FALSE; /* it means nothing there: nothing is put in front */
  if (self->kind == LLM_VOCAB_WPM)
    self->add_space_prefix = TRUE; /* every word has a space before it */
  return read_flag (gguf, "tokenizer.ggml.normalizer.strip_accents", &self->strip_accents, error);
}

static guint8
strip_of (gboolean phi3, const char *mask, LlmStr text, gboolean special)
{
  gboolean takes_right = llm_str_is (text, "</s>") || (special && llm_vocab_looks_like_control (text) && !llm_str_is (text, "<|endoftext|>"));

  if (mask != NULL && llm_str_is (text, mask))
    return LLM_STRIP_LEFT;
  return phi3 && takes_right ? LLM_STRIP_RIGHT : 0;
}

/* A GGUF file does not say that a token takes white space along; by model: Phi 3's special tokens what
 * follows them, the mask of some encoders what is before it. */
static gboolean
read_strip (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  LlmStr architecture = { "", 0 }, pre = { "", 0 };
  gboolean phi3;
  const char *mask = NULL;

  llm_gguf_str (gguf, "general.architecture", &architecture, NULL);
  llm_gguf_str (gguf, "tokenizer.ggml.pre", &pre, NULL);
  phi3 = llm_str_is (architecture, "phi3") && self->kind == LLM_VOCAB_SPM; /* Phi 4 is of that architecture too */
  if (llm_str_is (architecture, "nomic-bert-moe") || llm_str_is (architecture, "jina-bert-v3") || llm_str_is (pre, "jina-v2-de")
      || llm_str_is (pre, "jina-v2-es") || llm_str_is (pre, "jina-v2-code"))
    mask = "<mask>";
  else if (llm_str_is (architecture, "modern-bert") || llm_str_is (pre, "modern-bert"))
    mask = "[MASK]";
  if (!phi3 && mask == NULL)
    return TRUE;
  self->strip = g_try_malloc0 (self->n);
  if (self->strip == NULL)
    return llm_vocab_out_of_memory (error);
  for (gint32 i = 0; i < (gint32) self->n; i++)
    self->strip[i] = strip_of (phi3, mask, llm_vocab_bytes (self, i), llm_vocab_is_special (self, i));
  return TRUE;
}

gboolean
llm_vocab_read_special (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  return read_ids (self, gguf, error) && read_flags (self, gguf, error) && read_strip (self, gguf, error);
}
