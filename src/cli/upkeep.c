/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify, pin, unpin, alias, delete: the models that are there already. */
#include <glib/gi18n.h>

#include "cli/llmctl.h"

/* FALSE: failed, with an error. */
typedef gboolean (*Act) (LlmCtl *ctl, LlmClient *client, const char *name, GError **error);

/* The first that fails ends it. */
static int
for_each (LlmCtl *ctl, const char *command, const char *summary, int argc, char **argv, Act act)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;

  if (!llmctl_parse (command, "MODEL...", summary, NULL, &argc, &argv))
    return 2;
  if (argc < 2)
    {
      g_printerr (_("llmctl: a model's name is needed; llmctl list shows them\n"));
      return 2;
    }
  client = llmctl_connect (ctl);
  for (int i = 1; client != NULL && i < argc; i++)
    if (!act (ctl, client, argv[i], &error))
      return llmctl_fail (error);
  return client != NULL ? 0 : 1;
}

static gboolean
verify (LlmCtl *ctl, LlmClient *client, const char *name, GError **error)
{
  g_autoptr (GVariant) result = llm_client_verify (client, name, llmctl_show_progress, NULL, ctl->cancellable, error);

  llmctl_end_progress ();
  if (result != NULL)
    g_print (_("%s is what was imported\n"), name);
  return result != NULL;
}

int
llmctl_verify (LlmCtl *ctl, int argc, char **argv)
{
  return for_each (ctl, "verify", N_("Reads the files of models again and compares them with what was imported."), argc, argv, verify);
}

static gboolean
set_pinned (LlmClient *client, const char *name, gboolean pinned, GError **error)
{
  g_autoptr (GVariant) reply = llm_client_call_model (client, name, "SetPinned", g_variant_new ("(b)", pinned), error);

  return reply != NULL;
}

static gboolean
pin (LlmCtl *ctl, LlmClient *client, const char *name, GError **error)
{
  return set_pinned (client, name, TRUE, error);
}

static gboolean
unpin (LlmCtl *ctl, LlmClient *client, const char *name, GError **error)
{
  return set_pinned (client, name, FALSE, error);
}

int
llmctl_pin (LlmCtl *ctl, int argc, char **argv)
{
  return for_each (ctl, "pin", N_("Keeps models from garbage collection."), argc, argv, pin);
}

int
llmctl_unpin (LlmCtl *ctl, int argc, char **argv)
{
  return for_each (ctl, "unpin", N_("Lets garbage collection have models again."), argc, argv, unpin);
}

/* ---- alias ---- */

static int
list_aliases (LlmClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) models = llmctl_list_models (client, &error);
  GVariantIter iter;
  const char *name;
  GVariant *properties;

  if (models == NULL)
    return llmctl_fail (error);
  g_variant_iter_init (&iter, models);
  while (g_variant_iter_loop (&iter, "(&o&s@a{sv})", NULL, &name, &properties))
    {
      g_autofree const char **aliases = NULL;

      g_variant_lookup (properties, "Aliases", "^a&s", &aliases);
      for (guint i = 0; aliases != NULL && aliases[i] != NULL; i++)
        g_print ("%-32s %s\n", aliases[i], name);
    }
  return 0;
}

int
llmctl_alias (LlmCtl *ctl, int argc, char **argv)
{
  gboolean remove = FALSE;
  const GOptionEntry entries[] = {
    { "remove", 'r', 0, G_OPTION_ARG_NONE, &remove, N_("Remove the alias"), NULL },
    { NULL }
  };
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  if (!llmctl_parse ("alias", "[ALIAS MODEL | --remove ALIAS]", N_("Gives a model another name, or lists those names and their models."), entries, &argc, &argv))
    return 2;
  if (remove ? argc != 2 : argc != 1 && argc != 3)
    {
      g_printerr (_("llmctl: an alias and a model are needed, or --remove and an alias, or nothing\n"));
      return 2;
    }
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  if (argc == 1)
    return list_aliases (client);
  reply = remove ? llm_client_call_model (client, argv[1], "RemoveAlias", g_variant_new ("(s)", argv[1]), &error)
                 : llm_client_call_model (client, argv[2], "AddAlias", g_variant_new ("(s)", argv[1]), &error);
  return reply != NULL ? 0 : llmctl_fail (error);
}

static gboolean
delete_one (LlmCtl *ctl, LlmClient *client, const char *name, GError **error)
{
  GVariantBuilder options;
  g_autoptr (GVariant) reply = NULL;

  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  reply = llm_client_call_model (client, name, "Delete", g_variant_new ("(a{sv})", &options), error);
  return reply != NULL;
}

int
llmctl_delete (LlmCtl *ctl, int argc, char **argv)
{
  return for_each (ctl, "delete", N_("Deletes models from the store, and their files when no other model needs them."), argc, argv, delete_one);
}
