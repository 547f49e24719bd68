/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, show, ps: what there is. */
#include <glib/gi18n.h>
#include <string.h>

#include "cli/llmctl.h"

GVariant *
llmctl_list_models (LlmClient *client, GError **error)
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
  g_autoptr (GVariant) models = client != NULL ? llmctl_list_models (client, &error) : NULL;
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
  models = path != NULL ? llmctl_list_models (client, &error) : NULL;
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
