/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GGUF files in memory, for tests: right ones through the builder, broken ones through
 * llm_test_bytes(), and whole small models that the engine can run.
 */
#pragma once

#include "format/gguf.h"

G_BEGIN_DECLS

/* Bytes from a text of words separated by spaces:
 *   'GGUF'          the characters themselves
 *   s:abc           a GGUF string: length as u64, characters
 *   u8:7 u16: u32: u64: i8: i32: i64: f32: f64:    a number, little-endian (decimal or 0x)
 *   zero:5          that many zero bytes
 *   pad:32          zero bytes up to a multiple
 * Aborts on anything else. (transfer full) */
GBytes *llm_test_bytes (const char *text);

typedef struct _LlmGgufBuilder LlmGgufBuilder;

LlmGgufBuilder *llm_gguf_builder_new (guint32 version);
void llm_gguf_builder_free (LlmGgufBuilder *self);
void llm_gguf_builder_u32 (LlmGgufBuilder *self, const char *key, guint32 value);
void llm_gguf_builder_f32 (LlmGgufBuilder *self, const char *key, float value);
void llm_gguf_builder_bool (LlmGgufBuilder *self, const char *key, gboolean value);
void llm_gguf_builder_str (LlmGgufBuilder *self, const char *key, const char *value);
void llm_gguf_builder_strs (LlmGgufBuilder *self, const char *key, const char *const *values, guint n);
void llm_gguf_builder_i32s (LlmGgufBuilder *self, const char *key, const gint32 *values, guint n);
void llm_gguf_builder_f32s (LlmGgufBuilder *self, const char *key, const float *values, guint n);
/* A value of any type: its bytes as they stand in the file, after the type. */
void llm_gguf_builder_raw (LlmGgufBuilder *self, const char *key, LlmGgufType type, GBytes *value);
/* Quantizes @values [n_rows, n_cols] to @dtype; n_rows 0: a vector of n_cols. Types other than F32, F16, Q8_0 and Q4_0
 * get random codes, in size like the values. */
void llm_gguf_builder_tensor (LlmGgufBuilder *self, const char *name, LlmDtype dtype, guint n_cols, guint n_rows, const float *values);
/* The whole file: header, padding to 32 bytes, tensors. (transfer full) */
GBytes *llm_gguf_builder_end (LlmGgufBuilder *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (LlmGgufBuilder, llm_gguf_builder_free)

/* What llm_test_tiny_model() makes; 0 and NULL mean the value in brackets. */
typedef struct {
  const char *arch;          /* "llama", "qwen2" or "nomic-bert", an encoder that adds EOS ["llama"] */
  LlmDtype dtype;            /* of the matrices; vectors are F32 [F32] */
  guint64 seed;              /* same options, same bytes */
  const char *chat_template; /* [no such key] */
  guint n_layers;            /* [2] */
  guint d_model;            /* a multiple of the type's block and of 2 x n_heads [64] */
  guint d_ff;                /* a multiple of the block [128] */
  guint n_heads;             /* [4] */
  guint n_kv_heads;          /* of a decoder [2] */
  guint context_length;      /* [512] */
  gboolean untied;           /* with an output.weight of its own */
  gboolean more_specials;    /* those of Gemma and Phi too */
} LlmTestModel;

/* A valid model with random weights and a byte-level BPE vocabulary: ids 0-255 are the bytes in
 * their order, then some merges, then special tokens, among them <|im_start|>, <|im_end|>,
 * <|endoftext|> (EOS), <|begin_of_text|> (BOS), <|start_header_id|>, <|end_header_id|>, <|eot_id|>.
 * (transfer full) */
GBytes *llm_test_tiny_model (const LlmTestModel *options);

/* Uniform in [-1, 1), from a state that the caller seeds; the same numbers on every machine. */
float llm_test_random (guint64 *state);

G_END_DECLS
