/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each form is one function that writes the parts of one message; the rules that all
 * share (who may speak when) stand in check_order().
 */
#include "chat/forms.h"

#include <string.h>

#include "base/error.h"

struct _LlmPrompt {
  GArray *parts;    /* LlmTextPart; texts are offsets into `text` until the prompt is sealed */
  GString *text;
  gboolean has_bos;
};

static const char *const form_names[] = { "plain", "chatml", "llama2", "llama3", "gemma", "phi3" };
static const char *const role_names[] = { "system", "user", "assistant" };

const char *
llm_chat_form_name (LlmChatForm form)
{
  return form_names[form];
}

static gboolean
knows (const char *chat_template, const LlmVocab *vocab, const char *special)
{
  return strstr (chat_template, special) != NULL && llm_vocab_find_special (vocab, special) != LLM_TOKEN_NONE;
}

LlmChatForm
llm_chat_form_detect (const char *chat_template, const LlmVocab *vocab)
{
  if (chat_template == NULL)
    return LLM_CHAT_FORM_PLAIN;
  if (knows (chat_template, vocab, "<|start_header_id|>") && knows (chat_template, vocab, "<|end_header_id|>")
      && knows (chat_template, vocab, "<|eot_id|>"))
    return LLM_CHAT_FORM_LLAMA3;
  if (knows (chat_template, vocab, "<|im_start|>") && knows (chat_template, vocab, "<|im_end|>"))
    return LLM_CHAT_FORM_CHATML;
  if (knows (chat_template, vocab, "<start_of_turn>") && knows (chat_template, vocab, "<end_of_turn>"))
    return LLM_CHAT_FORM_GEMMA;
  if (knows (chat_template, vocab, "<|end|>") && llm_vocab_find_special (vocab, "<|user|>") != LLM_TOKEN_NONE
      && llm_vocab_find_special (vocab, "<|assistant|>") != LLM_TOKEN_NONE)
    return LLM_CHAT_FORM_PHI3;
  if (strstr (chat_template, "[INST]") != NULL && llm_vocab_bos (vocab) != LLM_TOKEN_NONE && llm_vocab_eos (vocab) != LLM_TOKEN_NONE)
    return LLM_CHAT_FORM_LLAMA2;
  return LLM_CHAT_FORM_PLAIN;
}

/* ---- parts ---- */

static void
add_text_len (LlmPrompt *self, const char *text, gsize len)
{
  LlmTextPart *last = self->parts->len > 0 ? &g_array_index (self->parts, LlmTextPart, self->parts->len - 1) : NULL;

  if (len == 0)
    return;
  if (last != NULL && last->token == LLM_TOKEN_NONE)
    last->len += len;
  else
    {
      LlmTextPart part = { GSIZE_TO_POINTER (self->text->len), len, LLM_TOKEN_NONE };
      g_array_append_val (self->parts, part);
    }
  g_string_append_len (self->text, text, (gssize) len);
}

static void
add_text (LlmPrompt *self, const char *text)
{
  add_text_len (self, text, strlen (text));
}

/* Without the white space at both ends, as the families' own templates have it. */
static void
add_trimmed (LlmPrompt *self, const char *text)
{
  gsize len = strlen (text);

  while (len > 0 && g_ascii_isspace (text[len - 1]))
    len--;
  while (len > 0 && g_ascii_isspace (text[0]))
    {
      text++;
      len--;
    }
  add_text_len (self, text, len);
}

static void
add_token (LlmPrompt *self, gint32 id)
{
  LlmTextPart part = { NULL, 0, id };

  if (id != LLM_TOKEN_NONE)
    g_array_append_val (self->parts, part);
}

static void
add_special (LlmPrompt *self, const LlmVocab *vocab, const char *text)
{
  add_token (self, llm_vocab_find_special (vocab, text));
}

/* The text no longer moves: offsets become pointers. */
static LlmPrompt *
seal (LlmPrompt *self)
{
  for (guint i = 0; i < self->parts->len; i++)
    {
      LlmTextPart *part = &g_array_index (self->parts, LlmTextPart, i);

      if (part->token == LLM_TOKEN_NONE)
        part->text = self->text->str + GPOINTER_TO_SIZE (part->text);
    }
  return self;
}

/* ---- who may speak when ---- */

static gboolean
invalid (GError **error, guint index, const char *what)
{
  g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "message %u: %s", index, what);
  return FALSE;
}

/* Strict turns, and a system message only as the beginning of the first one. */
static gboolean
takes_turns (LlmChatForm form)
{
  return form == LLM_CHAT_FORM_LLAMA2 || form == LLM_CHAT_FORM_GEMMA;
}

static gboolean
check_order (LlmChatForm form, const GPtrArray *messages, gboolean open_answer, GError **error)
{
  LlmRole before = LLM_ROLE_SYSTEM;

  if (messages->len == 0)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "there are no messages; at least one with role and content is needed");
      return FALSE;
    }
  for (guint i = 0; i < messages->len; i++)
    {
      LlmRole role = ((const LlmMessage *) messages->pdata[i])->role;

      if (role == LLM_ROLE_SYSTEM && i > 0)
        return invalid (error, i, "a system message can only be the first one");
      if (takes_turns (form) && role != LLM_ROLE_SYSTEM
          && (role == before || (before == LLM_ROLE_SYSTEM && role == LLM_ROLE_ASSISTANT)))
        return invalid (error, i, "this model needs user and assistant to take turns, the user first");
      before = role;
    }
  if (open_answer && before == LLM_ROLE_ASSISTANT)
    return invalid (error, messages->len - 1, "the last message is the assistant's; it must be the user's for an answer");
  if (open_answer && before == LLM_ROLE_SYSTEM && form != LLM_CHAT_FORM_PLAIN)
    return invalid (error, messages->len - 1, "a system message alone cannot be answered; a message of the user must follow");
  return TRUE;
}

/* ---- the forms ---- */

static void
write_chatml (LlmPrompt *self, const LlmVocab *vocab, const LlmMessage *message)
{
  add_special (self, vocab, "<|im_start|>");
  add_text (self, role_names[message->role]);
  add_text (self, "\n");
  add_text (self, message->content);
  add_special (self, vocab, "<|im_end|>");
  add_text (self, "\n");
}

static void
write_llama3 (LlmPrompt *self, const LlmVocab *vocab, const LlmMessage *message)
{
  add_special (self, vocab, "<|start_header_id|>");
  add_text (self, role_names[message->role]);
  add_special (self, vocab, "<|end_header_id|>");
  add_text (self, "\n\n");
  add_trimmed (self, message->content);
  add_special (self, vocab, "<|eot_id|>");
}

/* @system: goes into the first user message. */
static void
write_llama2 (LlmPrompt *self, const LlmVocab *vocab, const LlmMessage *message, const LlmMessage *system)
{
  if (message->role == LLM_ROLE_USER)
    {
      add_token (self, llm_vocab_bos (vocab));
      add_text (self, "[INST] ");
      if (system != NULL)
        {
          add_text (self, "<<SYS>>\n");
          add_text (self, system->content);
          add_text (self, "\n<</SYS>>\n\n");
        }
      add_trimmed (self, message->content);
      add_text (self, " [/INST]");
    }
  else
    {
      add_text (self, " ");
      add_trimmed (self, message->content);
      add_text (self, " ");
      add_token (self, llm_vocab_eos (vocab));
    }
}

/* @system: as in Llama 2. */
static void
write_gemma (LlmPrompt *self, const LlmVocab *vocab, const LlmMessage *message, const LlmMessage *system)
{
  add_special (self, vocab, "<start_of_turn>");
  add_text (self, message->role == LLM_ROLE_ASSISTANT ? "model\n" : "user\n");
  if (system != NULL)
    {
      add_text (self, system->content);
      add_text (self, "\n\n");
    }
  add_trimmed (self, message->content);
  add_special (self, vocab, "<end_of_turn>");
  add_text (self, "\n");
}

/* A vocabulary without <|system|> gets the word as text. */
static void
open_phi3 (LlmPrompt *self, const LlmVocab *vocab, LlmRole role)
{
  static const char *const marks[] = { "<|system|>", "<|user|>", "<|assistant|>" };

  if (llm_vocab_find_special (vocab, marks[role]) != LLM_TOKEN_NONE)
    add_special (self, vocab, marks[role]);
  else
    add_text (self, marks[role]);
  add_text (self, "\n");
}

static void
write_phi3 (LlmPrompt *self, const LlmVocab *vocab, const LlmMessage *message)
{
  open_phi3 (self, vocab, message->role);
  add_text (self, message->content);
  add_special (self, vocab, "<|end|>");
  add_text (self, "\n");
}

static void
write_all (LlmPrompt *self, LlmChatForm form, const LlmVocab *vocab, const GPtrArray *messages)
{
  const LlmMessage *first = messages->pdata[0];

  for (guint i = 0; i < messages->len; i++)
    {
      const LlmMessage *message = messages->pdata[i], *system = i == 1 && first->role == LLM_ROLE_SYSTEM ? first : NULL;

      if (form == LLM_CHAT_FORM_CHATML)
        write_chatml (self, vocab, message);
      else if (form == LLM_CHAT_FORM_LLAMA3)
        write_llama3 (self, vocab, message);
      else if (form == LLM_CHAT_FORM_LLAMA2 && message->role != LLM_ROLE_SYSTEM)
        write_llama2 (self, vocab, message, system);
      else if (form == LLM_CHAT_FORM_GEMMA && message->role != LLM_ROLE_SYSTEM)
        write_gemma (self, vocab, message, system);
      else if (form == LLM_CHAT_FORM_PHI3)
        write_phi3 (self, vocab, message);
      else if (form == LLM_CHAT_FORM_PLAIN)
        {
          add_text (self, i > 0 ? "\n" : "");
          add_text (self, message->content);
        }
    }
}

/* The beginning of the answer. */
static void
write_opening (LlmPrompt *self, LlmChatForm form, const LlmVocab *vocab)
{
  if (form == LLM_CHAT_FORM_CHATML)
    {
      add_special (self, vocab, "<|im_start|>");
      add_text (self, "assistant\n");
    }
  else if (form == LLM_CHAT_FORM_LLAMA3)
    {
      add_special (self, vocab, "<|start_header_id|>");
      add_text (self, "assistant");
      add_special (self, vocab, "<|end_header_id|>");
      add_text (self, "\n\n");
    }
  else if (form == LLM_CHAT_FORM_GEMMA)
    {
      add_special (self, vocab, "<start_of_turn>");
      add_text (self, "model\n");
    }
  else if (form == LLM_CHAT_FORM_PHI3)
    open_phi3 (self, vocab, LLM_ROLE_ASSISTANT);
}

LlmPrompt *
llm_chat_render (LlmChatForm form, const LlmVocab *vocab, const GPtrArray *messages, gboolean open_answer, GError **error)
{
  LlmPrompt *self;

  if (!check_order (form, messages, open_answer, error))
    return NULL;
  self = g_new0 (LlmPrompt, 1);
  self->parts = g_array_new (FALSE, FALSE, sizeof (LlmTextPart));
  self->text = g_string_new (NULL);
  self->has_bos = form == LLM_CHAT_FORM_LLAMA2 || form == LLM_CHAT_FORM_LLAMA3;
  if (form == LLM_CHAT_FORM_LLAMA3)
    add_token (self, llm_vocab_bos (vocab));
  write_all (self, form, vocab, messages);
  if (open_answer)
    write_opening (self, form, vocab);
  return seal (self);
}

void
llm_prompt_free (LlmPrompt *self)
{
  g_array_unref (self->parts);
  g_string_free (self->text, TRUE);
  g_free (self);
}

const LlmTextPart *
llm_prompt_parts (const LlmPrompt *self, guint *n)
{
  *n = self->parts->len;
  return (const LlmTextPart *) (gpointer) self->parts->data;
}

gboolean
llm_prompt_has_bos (const LlmPrompt *self)
{
  return self->has_bos;
}
