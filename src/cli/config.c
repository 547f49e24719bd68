/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config: the settings of the service. What a value must be is the service's to say; a text becomes the type that it names. */
#include <glib/gi18n.h>
#include <string.h>

#include "base/names.h"
#include "cli/llmctl.h"

static GVariant *
call (LlmClient *client, const char *method, GVariant *params, GError **error)
{
  return llm_client_call_interface (client, LLM_IFACE_SETTINGS, method, params, error);
}

/* As set takes it. */
static char *
text_of (GVariant *value)
{
  return g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string (value, NULL) : g_variant_print (value, FALSE);
}

/* ---- reading ---- */

static int
list (LlmClient *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call (client, "List", NULL, &error), all = NULL;
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  if (reply == NULL)
    return llmctl_fail (error);
  all = g_variant_get_child_value (reply, 0);
  g_variant_iter_init (&iter, all);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      g_autofree char *text = text_of (value);

      g_ptr_array_add (lines, g_strdup_printf ("%-20s %s\n", key, text));
    }
  g_ptr_array_sort (lines, llmctl_by_name);
  for (guint i = 0; i < lines->len; i++)
    g_print ("%s", (const char *) lines->pdata[i]);
  return 0;
}

static int
get (LlmClient *client, const char *key)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call (client, "Get", g_variant_new ("(s)", key), &error), value = NULL;
  g_autofree char *text = NULL;

  if (reply == NULL)
    return llmctl_fail (error);
  g_variant_get_child (reply, 0, "v", &value);
  text = text_of (value);
  g_print ("%s\n", text);
  return 0;
}

static GVariant *
describe (LlmClient *client, const char *key, GError **error)
{
  g_autoptr (GVariant) reply = call (client, "Describe", g_variant_new ("(s)", key), error);

  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

/* The service's language may not be the user's. */
static void
print_sentence (GVariant *facts, const char *key)
{
  const char *text;

  if (g_variant_lookup (facts, key, "&s", &text) && text[0] != '\0')
    g_print ("%s\n", _(text));
}

static void
print_fact (GVariant *facts, const char *key, const char *label)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (facts, key, NULL);
  g_autofree char *text = value != NULL ? text_of (value) : NULL;

  if (text != NULL)
    g_print ("  %-12s %s\n", label, text);
}

static void
print_choices (GVariant *facts)
{
  g_autofree const char **choices = NULL;
  g_autofree char *text = NULL;

  if (!g_variant_lookup (facts, "choices", "^a&s", &choices))
    return;
  text = g_strjoinv (", ", (char **) choices);
  g_print ("  %-12s %s\n", _("choices"), text);
}

static const char *
when_it_counts (const char *applies)
{
  static const struct {
    const char *applies, *text;
  } when[] = {
    { "now", N_("at once") }, { "at-load", N_("when a model is loaded next") }, { "at-engine-start", N_("when the engine starts next") },
    { "for-sessions", N_("in sessions that slide") }, { "kept", N_("kept by the service; it can only be read") },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (when); i++)
    if (strcmp (when[i].applies, applies) == 0)
      return _(when[i].text);
  return applies;
}

static int
print_description (LlmClient *client, const char *key)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) facts = describe (client, key, &error);
  const char *applies = "";
  gboolean writable = TRUE;

  if (facts == NULL)
    return llmctl_fail (error);
  print_sentence (facts, "summary");
  print_sentence (facts, "description");
  print_fact (facts, "value", _("value"));
  print_fact (facts, "default", _("default"));
  print_fact (facts, "minimum", _("minimum"));
  print_fact (facts, "maximum", _("maximum"));
  print_choices (facts);
  print_fact (facts, "type", _("type"));
  g_variant_lookup (facts, "applies", "&s", &applies);
  g_variant_lookup (facts, "writable", "b", &writable);
  g_print ("  %-12s %s\n", _("counts"), when_it_counts (applies));
  if (!writable && strcmp (applies, "kept") != 0)
    g_print ("  %-12s %s\n", _("locked"), _("by the administrator"));
  return 0;
}

/* ---- writing ---- */

static const struct {
  const char *suffix;
  guint64 factor;
} units[] = {
  { "KiB", 1ull << 10 }, { "MiB", 1ull << 20 }, { "GiB", 1ull << 30 }, { "TiB", 1ull << 40 },
  { "kB", 1000ull }, { "MB", 1000ull * 1000 }, { "GB", 1000ull * 1000 * 1000 }, { "TB", 1000ull * 1000 * 1000 * 1000 },
};

/* "4GiB", "4 GiB" -> bytes. */
static gboolean
parse_size (const char *text, guint64 *bytes)
{
  g_autofree char *number = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_str_has_suffix (text, units[i].suffix))
      {
        number = g_strstrip (g_strndup (text, strlen (text) - strlen (units[i].suffix)));
        return g_ascii_string_to_unsigned (number, 10, 0, G_MAXUINT64 / units[i].factor, bytes, NULL) && ((*bytes *= units[i].factor), TRUE);
      }
  return FALSE;
}

/* What is not of @type goes as what it is: the service says what would be right. */
static GVariant *
parse_value (const char *type, const char *text)
{
  GVariant *value;
  guint64 bytes;

  if (strcmp (type, "s") == 0)
    return g_variant_new_string (text);
  if (strcmp (type, "t") == 0 && parse_size (text, &bytes))
    return g_variant_new_uint64 (bytes);
  value = g_variant_parse (G_VARIANT_TYPE (type), text, NULL, NULL, NULL);
  if (value == NULL && (strcmp (type, "u") == 0 || strcmp (type, "t") == 0))
    value = g_variant_parse (G_VARIANT_TYPE_INT64, text, NULL, NULL, NULL);
  return value != NULL ? value : g_variant_new_string (text);
}

static int
set (LlmClient *client, const char *key, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) facts = describe (client, key, &error), value = NULL, reply = NULL;
  const char *type = "s";

  if (facts == NULL)
    return llmctl_fail (error);
  g_variant_lookup (facts, "type", "&s", &type);
  if (!g_utf8_validate (text, -1, NULL) || !g_variant_type_string_is_valid (type))
    {
      g_printerr (_("llmctl: that was not UTF-8\n"));
      return 2;
    }
  value = g_variant_take_ref (parse_value (type, text));
  reply = call (client, "Set", g_variant_new ("(sv)", key, value), &error);
  return reply != NULL ? 0 : llmctl_fail (error);
}

static int
reset (LlmClient *client, const char *key)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call (client, "Reset", g_variant_new ("(s)", key), &error);

  return reply != NULL ? 0 : llmctl_fail (error);
}

/* ---- the command ---- */

static const struct {
  const char *name;
  int n_operands;
} actions[] = { { "list", 0 }, { "get", 1 }, { "set", 2 }, { "reset", 1 }, { "describe", 1 } };

static gboolean
is_action (const char *name, int n_operands)
{
  for (gsize i = 0; i < G_N_ELEMENTS (actions); i++)
    if (strcmp (actions[i].name, name) == 0)
      return actions[i].n_operands == n_operands;
  return FALSE;
}

int
llmctl_config (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  const char *action;

  if (!llmctl_parse ("config", "[list | get KEY | set KEY VALUE | reset KEY | describe KEY]",
                     N_("Shows and changes the settings of the service; without operands it lists them. A size may end in KiB, MiB, GiB or TiB."), NULL,
                     &argc, &argv))
    return 2;
  action = argc > 1 ? argv[1] : "list";
  if (!is_action (action, MAX (0, argc - 2)))
    {
      g_printerr (_("llmctl: config takes list, get KEY, set KEY VALUE, reset KEY or describe KEY\n"));
      return 2;
    }
  client = llmctl_connect (ctl);
  if (client == NULL)
    return 1;
  switch (action[0])
    {
    case 'l':
      return list (client);
    case 'g':
      return get (client, argv[2]);
    case 's':
      return set (client, argv[2], argv[3]);
    case 'r':
      return reset (client, argv[2]);
    default:
      return print_description (client, argv[2]);
    }
}
