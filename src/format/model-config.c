/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each hyperparameter is one line of read_all(): key, range, what holds when it is absent.
 */
#include "format/model-config.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/limits.h"

static const struct {
  const char *name;
  LlmArch arch;
  LlmRopeStyle rope_style;
} families[] = {
  { "llama", LLM_ARCH_LLAMA, LLM_ROPE_INTERLEAVED },
  { "qwen2", LLM_ARCH_QWEN2, LLM_ROPE_HALVES },
};

#define REQUIRED G_MAXUINT64

static gboolean G_GNUC_PRINTF (2, 3)
invalid (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, what);
  return FALSE;
}

/* "<architecture>.@key", an integer in [min, max]; @otherwise when absent. */
static gboolean
read_uint (const LlmGguf *gguf, const LlmModelConfig *config, const char *key, guint64 min, guint64 max, guint64 otherwise, guint *out, GError **error)
{
  g_autofree char *full = g_strdup_printf ("%s.%s", config->arch_name, key);
  GError *local_error = NULL;
  guint64 value = otherwise;

  if (!llm_gguf_u64 (gguf, full, &value, &local_error))
    {
      if (local_error != NULL)
        {
          g_propagate_error (error, local_error);
          return FALSE;
        }
      if (otherwise == REQUIRED)
        return invalid (error, "the metadata key %s is missing", full);
    }
  if (value < min || value > max)
    return invalid (error, "%s is %" G_GUINT64_FORMAT "; %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " is allowed", full, value, min, max);
  *out = (guint) value;
  return TRUE;
}

/* A finite number above 0 and at most @max; @otherwise when absent, NAN: required. */
static gboolean
read_double (const LlmGguf *gguf, const LlmModelConfig *config, const char *key, double max, double otherwise, double *out, GError **error)
{
  g_autofree char *full = g_strdup_printf ("%s.%s", config->arch_name, key);
  GError *local_error = NULL;
  double value = otherwise;

  if (!llm_gguf_f64 (gguf, full, &value, &local_error))
    {
      if (local_error != NULL)
        {
          g_propagate_error (error, local_error);
          return FALSE;
        }
      if (isnan (otherwise))
        return invalid (error, "the metadata key %s is missing", full);
    }
  if (!(value > 0 && value <= max))
    return invalid (error, "%s is %g; a number above 0 and up to %g is needed", full, value, max);
  *out = value;
  return TRUE;
}

static gboolean
read_text (const LlmGguf *gguf, const char *key, char **out, GError **error)
{
  GError *local_error = NULL;
  LlmStr str;

  if (llm_gguf_str (gguf, key, &str, &local_error))
    *out = g_strndup (str.bytes, str.len);
  if (local_error != NULL)
    g_propagate_error (error, local_error);
  return local_error == NULL;
}

static gboolean
read_family (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (!read_text (gguf, "general.architecture", &config->arch_name, error))
    return FALSE;
  if (config->arch_name == NULL)
    return invalid (error, "the metadata key general.architecture is missing");
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", families[i].name);
      if (strcmp (families[i].name, config->arch_name) == 0)
        {
          config->arch = families[i].arch;
          config->rope_style = families[i].rope_style;
          return TRUE;
        }
    }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "models of the architecture \"%.*s\" are not supported; those of %s are",
               llm_error_quote (config->arch_name, -1), config->arch_name, names->str);
  return FALSE;
}

static gboolean
refuse_experts (const LlmGguf *gguf, const LlmModelConfig *config, GError **error)
{
  guint n_experts = 0;

  if (!read_uint (gguf, config, "expert_count", 0, G_MAXUINT, 0, &n_experts, error))
    return FALSE;
  if (n_experts == 0)
    return TRUE;
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "mixture-of-experts models (%s with %u experts) are not supported; dense ones are",
               config->arch_name, n_experts);
  return FALSE;
}

static gboolean
read_rope (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s.rope.scaling.type", config->arch_name);
  g_autofree char *type = NULL;

  if (!read_uint (gguf, config, "rope.dimension_count", 2, config->head_dim_k, config->head_dim_k, &config->rope_dim, error)
      || !read_double (gguf, config, "rope.freq_base", 1e12, 10000, &config->rope_base, error)
      || !read_text (gguf, key, &type, error))
    return FALSE;
  if (config->rope_dim % 2 != 0)
    return invalid (error, "%s.rope.dimension_count is %u; an even number is needed", config->arch_name, config->rope_dim);
  config->rope_scale = 1;
  if (g_strcmp0 (type, "none") == 0)
    return TRUE;
  if (type == NULL || strcmp (type, "linear") == 0) /* a factor without a type is linear; rope.scale_linear is its older name */
    return read_double (gguf, config, "rope.scale_linear", 1e6, 1, &config->rope_scale, error)
           && read_double (gguf, config, "rope.scaling.factor", 1e6, config->rope_scale, &config->rope_scale, error);
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s \"%.*s\" is not supported; none and linear are", key, llm_error_quote (type, -1), type);
  return FALSE;
}

static gboolean
read_all (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  g_autofree char *key_length = g_strdup_printf ("%s.attention.key_length", config->arch_name);

  if (!read_text (gguf, "general.name", &config->name, error) || !read_text (gguf, "general.license", &config->license, error)
      || !read_text (gguf, "tokenizer.chat_template", &config->chat_template, error)
      || !read_uint (gguf, config, "block_count", 1, LLM_MODEL_MAX_LAYERS, REQUIRED, &config->n_layers, error)
      || !read_uint (gguf, config, "embedding_length", 1, LLM_MODEL_MAX_WIDTH, REQUIRED, &config->d_model, error)
      || !read_uint (gguf, config, "feed_forward_length", 1, LLM_MODEL_MAX_WIDTH, REQUIRED, &config->d_ff, error)
      || !read_uint (gguf, config, "context_length", 1, LLM_MODEL_MAX_CONTEXT, REQUIRED, &config->context_length, error)
      || !read_uint (gguf, config, "attention.head_count", 1, LLM_MODEL_MAX_HEADS, REQUIRED, &config->n_heads, error)
      || !read_uint (gguf, config, "attention.head_count_kv", 1, LLM_MODEL_MAX_HEADS, config->n_heads, &config->n_kv_heads, error)
      || !read_double (gguf, config, "attention.layer_norm_rms_epsilon", 1, NAN, &config->rms_eps, error))
    return FALSE;
  if (config->n_heads % config->n_kv_heads != 0)
    return invalid (error, "%s.attention.head_count_kv is %u, which does not divide the %u heads", config->arch_name, config->n_kv_heads, config->n_heads);
  if (config->d_model % config->n_heads != 0 && !llm_gguf_has (gguf, key_length))
    return invalid (error, "%s.embedding_length is %u, no multiple of the %u heads", config->arch_name, config->d_model, config->n_heads);
  return read_uint (gguf, config, "attention.key_length", 1, LLM_MODEL_MAX_HEAD_DIM, config->d_model / config->n_heads, &config->head_dim_k, error)
         && read_uint (gguf, config, "attention.value_length", 1, LLM_MODEL_MAX_HEAD_DIM, config->d_model / config->n_heads, &config->head_dim_v, error)
         && read_rope (gguf, config, error) && refuse_experts (gguf, config, error);
}

static gboolean
read_tensors (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  const LlmGgufTensor *embedding = llm_gguf_find_tensor (gguf, "token_embd.weight");
  guint64 bytes_of[64] = { 0 };
  guint best = 0;

  if (embedding == NULL)
    return invalid (error, "the tensor token_embd.weight is missing");
  if (embedding->n_dims != 2 || embedding->dims[0] != config->d_model || embedding->dims[1] > LLM_MODEL_MAX_VOCAB)
    return invalid (error, "token_embd.weight is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]; [%u, at most %d] is needed", embedding->dims[0],
                    embedding->dims[1], config->d_model, LLM_MODEL_MAX_VOCAB);
  config->n_vocab = (guint) embedding->dims[1];
  for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
    {
      const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);
      guint64 n = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]; /* checked by the parser */

      if (t->dtype->decode == NULL)
        {
          g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the tensor %s is of type %s, which is not supported; F32, F16, Q8_0 and Q4_0 are",
                       t->name, t->dtype->name);
          return FALSE;
        }
      if (!llm_add_u64 (config->n_parameters, n, &config->n_parameters))
        return invalid (error, "the tensors together have more than 2^64 elements");
      bytes_of[t->dtype->id % 64] += t->n_bytes; /* ids of known types are below 64 */
    }
  for (guint i = 1; i < 64; i++)
    if (bytes_of[i] > bytes_of[best])
      best = i;
  config->quantization = g_strdup (llm_dtype_info (best)->name);
  return TRUE;
}

LlmModelConfig *
llm_model_config_new (const LlmGguf *gguf, GError **error)
{
  g_autoptr (LlmModelConfig) config = g_new0 (LlmModelConfig, 1);

  if (!read_family (gguf, config, error) || !read_all (gguf, config, error) || !read_tensors (gguf, config, error))
    return NULL;
  return g_steal_pointer (&config);
}

void
llm_model_config_free (LlmModelConfig *self)
{
  g_free (self->arch_name);
  g_free (self->name);
  g_free (self->license);
  g_free (self->chat_template);
  g_free (self->quantization);
  g_free (self);
}
