/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/embed-call.h"

#include <string.h>

static const struct {
  const char *key, *type;
} keys[] = {
  { "inputs", "as" }, { "pooling", "s" }, { "dimensions", "u" }, { "normalize", "b" }, { "truncate", "b" }, { "max-bytes", "t" }, { "deadline-ms", "u" },
};
static const char *const poolings[] = { NULL, "mean", "cls", "last" };

static gboolean
check_keys (GVariant *request, GError **error)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, request);
  while (g_variant_iter_loop (&iter, "{&sv}", &key, &value))
    {
      gsize i = 0;

      while (i < G_N_ELEMENTS (keys) && strcmp (keys[i].key, key) != 0)
        i++;
      if (i < G_N_ELEMENTS (keys) && g_variant_is_of_type (value, G_VARIANT_TYPE (keys[i].type)))
        continue;
      if (i < G_N_ELEMENTS (keys))
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "%s is of type %s; %s is needed", key, g_variant_get_type_string (value), keys[i].type);
      else
        g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "unknown key \"%.*s\"", llm_error_quote (key, -1), key);
      g_variant_unref (value);
      return FALSE;
    }
  return TRUE;
}

static gboolean
read_pooling (GVariant *request, LlmPooling *pooling, GError **error)
{
  const char *name;

  if (!g_variant_lookup (request, "pooling", "&s", &name))
    return TRUE;
  for (guint i = 1; i < G_N_ELEMENTS (poolings); i++)
    if (strcmp (poolings[i], name) == 0)
      {
        *pooling = (LlmPooling) i;
        return TRUE;
      }
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "pooling is \"%.*s\"; mean, cls or last is needed", llm_error_quote (name, -1), name);
  return FALSE;
}

LlmEmbedJob *
llm_embed_job_from_variant (guint64 id, guint32 uid, const char *digest, GVariant *request, GError **error)
{
  g_autoptr (LlmEmbedJob) job = llm_embed_job_new ();

  if (!check_keys (request, error) || !read_pooling (request, &job->pooling, error))
    return NULL;
  job->id = id;
  job->uid = uid;
  job->digest = g_strdup (digest);
  g_variant_lookup (request, "inputs", "^as", &job->inputs);
  g_variant_lookup (request, "dimensions", "u", &job->dimensions);
  g_variant_lookup (request, "normalize", "b", &job->normalize);
  g_variant_lookup (request, "truncate", "b", &job->truncate);
  g_variant_lookup (request, "max-bytes", "t", &job->max_bytes);
  g_variant_lookup (request, "deadline-ms", "u", &job->deadline_ms);
  return g_steal_pointer (&job);
}

GVariant *
llm_embedding_to_variant (LlmEmbedding *embedding)
{
  gsize n = (gsize) embedding->n_rows * embedding->dimensions;
  guint32 *bits = (guint32 *) (gpointer) g_steal_pointer (&embedding->rows);
  GVariantBuilder result;

  for (gsize i = 0; i < n; i++)
    bits[i] = GUINT32_TO_LE (bits[i]);
  g_variant_builder_init (&result, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&result, "{sv}", "count", g_variant_new_uint32 (embedding->n_rows));
  g_variant_builder_add (&result, "{sv}", "dimensions", g_variant_new_uint32 (embedding->dimensions));
  g_variant_builder_add (&result, "{sv}", "prompt-tokens", g_variant_new_uint32 (embedding->prompt_tokens));
  g_variant_builder_add (&result, "{sv}", "queue-us", g_variant_new_uint64 ((guint64) MAX (embedding->queue_us, 0)));
  return g_variant_new ("(@aya{sv})", g_variant_new_from_data (G_VARIANT_TYPE_BYTESTRING, bits, n * sizeof *bits, TRUE, g_free, bits), &result);
}
