/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* llmctl stats: what the compile cache did, a line for each kind of artifact. */
#include <glib/gi18n.h>
#include <string.h>

#include "cli/llmctl.h"

static guint64
counter (GVariant *kind, const char *key)
{
  guint64 value = 0;

  g_variant_lookup (kind, key, "t", &value);
  return value;
}

/* "1.5 ms" for each of @n that took @us together. */
static char *
each (guint64 us, guint64 n)
{
  return n > 0 ? g_strdup_printf ("%.2f", (double) us / 1000 / (double) n) : g_strdup ("-");
}

static void
print_kind (const char *name, GVariant *kind)
{
  guint64 made = counter (kind, "made"), files = counter (kind, "hits-file");
  g_autofree char *make_ms = each (counter (kind, "make-us"), made + counter (kind, "failed")), *open_ms = each (counter (kind, "open-us"), files);
  g_autofree char *bytes = g_format_size (counter (kind, "file-bytes"));

  g_print ("%-17s %8" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT " %7" G_GUINT64_FORMAT " %8" G_GUINT64_FORMAT " %8" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT
           " %6" G_GUINT64_FORMAT " %9s %9s  %s\n",
           name, counter (kind, "hits-memory") + counter (kind, "hits-shared"), files, counter (kind, "misses-absent"), counter (kind, "misses-version"),
           counter (kind, "misses-damaged"), counter (kind, "misses-foreign") + counter (kind, "misses-unreadable"), made, make_ms, open_ms, bytes);
}

/* What went wrong, where something did. */
static void
print_trouble (const char *name, GVariant *kind)
{
  unsigned long long failed = counter (kind, "failed"), stores = counter (kind, "store-failures"); /* as translators write them */
  unsigned long long rebuilds = counter (kind, "rebuilds"), rebuild_failures = counter (kind, "rebuild-failures");

  if (failed > 0)
    g_print (_("%s: %llu could not be made\n"), name, failed);
  if (stores > 0)
    g_print (_("%s: %llu could not be stored; is the disk full?\n"), name, stores);
  if (rebuilds + rebuild_failures > 0)
    g_print (_("%s: after an update %llu were made anew, %llu could not be\n"), name, rebuilds, rebuild_failures);
}

typedef void (*PrintKind) (const char *name, GVariant *kind);

static void
for_each_kind (GVariant *artifacts, PrintKind print)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  GVariantIter iter;
  const char *name;

  g_variant_iter_init (&iter, artifacts);
  while (g_variant_iter_next (&iter, "{&sv}", &name, NULL))
    g_ptr_array_add (names, (gpointer) name);
  g_ptr_array_sort (names, llmctl_by_name);
  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (GVariant) kind = g_variant_lookup_value (artifacts, names->pdata[i], G_VARIANT_TYPE_VARDICT);

      if (kind != NULL)
        print (names->pdata[i], kind);
    }
}

int
llmctl_stats (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) groups = NULL, artifacts = NULL;

  if (!llmctl_parse ("stats", "", N_("Shows what was compiled, measured and worked out, and what was found ready."), NULL, &argc, &argv))
    return 2;
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  groups = llmctl_statistics (client, &error);
  if (groups == NULL)
    return llmctl_fail (error);
  artifacts = g_variant_lookup_value (groups, "artifacts", G_VARIANT_TYPE_VARDICT);
  if (artifacts == NULL || g_variant_n_children (artifacts) == 0)
    {
      g_print ("%s\n", _("Nothing was needed yet."));
      return 0;
    }
  /* TRANSLATORS: columns of llmctl stats: found in memory, found in a file, missing, of another version, damaged, unusable otherwise, made, time to make one, time to
     open one, size of the files; 17, 8, 6, 7, 8, 8, 6, 6, 9, 9 columns wide */
  g_print ("%s\n", _("KIND                MEMORY   FILE  ABSENT  VERSION  DAMAGED  OTHER   MADE   MAKE/ms   OPEN/ms  BYTES"));
  for_each_kind (artifacts, print_kind);
  for_each_kind (artifacts, print_trouble);
  return 0;
}
