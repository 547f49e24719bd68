/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import: files that the user names, and models that other programs of this user have (scan.h). */
#include <glib/gi18n.h>
#include <string.h>

#include "base/limits.h"
#include "base/part-name.h"
#include "cli/llmctl.h"
#include "cli/scan.h"

/* "/a/b/Model-7B.gguf", "/a/b/Model-7B-00001-of-00003.gguf" -> "Model-7B" */
static char *
name_of_file (const char *path)
{
  g_autofree char *stem = NULL;
  guint no, count;
  char *name;

  if (llm_part_name_parse (path, &stem, &no, &count))
    return g_path_get_basename (stem);
  name = g_path_get_basename (path);
  if (g_str_has_suffix (name, ".gguf"))
    name[strlen (name) - strlen (".gguf")] = '\0';
  return name;
}

/* A part stands for all parts beside it. NULL: complained. */
static char **
with_siblings (const char *path)
{
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();
  g_autofree char *stem = NULL;
  guint no, count;

  if (!llm_part_name_parse (path, &stem, &no, &count))
    g_strv_builder_add (paths, path);
  else if (count > LLM_MODEL_MAX_PARTS)
    {
      g_printerr (_("llmctl: %s is one of %u parts; a model has at most %d\n"), path, count, LLM_MODEL_MAX_PARTS);
      return NULL;
    }
  else
    for (guint i = 1; i <= count; i++)
      {
        g_autofree char *part = llm_part_name_format (stem, i, count);
        g_strv_builder_add (paths, part);
      }
  return g_strv_builder_end (paths);
}

/* FILE... [NAME]: the first operand is a file, and those that end in .gguf; a last one that does not is the name. NULL: complained. */
static char **
files_to_import (int argc, char **argv, char **name)
{
  int n = argc - 1;

  if (n < 1)
    {
      g_printerr (_("llmctl: a file is needed, and perhaps a name\n"));
      return NULL;
    }
  if (n > 1 && !g_str_has_suffix (argv[n], ".gguf"))
    *name = g_strdup (argv[n--]);
  else
    *name = name_of_file (argv[1]);
  for (int i = 2; i <= n; i++)
    if (!g_str_has_suffix (argv[i], ".gguf"))
      {
        g_printerr (_("llmctl: \"%s\" is no file that ends in .gguf; the name comes last\n"), argv[i]);
        return NULL;
      }
  if (n == 1)
    return with_siblings (argv[1]);
  argv[n + 1] = NULL;
  return g_strdupv (argv + 1);
}

static int
import_files (LlmCtl *ctl, gboolean in_place, int argc, char **argv)
{
  GVariantBuilder options;
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) result = NULL;
  g_autofree char *name = NULL;
  g_auto (GStrv) files = files_to_import (argc, argv, &name);
  const char *given = NULL;

  if (files == NULL)
    return 2;
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  if (in_place)
    g_variant_builder_add (&options, "{sv}", "in-place", g_variant_new_boolean (TRUE));
  result = llm_client_import (client, (const char *const *) files, name, g_variant_builder_end (&options), llmctl_show_progress, NULL, ctl->cancellable, &error);
  llmctl_end_progress ();
  if (result == NULL)
    return llmctl_fail (error);
  g_variant_lookup (result, "name", "&s", &given);
  g_print ("%s\n", given);
  return 0;
}

/* ---- what other programs have ---- */

/* Whether a model of the store is this one: the same bytes, or brought from there in this version. */
static gboolean
is_in_store (const LlmFound *found, GVariant *models)
{
  GVariantIter iter;
  GVariant *properties;
  gboolean is = FALSE;

  if (models == NULL)
    return FALSE;
  g_variant_iter_init (&iter, models);
  while (g_variant_iter_loop (&iter, "(&o&s@a{sv})", NULL, NULL, &properties))
    {
      const char *digest = "", *source = "", *version = "";

      g_variant_lookup (properties, "Digest", "&s", &digest);
      g_variant_lookup (properties, "Source", "&s", &source);
      g_variant_lookup (properties, "Version", "&s", &version);
      is = is || g_strcmp0 (digest, found->digest) == 0
           || (strcmp (source, found->origin) == 0 && strcmp (version, found->version) == 0);
    }
  return is;
}

static char *
state_of (const LlmFound *found, GVariant *models)
{
  if (found->paths->len < found->n_parts)
    return g_strdup_printf (_("only %u of %u parts"), found->paths->len, found->n_parts);
  return g_strdup (is_in_store (found, models) ? _("in the store") : "");
}

static int
list_found (GPtrArray *all, GVariant *models)
{
  if (all->len == 0)
    {
      g_printerr (_("llmctl: Ollama, Hugging Face and llama.cpp have no models here\n"));
      return 0;
    }
  g_print ("%-48s %10s  %-12s %s\n", _("NAME"), _("SIZE"), _("FROM"), _("STATE"));
  for (guint i = 0; i < all->len; i++)
    {
      const LlmFound *found = all->pdata[i];
      g_autofree char *size = g_format_size (found->size), *state = state_of (found, models);

      g_print ("%-48s %10s  %-12s %s\n", found->name, size, found->program, state);
    }
  g_print (_("\nllmctl import --scan NAME... imports some of them, --scan --all all that are not in the store.\n"));
  return 0;
}

static gboolean
import_found (LlmCtl *ctl, LlmClient *client, const LlmFound *found, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new ();
  g_autoptr (GVariant) result = NULL;
  GVariantBuilder options;

  for (guint i = 0; i < found->paths->len; i++)
    g_ptr_array_add (paths, found->paths->pdata[i]);
  g_ptr_array_add (paths, NULL);
  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&options, "{sv}", "source", g_variant_new_string (found->origin));
  g_variant_builder_add (&options, "{sv}", "version", g_variant_new_string (found->version));
  result = llm_client_import (client, (const char *const *) paths->pdata, found->name, g_variant_builder_end (&options), llmctl_show_progress, NULL,
                              ctl->cancellable, error);
  llmctl_end_progress ();
  if (result != NULL)
    g_print ("%s\n", found->name);
  return result != NULL;
}

static const LlmFound *
find_named (GPtrArray *all, const char *name)
{
  g_autofree char *latest = g_strconcat (name, ":latest", NULL);

  for (guint i = 0; i < all->len; i++)
    {
      const LlmFound *found = all->pdata[i];

      if (strcmp (found->name, name) == 0 || strcmp (found->name, latest) == 0)
        return found;
    }
  return NULL;
}

/* Those that are named, or all that are whole and not there yet. NULL: complained. (element-type LlmFound) (transfer container) */
static GPtrArray *
choose (GPtrArray *all, GVariant *models, int argc, char **argv)
{
  g_autoptr (GPtrArray) chosen = g_ptr_array_new ();

  for (guint i = 0; argc < 2 && i < all->len; i++)
    {
      const LlmFound *found = all->pdata[i];

      if (found->paths->len == found->n_parts && !is_in_store (found, models))
        g_ptr_array_add (chosen, all->pdata[i]);
    }
  for (int i = 1; i < argc; i++)
    {
      const LlmFound *found = find_named (all, argv[i]);

      if (found == NULL || found->paths->len < found->n_parts)
        {
          if (found == NULL)
            g_printerr (_("llmctl: \"%s\" is not among those that llmctl import --scan lists\n"), argv[i]);
          else
            g_printerr (_("llmctl: of %s only %u of %u parts are there\n"), argv[i], found->paths->len, found->n_parts);
          return NULL;
        }
      g_ptr_array_add (chosen, (gpointer) found);
    }
  return g_steal_pointer (&chosen);
}

static int
import_scanned (LlmCtl *ctl, gboolean everything, int argc, char **argv)
{
  g_autoptr (GPtrArray) all = llm_scan (), chosen = NULL;
  g_autoptr (LlmClient) client = llmctl_connect (ctl);
  g_autoptr (GVariant) models = client != NULL ? llmctl_list_models (client, NULL) : NULL;
  int status = 0;

  if (client == NULL)
    return 1;
  if (!everything && argc < 2)
    return list_found (all, models);
  chosen = choose (all, models, everything ? 1 : argc, argv);
  if (chosen == NULL)
    return 2;
  for (guint i = 0; i < chosen->len && !g_cancellable_is_cancelled (ctl->cancellable); i++)
    {
      const LlmFound *found = chosen->pdata[i];
      g_autoptr (GError) error = NULL;

      if (import_found (ctl, client, found, &error))
        continue;
      g_printerr ("llmctl: %s: %s\n", found->name, error->message);
      status = 1; /* the others may do */
    }
  return status;
}

int
llmctl_import (LlmCtl *ctl, int argc, char **argv)
{
  gboolean scan = FALSE, everything = FALSE, in_place = FALSE;
  const GOptionEntry entries[] = {
    { "scan", 0, 0, G_OPTION_ARG_NONE, &scan, N_("List what Ollama, Hugging Face and llama.cpp have downloaded for you; import those that are NAMEd"), NULL },
    { "all", 0, 0, G_OPTION_ARG_NONE, &everything, N_("With --scan: import all that are not in the store"), NULL },
    { "in-place", 0, 0, G_OPTION_ARG_NONE, &in_place, N_("Use the file where it is, without a copy; only root may be able to change it"), NULL },
    { NULL }
  };

  if (!llmctl_parse ("import", "FILE... [NAME] | --scan [NAME...|--all]",
                     N_("Copies a GGUF file into the store, under the file's name or NAME. Of a split model one part is enough "
                        "(NAME-00001-of-00003.gguf: the others stand beside it), or all of them."),
                     entries, &argc, &argv))
    return 2;
  if (everything && (!scan || argc > 1))
    {
      g_printerr (_("llmctl: --all goes with --scan and without names\n"));
      return 2;
    }
  return scan ? import_scanned (ctl, everything, argc, argv) : import_files (ctl, in_place, argc, argv);
}
