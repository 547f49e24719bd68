/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, show, ps, import: what there is. */
#include <glib/gi18n.h>
#include <string.h>

#include "base/limits.h"
#include "base/part-name.h"
#include "cli/llmctl.h"

static GVariant *
list_models (LlmClient *client, GError **error)
{
  GVariantBuilder filter;
  g_autoptr (GVariant) reply = NULL;

  g_variant_builder_init (&filter, G_VARIANT_TYPE_VARDICT);
  reply = llm_client_call (client, "ListModels", g_variant_new ("(a{sv})", &filter), error);
  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

static const char *
text_of (GVariant *properties, const char *key)
{
  const char *text = "";

  g_variant_lookup (properties, key, "&s", &text);
  return text;
}

static guint64
number_of (GVariant *properties, const char *key)
{
  guint64 number = 0;

  g_variant_lookup (properties, key, "t", &number);
  return number;
}

static char *
parameters_of (GVariant *properties)
{
  double n = (double) number_of (properties, "ParameterCount");

  return n >= 1e9 ? g_strdup_printf ("%.1fB", n / 1e9) : n >= 1e6 ? g_strdup_printf ("%.1fM", n / 1e6) : g_strdup_printf ("%.0fK", n / 1e3);
}

static int
print_models (LlmCtl *ctl, gboolean loaded_only)
{
  g_autoptr (LlmClient) client = llmctl_connect (ctl);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) models = client != NULL ? list_models (client, &error) : NULL;
  GVariantIter iter;
  const char *name;
  GVariant *properties;

  if (models == NULL)
    return error != NULL ? llmctl_fail (error) : 1;
  g_print ("%-32s %-8s %-8s %10s %8s  %s\n", _("NAME"), _("FAMILY"), _("TYPE"), loaded_only ? _("MEMORY") : _("SIZE"), _("WEIGHTS"), _("STATE"));
  g_variant_iter_init (&iter, models);
  while (g_variant_iter_loop (&iter, "(&o&s@a{sv})", NULL, &name, &properties))
    {
      g_autofree char *size = g_format_size (number_of (properties, loaded_only ? "MemoryBytes" : "Size")), *parameters = parameters_of (properties);

      if (!loaded_only || strcmp (text_of (properties, "State"), "unloaded") != 0)
        g_print ("%-32s %-8s %-8s %10s %8s  %s\n", name, text_of (properties, "Architecture"), text_of (properties, "Quantization"), size, parameters,
                 text_of (properties, "State"));
    }
  return 0;
}

int
llmctl_list (LlmCtl *ctl, int argc, char **argv)
{
  if (!llmctl_parse ("list", "", N_("Lists the models in the store."), NULL, &argc, &argv))
    return 2;
  return print_models (ctl, FALSE);
}

int
llmctl_ps (LlmCtl *ctl, int argc, char **argv)
{
  if (!llmctl_parse ("ps", "", N_("Lists the models that are loaded."), NULL, &argc, &argv))
    return 2;
  return print_models (ctl, TRUE);
}

int
llmctl_show (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) path = NULL, models = NULL;
  const char *wanted, *at;
  GVariantIter iter, inner;
  GVariant *properties, *value;
  const char *key;

  if (!llmctl_parse ("show", "MODEL", N_("Shows what is known of a model."), NULL, &argc, &argv))
    return 2;
  if (argc != 2)
    {
      g_printerr (_("llmctl: one model's name is needed; llmctl list shows them\n"));
      return 2;
    }
  client = llmctl_connect (ctl);
  path = client != NULL ? llm_client_call (client, "GetModel", g_variant_new ("(s)", argv[1]), &error) : NULL;
  models = path != NULL ? list_models (client, &error) : NULL;
  if (models == NULL)
    return error != NULL ? llmctl_fail (error) : 1;
  g_variant_get (path, "(&o)", &wanted);
  g_variant_iter_init (&iter, models);
  while (g_variant_iter_loop (&iter, "(&o&s@a{sv})", &at, NULL, &properties))
    {
      if (strcmp (at, wanted) != 0)
        continue;
      g_variant_iter_init (&inner, properties);
      while (g_variant_iter_loop (&inner, "{&sv}", &key, &value))
        {
          g_autofree char *text = g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string (value, NULL) : g_variant_print (value, FALSE);
          g_print ("%-16s %s\n", key, text);
        }
    }
  return 0;
}

/* ---- import ---- */

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

int
llmctl_import (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) result = NULL;
  g_auto (GStrv) files = NULL;
  g_autofree char *name = NULL;
  const char *given = NULL;

  if (!llmctl_parse ("import", "FILE... [NAME]",
                     N_("Copies a GGUF file into the store, under the file's name or NAME. Of a split model one part is enough "
                        "(NAME-00001-of-00003.gguf: the others stand beside it), or all of them."),
                     NULL, &argc, &argv))
    return 2;
  files = files_to_import (argc, argv, &name);
  if (files == NULL)
    return 2;
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  result = llm_client_import (client, (const char *const *) files, name, llmctl_show_progress, NULL, ctl->cancellable, &error);
  llmctl_end_progress ();
  if (result == NULL)
    return llmctl_fail (error);
  g_variant_lookup (result, "name", "&s", &given);
  g_print ("%s\n", given);
  return 0;
}
