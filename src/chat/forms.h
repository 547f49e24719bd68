/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The built-in chat forms: how a list of messages becomes a prompt for the model
 * families we know, until the template language comes.
 *
 * A form is recognised by the special tokens that the model's chat template
 * mentions and its vocabulary has.  Rendering yields parts (text, or a special token's id),
 * never a flat string: a user who types "<|im_end|>" sends those characters.
 */
#pragma once

#include "text/vocab.h"

G_BEGIN_DECLS

typedef enum {
  LLM_CHAT_FORM_PLAIN,  /* no template: contents one after the other; base models */
  LLM_CHAT_FORM_CHATML, /* <|im_start|>role\n...<|im_end|>\n: Qwen 2 and many others */
  LLM_CHAT_FORM_LLAMA2, /* [INST] <<SYS>>...: Llama 2, Mistral */
  LLM_CHAT_FORM_LLAMA3, /* <|start_header_id|>role<|end_header_id|>\n\n...<|eot_id|> */
  LLM_CHAT_FORM_GEMMA,  /* <start_of_turn>role\n...<end_of_turn>\n, the assistant is "model" */
  LLM_CHAT_FORM_PHI3,   /* <|role|>\n...<|end|>\n */
} LlmChatForm;

typedef enum { LLM_ROLE_SYSTEM, LLM_ROLE_USER, LLM_ROLE_ASSISTANT } LlmRole;

typedef struct {
  LlmRole role;
  char *content; /* (owned) valid UTF-8 */
} LlmMessage;

typedef struct _LlmPrompt LlmPrompt; /* owns texts and the parts that lend them */

LlmChatForm llm_chat_form_detect (const char *chat_template /* nullable */, const LlmVocab *vocab);
const char *llm_chat_form_name (LlmChatForm form);

/* aa{sv} -> array of LlmMessage (owned by the GPtrArray). Keys: role s, content s.
 * LLM_ERROR_INVALID_MESSAGE names the message's index and what would be right:
 * empty list, unknown role, unknown key, missing or non-string content, too many. */
GPtrArray *llm_messages_from_variant (GVariant *messages, GError **error);

/* @open_answer: add the beginning of the assistant's turn. LLM_ERROR_INVALID_MESSAGE for an
 * order the form cannot express (system message not first; last message from the assistant
 * unless @open_answer is FALSE...). */
LlmPrompt *llm_chat_render (LlmChatForm form, const LlmVocab *vocab, const GPtrArray *messages, gboolean open_answer, GError **error);
void llm_prompt_free (LlmPrompt *self);
const LlmTextPart *llm_prompt_parts (const LlmPrompt *self, guint *n);
/* TRUE when the parts already begin with BOS, or the form forbids one. */
gboolean llm_prompt_has_bos (const LlmPrompt *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmPrompt, llm_prompt_free)

G_END_DECLS
