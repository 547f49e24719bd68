/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model small enough to be made in every test that needs one.  Its text is nonsense, but
 * always the same nonsense.
 */
#include <math.h>
#include <string.h>

#include "format/gguf-builder.h"

float
llm_test_random (guint64 *state)
{
  /* splitmix64 */
  guint64 z = *state += 0x9e3779b97f4a7c15u;

  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (float) (z >> 40) / (1 << 23) - 1;
}

/* ---- vocabulary ---- */

/* Each is two earlier tokens; "_" stands for the space. */
static const char *const merges[] = {
  "_ t", "h e", "i n", "r e", "o n", "_t he", "e r", "_ a", "a t", "e n", "o r", "_ w", "_ s", "i s", "_ o", "e s", "o u", "l l",
  "in g", "_ b", "_ f", "e d", "_ i", "a n", "_a n", "_an d", "_ h", "_ c", "i t", "_o f",
};

static const char *const specials[] = {
  "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
  /* with more_specials */
  "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|end|>",
};
#define N_MORE_SPECIALS 5

/* The byte-level alphabet of GPT-2: printable bytes are themselves, the others U+0100 and up. */
static char *
byte_text (guint byte)
{
  char text[7] = { 0 };
  guint others = 0;

  for (guint b = 0;; b++)
    {
      gboolean printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);

      if (b == byte)
        {
          g_unichar_to_utf8 (printable ? b : 0x100 + others, text);
          return g_strdup (text);
        }
      others += !printable;
    }
}

static char *
with_spaces (const char *text)
{
  g_autofree char *space = byte_text (' ');
  g_auto (GStrv) parts = g_strsplit (text, "_", -1);

  return g_strjoinv (space, parts);
}

static void
add_token (GPtrArray *texts, GArray *types, char *text, gint32 type)
{
  g_ptr_array_add (texts, text);
  g_array_append_val (types, type);
}

static gboolean
is_encoder (const LlmTestModel *o)
{
  return strcmp (o->arch, "nomic-bert") == 0;
}

static guint
add_vocabulary (LlmGgufBuilder *b, const LlmTestModel *o)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free), pairs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) types = g_array_new (FALSE, FALSE, sizeof (gint32));
  gboolean llama = strcmp (o->arch, "llama") == 0;
  guint first_special;

  for (guint byte = 0; byte < 256; byte++)
    add_token (texts, types, byte_text (byte), 1);
  for (guint i = 0; i < G_N_ELEMENTS (merges); i++)
    {
      g_auto (GStrv) halves = g_strsplit (merges[i], " ", 2);
      g_autofree char *joined = g_strconcat (halves[0], halves[1], NULL);

      g_ptr_array_add (pairs, with_spaces (merges[i]));
      add_token (texts, types, with_spaces (joined), 1);
    }
  first_special = texts->len;
  for (guint i = 0; i < G_N_ELEMENTS (specials) - (o->more_specials ? 0 : N_MORE_SPECIALS); i++)
    add_token (texts, types, g_strdup (specials[i]), 3);
  llm_gguf_builder_str (b, "tokenizer.ggml.model", "gpt2");
  llm_gguf_builder_str (b, "tokenizer.ggml.pre", llama ? "llama-bpe" : "qwen2");
  llm_gguf_builder_strs (b, "tokenizer.ggml.tokens", (const char *const *) texts->pdata, texts->len);
  llm_gguf_builder_i32s (b, "tokenizer.ggml.token_type", (const gint32 *) (gpointer) types->data, types->len);
  llm_gguf_builder_strs (b, "tokenizer.ggml.merges", (const char *const *) pairs->pdata, pairs->len);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.eos_token_id", first_special);
  llm_gguf_builder_u32 (b, "tokenizer.ggml.bos_token_id", first_special + 3);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_bos_token", llama);
  llm_gguf_builder_bool (b, "tokenizer.ggml.add_eos_token", is_encoder (o));
  if (o->chat_template != NULL)
    llm_gguf_builder_str (b, "tokenizer.chat_template", o->chat_template);
  return texts->len;
}

/* ---- weights ---- */

typedef struct {
  LlmGgufBuilder *b;
  LlmDtype dtype;
  guint64 random;
} Weights;

static void
add_tensor (Weights *w, const char *name, LlmDtype dtype, guint n_cols, guint n_rows, float middle, float spread)
{
  guint n = n_cols * MAX (n_rows, 1);
  g_autofree float *values = g_new (float, n);

  for (guint i = 0; i < n; i++)
    values[i] = middle + spread * llm_test_random (&w->random);
  llm_gguf_builder_tensor (w->b, name, dtype, n_cols, n_rows, values);
}

static void
add_matrix (Weights *w, guint layer, const char *what, guint n_cols, guint n_rows)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.%s.weight", layer, what);

  add_tensor (w, name, w->dtype, n_cols, n_rows, 0, 2 / sqrtf ((float) n_cols));
}

static void
add_vector (Weights *w, guint layer, const char *what, guint n, float middle)
{
  g_autofree char *name = g_strdup_printf ("blk.%u.%s", layer, what);

  add_tensor (w, name, LLM_DTYPE_F32, n, 0, middle, 0.1f);
}

static void
add_encoder_layer (Weights *w, const LlmTestModel *o, guint layer)
{
  guint d = o->d_model;

  add_matrix (w, layer, "attn_qkv", d, 3 * d);
  add_matrix (w, layer, "attn_output", d, d);
  add_vector (w, layer, "attn_output_norm.weight", d, 1);
  add_vector (w, layer, "attn_output_norm.bias", d, 0);
  add_matrix (w, layer, "ffn_gate", d, o->d_ff);
  add_matrix (w, layer, "ffn_up", d, o->d_ff);
  add_matrix (w, layer, "ffn_down", o->d_ff, d);
  add_vector (w, layer, "layer_output_norm.weight", d, 1);
  add_vector (w, layer, "layer_output_norm.bias", d, 0);
}

static void
add_layer (Weights *w, const LlmTestModel *o, guint layer)
{
  guint d = o->d_model, n_kv = d / o->n_heads * o->n_kv_heads;

  if (is_encoder (o))
    {
      add_encoder_layer (w, o, layer);
      return;
    }
  add_vector (w, layer, "attn_norm.weight", d, 1);
  add_matrix (w, layer, "attn_q", d, d);
  add_matrix (w, layer, "attn_k", d, n_kv);
  add_matrix (w, layer, "attn_v", d, n_kv);
  if (strcmp (o->arch, "qwen2") == 0)
    {
      add_vector (w, layer, "attn_q.bias", d, 0);
      add_vector (w, layer, "attn_k.bias", n_kv, 0);
      add_vector (w, layer, "attn_v.bias", n_kv, 0);
    }
  add_matrix (w, layer, "attn_output", d, d);
  add_vector (w, layer, "ffn_norm.weight", d, 1);
  add_matrix (w, layer, "ffn_gate", d, o->d_ff);
  add_matrix (w, layer, "ffn_up", d, o->d_ff);
  add_matrix (w, layer, "ffn_down", o->d_ff, d);
}

static void
add_uint (LlmGgufBuilder *b, const LlmTestModel *o, const char *key, guint value)
{
  g_autofree char *full = g_strdup_printf ("%s.%s", o->arch, key);

  llm_gguf_builder_u32 (b, full, value);
}

static void
add_hyperparameters (LlmGgufBuilder *b, const LlmTestModel *o)
{
  g_autofree char *eps = g_strdup_printf ("%s.attention.layer_norm_%sepsilon", o->arch, is_encoder (o) ? "" : "rms_");

  llm_gguf_builder_str (b, "general.architecture", o->arch);
  llm_gguf_builder_str (b, "general.name", "tiny test model");
  llm_gguf_builder_str (b, "general.license", "cc0-1.0");
  add_uint (b, o, "block_count", o->n_layers);
  add_uint (b, o, "context_length", o->context_length);
  add_uint (b, o, "embedding_length", o->d_model);
  add_uint (b, o, "feed_forward_length", o->d_ff);
  add_uint (b, o, "attention.head_count", o->n_heads);
  if (!is_encoder (o))
    add_uint (b, o, "attention.head_count_kv", o->n_kv_heads);
  llm_gguf_builder_f32 (b, eps, 1e-5f);
}

static void
set_default (guint *value, guint otherwise)
{
  if (*value == 0)
    *value = otherwise;
}

GBytes *
llm_test_tiny_model (const LlmTestModel *options)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  LlmTestModel o = options != NULL ? *options : (LlmTestModel) { 0 };
  Weights w = { b, o.dtype, o.seed };
  guint n_vocab;

  o.arch = o.arch != NULL ? o.arch : "llama";
  set_default (&o.n_layers, 2);
  set_default (&o.d_model, 64);
  set_default (&o.d_ff, 128);
  set_default (&o.n_heads, 4);
  set_default (&o.n_kv_heads, 2);
  set_default (&o.context_length, 512);
  add_hyperparameters (b, &o);
  n_vocab = add_vocabulary (b, &o);
  add_tensor (&w, "token_embd.weight", o.dtype, o.d_model, n_vocab, 0, 1);
  for (guint i = 0; i < o.n_layers; i++)
    add_layer (&w, &o, i);
  add_tensor (&w, is_encoder (&o) ? "token_embd_norm.weight" : "output_norm.weight", LLM_DTYPE_F32, o.d_model, 0, 1, 0.1f);
  if (is_encoder (&o))
    add_tensor (&w, "token_embd_norm.bias", LLM_DTYPE_F32, o.d_model, 0, 0, 0.1f);
  if (o.untied)
    add_tensor (&w, "output.weight", o.dtype, o.d_model, n_vocab, 0, 2 / sqrtf ((float) o.d_model));
  return llm_gguf_builder_end (b);
}
