/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gc: what is deleted, or would be, and why. */
#include <glib/gi18n.h>
#include <string.h>

#include "cli/llmctl.h"
#include "config.h"

static gboolean dry_run;

static const GOptionEntry entries[] = {
  { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_run, N_("Print what would be deleted, and delete nothing"), NULL },
  { NULL }
};

static const char *
reason_text (const char *reason)
{
  static const struct {
    const char *reason, *text;
  } reasons[] = {
    { "old-version", N_("of an older engine") }, { "over-age", N_("not used for too long") }, { "over-limit", N_("over the limit, and worth least") },
    { "low-disk", N_("the disk is nearly full") }, { "orphan", N_("left behind") }, { "unreferenced", N_("no model names it") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (reasons); i++)
    if (strcmp (reasons[i].reason, reason) == 0)
      return _(reasons[i].text);
  return reason;
}

static void
print_deletions (GVariant *report)
{
  g_autoptr (GVariant) deletions = g_variant_lookup_value (report, "deletions", G_VARIANT_TYPE ("aa{sv}"));
  GVariantIter iter;
  GVariant *deletion;

  if (deletions == NULL)
    return;
  g_variant_iter_init (&iter, deletions);
  while (g_variant_iter_loop (&iter, "@a{sv}", &deletion))
    {
      const char *path = "", *reason = "";
      guint64 bytes = 0;

      g_variant_lookup (deletion, "path", "&s", &path);
      g_variant_lookup (deletion, "reason", "&s", &reason);
      g_variant_lookup (deletion, "bytes", "t", &bytes);
      g_print ("%12" G_GUINT64_FORMAT "  %-34s %s\n", bytes, reason_text (reason), path);
    }
}

int
llmctl_gc (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = NULL, report = NULL;
  g_autofree char *size = NULL;
  GVariantBuilder options;
  guint32 count = 0;
  guint64 bytes = 0;

  if (!llmctl_parse ("gc", "", N_("Deletes compiled artifacts that are not worth their space any more, and model files that nobody names."), entries, &argc, &argv))
    return 2;
  if (argc > 1)
    {
      g_printerr (_("llmctl: gc takes no operands\n"));
      return 2;
    }
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  if (dry_run)
    g_variant_builder_add (&options, "{sv}", "dry-run", g_variant_new_boolean (TRUE));
  reply = llm_client_call (client, "CollectGarbage", g_variant_new ("(a{sv})", &options), &error);
  if (reply == NULL)
    return llmctl_fail (error);
  report = g_variant_get_child_value (reply, 0);
  print_deletions (report);
  g_variant_lookup (report, "count", "u", &count);
  g_variant_lookup (report, "bytes", "t", &bytes);
  size = g_format_size (bytes);
  g_print (dry_run ? g_dngettext (GETTEXT_PACKAGE, "%u file would be deleted, %s\n", "%u files would be deleted, %s\n", count)
                   : g_dngettext (GETTEXT_PACKAGE, "%u file deleted, %s\n", "%u files deleted, %s\n", count),
           count, size);
  return 0;
}
