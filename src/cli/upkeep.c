/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify, pin, unpin, delete: the models that are there already. */
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
