/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One right set of metadata, and what becomes of it when one key is another or missing.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"
#include "format/model-config.h"

#define U32 "u32:4 u32:"
#define F32 "u32:6 f32:"
#define STRING "u32:8 s:"
#define EMBEDDING "token_embd.weight"

/* A tensor stands in the list under its name, without its place. */
static const char *const base[][2] = {
  { "general.architecture", STRING "llama" },
  { "llama.block_count", U32 "2" },
  { "llama.embedding_length", U32 "64" },
  { "llama.feed_forward_length", U32 "96" },
  { "llama.context_length", U32 "512" },
  { "llama.attention.head_count", U32 "4" },
  { "llama.attention.head_count_kv", U32 "2" },
  { "llama.attention.layer_norm_rms_epsilon", F32 "1e-5" },
};

typedef struct {
  const char *name;
  const char *change[4][2]; /* key -> value; "" takes the key away */
  const char *message;      /* part of it; NULL: the model is right */
  LlmError code;
} Case;

#define INVALID LLM_ERROR_INVALID_MODEL
#define UNSUPPORTED LLM_ERROR_NOT_SUPPORTED

static const Case cases[] = {
  { "right", { { NULL } }, NULL },
  { "architecture/missing", { { "general.architecture", "" } }, "general.architecture is missing", INVALID },
  { "architecture/type", { { "general.architecture", U32 "1" } }, "general.architecture is of type uint32; a string", INVALID },
  { "architecture/unknown", { { "general.architecture", STRING "mamba" } }, "\"mamba\" are not supported; those of llama, qwen2, qwen3, qwen3moe, gemma, gemma2, gemma3, phi3, gpt-oss, granite, smollm3, bert, nomic-bert are", UNSUPPORTED },
  { "architecture/empty", { { "general.architecture", STRING } }, "are not supported", UNSUPPORTED },
  { "architecture/prefix", { { "general.architecture", STRING "llama4" } }, "\"llama4\"", UNSUPPORTED },

  { "layers/missing", { { "llama.block_count", "" } }, "llama.block_count is missing", INVALID },
  { "layers/0", { { "llama.block_count", U32 "0" } }, "llama.block_count is 0; 1 to 1024", INVALID },
  { "layers/limit", { { "llama.block_count", U32 "1024" } }, NULL },
  { "layers/over", { { "llama.block_count", U32 "1025" } }, "llama.block_count is 1025; 1 to 1024", INVALID },
  { "layers/u64", { { "llama.block_count", "u32:10 u64:2" } }, NULL },
  { "layers/wraps", { { "llama.block_count", "u32:10 u64:0x100000002" } }, "llama.block_count is 4294967298;", INVALID },
  { "layers/negative", { { "llama.block_count", "u32:5 i32:-1" } }, "llama.block_count is -1;", INVALID },
  { "layers/float", { { "llama.block_count", F32 "2" } }, "llama.block_count is of type float32", INVALID },
  { "layers/array", { { "llama.block_count", "u32:9 u32:4 u64:1 u32:2" } }, "llama.block_count is of type array", INVALID },

  { "width/missing", { { "llama.embedding_length", "" } }, "llama.embedding_length is missing", INVALID },
  { "width/0", { { "llama.embedding_length", U32 "0" } }, "llama.embedding_length is 0;", INVALID },
  { "width/limit", { { "llama.embedding_length", U32 "262144" }, { EMBEDDING, "u32:2 u64:262144 u64:300 u32:0" }, { "llama.attention.head_count", U32 "256" } }, NULL },
  { "width/over", { { "llama.embedding_length", U32 "262145" } }, "llama.embedding_length is 262145; 1 to 262144", INVALID },
  { "width/not-of-embedding", { { "llama.embedding_length", U32 "128" } }, "token_embd.weight is [64, 300]; [128,", INVALID },
  { "width/not-of-heads", { { "llama.attention.head_count", U32 "6" } }, "llama.embedding_length is 64, no multiple of the 6 heads", INVALID },
  { "ffn/missing", { { "llama.feed_forward_length", "" } }, "llama.feed_forward_length is missing", INVALID },
  { "ffn/0", { { "llama.feed_forward_length", U32 "0" } }, "llama.feed_forward_length is 0;", INVALID },
  { "ffn/limit", { { "llama.feed_forward_length", U32 "262144" } }, NULL },
  { "ffn/over", { { "llama.feed_forward_length", U32 "262145" } }, "llama.feed_forward_length is 262145;", INVALID },
  { "context/missing", { { "llama.context_length", "" } }, "llama.context_length is missing", INVALID },
  { "context/0", { { "llama.context_length", U32 "0" } }, "llama.context_length is 0;", INVALID },
  { "context/limit", { { "llama.context_length", U32 "16777216" } }, NULL },
  { "context/over", { { "llama.context_length", U32 "16777217" } }, "llama.context_length is 16777217; 1 to 16777216", INVALID },

  { "heads/missing", { { "llama.attention.head_count", "" } }, "llama.attention.head_count is missing", INVALID },
  { "heads/0", { { "llama.attention.head_count", U32 "0" } }, "llama.attention.head_count is 0;", INVALID },
  { "heads/limit", { { "llama.attention.head_count", U32 "1024" }, { "llama.attention.key_length", U32 "64" }, { "llama.attention.value_length", U32 "64" } }, NULL },
  { "heads/over", { { "llama.attention.head_count", U32 "1025" } }, "llama.attention.head_count is 1025; 1 to 1024", INVALID },
  { "kv-heads/0", { { "llama.attention.head_count_kv", U32 "0" } }, "llama.attention.head_count_kv is 0;", INVALID },
  { "kv-heads/does-not-divide", { { "llama.attention.head_count_kv", U32 "3" } }, "llama.attention.head_count_kv is 3, which does not divide the 4 heads", INVALID },
  { "kv-heads/more-than-heads", { { "llama.attention.head_count_kv", U32 "8" } }, "head_count_kv is 8, which does not divide", INVALID },
  { "head-dim/limit", { { "llama.attention.key_length", U32 "1024" }, { "llama.attention.value_length", U32 "1024" } }, NULL },
  { "head-dim/key-over", { { "llama.attention.key_length", U32 "1025" } }, "llama.attention.key_length is 1025; 1 to 1024", INVALID },
  { "head-dim/value-over", { { "llama.attention.value_length", U32 "1025" } }, "llama.attention.value_length is 1025; 1 to 1024", INVALID },
  { "head-dim/value-0", { { "llama.attention.value_length", U32 "0" } }, "llama.attention.value_length is 0;", INVALID },
  { "epsilon/missing", { { "llama.attention.layer_norm_rms_epsilon", "" } }, "layer_norm_rms_epsilon is missing", INVALID },
  { "epsilon/nan", { { "llama.attention.layer_norm_rms_epsilon", F32 "nan" } }, "layer_norm_rms_epsilon is", INVALID },
  { "epsilon/inf", { { "llama.attention.layer_norm_rms_epsilon", F32 "inf" } }, "layer_norm_rms_epsilon is inf;", INVALID },
  { "epsilon/0", { { "llama.attention.layer_norm_rms_epsilon", F32 "0" } }, "layer_norm_rms_epsilon is 0;", INVALID },
  { "epsilon/negative", { { "llama.attention.layer_norm_rms_epsilon", F32 "-1e-5" } }, "layer_norm_rms_epsilon is -1e-05;", INVALID },
  { "epsilon/string", { { "llama.attention.layer_norm_rms_epsilon", STRING "x" } }, "layer_norm_rms_epsilon is of type string; a number", INVALID },

  { "rope/dim-odd", { { "llama.rope.dimension_count", U32 "15" } }, "llama.rope.dimension_count is 15; an even number", INVALID },
  { "rope/dim-over-head", { { "llama.rope.dimension_count", U32 "18" } }, "llama.rope.dimension_count is 18; 2 to 16", INVALID },
  { "rope/dim-0", { { "llama.rope.dimension_count", U32 "0" } }, "llama.rope.dimension_count is 0;", INVALID },
  { "rope/dim-part", { { "llama.rope.dimension_count", U32 "8" } }, NULL },
  { "rope/base-nan", { { "llama.rope.freq_base", F32 "nan" } }, "llama.rope.freq_base is", INVALID },
  { "rope/base-0", { { "llama.rope.freq_base", F32 "0" } }, "llama.rope.freq_base is 0;", INVALID },
  { "rope/scaling-none", { { "llama.rope.scaling.type", STRING "none" } }, NULL },
  { "rope/scaling-linear", { { "llama.rope.scaling.type", STRING "linear" }, { "llama.rope.scaling.factor", F32 "4" } }, NULL },
  { "rope/scaling-yarn", { { "llama.rope.scaling.type", STRING "yarn" }, { "llama.rope.scaling.factor", F32 "32" } }, NULL },
  { "rope/scaling-longrope", { { "llama.rope.scaling.type", STRING "longrope" } }, NULL },
  { "rope/scaling-unknown", { { "llama.rope.scaling.type", STRING "dynamic" } }, "llama.rope.scaling.type \"dynamic\" is not supported; none, linear, yarn and longrope are", UNSUPPORTED },
  { "rope/yarn-betas", { { "llama.rope.scaling.type", STRING "yarn" }, { "llama.rope.scaling.yarn_beta_fast", F32 "0.5" } }, "yarn_beta_fast is 0.5, below yarn_beta_slow, 1", INVALID },
  { "rope/yarn-base", { { "llama.rope.scaling.type", STRING "yarn" }, { "llama.rope.freq_base", F32 "1" } }, "llama.rope.freq_base is 1; YaRN needs one above 1", INVALID },
  { "rope/original-context-0", { { "llama.rope.scaling.original_context_length", U32 "0" } }, "original_context_length is 0;", INVALID },
  { "rope/factor-nan", { { "llama.rope.scaling.type", STRING "linear" }, { "llama.rope.scaling.factor", F32 "nan" } }, "llama.rope.scaling.factor is", INVALID },
  { "rope/factor-negative", { { "llama.rope.scaling.factor", F32 "-2" } }, "llama.rope.scaling.factor is -2;", INVALID },

  { "experts/0", { { "llama.expert_count", U32 "0" } }, NULL },
  { "experts/used-missing", { { "llama.expert_count", U32 "8" } }, "llama.expert_used_count is missing", INVALID },
  { "experts/used-0", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "0" } }, "llama.expert_used_count is 0; 1 to 8", INVALID },
  { "experts/used-all", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "8" } }, NULL },
  { "experts/used-over", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "9" } }, "llama.expert_used_count is 9; 1 to 8", INVALID },
  { "experts/limit", { { "llama.expert_count", U32 "1024" }, { "llama.expert_used_count", U32 "1" } }, NULL },
  { "experts/over", { { "llama.expert_count", U32 "1025" } }, "llama.expert_count is 1025; 0 to 1024", INVALID },
  { "experts/width-0", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "2" }, { "llama.expert_feed_forward_length", U32 "0" } }, "llama.expert_feed_forward_length is 0;", INVALID },
  { "experts/shared", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "2" }, { "llama.expert_shared_count", U32 "1" } }, "llama.expert_shared_count is 1: experts that all", UNSUPPORTED },
  { "experts/groups", { { "llama.expert_count", U32 "8" }, { "llama.expert_used_count", U32 "2" }, { "llama.expert_group_count", U32 "4" } }, "llama.expert_group_count is 4: groups", UNSUPPORTED },
  { "attention/scale-nan", { { "llama.attention.scale", F32 "nan" } }, "llama.attention.scale is", INVALID },
  { "pooling/over", { { "llama.pooling_type", U32 "5" } }, "llama.pooling_type is 5; 0 to 4", INVALID },
  { "embedding/missing", { { EMBEDDING, "" } }, "token_embd.weight is missing", INVALID },
  { "embedding/1-dim", { { EMBEDDING, "u32:1 u64:64 u32:0" } }, "token_embd.weight is [64, 1];", INVALID },
  { "embedding/3-dims", { { EMBEDDING, "u32:3 u64:64 u64:300 u64:1 u32:0" } }, "token_embd.weight is [64, 300];", INVALID },
  { "vocab/limit", { { EMBEDDING, "u32:2 u64:64 u64:2097152 u32:0" } }, NULL },
  { "vocab/over", { { EMBEDDING, "u32:2 u64:64 u64:2097153 u32:0" } }, "token_embd.weight is [64, 2097153]; [64, at most 2097152]", INVALID },
  { "type/only-measured", { { EMBEDDING, "u32:2 u64:64 u64:300 u32:26" } }, "token_embd.weight is of type I32, which is not supported; F32, F16, Q4_0", UNSUPPORTED },
  { "template/type", { { "tokenizer.chat_template", U32 "1" } }, "tokenizer.chat_template is of type uint32", INVALID },
};

static const char *
value_of (const Case *c, const char *key, const char *otherwise)
{
  for (gsize i = 0; i < G_N_ELEMENTS (c->change); i++)
    if (g_strcmp0 (c->change[i][0], key) == 0)
      return c->change[i][1];
  return otherwise;
}

/* What @c changes that is not in the base. */
static void
add_new_keys (const Case *c, GString *text, guint *n)
{
  for (gsize i = 0; i < G_N_ELEMENTS (c->change) && c->change[i][0] != NULL; i++)
    {
      gboolean known = strcmp (c->change[i][0], EMBEDDING) == 0;

      for (gsize k = 0; k < G_N_ELEMENTS (base); k++)
        known = known || strcmp (base[k][0], c->change[i][0]) == 0;
      if (!known)
        {
          g_string_append_printf (text, " s:%s %s", c->change[i][0], c->change[i][1]);
          (*n)++;
        }
    }
}

static LlmGguf *
parse (const Case *c)
{
  g_autoptr (GString) keys = g_string_new (NULL);
  const char *embedding = value_of (c, EMBEDDING, "u32:2 u64:64 u64:300 u32:0");
  g_autofree char *text = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  LlmGguf *gguf;
  guint n = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (base); i++)
    {
      const char *value = value_of (c, base[i][0], base[i][1]);

      if (value[0] != '\0')
        {
          g_string_append_printf (keys, " s:%s %s", base[i][0], value);
          n++;
        }
    }
  add_new_keys (c, keys, &n);
  text = g_strdup_printf ("'GGUF' u32:3 u64:%d u64:%u %s%s%s%s", embedding[0] != '\0', n, keys->str, embedding[0] != '\0' ? " s:" EMBEDDING " " : "",
                          embedding, embedding[0] != '\0' ? " u64:0" : "");
  bytes = llm_test_bytes (text);
  gguf = llm_gguf_parse (bytes, G_MAXINT64, &error); /* the tensors need not be there */
  g_assert_no_error (error);
  return gguf;
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (LlmGguf) gguf = parse (c);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmModelConfig) config = llm_model_config_new (gguf, &error);

  if (c->message == NULL)
    {
      g_assert_no_error (error);
      g_assert_nonnull (config);
      return;
    }
  g_assert_null (config);
  g_assert_error (error, LLM_ERROR, (int) c->code);
  if (strstr (error->message, c->message) == NULL)
    g_test_fail_printf ("wanted \"%s\", got: %s", c->message, error->message);
}

static LlmModelConfig *
config_of (const Case *c)
{
  g_autoptr (LlmGguf) gguf = parse (c);
  g_autoptr (GError) error = NULL;
  LlmModelConfig *config = llm_model_config_new (gguf, &error);

  g_assert_no_error (error);
  return config;
}

static void
test_defaults (void)
{
  static const Case bare = { "", { { "llama.attention.head_count_kv", "" } } };
  g_autoptr (LlmModelConfig) c = config_of (&bare);

  g_assert_cmpint (c->arch, ==, LLM_ARCH_LLAMA);
  g_assert_cmpint (c->rope_style, ==, LLM_ROPE_INTERLEAVED);
  g_assert_cmpuint (c->n_layers, ==, 2);
  g_assert_cmpuint (c->d_model, ==, 64);
  g_assert_cmpuint (c->d_ff, ==, 96);
  g_assert_cmpuint (c->n_heads, ==, 4);
  g_assert_cmpuint (c->n_kv_heads, ==, 4);
  g_assert_cmpuint (c->head_dim_k, ==, 16);
  g_assert_cmpuint (c->head_dim_v, ==, 16);
  g_assert_cmpuint (c->n_vocab, ==, 300);
  g_assert_cmpuint (c->rope_dim, ==, 16);
  g_assert_cmpfloat (c->rope_base, ==, 10000);
  g_assert_cmpfloat (c->rope_scale, ==, 1);
  g_assert_cmpuint (c->n_parameters, ==, 64 * 300);
  g_assert_cmpstr (c->quantization, ==, "F32");
  g_assert_null (c->name);
  g_assert_null (c->license);
  g_assert_null (c->chat_template);
}

static void
test_rope_scales (void)
{
  static const struct { Case c; double scale; } table[] = {
    { { "", { { "llama.rope.scaling.type", STRING "linear" }, { "llama.rope.scaling.factor", F32 "4" } } }, 4 },
    { { "", { { "llama.rope.scaling.factor", F32 "4" } } }, 4 },
    { { "", { { "llama.rope.scale_linear", F32 "2" } } }, 2 },
    { { "", { { "llama.rope.scale_linear", F32 "2" }, { "llama.rope.scaling.factor", F32 "4" } } }, 4 },
    { { "", { { "llama.rope.scaling.type", STRING "none" }, { "llama.rope.scaling.factor", F32 "4" } } }, 1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autoptr (LlmModelConfig) c = config_of (&table[i].c);

      g_assert_cmpfloat (c->rope_scale, ==, table[i].scale);
    }
}

static void
test_tiny_models (void)
{
  static const char *const archs[] = { "llama", "qwen2" };
  static const struct { LlmDtype dtype; const char *name; } types[] = {
    { LLM_DTYPE_F32, "F32" }, { LLM_DTYPE_F16, "F16" }, { LLM_DTYPE_Q8_0, "Q8_0" }, { LLM_DTYPE_Q4_0, "Q4_0" },
  };

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (types); i++)
    {
      const LlmTestModel options = { .arch = archs[i & 1], .dtype = types[i / 2].dtype, .seed = i, .chat_template = "x", .untied = i % 3 == 0 };
      g_autoptr (GBytes) bytes = llm_test_tiny_model (&options), again = llm_test_tiny_model (&options);
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), &error);
      g_autoptr (LlmModelConfig) c = NULL;

      g_assert_no_error (error);
      g_assert_true (g_bytes_equal (bytes, again));
      c = llm_model_config_new (gguf, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (c->arch_name, ==, options.arch);
      g_assert_cmpint (c->arch, ==, (i & 1) != 0 ? LLM_ARCH_QWEN2 : LLM_ARCH_LLAMA);
      g_assert_cmpint (c->rope_style, ==, (i & 1) != 0 ? LLM_ROPE_HALVES : LLM_ROPE_INTERLEAVED);
      g_assert_cmpstr (c->quantization, ==, types[i / 2].name);
      g_assert_cmpstr (c->name, ==, "tiny test model");
      g_assert_cmpstr (c->license, ==, "cc0-1.0");
      g_assert_cmpstr (c->chat_template, ==, "x");
      g_assert_cmpint (llm_gguf_find_tensor (gguf, "output.weight") != NULL, ==, options.untied);
    }
}

/* The matrices' type is the model's, whichever it is. */
static void
test_every_type (void)
{
  for (guint32 id = 0; id < 64; id++)
    {
      const LlmDtypeInfo *dtype = llm_dtype_info (id);
      LlmTestModel options = { .dtype = (LlmDtype) id, .d_model = 256, .d_ff = 256, .n_layers = 1 };
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmGguf) gguf = NULL;
      g_autoptr (LlmModelConfig) c = NULL;

      if (dtype == NULL || dtype->decode == NULL)
        continue;
      bytes = llm_test_tiny_model (&options);
      gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), &error);
      g_assert_no_error (error);
      c = llm_model_config_new (gguf, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (c->quantization, ==, dtype->name);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/model-config/", cases[i].name, NULL);
      g_test_add_data_func (path, &cases[i], test_case);
    }
  g_test_add_func ("/model-config/defaults", test_defaults);
  g_test_add_func ("/model-config/rope-scales", test_rope_scales);
  g_test_add_func ("/model-config/tiny-models", test_tiny_models);
  g_test_add_func ("/model-config/every-type", test_every_type);
  return g_test_run ();
}
