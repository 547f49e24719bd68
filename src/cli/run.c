/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run: one answer, or a chat in the terminal. */
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/llmctl.h"

static double temperature = -1;
static int max_tokens = 0;
static gint64 seed = -1;
static char *system_message;
static gboolean verbose;

static const GOptionEntry entries[] = {
  { "temperature", 't', 0, G_OPTION_ARG_DOUBLE, &temperature, N_("How freely words are chosen, 0 to 2"), N_("NUMBER") },
  { "max-tokens", 'n', 0, G_OPTION_ARG_INT, &max_tokens, N_("Longest answer in tokens"), N_("NUMBER") },
  { "seed", 's', 0, G_OPTION_ARG_INT64, &seed, N_("The same seed gives the same answer"), N_("NUMBER") },
  { "system", 0, 0, G_OPTION_ARG_STRING, &system_message, N_("Instructions that stand before the chat"), N_("TEXT") },
  { "verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, N_("Print tokens and times afterwards"), NULL },
  { NULL }
};

typedef struct {
  GPtrArray *messages; /* GVariant a{sv} (owned) */
  GString *answer;
} Chat;

static void
add_message (Chat *chat, const char *role, const char *content)
{
  GVariantBuilder message;

  g_variant_builder_init (&message, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&message, "{sv}", "role", g_variant_new_string (role));
  g_variant_builder_add (&message, "{sv}", "content", g_variant_new_string (content));
  g_ptr_array_add (chat->messages, g_variant_ref_sink (g_variant_builder_end (&message)));
}

static GVariant *
make_options (void)
{
  GVariantBuilder options;

  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  if (temperature >= 0)
    g_variant_builder_add (&options, "{sv}", "temperature", g_variant_new_double (temperature));
  if (max_tokens > 0)
    g_variant_builder_add (&options, "{sv}", "max-tokens", g_variant_new_uint32 ((guint32) max_tokens));
  if (seed >= 0)
    g_variant_builder_add (&options, "{sv}", "seed", g_variant_new_uint64 ((guint64) seed));
  return g_variant_builder_end (&options);
}

static void
on_token (const char *channel, const char *text, gpointer user_data)
{
  Chat *chat = user_data;

  g_string_append (chat->answer, text);
  fputs (text, stdout);
  fflush (stdout);
}

static void
print_figures (GVariant *result)
{
  guint32 prompt = 0, output = 0;
  guint64 prefill = 0, decode = 0, load = 0;

  g_variant_lookup (result, "prompt-tokens", "u", &prompt);
  g_variant_lookup (result, "output-tokens", "u", &output);
  g_variant_lookup (result, "prefill-us", "t", &prefill);
  g_variant_lookup (result, "decode-us", "t", &decode);
  g_variant_lookup (result, "load-us", "t", &load);
  g_printerr (_("%u prompt tokens in %.1f ms, %u tokens at %.1f per second, loaded in %.1f ms\n"), prompt, (double) prefill / 1e3, output,
              decode > 0 ? output * 1e6 / (double) decode : 0.0, (double) load / 1e3);
}

/* 0, 1 (failed), 130 (Ctrl-C). */
static int
answer (LlmCtl *ctl, LlmClient *client, const char *model, Chat *chat)
{
  g_autoptr (GVariant) messages = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE_VARDICT, (GVariant *const *) chat->messages->pdata, chat->messages->len));
  g_autoptr (GVariant) options = g_variant_ref_sink (make_options ()), result = NULL;
  g_autoptr (GError) error = NULL;

  g_string_truncate (chat->answer, 0);
  result = llm_client_stream (client, model, messages, options, on_token, chat, ctl->cancellable, &error);
  fputs ("\n", stdout);
  fflush (stdout); /* the figures go to standard error */
  if (result != NULL && verbose)
    print_figures (result);
  if (result == NULL && g_cancellable_is_cancelled (ctl->cancellable))
    return 130;
  return result != NULL ? 0 : llmctl_fail (error);
}

/* Ctrl-C ends an answer, not the chat; an empty line or the end of the input ends the chat. */
static int
chat_in_terminal (LlmCtl *ctl, LlmClient *client, const char *model, Chat *chat)
{
  g_autofree char *line = NULL;
  size_t size = 0;
  int status = 0;

  for (;;)
    {
      gssize n;

      g_printerr ("> ");
      n = getline (&line, &size, stdin);
      if (n <= 1)
        return status;
      line[n - 1] = '\0';
      if (!g_utf8_validate (line, -1, NULL))
        {
          g_printerr (_("llmctl: that was not UTF-8\n"));
          continue;
        }
      add_message (chat, "user", line);
      status = answer (ctl, client, model, chat);
      if (status == 0)
        add_message (chat, "assistant", chat->answer->str);
      else
        g_ptr_array_set_size (chat->messages, chat->messages->len - 1);
      g_cancellable_reset (ctl->cancellable);
    }
}

int
llmctl_run (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  Chat chat = { g_ptr_array_new_with_free_func ((GDestroyNotify) g_variant_unref), g_string_new (NULL) };
  int status;

  if (!llmctl_parse ("run", "[MODEL] [PROMPT...]", N_("Answers PROMPT with MODEL (\"\" or none: the default one); chats when there is no prompt."), entries,
                     &argc, &argv))
    return 2;
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  if (system_message != NULL)
    add_message (&chat, "system", system_message);
  if (argc > 2)
    {
      g_autofree char *prompt = g_strjoinv (" ", argv + 2);

      add_message (&chat, "user", prompt);
      status = answer (ctl, client, argv[1], &chat);
    }
  else
    status = chat_in_terminal (ctl, client, argc > 1 ? argv[1] : "", &chat);
  g_ptr_array_unref (chat.messages);
  g_string_free (chat.answer, TRUE);
  return status;
}
