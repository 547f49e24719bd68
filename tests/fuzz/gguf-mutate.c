/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be wrong with a file whose form is right: one value, type, count, name or shape.
 */
#include <string.h>

#include "fuzz/gguf-edit.h"

static const guint64 edges[] = {
  0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 33, 64, 100, 127, 128, 255, 256, 257, 1023, 1024, 1025, 4096, 0x7fff, 0x8000, 0xffff, 0x10000, 0x10001,
  262144, 262145, 0x200000, 0x200001, 0x1000000, 0x1000001, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
  0x8000000000000000, 0xffffffffffffffe0, 0xfffffffffffffffe, 0xffffffffffffffff,
  0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x00000001, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000, /* 1, inf, NaN */
};

const char *const llm_edit_names[] = {
  "%.block_count", "%.embedding_length", "%.feed_forward_length", "%.context_length", "%.attention.head_count", "%.attention.head_count_kv",
  "%.attention.layer_norm_rms_epsilon", "%.attention.layer_norm_epsilon", "%.attention.key_length", "%.attention.value_length",
  "%.rope.dimension_count", "%.rope.freq_base", "%.rope.scaling.type", "%.rope.scaling.factor", "%.rope.scale_linear",
  "%.rope.scaling.original_context_length", "%.rope.scaling.attn_factor", "%.rope.scaling.yarn_ext_factor", "%.rope.scaling.yarn_log_multiplier",
  "%.rope.freq_base_swa", "%.attention.sliding_window", "%.attention.sliding_window_pattern", "%.expert_count", "%.expert_used_count",
  "%.expert_feed_forward_length", "%.expert_shared_feed_forward_length", "%.expert_weights_scale", "%.attn_logit_softcapping",
  "%.final_logit_softcapping", "%.attention.scale", "%.logit_scale", "%.residual_scale", "%.embedding_scale", "%.attention.causal", "%.pooling_type",
  "%.vocab_size", "%.use_parallel_residual", "%.attention.max_alibi_bias", "%.attention.clamp_kqv",
  "general.architecture", "general.name", "general.license", "general.alignment", "general.type", "split.no", "split.count", "split.tensors.count",
  "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type",
  "tokenizer.ggml.merges", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
  "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id", "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.cls_token_id",
  "tokenizer.ggml.mask_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_sep_token",
  "tokenizer.ggml.add_space_prefix", "tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.token_type_count",
  "tokenizer.chat_template",
  NULL,
};

static const char *const words[] = {
  "llama", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "gemma", "gemma2", "gemma3", "phi2", "phi3", "gpt2", "gptneox", "falcon", "bert", "nomic-bert", "t5",
  "mixtral", "starcoder2", "stablelm", "olmo", "olmo2", "olmoe", "granite", "granitemoe", "command-r", "cohere2", "smollm3", "gpt-oss", "mamba", "rwkv",
  "bloom", "mpt", "internlm2", "minicpm", "deepseek2", "jina-bert-v2", "default", "llama-bpe", "gpt-2", "deepseek-llm", "tekken", "smollm", "refact",
  "none", "linear", "yarn", "longrope", "dynamic", "llama3", "<s>", "</s>", "<unk>", "<0x00>", "<0xFF>", "<|im_start|>", "<|im_end|>", "<|eot_id|>",
  "\xe2\x96\x81", "\xc4\xa0", "\xc4\xa0 \xc4\xa0", "a b", "", " ", "\xff", "\xc0\x80", "\xed\xa0\x80",
};

static guint
below (GRand *rand, guint n)
{
  return n > 0 ? (guint) g_rand_int (rand) % n : 0;
}

static guint64
edge (GRand *rand)
{
  return below (rand, 4) > 0 ? edges[below (rand, G_N_ELEMENTS (edges))] : (guint64) g_rand_int (rand) << 32 | g_rand_int (rand);
}

static guint
size_of (guint32 type)
{
  static const guint8 sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

  return type < G_N_ELEMENTS (sizes) ? sizes[type] : 0;
}

static void
put (GByteArray *out, guint64 value, guint n)
{
  guint64 le = GUINT64_TO_LE (value);

  g_byte_array_append (out, (const guint8 *) &le, n);
}

/* ---- values ---- */

static void
put_item (GByteArray *out, guint32 type, GRand *rand)
{
  if (type != LLM_GGUF_STRING)
    {
      put (out, edge (rand), size_of (type));
      return;
    }
  {
    const char *word = words[below (rand, G_N_ELEMENTS (words))];

    put (out, strlen (word), 8);
    g_byte_array_append (out, (const guint8 *) word, (guint) strlen (word));
  }
}

static void
new_value (LlmEditKey *key, GRand *rand)
{
  guint64 n;
  guint32 item;

  key->type = below (rand, LLM_GGUF_N_TYPES);
  g_byte_array_set_size (key->value, 0);
  if (key->type != LLM_GGUF_ARRAY)
    {
      put_item (key->value, key->type, rand);
      return;
    }
  item = below (rand, LLM_GGUF_N_TYPES);
  n = item == LLM_GGUF_ARRAY ? 0 : below (rand, 40);
  put (key->value, item, 4);
  put (key->value, n, 8);
  for (; n > 0; n--)
    put_item (key->value, item, rand);
}

static void
change_bytes (GByteArray *bytes, guint from, GRand *rand)
{
  guint at;

  if (bytes->len <= from)
    return;
  at = from + below (rand, bytes->len - from);
  if (below (rand, 2) == 0)
    bytes->data[at] ^= (guint8) (1u << below (rand, 8));
  else
    bytes->data[at] = (guint8) g_rand_int (rand);
}

/* Where item @i of an array begins and how long it is. */
static void
item_place (const GByteArray *value, guint32 type, guint64 i, guint *at, guint *n)
{
  guint64 len;

  *at = 12;
  *n = size_of (type);
  if (type != LLM_GGUF_STRING)
    {
      *at += (guint) i * *n;
      return;
    }
  for (;; i--)
    {
      memcpy (&len, value->data + *at, 8);
      *n = 8 + (guint) GUINT64_FROM_LE (len);
      if (i == 0)
        return;
      *at += *n;
    }
}

static void
change_array (LlmEditKey *key, GRand *rand)
{
  GByteArray *value = key->value, *out;
  guint64 count, le;
  guint32 type;
  guint at, n;

  memcpy (&type, value->data, 4);
  memcpy (&count, value->data + 4, 8);
  type = GUINT32_FROM_LE (type);
  count = GUINT64_FROM_LE (count);
  if (count == 0 || type >= LLM_GGUF_N_TYPES || type == LLM_GGUF_ARRAY)
    {
      new_value (key, rand);
      return;
    }
  item_place (value, type, g_rand_int (rand) % count, &at, &n);
  out = g_byte_array_new ();
  g_byte_array_append (out, value->data, at);
  switch (below (rand, 4))
    {
    case 0: /* twice */
      g_byte_array_append (out, value->data + at, n);
      g_byte_array_append (out, value->data + at, n);
      count++;
      break;
    case 1: /* gone */
      count--;
      break;
    case 2: /* another */
      put_item (out, type, rand);
      break;
    default: /* damaged */
      g_byte_array_append (out, value->data + at, n);
      change_bytes (out, at + (type == LLM_GGUF_STRING ? 8 : 0), rand);
      break;
    }
  g_byte_array_append (out, value->data + at + n, value->len - at - n);
  le = GUINT64_TO_LE (count);
  memcpy (out->data + 4, &le, 8);
  g_byte_array_unref (key->value);
  key->value = out;
}

static void
change_value (LlmEditKey *key, GRand *rand)
{
  if (below (rand, 6) == 0)
    new_value (key, rand);
  else if (key->type == LLM_GGUF_ARRAY)
    change_array (key, rand);
  else if (key->type == LLM_GGUF_STRING && below (rand, 2) == 0)
    change_bytes (key->value, 8, rand);
  else
    {
      g_byte_array_set_size (key->value, 0);
      put_item (key->value, key->type, rand);
    }
}

/* ---- keys and tensors ---- */

GBytes *
llm_edit_full_name (const LlmEdit *self, const char *name)
{
  const LlmEditKey *arch = llm_edit_find (self, "general.architecture");
  g_autoptr (GString) full = g_string_new (NULL);

  if (name[0] == '%' && arch != NULL && arch->type == LLM_GGUF_STRING)
    g_string_append_len (full, (const char *) arch->value->data + 8, arch->value->len - 8);
  g_string_append (full, name[0] == '%' ? name + 1 : name);
  return g_bytes_new (full->str, full->len);
}

static GBytes *
new_name (const LlmEdit *self, GRand *rand)
{
  return llm_edit_full_name (self, llm_edit_names[below (rand, G_N_ELEMENTS (llm_edit_names) - 1)]);
}

static void
change_key (LlmEdit *self, GRand *rand)
{
  guint i = below (rand, self->keys->len);
  LlmEditKey *key, *other;
  GBytes *name;

  if (self->keys->len == 0 || below (rand, 4) == 0)
    {
      key = g_new0 (LlmEditKey, 1);
      key->name = new_name (self, rand);
      key->value = g_byte_array_new ();
      new_value (key, rand);
      g_ptr_array_insert (self->keys, (gint) i, key);
      return;
    }
  key = self->keys->pdata[i];
  switch (below (rand, 12))
    {
    case 0:
      g_ptr_array_remove_index (self->keys, i);
      break;
    case 1:
      g_ptr_array_add (self->keys, llm_edit_key_copy (key));
      break;
    case 2:
      name = new_name (self, rand);
      g_bytes_unref (key->name);
      key->name = name;
      break;
    case 3:
      other = self->keys->pdata[below (rand, self->keys->len)];
      self->keys->pdata[i] = llm_edit_key_copy (other);
      g_bytes_unref (((LlmEditKey *) self->keys->pdata[i])->name);
      ((LlmEditKey *) self->keys->pdata[i])->name = g_bytes_ref (key->name);
      g_bytes_unref (key->name);
      g_byte_array_unref (key->value);
      g_free (key);
      break;
    default:
      change_value (key, rand);
      break;
    }
}

static void
change_tensor (LlmEdit *self, GRand *rand)
{
  guint i = below (rand, self->tensors->len);
  LlmEditTensor *tensor = self->tensors->pdata[i], *other = self->tensors->pdata[below (rand, self->tensors->len)];
  GBytes *name;

  switch (below (rand, 8))
    {
    case 0:
      g_ptr_array_remove_index (self->tensors, i);
      break;
    case 1:
      g_ptr_array_add (self->tensors, llm_edit_tensor_copy (tensor));
      break;
    case 2:
      tensor->dtype = below (rand, 8) > 0 ? below (rand, 42) : (guint32) edge (rand);
      break;
    case 3:
      tensor->n_dims = below (rand, 5);
      break;
    case 4:
      tensor->shift = edge (rand);
      break;
    case 5: /* names change places */
      name = tensor->name;
      tensor->name = other->name;
      other->name = name;
      break;
    case 6:
      tensor->dims[0] = other->dims[0];
      tensor->dims[1] = other->dims[1];
      break;
    default:
      tensor->dims[below (rand, 4)] = edge (rand);
      break;
    }
}

void
llm_edit_mutate (LlmEdit *self, GRand *rand)
{
  for (guint n = 1 + below (rand, 3); n > 0; n--)
    if (self->tensors->len > 0 && below (rand, 4) == 0)
      change_tensor (self, rand);
    else if (below (rand, 64) == 0)
      self->version = (guint32) edge (rand);
    else
      change_key (self, rand);
}
