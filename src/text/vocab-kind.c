/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tokenizer.ggml.model and tokenizer.ggml.pre -> the kind of a vocabulary and what
 * holds where its file does not say otherwise.
 */
#include <string.h>

#include "base/error.h"
#include "text/vocab-private.h"

#define NONE LLM_TOKEN_NONE

static const struct {
  const char *model;
  LlmVocabKind kind;
  const char *pre; /* NULL: the file names it */
  gint32 bos, eos, unk, sep;
  gboolean add_bos, add_eos, add_sep, add_space_prefix, clean_spaces;
} kinds[] = {
  { "llama", LLM_VOCAB_SPM, NULL, 1, 2, 0, NONE, .add_bos = TRUE, .add_space_prefix = TRUE },
  { "gpt2", LLM_VOCAB_BPE, NULL, NONE, NONE, NONE, NONE },
  { "gemma4", LLM_VOCAB_BPE, "gemma4", NONE, NONE, NONE, NONE },
  { "bert", LLM_VOCAB_WPM, NULL, 101, NONE, 100, 102, .add_bos = TRUE, .add_sep = TRUE, .clean_spaces = TRUE },
  { "t5", LLM_VOCAB_UGM, NULL, NONE, 1, 2, NONE, .add_eos = TRUE },
};

static gboolean
read_pre (LlmVocab *self, LlmStr pre, GError **error)
{
  const LlmPretokenizerInfo *implied;

  if (pre.len == 0) /* files from before there was such a key */
    pre = (LlmStr) { "default", strlen ("default") };
  implied = llm_pretokenizer_find (pre.bytes, pre.len);
  if (implied == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the pre-tokenizer \"%.*s\" (tokenizer.ggml.pre) is not supported",
                   llm_error_quote (pre.bytes, (gssize) pre.len), pre.bytes);
      return FALSE;
    }
  self->pre = implied->pre;
  self->ignore_merges = implied->ignore_merges;
  self->add_bos = implied->add_bos;
  self->clean_spaces = implied->clean_spaces;
  self->spm_spaces = implied->spm_spaces;
  return TRUE;
}

static gboolean
set_kind (LlmVocab *self, LlmStr model, LlmStr pre, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      if (!llm_str_is (model, kinds[i].model))
        continue;
      self->kind = kinds[i].kind;
      self->bos = kinds[i].bos;
      self->eos = kinds[i].eos;
      self->unk = kinds[i].unk;
      self->sep = kinds[i].sep;
      self->add_bos = kinds[i].add_bos;
      self->add_eos = kinds[i].add_eos;
      self->add_sep = kinds[i].add_sep;
      self->add_space_prefix = kinds[i].add_space_prefix;
      self->clean_spaces = kinds[i].clean_spaces;
      if (kinds[i].pre != NULL)
        pre = (LlmStr) { kinds[i].pre, strlen (kinds[i].pre) };
      return self->kind != LLM_VOCAB_BPE || read_pre (self, pre, error);
    }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the tokenizer model \"%.*s\" (tokenizer.ggml.model) is not supported",
               llm_error_quote (model.bytes, (gssize) model.len), model.bytes);
  return FALSE;
}

gboolean
llm_vocab_read_kind (LlmVocab *self, const LlmGguf *gguf, GError **error)
{
  LlmStr model = { "", 0 }, pre = { "", 0 };
  g_autoptr (GError) local_error = NULL;

  if (!llm_gguf_str (gguf, "tokenizer.ggml.model", &model, &local_error) && local_error == NULL)
    g_set_error_literal (&local_error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the metadata key tokenizer.ggml.model is missing");
  if (local_error == NULL)
    llm_gguf_str (gguf, "tokenizer.ggml.pre", &pre, &local_error);
  if (local_error == NULL)
    return set_kind (self, model, pre, error);
  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}
