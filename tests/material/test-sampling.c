/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampling/1: distributions before and after one sampler.  Samplers that requests cannot ask for are
 * skipped by name.
 */
#include <math.h>
#include <string.h>

#include "engine/sampler.h"
#include "material/material.h"

#define TOLERANCE 1e-5

static double
number (JsonObject *c, const char *member)
{
  return json_object_get_double_member_with_default (c, member, 0);
}

/* FALSE: there is no such option. */
static gboolean
set_option (LlmSamplingParams *params, JsonObject *c)
{
  const char *sampler = json_object_get_string_member (c, "sampler");

  if (strcmp (sampler, "temp") == 0 || (strcmp (sampler, "temp_ext") == 0 && number (c, "dynatemp_delta") == 0))
    params->temperature = number (c, "temp");
  else if (strcmp (sampler, "top_k") == 0)
    params->top_k = (guint) MAX (json_object_get_int_member (c, "k"), 0);
  else if (strcmp (sampler, "top_p") == 0)
    params->top_p = number (c, "p");
  else if (strcmp (sampler, "min_p") == 0)
    params->min_p = number (c, "p");
  else if (strcmp (sampler, "penalties") == 0)
    {
      params->repetition_penalty = number (c, "repeat_penalty");
      params->frequency_penalty = number (c, "frequency_penalty");
      params->presence_penalty = number (c, "presence_penalty");
    }
  else if (strcmp (sampler, "xtc") == 0)
    {
      params->xtc_probability = number (c, "probability");
      params->xtc_threshold = number (c, "threshold");
    }
  else if (strcmp (sampler, "typical") == 0)
    params->typical_p = number (c, "p");
  else if (strcmp (sampler, "top_n_sigma") == 0)
    params->top_n_sigma = number (c, "n");
  else if (strcmp (sampler, "dry") == 0 && json_array_get_length (json_object_get_array_member (c, "seq_breakers")) == 0)
    {
      params->dry_multiplier = number (c, "multiplier");
      params->dry_base = number (c, "base");
      params->dry_allowed_length = (guint) json_object_get_int_member (c, "allowed_length");
    }
  else
    return FALSE;
  return TRUE;
}

static int
falling (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x < y) - (x > y);
}

static GArray *
numbers (JsonObject *c, const char *member)
{
  JsonArray *list = json_object_get_array_member (c, member);
  GArray *out = g_array_new (FALSE, TRUE, sizeof (double));

  for (guint i = 0; i < json_array_get_length (list); i++)
    {
      double v = json_array_get_double_element (list, i);

      g_array_append_val (out, v);
    }
  return out;
}

/* xtc and typical give what they keep as it was before; it is drawn from by its share. */
static void
normalise (GArray *expected)
{
  double sum = 0;

  for (guint i = 0; i < expected->len; i++)
    sum += g_array_index (expected, double, i);
  for (guint i = 0; i < expected->len; i++)
    g_array_index (expected, double, i) /= sum;
}

/* The same multiset; a token that is gone counts as one of probability 0. */
static void
compare (GArray *expected, const double *got, guint n)
{
  guint longest = MAX (expected->len, n);

  normalise (expected);
  g_array_sort (expected, falling);
  g_array_set_size (expected, longest);
  for (guint i = 0; i < longest; i++)
    g_assert_cmpfloat_with_epsilon (i < n ? got[i] : 0, g_array_index (expected, double, i), TOLERANCE);
}

static void
test_case (gconstpointer data)
{
  JsonObject *c = (JsonObject *) data;
  LlmSamplingParams params = { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .typical_p = 1, .has_seed = TRUE };
  g_autoptr (GArray) probs = numbers (c, "probs"), expected = numbers (c, "expected");
  g_autofree float *logits = g_new (float, probs->len);
  g_autofree gint32 *token = g_new (gint32, probs->len);
  g_autofree double *left = g_new (double, probs->len);
  g_autoptr (LlmSampler) sampler = NULL;

  if (!set_option (&params, c))
    {
      g_autofree char *text = g_strdup_printf ("there is no sampler %s", json_object_get_string_member (c, "sampler"));

      g_test_skip (text);
      return;
    }
  for (guint i = 0; i < probs->len; i++)
    logits[i] = (float) log (g_array_index (probs, double, i));
  sampler = llm_sampler_new (&params, probs->len);
  if (json_object_has_member (c, "last_tokens"))
    {
      JsonArray *last = json_object_get_array_member (c, "last_tokens");

      for (guint i = 0; i < json_array_get_length (last); i++)
        llm_sampler_accept (sampler, (gint32) json_array_get_int_element (last, i));
    }
  compare (expected, left, llm_sampler_distribution (sampler, logits, token, left));
}

static guint
add_file (const char *path)
{
  JsonParser *parser = json_parser_new (); /* lives on */
  JsonArray *cases = json_object_get_array_member (llm_material_json (parser, path, "sampling/1"), "cases");
  g_autofree char *base = g_path_get_basename (path);

  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *c = json_array_get_object_element (cases, i);
      g_autofree char *name = g_strdup_printf ("/material/sampling/%s/%u-%s", base, i, json_object_get_string_member (c, "sampler"));

      g_test_add_data_func (name, c, test_case);
    }
  return json_array_get_length (cases);
}

int
main (int argc, char **argv)
{
  const char *root = g_getenv ("LLM_MATERIAL");
  g_autofree char *folder = NULL;
  g_autoptr (GPtrArray) paths = NULL;
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (root != NULL ? root : LLM_DEFAULT_MATERIAL, "sampling", NULL);
  paths = llm_material_list (folder, ".json");
  for (guint i = 0; i < paths->len; i++)
    n += add_file (paths->pdata[i]);
  if (n == 0)
    {
      g_print ("1..0 # SKIP no sampling/1 in %s (set LLM_MATERIAL)\n", folder);
      return 0;
    }
  return g_test_run ();
}
