/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a GGUF file: an error or a file whose every promise holds, as far as the plan of
 * the model's forward pass; and what the throw-away engine says of it.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "format/gguf-builder.h"
#include "format/model-config.h"
#include "fuzz/fuzz.h"
#include "fuzz/gguf-edit.h"
#include "worker/inspect.h"

const char llm_fuzz_name[] = "gguf";

/* The promise of gguf.h: TRUE and no error, FALSE and perhaps one. */
static void
clear (gboolean ok, GError **error)
{
  g_assert_true (!ok || *error == NULL);
  g_assert_true (*error == NULL || (*error)->domain == LLM_ERROR);
  g_clear_error (error);
}

static void
read_array (const LlmGguf *gguf, const char *key)
{
  GError *error = NULL;
  guint64 n_i64 = 0, n_f64 = 0, n_strs = 0, count, sum = 0;
  LlmGgufType type;
  g_autofree gint64 *i64 = llm_gguf_array_i64 (gguf, key, &n_i64, &error);
  g_autofree double *f64 = NULL;
  g_autofree LlmStr *strs = NULL;

  clear (i64 != NULL, &error);
  f64 = llm_gguf_array_f64 (gguf, key, &n_f64, &error);
  clear (f64 != NULL, &error);
  strs = llm_gguf_array_strs (gguf, key, &n_strs, &error);
  clear (strs != NULL, &error);
  g_assert_true (llm_gguf_array (gguf, key, &type, &count, &error));
  g_assert_true ((strs == NULL || f64 == NULL) && (i64 == NULL || n_i64 == count) && (f64 == NULL || n_f64 == count) && (strs == NULL || n_strs == count));
  for (guint64 i = 0; i < n_strs; i++)
    for (gsize b = 0; b < strs[i].len; b++)
      sum += (guint8) strs[i].bytes[b]; /* a sanitizer sees each byte read */
  g_assert_true (sum <= 255 * (guint64) llm_gguf_file_size (gguf));
}

static void
read_key (const LlmGguf *gguf, guint i)
{
  LlmGgufType type;
  const char *key = llm_gguf_key (gguf, i, &type);
  GError *error = NULL;
  guint64 u;
  double f;
  gboolean b;
  LlmStr s;

  g_assert_true (llm_gguf_has (gguf, key) && g_utf8_validate (key, -1, NULL));
  clear (llm_gguf_u64 (gguf, key, &u, &error), &error);
  clear (llm_gguf_f64 (gguf, key, &f, &error), &error);
  if (llm_gguf_bool (gguf, key, &b, &error))
    g_assert_true (b == TRUE || b == FALSE);
  g_clear_error (&error);
  if (llm_gguf_str (gguf, key, &s, &error))
    g_assert_true (g_utf8_validate_len (s.bytes, s.len, NULL));
  g_clear_error (&error);
  if (type == LLM_GGUF_ARRAY)
    read_array (gguf, key);
}

static void
check_tensors (const LlmGguf *gguf)
{
  guint64 total = 0;

  for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
    {
      const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);

      g_assert_true (llm_gguf_find_tensor (gguf, t->name) == t);
      g_assert_cmpuint (t->offset, <=, llm_gguf_file_size (gguf));
      g_assert_cmpuint (t->n_bytes, <=, llm_gguf_file_size (gguf) - t->offset);
      total += t->n_bytes;
    }
  g_assert_cmpuint (total, <=, llm_gguf_file_size (gguf)); /* none overlap */
}

/* The whole way from a file descriptor to a plan. */
static void
inspect (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);

  g_assert_true (fd >= 0 && write (fd, data, size) == (gssize) size);
  info = llm_inspect (&fd, 1, &error);
  close (fd);
  llm_fuzz_check_error (info != NULL, &error);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL, error2 = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, size, &error);
  g_autoptr (LlmModelConfig) config = NULL;

  g_assert_true ((gguf != NULL) == (error == NULL));
  if (gguf == NULL)
    {
      g_assert_true (error->domain == LLM_ERROR);
      return 0;
    }
  for (guint i = 0; i < llm_gguf_n_keys (gguf); i++)
    read_key (gguf, i);
  check_tensors (gguf);
  config = llm_model_config_new (gguf, &error2);
  g_assert_true ((config != NULL) == (error2 == NULL));
  if (config == NULL)
    return 0;
  g_assert_true (config->n_heads % config->n_kv_heads == 0 && config->rope_dim <= config->head_dim_k && config->norm_eps > 0 && config->n_vocab > 0);
  inspect (data, size);
  return 0;
}

/* ---- where to start ---- */

GPtrArray *
llm_fuzz_seeds (void)
{
  static const char *const texts[] = {
    "'GGUF' u32:3 u64:0 u64:0",
    "'GGUF' u32:2 u64:1 u64:1 s:a u32:9 u32:8 u64:2 s:one s:two s:t u32:1 u64:32 u32:8 u64:0 pad:32 zero:34",
    ("'GGUF' u32:3 u64:2 u64:4 s:general.alignment u32:4 u32:8 s:b u32:7 u8:1 s:f u32:12 f64:0.5 s:n u32:9 u32:2 u64:3 u16:1 u16:2 u16:3 "
     "s:t u32:2 u64:4 u64:2 u32:0 u64:32 s:u u32:4 u64:1 u64:1 u64:1 u64:2 u32:1 u64:0 pad:8 zero:64"),
  };
  /* small, so that most of their bytes are header */
  static const LlmTestModel models[] = {
    { .arch = "llama", .dtype = LLM_DTYPE_Q4_0, .n_layers = 1, .d_model = 32, .d_ff = 32, .n_heads = 2, .n_kv_heads = 1 },
    { .arch = "qwen2", .dtype = LLM_DTYPE_Q4_0, .n_layers = 1, .d_model = 32, .d_ff = 32, .n_heads = 2, .n_kv_heads = 1, .chat_template = "x" },
  };
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_ptr_array_add (seeds, llm_test_bytes (texts[i]));
  for (gsize i = 0; i < G_N_ELEMENTS (models); i++)
    {
      g_autoptr (GBytes) whole = llm_test_tiny_model (&models[i]);
      g_autoptr (LlmEdit) edit = llm_edit_new (whole);

      llm_edit_shrink_vocab (edit, 40, 6);
      g_ptr_array_add (seeds, llm_edit_end (edit));
    }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  g_autoptr (LlmEdit) edit = llm_edit_new (input);

  if (edit == NULL)
    return NULL;
  llm_edit_mutate (edit, rand);
  return llm_edit_end (edit);
}
