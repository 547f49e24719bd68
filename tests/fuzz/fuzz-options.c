/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any options: an error, or values that the table takes again as they are and that the engine
 * takes without an error of its own.
 */
#include <string.h>

#include "daemon/options.h"
#include "fuzz/fuzz.h"
#include "worker/job.h"

const char llm_fuzz_name[] = "options";

/* Every key of every table: an unknown one is answered with those that are known. */
static const char *const *
keys (void)
{
  static GPtrArray *all;

  if (all != NULL)
    return (const char *const *) all->pdata;
  all = g_ptr_array_new ();
  for (guint table = 0; table <= LLM_OPTIONS_NONE; table++)
    {
      g_autoptr (GVariant) unknown = g_variant_ref_sink (g_variant_new_parsed ("{'?': <true>}")), parsed = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (GStrv) known = NULL;
      const char *list;

      parsed = llm_options_parse ((LlmOptionsTable) table, unknown, &error);
      g_assert_null (parsed);
      list = strstr (error->message, "known are ");
      known = g_strsplit (list != NULL ? list + strlen ("known are ") : "", ", ", -1);
      for (guint i = 0; known[i] != NULL; i++)
        if (!g_ptr_array_find_with_equal_func (all, known[i], g_str_equal, NULL))
          g_ptr_array_add (all, g_strdup (known[i]));
    }
  g_assert_true (g_ptr_array_find_with_equal_func (all, "temperature", g_str_equal, NULL));
  g_ptr_array_add (all, NULL);
  return (const char *const *) all->pdata;
}

/* As manager.c does it. */
static void
check_job (GVariant *options)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (options);
  g_autoptr (GVariant) request = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmJob) job = NULL;

  g_variant_dict_remove (&dict, "handle-token");
  g_variant_dict_remove (&dict, "deadline-ms");
  g_variant_dict_insert (&dict, "prompt", "s", "x");
  request = g_variant_ref_sink (g_variant_dict_end (&dict));
  job = llm_job_from_variant (1, 2, 3, "sha256-0", request, &error);
  g_assert_no_error (error);
  g_assert_nonnull (job);
}

static void
check (LlmOptionsTable table, GVariant *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) parsed = llm_options_parse (table, options, &error), again = NULL;

  llm_fuzz_check_error (parsed != NULL, &error);
  if (parsed == NULL)
    return;
  g_assert_true (!g_variant_is_floating (parsed) && g_variant_is_of_type (parsed, G_VARIANT_TYPE_VARDICT));
  again = llm_options_parse (table, parsed, &error);
  g_assert_no_error (error);
  g_assert_true (g_variant_n_children (again) == g_variant_n_children (parsed));
  if (table == LLM_OPTIONS_GENERATE || table == LLM_OPTIONS_CHAT)
    check_job (parsed);
}

/* After the table: 0 decisions, 1 the serialised form, damaged or not, 2 GVariant text. */
static GVariant *
make (LlmReader *in)
{
  guint form = llm_fuzz_choose (in, 3);
  gsize n = llm_reader_remaining (in);
  const guint8 *rest;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GVariant) raw = NULL;

  if (form == 0)
    return llm_fuzz_dict (in, keys ());
  if (!llm_reader_bytes (in, n, &rest))
    rest = (const guint8 *) "";
  if (form == 2)
    {
      g_autofree char *text = g_utf8_make_valid ((const char *) rest, (gssize) n);
      return g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);
    }
  bytes = g_bytes_new (rest, n);
  raw = g_variant_ref_sink (g_variant_new_from_bytes (G_VARIANT_TYPE_VARDICT, bytes, FALSE));
  return g_variant_get_normal_form (raw);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GVariant) options = NULL;
  LlmOptionsTable table;
  LlmReader in;

  llm_reader_init (&in, data, size);
  table = (LlmOptionsTable) llm_fuzz_choose (&in, LLM_OPTIONS_NONE + 1);
  options = make (&in);
  if (options != NULL)
    check (table, options);
  return 0;
}

/* ---- where to start ---- */

static void
add (GPtrArray *seeds, LlmOptionsTable table, guint8 form, gconstpointer rest, gsize n)
{
  GByteArray *out = g_byte_array_new ();
  guint8 head[] = { (guint8) table, form };

  g_byte_array_append (out, head, sizeof head);
  g_byte_array_append (out, rest, (guint) n);
  g_ptr_array_add (seeds, g_byte_array_free_to_bytes (out));
}

GPtrArray *
llm_fuzz_seeds (void)
{
  static const struct {
    LlmOptionsTable table;
    const char *text;
  } texts[] = {
    { LLM_OPTIONS_GENERATE, "{'temperature': <0.5>, 'top-k': <uint32 40>, 'top-p': <0.9>, 'min-p': <0.1>, 'raw': <true>, 'echo': <false>}" },
    { LLM_OPTIONS_GENERATE, "{'logit-bias': <@a{ud} {3: -100.0, 4: 100.0}>, 'seed': <uint64 1>, 'stop': <['a', 'bc']>, 'max-tokens': <byte 7>}" },
    { LLM_OPTIONS_CHAT, "{'repetition-penalty': <1.1>, 'frequency-penalty': <int16 -2>, 'presence-penalty': <int64 1>, 'logprobs': <20>}" },
    { LLM_OPTIONS_CHAT, "{'deadline-ms': <86400000>, 'handle-token': <'mine_1'>, 'logit-bias': <@a{id} {1: 2.0}>}" },
    { LLM_OPTIONS_TOKENIZE, "{'add-special': <true>, 'parse-special': <false>}" },
    { LLM_OPTIONS_DETOKENIZE, "{'show-special': <true>}" },
    { LLM_OPTIONS_FILTER, "{'architecture': <'llama'>, 'capability': <'chat'>}" },
    { LLM_OPTIONS_REQUEST, "{'handle-token': <'a'>}" },
    { LLM_OPTIONS_NONE, "{}" },
  };
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GVariant) value = g_variant_parse (G_VARIANT_TYPE_VARDICT, texts[i].text, NULL, NULL, NULL);

      g_assert_nonnull (value);
      add (seeds, texts[i].table, 1, g_variant_get_data (value), g_variant_get_size (value));
      add (seeds, texts[i].table, 2, texts[i].text, strlen (texts[i].text));
    }
  /* decisions: as many keys as they say, each with a value of each type */
  for (guint8 type = 0; type < 14; type++)
    {
      guint8 rest[64] = { 6 };

      for (gsize i = 1; i < sizeof rest; i++)
        rest[i] = i % 3 == 1 ? (guint8) (type + i) : i % 3 == 2 ? type : (guint8) i;
      add (seeds, LLM_OPTIONS_GENERATE, 0, rest, sizeof rest);
    }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  return NULL;
}
