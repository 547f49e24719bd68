/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/llmctl.h"
#include "config.h"

static const struct {
  const char *name;
  LlmCtlCommand run;
  const char *operands;
  const char *summary;
} commands[] = {
  { "list", llmctl_list, "", N_("List the models") },
  { "show", llmctl_show, "MODEL", N_("Show what is known of a model") },
  { "import", llmctl_import, "FILE... [NAME] | --scan", N_("Copy a GGUF file into the store, or what other programs have") },
  { "verify", llmctl_verify, "MODEL...", N_("Check that models are what was imported") },
  { "pin", llmctl_pin, "MODEL...", N_("Keep models from garbage collection") },
  { "unpin", llmctl_unpin, "MODEL...", N_("Let garbage collection have models again") },
  { "alias", llmctl_alias, "[ALIAS MODEL]", N_("Give a model another name") },
  { "delete", llmctl_delete, "MODEL...", N_("Delete models from the store") },
  { "run", llmctl_run, "[MODEL] [PROMPT...]", N_("Answer a prompt, or chat when there is none") },
  { "embed", llmctl_embed, "MODEL [TEXT...|-]", N_("Turn texts into vectors of numbers") },
  { "ps", llmctl_ps, "", N_("List the models that are loaded") },
  { "config", llmctl_config, "[ACTION] [KEY] [VALUE]", N_("Show and change the settings of the service") },
  { "gc", llmctl_gc, "[--dry-run]", N_("Delete what is not needed any more") },
  { "stats", llmctl_stats, "", N_("Show what was compiled and what was found ready") },
  { "status", llmctl_status, "", N_("Show the service, its devices and its counters") },
};

gint
llmctl_by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GVariant *
llmctl_statistics (LlmClient *client, GError **error)
{
  GVariantBuilder none;
  g_autoptr (GVariant) reply = NULL;

  g_variant_builder_init (&none, G_VARIANT_TYPE_VARDICT);
  reply = llm_client_call (client, "GetStatistics", g_variant_new ("(a{sv})", &none), error);
  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

int
llmctl_fail (const GError *error)
{
  g_printerr ("llmctl: %s\n", error->message);
  return 1;
}

void
llmctl_show_progress (const char *phase, guint64 done, guint64 total, gpointer user_data)
{
  guint percent = total > 0 ? (guint) (100.0 * (double) done / (double) total) : 100;
  char bar[31] = { 0 };

  if (!isatty (STDERR_FILENO))
    return;
  memset (bar, '.', 30);
  memset (bar, '#', percent * 30 / 100);
  g_printerr ("\r%-8s [%s] %3u %%", phase, bar, percent);
}

void
llmctl_end_progress (void)
{
  if (isatty (STDERR_FILENO))
    g_printerr ("\n");
}

LlmClient *
llmctl_connect (LlmCtl *ctl)
{
  g_autoptr (GError) error = NULL;
  LlmClient *client = llm_client_new (ctl->session, &error);

  if (client == NULL)
    llmctl_fail (error);
  return client;
}

gboolean
llmctl_parse (const char *command, const char *operands, const char *summary, const GOptionEntry *entries, int *argc, char ***argv)
{
  g_autofree char *usage = g_strdup_printf ("%s%s%s", command, operands[0] != '\0' ? " " : "", operands);
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autoptr (GError) error = NULL;

  g_option_context_set_summary (context, _(summary));
  g_set_prgname ("llmctl");
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (g_option_context_parse (context, argc, argv, &error))
    return TRUE;
  g_printerr ("llmctl: %s\n", error->message);
  return FALSE;
}

static char *
command_help (void)
{
  GString *s = g_string_new (_("Commands:\n"));

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      g_autofree char *usage = g_strdup_printf ("%s %s", commands[i].name, commands[i].operands);
      g_string_append_printf (s, "  %-31s %s\n", usage, _(commands[i].summary));
    }
  g_string_append (s, _("\nllmctl COMMAND --help shows the options of a command."));
  return g_string_free (s, FALSE);
}

static gboolean
on_interrupt (gpointer user_data)
{
  GCancellable *cancellable = user_data;

  if (g_cancellable_is_cancelled (cancellable))
    exit (130); /* the second time */
  g_cancellable_cancel (cancellable);
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  LlmCtl ctl = { 0 };
  gboolean show_version = FALSE;
  const GOptionEntry entries[] = {
    { "session", 0, 0, G_OPTION_ARG_NONE, &ctl.session, N_("Talk to the service on the session bus (or LLM_BUS=session)"), NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, N_("Print the version and exit"), NULL },
    { NULL }
  };
  g_autoptr (GOptionContext) context = NULL;
  g_autofree char *help = NULL;
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, LLM_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  context = g_option_context_new (_("COMMAND"));
  help = command_help ();
  g_option_context_set_summary (context, _("Language models of this machine."));
  g_option_context_set_description (context, help);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_set_strict_posix (context, TRUE); /* what follows the command is the command's */
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      g_printerr ("llmctl: %s\n", error->message);
      return 2;
    }
  if (show_version)
    {
      g_print ("llmctl %s\n", LLM_VERSION);
      return 0;
    }
  ctl.cancellable = g_cancellable_new ();
  g_unix_signal_add (SIGINT, on_interrupt, ctl.cancellable);
  for (gsize i = 0; argc > 1 && i < G_N_ELEMENTS (commands); i++)
    if (strcmp (commands[i].name, argv[1]) == 0)
      return commands[i].run (&ctl, argc - 1, argv + 1);
  if (argc > 1)
    g_printerr (_("llmctl: there is no command \"%s\"\n"), argv[1]);
  g_printerr ("%s\n", help);
  return 2;
}
