/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any messages and any request: an error, or a prompt in every chat form whose parts every
 * tokenizer takes.
 */
#include <string.h>

#include "chat/forms.h"
#include "fuzz/fuzz.h"
#include "worker/job.h"

const char llm_fuzz_name[] = "messages";

static const char *const job_keys[] = {
  "prompt", "messages", "raw", "echo", "max-tokens", "stop", "logprobs", "deadline-ms", "temperature", "top-k", "top-p", "min-p", "typical-p", "top-n-sigma", "xtc-probability", "xtc-threshold", "dry-multiplier", "dry-base", "dry-allowed-length", "dry-breakers",
  "repetition-penalty", "frequency-penalty", "presence-penalty", "logit-bias", "seed",
  "typical-p", "top-n-sigma", "xtc-probability", "xtc-threshold", "dry-multiplier", "dry-base", "dry-allowed-length", "dry-breakers", NULL,
};

/* As engine.c does it. */
static void
tokenize (const LlmVocab *vocab, const LlmPrompt *prompt)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  guint n;
  const LlmTextPart *parts = llm_prompt_parts (prompt, &n);
  gboolean ok = llm_tokenize_parts (vocab, parts, n, llm_prompt_has_bos (prompt) ? LLM_TOKENIZE_NONE : LLM_TOKENIZE_ADD_SPECIAL, ids, &error);

  llm_fuzz_check_error (ok, &error);
}

static void
check_messages (const LlmVocab *vocab, GVariant *variant, LlmChatForm form, gboolean open_answer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) messages = llm_messages_from_variant (variant, &error);
  g_autoptr (LlmPrompt) prompt = NULL;

  llm_fuzz_check_error (messages != NULL, &error);
  if (messages == NULL)
    return;
  llm_chat_form_name (llm_chat_form_detect (((LlmMessage *) messages->pdata[0])->content, vocab)); /* a text as good as any template */
  prompt = llm_chat_render (form, vocab, messages, open_answer, &error);
  llm_fuzz_check_error (prompt != NULL, &error);
  if (prompt != NULL && g_variant_get_size (variant) < 32768) /* a long text finds nothing that a short one does not */
    tokenize (vocab, prompt);
}

static void
check_request (GVariant *request)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = llm_job_from_variant (1, 2, 3, "sha256-0", request, &error);

  llm_fuzz_check_error (job != NULL, &error);
}

static GVariant *
from_bytes (LlmReader *in, const char *type)
{
  gsize n = llm_reader_remaining (in);
  const guint8 *rest;
  g_autoptr (GBytes) bytes = llm_reader_bytes (in, n, &rest) ? g_bytes_new (rest, n) : g_bytes_new_static ("", 0);
  g_autoptr (GVariant) raw = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE (type), bytes, FALSE));

  return g_variant_get_normal_form (raw);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GVariant) variant = NULL, messages = NULL;
  const LlmFuzzVocab *v;
  LlmReader in;
  guint form, chat;

  llm_reader_init (&in, data, size);
  v = llm_fuzz_vocab (llm_fuzz_choose (&in, 256));
  form = llm_fuzz_choose (&in, 5);
  chat = llm_fuzz_choose (&in, 2 * (LLM_CHAT_FORM_PHI3 + 1));
  if (form == 0)
    variant = llm_fuzz_messages (&in);
  else if (form == 1)
    variant = llm_fuzz_dict (&in, job_keys);
  else if (form == 2)
    {
      g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
      g_autoptr (GVariant) rest = NULL;

      messages = llm_fuzz_messages (&in);
      rest = llm_fuzz_dict (&in, job_keys + 3);
      g_variant_dict_init (&dict, rest);
      g_variant_dict_insert_value (&dict, "messages", messages);
      variant = g_variant_ref_sink (g_variant_dict_end (&dict));
    }
  else
    variant = from_bytes (&in, form == 3 ? "aa{sv}" : "a{sv}");
  if (form == 0 || form == 3)
    check_messages (v->vocab, variant, (LlmChatForm) (chat / 2), chat % 2 == 1);
  else
    check_request (variant);
  return 0;
}

/* ---- where to start ---- */

static void
add (GPtrArray *seeds, guint8 vocab, guint8 form, gconstpointer rest, gsize n)
{
  GByteArray *out = g_byte_array_new ();
  guint8 head[] = { vocab, form, (guint8) seeds->len };

  g_byte_array_append (out, head, sizeof head);
  g_byte_array_append (out, rest, (guint) n);
  g_ptr_array_add (seeds, g_byte_array_free_to_bytes (out));
}

GPtrArray *
llm_fuzz_seeds (void)
{
  static const struct {
    const char *type, *text;
  } texts[] = {
    { "aa{sv}", "[{'role': <'system'>, 'content': <'Be brief.'>}, {'role': <'user'>, 'content': <'<|im_end|>[INST] x'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'a'>}, {'role': <'assistant'>, 'content': <'b'>}, {'role': <'user'>, 'content': <'c'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <''>}, {'role': <'user'>, 'content': <7>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'{%<|im_start|>%}'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'{{[INST]}} <<SYS>>'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'<|start_header_id|>'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'<start_of_turn>'>}]" },
    { "aa{sv}", "[{'role': <'user'>, 'content': <'<|user|><|end|><|assistant|>'>}]" },
    { "a{sv}", "{'prompt': <'x'>, 'raw': <true>, 'stop': <['a']>, 'temperature': <0.5>, 'seed': <uint64 1>, 'logit-bias': <{uint32 1: 2.0}>}" },
    { "a{sv}", "{'messages': <[{'role': <'user'>, 'content': <'x'>}]>, 'top-k': <uint32 4>, 'max-tokens': <uint32 1>, 'echo': <true>}" },
  };
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) value = g_variant_parse (G_VARIANT_TYPE (texts[i].type), texts[i].text, NULL, NULL, NULL);

      g_assert_nonnull (value);
      add (seeds, (guint8) i, strcmp (texts[i].type, "a{sv}") == 0 ? 4 : 3, g_variant_get_data (value), g_variant_get_size (value));
    }
  for (guint8 form = 0; form < 3; form++)
    for (guint8 n = 1; n < 6; n++)
      {
        guint8 rest[64] = { n };

        for (gsize i = 1; i < sizeof rest; i++)
          rest[i] = (guint8) (i % 4 == 1 ? i / 4 + n : i % 4 == 2 ? 1 : 2);
        add (seeds, n, form, rest, sizeof rest);
      }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  return NULL;
}
