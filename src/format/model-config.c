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

typedef struct {
  const char *name;
  LlmArch arch;
  LlmRopeStyle rope_style;
  guint window_period;     /* of the layers; 1: windows are not read */
  guint window;            /* when the file does not say */
  double attention_cap, logit_cap; /* likewise */
  gboolean encoder;
} Family;

static const Family families[] = {
  { "llama", LLM_ARCH_LLAMA, LLM_ROPE_INTERLEAVED, 1, 0, 0, 0, FALSE },
  { "qwen2", LLM_ARCH_QWEN2, LLM_ROPE_HALVES, 1, 0, 0, 0, FALSE },
  { "qwen3", LLM_ARCH_QWEN3, LLM_ROPE_HALVES, 1, 0, 0, 0, FALSE },
  { "qwen3moe", LLM_ARCH_QWEN3, LLM_ROPE_HALVES, 1, 0, 0, 0, FALSE },
  { "gemma", LLM_ARCH_GEMMA, LLM_ROPE_HALVES, 1, 0, 0, 0, FALSE },
  { "gemma2", LLM_ARCH_GEMMA, LLM_ROPE_HALVES, 2, 4096, 50, 30, FALSE },
  { "gemma3", LLM_ARCH_GEMMA, LLM_ROPE_HALVES, 6, 0, 0, 0, FALSE },
  { "phi3", LLM_ARCH_PHI3, LLM_ROPE_HALVES, 0, 0, 0, 0, FALSE },
  { "gpt-oss", LLM_ARCH_GPT_OSS, LLM_ROPE_HALVES, 2, 128, 0, 0, FALSE },
  { "granite", LLM_ARCH_GRANITE, LLM_ROPE_INTERLEAVED, 1, 0, 0, 0, FALSE },
  { "smollm3", LLM_ARCH_SMOLLM3, LLM_ROPE_INTERLEAVED, 1, 0, 0, 0, FALSE },
  { "bert", LLM_ARCH_BERT, LLM_ROPE_NONE, 1, 0, 0, 0, TRUE },
  { "nomic-bert", LLM_ARCH_BERT, LLM_ROPE_HALVES, 1, 0, 0, 0, TRUE },
};

#define REQUIRED G_MAXUINT64

#define invalid(error, ...) llm_error_fail (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, __VA_ARGS__)

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

/* A cap of scores: 0, none, or above; @out keeps its value when absent. */
static gboolean
read_cap (const LlmGguf *gguf, const LlmModelConfig *config, const char *key, double *out, GError **error)
{
  g_autofree char *full = g_strdup_printf ("%s.%s", config->arch_name, key);
  GError *local_error = NULL;
  double value = *out;

  if (!llm_gguf_f64 (gguf, full, &value, &local_error) && local_error != NULL)
    {
      g_propagate_error (error, local_error);
      return FALSE;
    }
  if (!(value >= 0 && value <= 1e6))
    return invalid (error, "%s is %g; 0, for none, up to 1e+06 is needed", full, value);
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

static const Family *
read_family (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (!read_text (gguf, "general.architecture", &config->arch_name, error))
    return NULL;
  if (config->arch_name == NULL)
    {
      invalid (error, "the metadata key general.architecture is missing");
      return NULL;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_string_append_printf (names, "%s%s", i > 0 ? ", " : "", families[i].name);
      if (strcmp (families[i].name, config->arch_name) == 0)
        return &families[i];
    }
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "models of the architecture \"%.*s\" are not supported; those of %s are",
               llm_error_quote (config->arch_name, -1), config->arch_name, names->str);
  return NULL;
}

/* Key @key must be absent or @only. */
static gboolean
refuse_unless (const LlmGguf *gguf, const LlmModelConfig *config, const char *key, guint only, const char *what, GError **error)
{
  guint value = only;

  if (!read_uint (gguf, config, key, 0, G_MAXUINT, only, &value, error))
    return FALSE;
  if (value == only)
    return TRUE;
  g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s.%s is %u: %s", config->arch_name, key, value, what);
  return FALSE;
}

static gboolean
read_experts (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  if (!read_uint (gguf, config, "expert_count", 0, LLM_MODEL_MAX_EXPERTS, 0, &config->n_experts, error))
    return FALSE;
  if (config->n_experts == 0)
    return TRUE;
  return read_uint (gguf, config, "expert_used_count", 1, config->n_experts, REQUIRED, &config->n_experts_used, error)
         && read_uint (gguf, config, "expert_feed_forward_length", 1, LLM_MODEL_MAX_WIDTH, config->d_ff, &config->d_ff_expert, error)
         && refuse_unless (gguf, config, "expert_shared_count", 0, "experts that all tokens share are not supported", error)
         && refuse_unless (gguf, config, "expert_group_count", 0, "groups of experts are not supported", error);
}

/* A layer is windowed in families that have windows, when the file has one. */
static gboolean
read_window (const LlmGguf *gguf, const Family *family, LlmModelConfig *config, GError **error)
{
  g_autofree char *pattern = g_strdup_printf ("%s.attention.sliding_window_pattern", config->arch_name);

  config->window_period = family->window_period;
  if (family->window_period == 1)
    return TRUE;
  if (!read_uint (gguf, config, "attention.sliding_window", 0, LLM_MODEL_MAX_CONTEXT, family->window, &config->window, error))
    return FALSE;
  return !llm_gguf_has (gguf, pattern)
         || read_uint (gguf, config, "attention.sliding_window_pattern", 1, LLM_MODEL_MAX_LAYERS, family->window_period, &config->window_period, error);
}

gboolean
llm_model_config_is_windowed (const LlmModelConfig *self, guint layer)
{
  return self->window > 0 && (self->window_period == 0 || (layer + 1) % self->window_period != 0);
}

/* Queries of Gemma's 27B models are scaled by the width that a head would have, not by the one it has. */
static double
own_attention_scale (const Family *family, const LlmModelConfig *config)
{
  guint layers_27b = family->window_period == 2 ? 46 : 62;

  if (family->arch == LLM_ARCH_GEMMA && family->window_period > 1 && config->n_layers == layers_27b)
    return 1 / sqrt (config->d_model / config->n_heads);
  return 1 / sqrt (config->head_dim_k);
}

static gboolean
read_granite_scales (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  double divisor;

  if (!read_double (gguf, config, "embedding_scale", 1e6, 1, &config->embedding_scale, error)
      || !read_double (gguf, config, "residual_scale", 1e6, 1, &config->residual_scale, error)
      || !read_double (gguf, config, "logit_scale", 1e6, 1, &divisor, error))
    return FALSE;
  config->logit_scale = 1 / divisor;
  return TRUE;
}

static gboolean
read_scales (const LlmGguf *gguf, const Family *family, LlmModelConfig *config, GError **error)
{
  config->attention_cap = family->attention_cap;
  config->logit_cap = family->logit_cap;
  config->embedding_scale = family->arch == LLM_ARCH_GEMMA ? sqrt (config->d_model) : 1;
  config->residual_scale = config->logit_scale = 1;
  if (!read_double (gguf, config, "attention.scale", 1e6, own_attention_scale (family, config), &config->attention_scale, error))
    return FALSE;
  if (family->arch == LLM_ARCH_GEMMA)
    return read_cap (gguf, config, "attn_logit_softcapping", &config->attention_cap, error)
           && read_cap (gguf, config, "final_logit_softcapping", &config->logit_cap, error);
  return family->arch != LLM_ARCH_GRANITE || read_granite_scales (gguf, config, error);
}

/* @type: rope.scaling.type or NULL; a factor without a type is linear; rope.scale_linear is its older name. */
static gboolean
read_rope_scaling (const LlmGguf *gguf, LlmModelConfig *config, const char *type, GError **error)
{
  if (g_strcmp0 (type, "none") == 0)
    return TRUE;
  config->rope_yarn = g_strcmp0 (type, "yarn") == 0;
  if (type != NULL && !config->rope_yarn && strcmp (type, "linear") != 0 && strcmp (type, "longrope") != 0)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s.rope.scaling.type \"%.*s\" is not supported; none, linear, yarn and longrope are",
                   config->arch_name, llm_error_quote (type, -1), type);
      return FALSE;
    }
  if (!read_uint (gguf, config, "rope.scaling.original_context_length", 1, LLM_MODEL_MAX_CONTEXT, config->context_length, &config->rope_original_context, error)
      || !read_double (gguf, config, "rope.scaling.attn_factor", 1e6, 1, &config->rope_magnitude, error)
      || !read_double (gguf, config, "rope.scaling.yarn_beta_fast", 1e6, 32, &config->yarn_beta_fast, error)
      || !read_double (gguf, config, "rope.scaling.yarn_beta_slow", 1e6, 1, &config->yarn_beta_slow, error))
    return FALSE;
  if (g_strcmp0 (type, "longrope") == 0) /* its factors are tensors */
    return TRUE;
  if (!read_double (gguf, config, "rope.scale_linear", 1e6, 1, &config->rope_scale, error)
      || !read_double (gguf, config, "rope.scaling.factor", 1e6, config->rope_scale, &config->rope_scale, error))
    return FALSE;
  if (config->rope_yarn && config->yarn_beta_fast < config->yarn_beta_slow)
    return invalid (error, "%s.rope.scaling.yarn_beta_fast is %g, below yarn_beta_slow, %g", config->arch_name, config->yarn_beta_fast, config->yarn_beta_slow);
  if (config->rope_yarn) /* Peng et al. 2023, eq. 22 */
    config->rope_magnitude *= 1 + 0.1 * log (MAX (config->rope_scale, 1));
  return TRUE;
}

static gboolean
read_rope (const LlmGguf *gguf, const Family *family, LlmModelConfig *config, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s.rope.scaling.type", config->arch_name);
  g_autofree char *type = NULL;

  config->rope_style = family->rope_style;
  config->rope_scale = config->rope_magnitude = 1;
  config->rope_original_context = config->context_length;
  if (family->rope_style == LLM_ROPE_NONE)
    return TRUE;
  if (!read_uint (gguf, config, "rope.dimension_count", 2, config->head_dim_k, config->head_dim_k, &config->rope_dim, error)
      || !read_double (gguf, config, "rope.freq_base", 1e12, 10000, &config->rope_base, error)
      || !read_double (gguf, config, "rope.freq_base_swa", 1e12, family->window_period == 6 ? 10000 : config->rope_base, &config->rope_base_windowed, error)
      || !read_text (gguf, key, &type, error))
    return FALSE;
  if (config->rope_dim % 2 != 0)
    return invalid (error, "%s.rope.dimension_count is %u; an even number is needed", config->arch_name, config->rope_dim);
  if (!read_rope_scaling (gguf, config, type, error))
    return FALSE;
  return !config->rope_yarn || config->rope_base > 1 || invalid (error, "%s.rope.freq_base is %g; YaRN needs one above 1", config->arch_name, config->rope_base);
}

static gboolean
read_heads (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  g_autofree char *key_length = g_strdup_printf ("%s.attention.key_length", config->arch_name);
  guint own;

  if (!read_uint (gguf, config, "attention.head_count", 1, LLM_MODEL_MAX_HEADS, REQUIRED, &config->n_heads, error)
      || !read_uint (gguf, config, "attention.head_count_kv", 1, LLM_MODEL_MAX_HEADS, config->n_heads, &config->n_kv_heads, error))
    return FALSE;
  if (config->n_heads % config->n_kv_heads != 0)
    return invalid (error, "%s.attention.head_count_kv is %u, which does not divide the %u heads", config->arch_name, config->n_kv_heads, config->n_heads);
  if (config->d_model % config->n_heads != 0 && !llm_gguf_has (gguf, key_length))
    return invalid (error, "%s.embedding_length is %u, no multiple of the %u heads", config->arch_name, config->d_model, config->n_heads);
  own = config->d_model / config->n_heads;
  return read_uint (gguf, config, "attention.key_length", 1, LLM_MODEL_MAX_HEAD_DIM, own, &config->head_dim_k, error)
         && read_uint (gguf, config, "attention.value_length", 1, LLM_MODEL_MAX_HEAD_DIM, own, &config->head_dim_v, error);
}

static gboolean
read_pooling (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  guint pooling = LLM_POOLING_NONE;

  if (!read_uint (gguf, config, "pooling_type", 0, 4, LLM_POOLING_NONE, &pooling, error))
    return FALSE;
  config->pooling = pooling <= LLM_POOLING_LAST ? (LlmPooling) pooling : LLM_POOLING_NONE; /* 4: a ranking head, which is not used */
  return TRUE;
}

static gboolean
read_all (const LlmGguf *gguf, const Family *family, LlmModelConfig *config, GError **error)
{
  const char *eps = family->encoder ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";

  config->arch = family->arch;
  config->causal = !family->encoder;
  return read_text (gguf, "general.name", &config->name, error) && read_text (gguf, "general.license", &config->license, error)
         && read_text (gguf, "tokenizer.chat_template", &config->chat_template, error)
         && read_uint (gguf, config, "block_count", 1, LLM_MODEL_MAX_LAYERS, REQUIRED, &config->n_layers, error)
         && read_uint (gguf, config, "embedding_length", 1, LLM_MODEL_MAX_WIDTH, REQUIRED, &config->d_model, error)
         && read_uint (gguf, config, "feed_forward_length", 1, LLM_MODEL_MAX_WIDTH, REQUIRED, &config->d_ff, error)
         && read_uint (gguf, config, "context_length", 1, LLM_MODEL_MAX_CONTEXT, REQUIRED, &config->context_length, error)
         && read_double (gguf, config, eps, 1, NAN, &config->norm_eps, error)
         && read_heads (gguf, config, error) && read_rope (gguf, family, config, error) && read_experts (gguf, config, error)
         && read_window (gguf, family, config, error) && read_scales (gguf, family, config, error) && read_pooling (gguf, config, error);
}

static gboolean
read_tensors (const LlmGguf *gguf, LlmModelConfig *config, GError **error)
{
  const LlmGgufTensor *embedding = llm_gguf_find_tensor (gguf, "token_embd.weight");
  const LlmGgufTensor *types = llm_gguf_find_tensor (gguf, "token_types.weight");
  guint64 bytes_of[64] = { 0 };
  guint best = 0;

  if (embedding == NULL)
    return invalid (error, "the tensor token_embd.weight is missing");
  if (embedding->n_dims != 2 || embedding->dims[0] != config->d_model || embedding->dims[1] > LLM_MODEL_MAX_VOCAB)
    return invalid (error, "token_embd.weight is [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]; [%u, at most %d] is needed", embedding->dims[0],
                    embedding->dims[1], config->d_model, LLM_MODEL_MAX_VOCAB);
  config->n_vocab = (guint) embedding->dims[1];
  config->n_token_types = types != NULL ? (guint) MIN (types->dims[1], LLM_MODEL_MAX_VOCAB) : 0;
  for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
    {
      const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);
      guint64 n = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]; /* checked by the parser */

      if (t->dtype->decode == NULL)
        {
          g_autofree char *names = llm_dtype_names ();

          g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "the tensor %s is of type %s, which is not supported; %s are", t->name,
                       t->dtype->name, names);
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
  const Family *family = read_family (gguf, config, error);

  if (family == NULL || !read_all (gguf, family, config, error) || !read_tensors (gguf, config, error))
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
