/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every hyperparameter of a model set to 0, 1, -1, the most, NaN, infinity and wrong types, one
 * after the other: an error of ours, or a model that loads and gives one token with a finite
 * probability, an encoder an embedding.  And every tensor missing, of another shape and of another type.
 *
 * The keys are those that the file has, and those of llm_edit_names that somebody reads: a key that
 * may be a string and may be a number is read by nobody.  Models are the built ones of
 * tests/format, or the files that the command line names.
 */
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/embed.h"
#include "engine/engine-fixture.h"
#include "fuzz/fuzz.h"
#include "fuzz/gguf-edit.h"
#include "worker/inspect.h"

typedef struct {
  const char *name;
  LlmGgufType type;
  const char *bytes; /* in the notation of llm_test_bytes() */
} Value;

static const Value values[] = {
  { "string", LLM_GGUF_STRING, "s:x" }, { "1", LLM_GGUF_U32, "u32:1" }, /* the two probes */
  { "empty", LLM_GGUF_STRING, "zero:8" }, { "0", LLM_GGUF_U32, "u32:0" }, { "2", LLM_GGUF_U32, "u32:2" }, { "3", LLM_GGUF_U32, "u32:3" },
  { "u32-max", LLM_GGUF_U32, "u32:0xffffffff" }, { "i32-max", LLM_GGUF_I32, "u32:0x7fffffff" }, { "i32-min", LLM_GGUF_I32, "u32:0x80000000" },
  { "-1", LLM_GGUF_I32, "i32:-1" }, { "i64-1", LLM_GGUF_I64, "i64:-1" }, { "u64-max", LLM_GGUF_U64, "u64:0xffffffffffffffff" },
  { "u8", LLM_GGUF_U8, "u8:255" }, { "i8", LLM_GGUF_I8, "u8:0x80" },
  { "0.0", LLM_GGUF_F32, "f32:0" }, { "1.0", LLM_GGUF_F32, "f32:1" }, { "-1.0", LLM_GGUF_F32, "f32:-1" }, { "f32-max", LLM_GGUF_F32, "u32:0x7f7fffff" },
  { "tiny", LLM_GGUF_F32, "u32:1" }, { "nan", LLM_GGUF_F32, "u32:0x7fc00000" }, { "inf", LLM_GGUF_F32, "u32:0x7f800000" },
  { "-inf", LLM_GGUF_F32, "u32:0xff800000" }, { "f64-nan", LLM_GGUF_F64, "u64:0x7ff8000000000000" }, { "f64-max", LLM_GGUF_F64, "u64:0x7fefffffffffffff" },
  { "f64-tiny", LLM_GGUF_F64, "u64:1" }, { "false", LLM_GGUF_BOOL, "u8:0" }, { "true", LLM_GGUF_BOOL, "u8:1" },
  { "no-items", LLM_GGUF_ARRAY, "u32:4 u64:0" }, { "zeros", LLM_GGUF_ARRAY, "u32:4 u64:2 u32:0 u32:0" },
  { "ones", LLM_GGUF_ARRAY, "u32:5 u64:2 u32:1 u32:1" }, { "minus-ones", LLM_GGUF_ARRAY, "u32:5 u64:2 i32:-1 i32:-1" },
  { "most", LLM_GGUF_ARRAY, "u32:4 u64:2 u32:0xffffffff u32:0xffffffff" }, { "nans", LLM_GGUF_ARRAY, "u32:6 u64:2 u32:0x7fc00000 u32:0x7fc00000" },
  { "bools", LLM_GGUF_ARRAY, "u32:7 u64:2 u8:1 u8:0" }, { "strings", LLM_GGUF_ARRAY, "u32:8 u64:2 s:a zero:8" },
  { "one-item", LLM_GGUF_ARRAY, "u32:5 u64:1 u32:1" },
};

typedef struct {
  char *name; /* (owned) of the file, for messages */
  GBytes *file;
} Model;

static struct {
  Fixture *engine;
  guint64 last_id;
  guint n_cases, n_ran;
} sweep;

/* ---- one file ---- */

static LlmJob *
new_job (guint logprobs)
{
  LlmJob *job = llm_job_new ();

  job->id = ++sweep.last_id;
  job->digest = g_strdup ("model");
  job->prompt = g_strdup ("a");
  job->raw = TRUE;
  job->max_tokens = 1;
  job->logprobs = logprobs;
  job->sampling.temperature = 0;
  return job;
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
check_finite (const float *numbers, guint n, const char *what)
{
  for (guint i = 0; i < n; i++)
    if (!isfinite (numbers[i]))
      g_error ("%s: number %u of the result is not finite", what, i);
}

/* What an encoder is for. */
static void
run_embedding (const char *what, gboolean finite)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmEmbedding) embedding = NULL;
  LlmEmbedJob *job = llm_embed_job_new ();

  job->id = ++sweep.last_id;
  job->digest = g_strdup ("model");
  job->inputs = g_strdupv ((char *[]) { (char *) "a", NULL });
  llm_engine_embed_async (fixture_engine (sweep.engine), job, keep_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  embedding = llm_engine_embed_finish (fixture_engine (sweep.engine), result, &error);
  llm_fuzz_check_error (embedding != NULL, &error);
  if (embedding != NULL && finite)
    check_finite (embedding->rows, embedding->n_rows * embedding->dimensions, what);
}

static void
run_token (const char *what, gboolean finite)
{
  const Record *r = fixture_run (sweep.engine, new_job (finite ? 1 : 0));

  sweep.n_ran++;
  if (r->error != NULL)
    g_assert_true (r->error->domain == LLM_ERROR || r->error->domain == G_DBUS_ERROR);
  for (guint i = 0; finite && i < r->logprobs->len; i++)
    check_finite (&g_array_index (r->logprobs, LlmTokenLogprobs, i).logprob, 1, what);
  if (g_error_matches (r->error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED))
    run_embedding (what, finite);
}

static gboolean
is_typed (const GError *error)
{
  return (error->domain == LLM_ERROR && (error->code == LLM_ERROR_INVALID_MODEL || error->code == LLM_ERROR_NOT_SUPPORTED || error->code == LLM_ERROR_OUT_OF_MEMORY))
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
}

typedef enum { INSPECT, RUN, RUN_FINITE } How;

/* What the throw-away engine says of the file; and when it takes it, one token. */
static gboolean
try_file (const LlmEdit *edit, const char *what, How how)
{
  g_autoptr (GBytes) file = llm_edit_end (edit);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) info = NULL;
  int fd = memfd_create ("sweep", MFD_CLOEXEC);

  sweep.n_cases++;
  g_test_message ("%s", what); /* where a crash was */
  g_assert_cmpint (write (fd, g_bytes_get_data (file, NULL), g_bytes_get_size (file)), ==, (gssize) g_bytes_get_size (file));
  info = llm_inspect (&fd, 1, &error);
  close (fd);
  if ((info != NULL) != (error == NULL) || (error != NULL && !is_typed (error)))
    g_error ("%s: %s", what, error != NULL ? error->message : "no error and no answer");
  if (info != NULL && how != INSPECT)
    {
      LlmModel *model = fixture_load_bytes (sweep.engine, "model", file, 64, 0, &error);

      if (model == NULL && !is_typed (error))
        g_error ("%s: %s", what, error->message);
      if (model == NULL)
        return TRUE;
      llm_model_unref (model);
      run_token (what, how == RUN_FINITE);
      g_assert_true (fixture_unload (sweep.engine, "model", NULL));
    }
  return info != NULL;
}

/* ---- metadata ---- */

static char *
describe (const LlmEditKey *key, const Value *value)
{
  return g_strdup_printf ("%.*s = %s", (int) g_bytes_get_size (key->name), (const char *) g_bytes_get_data (key->name, NULL), value->name);
}

static gboolean
try_value (const LlmEdit *edit, LlmEditKey *key, const Value *value, How how)
{
  g_autoptr (GBytes) bytes = llm_test_bytes (value->bytes);
  g_autofree char *what = describe (key, value);

  key->type = value->type;
  g_byte_array_set_size (key->value, 0);
  g_byte_array_append (key->value, g_bytes_get_data (bytes, NULL), (guint) g_bytes_get_size (bytes));
  return try_file (edit, what, how);
}

/* @key of @edit, all values of the table. */
static void
sweep_key (const LlmEdit *edit, LlmEditKey *key)
{
  gboolean string_taken = try_value (edit, key, &values[0], INSPECT), number_taken = try_value (edit, key, &values[1], INSPECT);

  if (string_taken && number_taken)
    return; /* nobody reads it */
  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    try_value (edit, key, &values[i], RUN_FINITE);
}

static void
test_metadata (gconstpointer data)
{
  const Model *model = data;
  g_autoptr (LlmEdit) whole = llm_edit_new (model->file);
  guint n_cases = sweep.n_cases, n_ran = sweep.n_ran;

  g_assert_nonnull (whole);
  g_assert_true (try_file (whole, model->name, RUN_FINITE)); /* it is right as it is */
  for (guint i = 0; i < whole->keys->len; i++)
    {
      g_autoptr (LlmEdit) edit = llm_edit_copy (whole);

      sweep_key (edit, edit->keys->pdata[i]);
      g_ptr_array_remove_index (edit->keys, i);
      try_file (edit, "a key is missing", RUN_FINITE);
    }
  for (guint i = 0; llm_edit_names[i] != NULL; i++)
    {
      g_autoptr (LlmEdit) edit = llm_edit_copy (whole);
      LlmEditKey *key = llm_edit_key_copy (whole->keys->pdata[0]);
      g_autofree char *name = NULL;

      g_bytes_unref (key->name);
      key->name = llm_edit_full_name (whole, llm_edit_names[i]);
      g_ptr_array_add (edit->keys, key);
      name = g_strndup (g_bytes_get_data (key->name, NULL), g_bytes_get_size (key->name));
      if (llm_edit_find (whole, name) == NULL)
        sweep_key (edit, key);
    }
  n_cases = sweep.n_cases - n_cases;
  n_ran = sweep.n_ran - n_ran;
  g_test_message ("%s: %u cases, %u of them ran", model->name, n_cases, n_ran);
  g_assert_cmpuint (n_ran, >, 20);
  g_assert_cmpuint (n_cases, >, 10 * n_ran);
}

/* ---- tensors ---- */

/* Weights of another type are any numbers, NaN too. */
static void
sweep_tensor (const LlmEdit *whole, guint i)
{
  static const guint64 sizes[] = { 0, 1, 31, 32, 33, G_MAXUINT32, G_MAXUINT64 };
  const LlmEditTensor *right = whole->tensors->pdata[i];
  g_autofree char *name = g_strndup (g_bytes_get_data (right->name, NULL), g_bytes_get_size (right->name));
  g_autoptr (LlmEdit) edit = llm_edit_copy (whole);
  LlmEditTensor *tensor = edit->tensors->pdata[i];

  for (guint dtype = 0; dtype < 45; dtype++)
    {
      tensor->dtype = dtype;
      try_file (edit, name, RUN);
    }
  tensor->dtype = right->dtype;
  for (guint d = 0; d < 4; d++)
    {
      for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++)
        {
          tensor->n_dims = MAX (right->n_dims, d + 1);
          for (guint e = 0; e < 4; e++)
            tensor->dims[e] = e < right->n_dims ? right->dims[e] : 1;
          tensor->dims[d] = sizes[s];
          try_file (edit, name, RUN);
        }
      tensor->n_dims = d + 1;
      try_file (edit, name, RUN);
    }
  g_ptr_array_remove_index (edit->tensors, i);
  try_file (edit, name, RUN);
}

static gboolean
has_prefix (GBytes *name, const char *prefix)
{
  return g_bytes_get_size (name) >= strlen (prefix) && memcmp (g_bytes_get_data (name, NULL), prefix, strlen (prefix)) == 0;
}

/* One layer is as good as all. */
static void
test_tensors (gconstpointer data)
{
  const Model *model = data;
  g_autoptr (LlmEdit) whole = llm_edit_new (model->file);

  for (guint i = 0; i < whole->tensors->len; i++)
    if (!has_prefix (((LlmEditTensor *) whole->tensors->pdata[i])->name, "blk.1."))
      sweep_tensor (whole, i);
}

/* ---- models ---- */

static void
add_model (const char *name, GBytes *file)
{
  g_autofree char *metadata = g_strdup_printf ("/sweep/%s/metadata", name), *tensors = g_strdup_printf ("/sweep/%s/tensors", name);
  g_autoptr (LlmEdit) edit = llm_edit_new (file);
  Model *model = g_new (Model, 1);

  g_assert_nonnull (edit);
  llm_edit_shrink_vocab (edit, 270, 30); /* the bytes are the first, and some characters */
  model->name = g_strdup (name);
  model->file = llm_edit_end (edit);
  g_bytes_unref (file);
  g_test_add_data_func (metadata, model, test_metadata);
  g_test_add_data_func (tensors, model, test_tensors);
}

static void
add_built (void)
{
  static const char *const archs[] = { "llama", "qwen2" };

  for (gsize i = 0; i < G_N_ELEMENTS (archs); i++)
    {
      LlmTestModel options = { .arch = archs[i], .n_layers = 2, .d_model = 32, .d_ff = 32, .n_heads = 2, .n_kv_heads = 1, .chat_template = "x" };

      add_model (archs[i], llm_test_tiny_model (&options));
    }
}

static void
add_file (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  char *contents;
  gsize size;

  if (!g_file_get_contents (path, &contents, &size, NULL))
    g_error ("%s cannot be read", path);
  add_model (name, g_bytes_new_take (contents, size));
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  sweep.engine = fixture_new ();
  if (argc < 2)
    add_built ();
  for (int i = 1; i < argc; i++)
    add_file (argv[i]);
  status = g_test_run ();
  fixture_free (sweep.engine);
  return status;
}
