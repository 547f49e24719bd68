/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/job.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "chat/forms.h"

typedef enum { BOOL, UINT, UINT64, DOUBLE, STRING, STRINGS, BIASES, MESSAGES } Kind;

static const char *const kind_types[] = { "b", "u", "t", "d", "s", "as", "a{ud}", "aa{sv}" };

static const struct {
  const char *key;
  Kind kind;
  gsize offset;
} keys[] = {
  { "prompt", STRING, G_STRUCT_OFFSET (LlmJob, prompt) },
  { "messages", MESSAGES, G_STRUCT_OFFSET (LlmJob, messages) },
  { "raw", BOOL, G_STRUCT_OFFSET (LlmJob, raw) },
  { "echo", BOOL, G_STRUCT_OFFSET (LlmJob, echo) },
  { "max-tokens", UINT, G_STRUCT_OFFSET (LlmJob, max_tokens) },
  { "stop", STRINGS, G_STRUCT_OFFSET (LlmJob, stop) },
  { "logprobs", UINT, G_STRUCT_OFFSET (LlmJob, logprobs) },
  { "deadline-ms", UINT, G_STRUCT_OFFSET (LlmJob, deadline_ms) },
  { "temperature", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.temperature) },
  { "top-k", UINT, G_STRUCT_OFFSET (LlmJob, sampling.top_k) },
  { "top-p", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.top_p) },
  { "min-p", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.min_p) },
  { "repetition-penalty", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.repetition_penalty) },
  { "frequency-penalty", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.frequency_penalty) },
  { "presence-penalty", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.presence_penalty) },
  { "typical-p", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.typical_p) },
  { "top-n-sigma", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.top_n_sigma) },
  { "xtc-probability", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.xtc_probability) },
  { "xtc-threshold", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.xtc_threshold) },
  { "dry-multiplier", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.dry_multiplier) },
  { "dry-base", DOUBLE, G_STRUCT_OFFSET (LlmJob, sampling.dry_base) },
  { "dry-allowed-length", UINT, G_STRUCT_OFFSET (LlmJob, sampling.dry_allowed_length) },
  { "dry-breakers", STRINGS, G_STRUCT_OFFSET (LlmJob, dry_breakers) },
  { "logit-bias", BIASES, G_STRUCT_OFFSET (LlmJob, sampling.logit_bias) },
  { "seed", UINT64, G_STRUCT_OFFSET (LlmJob, sampling.seed) },
};

static GArray *
read_biases (GVariant *value)
{
  GArray *biases = g_array_new (FALSE, FALSE, sizeof (LlmLogitBias));
  GVariantIter iter;
  guint32 token;
  double bias;

  g_variant_iter_init (&iter, value);
  while (g_variant_iter_next (&iter, "{ud}", &token, &bias))
    {
      LlmLogitBias item = { (gint32) token, (float) bias };
      g_array_append_val (biases, item);
    }
  return biases;
}

static gboolean
store (LlmJob *job, gsize i, GVariant *value, GError **error)
{
  gpointer field = (guint8 *) job + keys[i].offset;

  switch (keys[i].kind)
    {
    case BOOL:
      *(gboolean *) field = g_variant_get_boolean (value);
      return TRUE;
    case UINT:
      *(guint *) field = g_variant_get_uint32 (value);
      return TRUE;
    case UINT64:
      *(guint64 *) field = g_variant_get_uint64 (value);
      job->sampling.has_seed = TRUE; /* the only one of its kind */
      return TRUE;
    case DOUBLE:
      *(double *) field = g_variant_get_double (value);
      return TRUE;
    case STRING:
      g_free (*(char **) field);
      *(char **) field = g_variant_dup_string (value, NULL);
      return TRUE;
    case STRINGS:
      g_strfreev (*(char ***) field);
      *(char ***) field = g_variant_dup_strv (value, NULL);
      return TRUE;
    case BIASES:
      g_clear_pointer (&job->sampling.logit_bias, g_array_unref);
      job->sampling.logit_bias = read_biases (value);
      return TRUE;
    default:
      g_clear_pointer (&job->messages, g_ptr_array_unref);
      job->messages = llm_messages_from_variant (value, error);
      return job->messages != NULL;
    }
}

static gboolean
read_key (LlmJob *job, const char *key, GVariant *value, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      if (strcmp (keys[i].key, key) != 0)
        continue;
      if (g_variant_is_of_type (value, G_VARIANT_TYPE (kind_types[keys[i].kind])))
        return store (job, i, value, error);
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%s is of type %s; %s is needed", key, g_variant_get_type_string (value),
                   kind_types[keys[i].kind]);
      return FALSE;
    }
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "unknown key \"%.*s\"", llm_error_quote (key, -1), key);
  return FALSE;
}

LlmJob *
llm_job_from_variant (guint64 id, guint32 uid, guint64 client, const char *digest, GVariant *request, GError **error)
{
  g_autoptr (LlmJob) job = llm_job_new ();
  GVariantIter iter;
  const char *key;
  GVariant *value;

  job->id = id;
  job->uid = uid;
  job->client = client;
  job->digest = g_strdup (digest);
  g_variant_iter_init (&iter, request);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    if (!read_key (job, key, value, error))
      {
        g_variant_unref (value);
        return NULL;
      }
  if ((job->prompt == NULL) == (job->messages == NULL) || (job->raw && job->prompt == NULL))
    {
      g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "one of prompt and messages is needed, and raw goes with prompt");
      return NULL;
    }
  return g_steal_pointer (&job);
}
