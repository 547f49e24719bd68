/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "base/names.h"
#include "cli/llmctl.h"

static void
print_property (LlmClient *client, const char *label, const char *property)
{
  g_autoptr (GVariant) value = llm_client_get (client, property, NULL);
  g_autofree char *text = NULL;

  if (value == NULL)
    return;
  text = g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string (value, NULL) : g_variant_print (value, FALSE);
  g_print ("%-16s %s\n", label, text);
}

static void
print_devices (LlmClient *client)
{
  g_autoptr (GVariant) objects = llm_client_objects (client, NULL);
  GVariantIter iter;
  const char *path;
  GVariant *interfaces;

  if (objects == NULL)
    return;
  g_variant_iter_init (&iter, objects);
  while (g_variant_iter_loop (&iter, "{&o@a{sa{sv}}}", &path, &interfaces))
    {
      g_autoptr (GVariant) device = g_variant_lookup_value (interfaces, LLM_IFACE_DEVICE, G_VARIANT_TYPE_VARDICT);
      const char *name = "", *driver = "";

      if (device == NULL)
        continue;
      g_variant_lookup (device, "Name", "&s", &name);
      g_variant_lookup (device, "Driver", "&s", &driver);
      g_print ("%-16s %s (%s)\n", path + sizeof LLM_PATH_DEVICES, name, driver);
    }
}

static void
print_counters (GVariant *group)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, group);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    if (!g_variant_is_container (value))
      {
        g_autofree char *text = g_variant_print (value, FALSE);
        g_print ("  %-22s %s\n", key, text);
      }
}

int
llmctl_status (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) groups = NULL;
  GVariantIter iter;
  const char *name;
  GVariant *group;

  if (!llmctl_parse ("status", "", N_("Shows the service, its devices and its counters."), NULL, &argc, &argv))
    return 2;
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  groups = llmctl_statistics (client, &error);
  if (groups == NULL)
    return llmctl_fail (error);
  print_property (client, _("version"), "Version");
  print_property (client, _("health"), "Health");
  print_property (client, _("default model"), "DefaultModel");
  print_property (client, _("queue"), "QueueLength");
  print_devices (client);
  g_variant_iter_init (&iter, groups);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &group))
    {
      g_print ("%s\n", name);
      print_counters (group);
    }
  return 0;
}
