/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* embed: texts to numbers, for scripts. */
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "cli/llmctl.h"

static char *pooling;
static int dimensions;
static gboolean no_normalize, truncate_inputs, raw;

static const GOptionEntry entries[] = {
  { "pooling", 'p', 0, G_OPTION_ARG_STRING, &pooling, N_("What stands for a text: mean, cls (its first token) or last"), N_("HOW") },
  { "dimensions", 'd', 0, G_OPTION_ARG_INT, &dimensions, N_("Only the first numbers of each embedding"), N_("NUMBER") },
  { "no-normalize", 0, 0, G_OPTION_ARG_NONE, &no_normalize, N_("Leave the embeddings as long as they are"), NULL },
  { "truncate", 0, 0, G_OPTION_ARG_NONE, &truncate_inputs, N_("Cut texts that are too long"), NULL },
  { "raw", 'r', 0, G_OPTION_ARG_NONE, &raw, N_("Print 32-bit floating-point numbers, little-endian, instead of JSON"), NULL },
  { NULL }
};

static GVariant *
make_options (void)
{
  GVariantBuilder options;

  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  if (pooling != NULL)
    g_variant_builder_add (&options, "{sv}", "pooling", g_variant_new_string (pooling));
  if (dimensions != 0)
    g_variant_builder_add (&options, "{sv}", "dimensions", g_variant_new_int32 (dimensions));
  g_variant_builder_add (&options, "{sv}", "normalize", g_variant_new_boolean (!no_normalize));
  g_variant_builder_add (&options, "{sv}", "truncate", g_variant_new_boolean (truncate_inputs));
  return g_variant_builder_end (&options);
}

/* Every line of the standard input is a text. FALSE: complained. */
static gboolean
add_lines (GVariantBuilder *inputs)
{
  g_autofree char *line = NULL;
  size_t size = 0;
  gssize n;

  while ((n = getline (&line, &size, stdin)) > 0)
    {
      if (line[n - 1] == '\n')
        line[n - 1] = '\0';
      if (!g_utf8_validate (line, -1, NULL))
        {
          g_printerr (_("llmctl: that was not UTF-8\n"));
          return FALSE;
        }
      g_variant_builder_add (inputs, "s", line);
    }
  return TRUE;
}

static GVariant *
read_inputs (int argc, char **argv)
{
  GVariantBuilder inputs;

  g_variant_builder_init (&inputs, G_VARIANT_TYPE_STRING_ARRAY);
  for (int i = 2; i < argc; i++)
    if (strcmp (argv[i], "-") != 0)
      g_variant_builder_add (&inputs, "s", argv[i]);
    else if (!add_lines (&inputs))
      {
        g_variant_builder_clear (&inputs);
        return NULL;
      }
  if (argc == 2 && !add_lines (&inputs))
    {
      g_variant_builder_clear (&inputs);
      return NULL;
    }
  return g_variant_ref_sink (g_variant_builder_end (&inputs));
}

static void
print_string (const char *text)
{
  putchar ('"');
  for (; *text != '\0'; text++)
    if (*text == '"' || *text == '\\')
      printf ("\\%c", *text);
    else
      putchar (*text); /* a model's name has no control characters */
  putchar ('"');
}

static float
number_at (const guint8 *at)
{
  guint32 word;
  float number;

  memcpy (&word, at, sizeof word);
  word = GUINT32_FROM_LE (word);
  memcpy (&number, &word, sizeof number);
  return number;
}

/* One embedding a line. */
static void
print_json (const char *model, GBytes *rows, GVariant *result)
{
  gsize size;
  const guint8 *bytes = g_bytes_get_data (rows, &size);
  guint32 width = 0, tokens = 0;

  g_variant_lookup (result, "dimensions", "u", &width);
  g_variant_lookup (result, "prompt-tokens", "u", &tokens);
  fputs ("{\"model\": ", stdout);
  print_string (model);
  printf (", \"dimensions\": %u, \"prompt-tokens\": %u, \"embeddings\": [", width, tokens);
  for (gsize i = 0; i < size / sizeof (float); i++)
    {
      char number[G_ASCII_DTOSTR_BUF_SIZE];

      fputs (i == 0 ? "\n[" : i % width == 0 ? "],\n[" : ", ", stdout);
      fputs (g_ascii_formatd (number, sizeof number, "%.9g", (double) number_at (bytes + i * sizeof (float))), stdout);
    }
  fputs ("]\n]}\n", stdout);
}

int
llmctl_embed (LlmCtl *ctl, int argc, char **argv)
{
  g_autoptr (LlmClient) client = NULL;
  g_autoptr (GVariant) inputs = NULL, result = NULL;
  g_autoptr (GBytes) rows = NULL;
  g_autoptr (GError) error = NULL;

  if (!llmctl_parse ("embed", "MODEL [TEXT...|-]", N_("Prints an embedding of each TEXT; of each line of the standard input when there is none or it is \"-\"."),
                     entries, &argc, &argv))
    return 2;
  if (argc < 2)
    {
      g_printerr (_("llmctl: embed needs a MODEL (\"\": the default one)\n"));
      return 2;
    }
  inputs = read_inputs (argc, argv);
  client = inputs != NULL ? llmctl_connect (ctl) : NULL;
  if (client == NULL)
    return 1;
  rows = llm_client_embed (client, argv[1], inputs, make_options (), &result, ctl->cancellable, &error);
  if (rows == NULL)
    return g_cancellable_is_cancelled (ctl->cancellable) ? 130 : llmctl_fail (error);
  if (raw)
    fwrite (g_bytes_get_data (rows, NULL), 1, g_bytes_get_size (rows), stdout);
  else
    print_json (argv[1], rows, result);
  return 0;
}
