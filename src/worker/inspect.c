/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/inspect.h"

#include "base/error.h"
#include "chat/forms.h"
#include "engine/arch.h"
#include "format/model-config.h"

/* au: for every part the file that it is */
static GVariant *
parts_to_variant (const LlmGguf *gguf)
{
  GVariantBuilder parts;

  g_variant_builder_init (&parts, G_VARIANT_TYPE ("au"));
  for (guint i = 0; i < llm_gguf_n_files (gguf); i++)
    g_variant_builder_add (&parts, "u", llm_gguf_file_of_part (gguf, i));
  return g_variant_builder_end (&parts);
}

GVariant *
llm_inspect (const int *fds, guint n_fds, GError **error)
{
  g_autoptr (LlmGguf) gguf = llm_gguf_open_parts (fds, n_fds, error);
  g_autoptr (LlmModelConfig) config = gguf != NULL ? llm_model_config_new (gguf, error) : NULL;
  g_autoptr (LlmVocab) vocab = config != NULL ? llm_vocab_new (gguf, error) : NULL;
  g_autoptr (LlmWeights) weights = vocab != NULL ? llm_weights_new (gguf, fds, error) : NULL;
  /* the plan checks that every tensor is there with the right shape */
  LlmArchOptions options = { LLM_DTYPE_F16, 0, config != NULL && !config->causal };
  g_autoptr (LlmPlan) plan = weights != NULL ? llm_arch_plan_new (config, weights, &options, error) : NULL;
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  static const char *const encoder[] = { "embed", NULL }, *const base[] = { "embed", "generate", NULL }, *const chat[] = { "chat", "embed", "generate", NULL };
  LlmChatForm form;

  if (plan == NULL)
    return NULL;
  if (llm_vocab_size (vocab) != config->n_vocab)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "the vocabulary has %u tokens, token_embd.weight has %u rows; they must agree",
                   llm_vocab_size (vocab), config->n_vocab);
      return NULL;
    }
  form = llm_chat_form_detect (config->chat_template, vocab);
  g_variant_dict_insert (&dict, "architecture", "s", config->arch_name);
  g_variant_dict_insert (&dict, "name", "s", config->name != NULL ? config->name : "");
  g_variant_dict_insert (&dict, "quantization", "s", config->quantization);
  g_variant_dict_insert (&dict, "license", "s", config->license != NULL ? config->license : "");
  g_variant_dict_insert (&dict, "chat-form", "s", llm_chat_form_name (form));
  g_variant_dict_insert (&dict, "parameter-count", "t", config->n_parameters);
  g_variant_dict_insert (&dict, "size", "t", llm_gguf_file_size (gguf));
  g_variant_dict_insert_value (&dict, "parts", parts_to_variant (gguf));
  g_variant_dict_insert (&dict, "context-length", "u", config->context_length);
  g_variant_dict_insert (&dict, "vocab-size", "u", config->n_vocab);
  g_variant_dict_insert_value (&dict, "capabilities", g_variant_new_strv (!config->causal ? encoder : form == LLM_CHAT_FORM_PLAIN ? base : chat, -1));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
