/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is derived from the metadata of each family: windows, scales, rotations, experts.
 */
#include <math.h>
#include <string.h>

#include "format/gguf-builder.h"
#include "format/model-config.h"

#define U32 "u32:4 u32:"
#define F32 "u32:6 f32:"
#define STRING "u32:8 s:"

/* 4 layers (or @n_layers) of width 96 with 6 heads; @more: "key value" pairs, "%s" of the keys the architecture. */
static LlmModelConfig *
config_of (const char *arch, guint n_layers, const char *const *more)
{
  gboolean encoder = g_str_has_suffix (arch, "bert");
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (LlmGguf) gguf = NULL;
  g_autoptr (GError) error = NULL;
  LlmModelConfig *config;
  guint n = 7;

  g_string_append_printf (text, " s:general.architecture " STRING "%s s:%s.block_count " U32 "%u s:%s.embedding_length " U32 "96", arch, arch, n_layers, arch);
  g_string_append_printf (text, " s:%s.feed_forward_length " U32 "64 s:%s.context_length " U32 "512 s:%s.attention.head_count " U32 "6", arch, arch, arch);
  g_string_append_printf (text, " s:%s.attention.layer_norm_%s " F32 "1e-6", arch, encoder ? "epsilon" : "rms_epsilon");
  for (; more != NULL && *more != NULL; more += 2, n++)
    g_string_append_printf (text, " s:%s.%s %s", arch, more[0], more[1]);
  {
    g_autofree char *whole = g_strdup_printf ("'GGUF' u32:3 u64:1 u64:%u%s s:token_embd.weight u32:2 u64:96 u64:300 u32:0 u64:0", n, text->str);

    bytes = llm_test_bytes (whole);
  }
  gguf = llm_gguf_parse (bytes, G_MAXINT64, &error); /* the tensors need not be there */
  g_assert_no_error (error);
  config = llm_model_config_new (gguf, &error);
  g_assert_no_error (error);
  return config;
}

/* 'w' for a windowed layer, '.' for another. */
static char *
windows (const LlmModelConfig *c)
{
  GString *s = g_string_new (NULL);

  for (guint l = 0; l < c->n_layers; l++)
    g_string_append_c (s, llm_model_config_is_windowed (c, l) ? 'w' : '.');
  return g_string_free (s, FALSE);
}

static void
test_windows (void)
{
  static const char *const window[] = { "attention.sliding_window", U32 "16", NULL }, *const none[] = { "attention.sliding_window", U32 "0", NULL };
  static const char *const every_third[] = { "attention.sliding_window", U32 "16", "attention.sliding_window_pattern", U32 "3", NULL };
  static const struct {
    const char *arch;
    const char *const *more;
    const char *expected;
    guint window;
  } cases[] = {
    { "llama", window, "........", 0 },      { "qwen3", window, "........", 0 },  { "gemma", window, "........", 0 },
    { "gemma2", window, "w.w.w.w.", 16 },    { "gemma2", NULL, "w.w.w.w.", 4096 }, { "gemma2", none, "........", 0 },
    { "gemma3", window, "wwwww.ww", 16 },    { "gemma3", NULL, "........", 0 },   { "gemma3", every_third, "ww.ww.ww", 16 },
    { "phi3", window, "wwwwwwww", 16 },      { "phi3", NULL, "........", 0 },     { "gpt-oss", NULL, "w.w.w.w.", 128 },
    { "gpt-oss", window, "w.w.w.w.", 16 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (LlmModelConfig) c = config_of (cases[i].arch, 8, cases[i].more);
      g_autofree char *got = windows (c);

      g_assert_cmpstr (got, ==, cases[i].expected);
      g_assert_cmpuint (c->window, ==, cases[i].window);
    }
}

static void
test_scales (void)
{
  static const char *const granite[] = { "attention.scale", F32 "0.0078125", "embedding_scale", F32 "12", "residual_scale", F32 "0.22",
                                         "logit_scale", F32 "8", NULL };
  static const char *const wide[] = { "attention.key_length", U32 "32", "attention.value_length", U32 "32", "attn_logit_softcapping", F32 "40",
                                      "final_logit_softcapping", F32 "0", NULL };
  g_autoptr (LlmModelConfig) llama = config_of ("llama", 4, NULL), gemma2 = config_of ("gemma2", 4, wide), gemma2_27b = config_of ("gemma2", 46, wide);
  g_autoptr (LlmModelConfig) gemma3 = config_of ("gemma3", 46, wide), gemma3_27b = config_of ("gemma3", 62, wide), ibm = config_of ("granite", 4, granite);

  g_assert_cmpfloat_with_epsilon (llama->attention_scale, 0.25, 1e-9); /* heads of 16 */
  g_assert_true (llama->embedding_scale == 1 && llama->residual_scale == 1 && llama->logit_scale == 1 && llama->attention_cap == 0 && llama->logit_cap == 0);
  g_assert_cmpfloat_with_epsilon (gemma2->attention_scale, 1 / sqrt (32), 1e-9);
  g_assert_cmpfloat_with_epsilon (gemma2_27b->attention_scale, 0.25, 1e-9); /* by the width, not by the head */
  g_assert_cmpfloat_with_epsilon (gemma3->attention_scale, 1 / sqrt (32), 1e-9);
  g_assert_cmpfloat_with_epsilon (gemma3_27b->attention_scale, 0.25, 1e-9);
  g_assert_cmpfloat_with_epsilon (gemma2->embedding_scale, sqrt (96), 1e-9);
  g_assert_cmpfloat (gemma2->attention_cap, ==, 40);
  g_assert_cmpfloat (gemma2->logit_cap, ==, 0);
  g_assert_cmpfloat_with_epsilon (ibm->attention_scale, 0.0078125, 1e-9);
  g_assert_cmpfloat_with_epsilon (ibm->embedding_scale, 12, 1e-9);
  g_assert_cmpfloat_with_epsilon (ibm->residual_scale, 0.22, 1e-7);
  g_assert_cmpfloat_with_epsilon (ibm->logit_scale, 0.125, 1e-9);
}

static void
test_caps_of_gemma2 (void)
{
  g_autoptr (LlmModelConfig) c = config_of ("gemma2", 4, NULL);

  g_assert_cmpfloat (c->attention_cap, ==, 50);
  g_assert_cmpfloat (c->logit_cap, ==, 30);
}

static void
test_rotations (void)
{
  static const char *const yarn[] = { "rope.scaling.type", STRING "yarn", "rope.scaling.factor", F32 "32", "rope.scaling.original_context_length", U32 "64", NULL };
  static const char *const linear[] = { "rope.freq_base", F32 "1000000", "rope.scaling.type", STRING "linear", "rope.scaling.factor", F32 "8",
                                        "attention.sliding_window", U32 "16", NULL };
  static const char *const longrope[] = { "rope.scaling.type", STRING "longrope", "rope.scaling.attn_factor", F32 "1.25",
                                          "rope.scaling.original_context_length", U32 "128", NULL };
  g_autoptr (LlmModelConfig) oss = config_of ("gpt-oss", 4, yarn), gemma3 = config_of ("gemma3", 6, linear), phi3 = config_of ("phi3", 2, longrope);

  g_assert_true (oss->rope_yarn);
  g_assert_cmpuint (oss->rope_original_context, ==, 64);
  g_assert_cmpfloat (oss->rope_scale, ==, 32);
  g_assert_cmpfloat_with_epsilon (oss->rope_magnitude, 1 + 0.1 * log (32), 1e-9);
  g_assert_true (oss->yarn_beta_fast == 32 && oss->yarn_beta_slow == 1);
  g_assert_true (gemma3->rope_base == 1e6 && gemma3->rope_base_windowed == 1e4 && gemma3->rope_scale == 8 && !gemma3->rope_yarn);
  g_assert_true (phi3->rope_scale == 1 && !phi3->rope_yarn && phi3->rope_original_context == 128);
  g_assert_cmpfloat (phi3->rope_magnitude, ==, 1.25);
}

static void
test_encoders (void)
{
  static const char *const cls[] = { "pooling_type", U32 "2", NULL }, *const rank[] = { "pooling_type", U32 "4", NULL };
  g_autoptr (LlmModelConfig) bert = config_of ("bert", 2, cls), nomic = config_of ("nomic-bert", 2, rank), llama = config_of ("llama", 2, NULL);

  g_assert_true (!bert->causal && !nomic->causal && llama->causal);
  g_assert_cmpint (bert->rope_style, ==, LLM_ROPE_NONE);
  g_assert_cmpint (nomic->rope_style, ==, LLM_ROPE_HALVES);
  g_assert_cmpint (bert->pooling, ==, LLM_POOLING_CLS);
  g_assert_cmpint (nomic->pooling, ==, LLM_POOLING_NONE);
  g_assert_cmpfloat_with_epsilon (bert->norm_eps, 1e-6, 1e-12);
}

static void
test_experts (void)
{
  static const char *const qwen[] = { "expert_count", U32 "128", "expert_used_count", U32 "8", "expert_feed_forward_length", U32 "24", NULL };
  static const char *const mixtral[] = { "expert_count", U32 "8", "expert_used_count", U32 "2", NULL };
  g_autoptr (LlmModelConfig) a = config_of ("qwen3moe", 2, qwen), b = config_of ("llama", 2, mixtral), c = config_of ("llama", 2, NULL);

  g_assert_true (a->n_experts == 128 && a->n_experts_used == 8 && a->d_ff_expert == 24);
  g_assert_true (b->n_experts == 8 && b->n_experts_used == 2 && b->d_ff_expert == 64); /* as wide as the dense layer would be */
  g_assert_cmpuint (c->n_experts, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/families/windows", test_windows);
  g_test_add_func ("/families/scales", test_scales);
  g_test_add_func ("/families/caps-of-gemma2", test_caps_of_gemma2);
  g_test_add_func ("/families/rotations", test_rotations);
  g_test_add_func ("/families/encoders", test_encoders);
  g_test_add_func ("/families/experts", test_experts);
  return g_test_run ();
}
