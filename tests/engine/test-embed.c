/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embeddings through the engine: what a row is must not depend on who else is there. That the numbers
 * are right is for reference.py.
 */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "engine/embed.h"
#include "engine/engine-fixture.h"

#define D "digest"
#define WIDTH 64

static const LlmTestModel encoder = { .arch = "nomic-bert" };

static Fixture *
loaded (const LlmTestModel *options, guint window)
{
  g_autoptr (GError) error = NULL;
  Fixture *f = fixture_new ();
  g_autoptr (LlmModel) model = fixture_load (f, D, options, window, 0, &error);

  g_assert_no_error (error);
  g_assert_nonnull (model);
  return f;
}

/* A text of @n tokens: single bytes that no merge joins. */
static char *
text_of (guint n, guint salt)
{
  char *text = g_malloc0 (n + 1);

  for (guint i = 0; i < n; i++)
    text[i] = "0123456789"[(i * 7 + salt + i / 9) % 10];
  return text;
}

static guint64 last_id = 1000000;

static LlmEmbedJob *
job_new (const char *const *inputs)
{
  LlmEmbedJob *job = llm_embed_job_new ();

  job->id = ++last_id;
  job->uid = 1000;
  job->digest = g_strdup (D);
  job->inputs = g_strdupv ((char **) inputs);
  return job;
}

static LlmEmbedJob *
job_of (const char *input)
{
  return job_new ((const char *[]) { input, NULL });
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static LlmEmbedding *
wait_for (Fixture *f, GAsyncResult **result, GError **error)
{
  g_autoptr (GAsyncResult) taken = NULL;

  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  taken = g_steal_pointer (result);
  return llm_engine_embed_finish (fixture_engine (f), taken, error);
}

static LlmEmbedding *
run (Fixture *f, LlmEmbedJob *job, GError **error)
{
  GAsyncResult *result = NULL;

  llm_engine_embed_async (fixture_engine (f), job, keep_result, &result);
  return wait_for (f, &result, error);
}

static LlmEmbedding *
run_well (Fixture *f, LlmEmbedJob *job)
{
  g_autoptr (GError) error = NULL;
  LlmEmbedding *e = run (f, job, &error);

  g_assert_no_error (error);
  g_assert_nonnull (e);
  return e;
}

#define assert_fails(f, job, domain, code, text) \
  G_STMT_START { \
    g_autoptr (GError) e_ = NULL; \
    g_assert_null (run (f, job, &e_)); \
    g_assert_error (e_, domain, code); \
    if (strstr (e_->message, text) == NULL) \
      g_error ("\"%s\" is not in \"%s\"", text, e_->message); \
  } G_STMT_END

static void
assert_rows_equal (const float *a, const float *b, guint n)
{
  for (guint i = 0; i < n; i++)
    g_assert_cmpfloat (a[i], ==, b[i]);
}

static double
length_of (const float *row, guint n)
{
  double square = 0;

  for (guint i = 0; i < n; i++)
    square += (double) row[i] * (double) row[i];
  return sqrt (square);
}

/* ---- rows ---- */

/* More inputs than slots, of lengths around a page and a run; each as it is alone. */
static void
check_alone (const LlmTestModel *options, LlmPooling pooling)
{
  g_autoptr (Fixture) f = loaded (options, 0);
  g_autoptr (GPtrArray) inputs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (LlmEmbedding) all = NULL;
  static const guint lengths[] = { 1, 31, 32, 33, 511, 400, 2, 90, 64 };
  LlmEmbedJob *job;
  guint n_tokens = 0;

  for (guint i = 0; i < LLM_BATCH_MAX_SLOTS + 9; i++)
    g_ptr_array_add (inputs, text_of (i < G_N_ELEMENTS (lengths) ? lengths[i] : i % 7 + 1, i));
  g_ptr_array_add (inputs, NULL);
  job = job_new ((const char *const *) inputs->pdata);
  job->pooling = pooling;
  all = run_well (f, job);
  g_assert_cmpuint (all->n_rows, ==, inputs->len - 1);
  g_assert_cmpuint (all->dimensions, ==, WIDTH);
  for (guint i = 0; i + 1 < inputs->len; i++)
    {
      g_autoptr (LlmEmbedding) one = NULL;

      job = job_of (inputs->pdata[i]);
      job->pooling = pooling;
      one = run_well (f, job);
      assert_rows_equal (all->rows + i * WIDTH, one->rows, WIDTH);
      g_assert_cmpfloat_with_epsilon (length_of (one->rows, WIDTH), 1, 1e-6);
      n_tokens += one->prompt_tokens;
    }
  g_assert_cmpuint (all->prompt_tokens, ==, n_tokens);
  g_assert_cmpuint (fixture_statistic (f, "tokens-embedded"), ==, 2 * n_tokens);
  g_assert_cmpuint (fixture_statistic (f, "tokens-prefilled"), ==, 0);
}

static void
test_alone_encoder (void)
{
  check_alone (&encoder, LLM_POOLING_MEAN);
  check_alone (&encoder, LLM_POOLING_CLS);
}

static void
test_alone_decoder (void)
{
  LlmTestModel llama = { .context_length = 2048 };

  check_alone (&llama, LLM_POOLING_LAST);
  check_alone (&llama, LLM_POOLING_MEAN);
}

/* Several runs make the same row as one: a long text, its beginning alone, and the KV buffer grown between. */
static void
test_long (void)
{
  LlmTestModel llama = { .context_length = 2048 };
  g_autoptr (Fixture) f = loaded (&llama, 2048);
  g_autofree char *text = text_of (2047, 3), *other = text_of (1200, 5), *fourth = text_of (100, 1);
  const char *inputs[] = { text, "short", other, fourth, NULL };
  g_autoptr (LlmEmbedding) together = run_well (f, job_new (inputs));
  g_autoptr (LlmEmbedding) first = NULL, cut = NULL;
  LlmEmbedJob *job = job_new (inputs);

  for (guint i = 0; inputs[i] != NULL; i++)
    {
      g_autoptr (LlmEmbedding) alone = run_well (f, job_of (inputs[i]));
      assert_rows_equal (together->rows + i * WIDTH, alone->rows, WIDTH);
    }
  job->pooling = LLM_POOLING_CLS; /* the first row of a decoder sees only itself */
  first = run_well (f, job);
  assert_rows_equal (first->rows, first->rows + WIDTH, WIDTH);
  text[10] = '\0';
  cut = run_well (f, job_of (text));
  g_assert_cmpuint (cut->prompt_tokens, ==, 11);
}

/* The first so many numbers, of length 1 again; or as they are. */
static void
test_dimensions (void)
{
  g_autoptr (Fixture) f = loaded (&encoder, 0);
  LlmEmbedJob *job = job_of ("some text");
  g_autoptr (LlmEmbedding) raw = NULL, cut = NULL, one = NULL, all = NULL;

  job->normalize = FALSE;
  raw = run_well (f, job);
  g_assert_cmpfloat (fabs (length_of (raw->rows, WIDTH) - 1), >, 0.1);
  job = job_of ("some text");
  job->dimensions = 5;
  cut = run_well (f, job);
  g_assert_cmpuint (cut->dimensions, ==, 5);
  for (guint c = 0; c < 5; c++)
    g_assert_cmpfloat_with_epsilon (cut->rows[c], raw->rows[c] / length_of (raw->rows, 5), 1e-6);
  job = job_of ("some text");
  job->dimensions = 1;
  one = run_well (f, job);
  g_assert_cmpfloat_with_epsilon (fabsf (one->rows[0]), 1, 1e-6);
  job = job_of ("some text");
  job->dimensions = WIDTH;
  all = run_well (f, job);
  g_assert_cmpuint (all->dimensions, ==, WIDTH);
  job = job_of ("some text");
  job->dimensions = WIDTH + 1;
  assert_fails (f, job, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "65");
}

/* ---- lengths ---- */

static void
test_window (void)
{
  g_autoptr (Fixture) f = loaded (&encoder, 64);
  g_autofree char *most = text_of (63, 0), *over = text_of (64, 0), *far = text_of (500, 0); /* EOS is one more */
  g_autoptr (LlmEmbedding) exact = run_well (f, job_of (most)), cut = NULL;
  LlmEmbedJob *job = job_new ((const char *[]) { "x", over, NULL });

  g_assert_cmpuint (exact->prompt_tokens, ==, 64);
  assert_fails (f, job, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED, "input 1 has 65 tokens; at most 64");
  job = job_of (far);
  job->truncate = TRUE;
  cut = run_well (f, job);
  g_assert_cmpuint (cut->prompt_tokens, ==, 64);
  assert_rows_equal (cut->rows, exact->rows, WIDTH); /* EOS is the last here too */
}

/* An encoder's run is as long as its input must be, and no longer than the limit. */
static void
test_encoder_rows (void)
{
  LlmTestModel large = { .arch = "nomic-bert", .context_length = 2 * LLM_ENCODER_MAX_ROWS, .n_layers = 1, .d_model = 32, .d_ff = 32, .n_heads = 1 };
  g_autoptr (Fixture) f = loaded (&large, 2 * LLM_ENCODER_MAX_ROWS);
  g_autofree char *most = text_of (LLM_ENCODER_MAX_ROWS - 1, 0), *over = text_of (LLM_ENCODER_MAX_ROWS, 0);
  g_autoptr (LlmEmbedding) exact = run_well (f, job_of (most));

  g_assert_cmpuint (exact->prompt_tokens, ==, LLM_ENCODER_MAX_ROWS);
  assert_fails (f, job_of (over), LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED, "8193 tokens; at most 8192");
}

static void
test_result_bytes (void)
{
  g_autoptr (Fixture) f = loaded (&encoder, 0);
  g_autoptr (LlmEmbedding) e = NULL;
  LlmEmbedJob *job = job_new ((const char *[]) { "a", "b", NULL });
  g_autoptr (GStrvBuilder) many = g_strv_builder_new ();

  job->max_bytes = 2 * WIDTH * sizeof (float);
  e = run_well (f, job);
  job = job_new ((const char *[]) { "a", "b", NULL });
  job->max_bytes = 2 * WIDTH * sizeof (float) - 1;
  assert_fails (f, job, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "EmbedToFd");
  for (gsize i = 0; i <= LLM_EMBED_MAX_RESULT_BYTES / WIDTH / sizeof (float); i++)
    g_strv_builder_add (many, "");
  job = llm_embed_job_new ();
  job->id = ++last_id;
  job->digest = g_strdup (D);
  job->inputs = g_strv_builder_end (many);
  job->max_bytes = G_MAXUINT64;
  assert_fails (f, job, G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED, "4194304");
}

/* ---- refusals and ends ---- */

static void
test_bad (void)
{
  g_autoptr (Fixture) f = fixture_new ();
  LlmTestModel qwen = { .arch = "qwen2" }; /* adds no token of its own */
  g_autoptr (LlmModel) e = fixture_load (f, "encoder", &encoder, 0, 0, NULL), q = fixture_load (f, D, &qwen, 0, 0, NULL);
  LlmEmbedJob *job = job_of ("x");

  g_free (job->digest);
  job->digest = g_strdup ("nothing");
  assert_fails (f, job, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "nothing");
  assert_fails (f, job_new ((const char *[]) { NULL }), LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "no inputs");
  assert_fails (f, job_new ((const char *[]) { "x", "", NULL }), LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "input 1 is empty");
  assert_fails (f, job_new ((const char *[]) { "x", "\xff", NULL }), LLM_ERROR, LLM_ERROR_INVALID_MESSAGE, "input 1");
  g_assert_error (fixture_run (f, fixture_job (f, "encoder", "text", 1))->error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
  g_assert_no_error (fixture_run (f, fixture_job (f, D, "text", 1))->error);
}

#define N_LONG 64 /* inputs of 3,000 tokens, which take many seconds together: nobody waits for the last */

static void
test_cancel (void)
{
  LlmTestModel llama = { .context_length = 4096 };
  g_autoptr (Fixture) f = loaded (&llama, 4096);
  g_autofree char *text = text_of (3000, 0);
  g_autoptr (GError) error = NULL;
  GAsyncResult *result = NULL;
  const char *texts[N_LONG + 1] = { NULL };
  LlmEmbedJob *job;
  guint64 id;

  for (guint i = 0; i < N_LONG; i++)
    texts[i] = text;
  job = job_new (texts);
  id = job->id;

  llm_engine_embed_async (fixture_engine (f), job, keep_result, &result);
  while (fixture_statistic (f, "tokens-embedded") == 0)
    g_usleep (1000);
  llm_engine_cancel (fixture_engine (f), id);
  g_assert_null (wait_for (f, &result, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_CANCELLED);
  g_assert_cmpuint (fixture_statistic (f, "tokens-embedded"), <, N_LONG * 3000);
  g_clear_error (&error);
  job = job_new (texts);
  job->deadline_ms = 20;
  g_assert_null (run (f, job, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_CANCELLED);
  g_assert_nonnull (strstr (error->message, "20 ms"));
  llm_embedding_free (run_well (f, job_of ("after that")));
  g_assert_cmpuint (fixture_statistic (f, "requests-running"), ==, 0);
}

static void
test_unload (void)
{
  LlmTestModel llama = { .context_length = 4096 };
  g_autoptr (Fixture) f = loaded (&llama, 4096);
  g_autofree char *text = text_of (3000, 0);
  g_autoptr (GError) error = NULL;
  GAsyncResult *result = NULL;
  const char *texts[N_LONG + 1] = { NULL };

  for (guint i = 0; i < N_LONG; i++)
    texts[i] = text;
  llm_engine_embed_async (fixture_engine (f), job_new (texts), keep_result, &result);
  while (fixture_statistic (f, "tokens-embedded") == 0)
    g_usleep (1000);
  g_assert_true (fixture_unload (f, D, &error));
  g_assert_no_error (error);
  g_assert_null (wait_for (f, &result, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_CLOSED);
}

/* Under way when the engine goes: the callback comes all the same. */
static void
test_free (void)
{
  Fixture *f = loaded (NULL, 0);
  GAsyncResult *results[8] = { NULL };

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    llm_engine_embed_async (fixture_engine (f), job_of ("going"), keep_result, &results[i]);
  fixture_free (f);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      while (results[i] == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_object_unref (results[i]);
    }
}

/* Generation and embeddings go on side by side, and neither changes the other. */
static void
test_beside (void)
{
  LlmTestModel llama = { .context_length = 2048 };
  g_autoptr (Fixture) f = loaded (&llama, 2048);
  g_autofree char *text = text_of (2000, 0), *short_text = text_of (600, 2);
  g_autoptr (LlmEmbedding) alone = run_well (f, job_of (short_text)), one = NULL, two = NULL;
  const Record *straight = fixture_run (f, fixture_job (f, D, "a story", 300)), *r;
  GAsyncResult *long_result = NULL, *short_result = NULL;
  guint64 id;

  llm_engine_embed_async (fixture_engine (f), job_new ((const char *[]) { text, text, text, text, text, text, NULL }), keep_result, &long_result);
  id = fixture_submit (f, fixture_job (f, D, "a story", 300));
  llm_engine_embed_async (fixture_engine (f), job_of (short_text), keep_result, &short_result);
  one = wait_for (f, &short_result, NULL);
  g_assert_null (long_result); /* by turns: the short call does not wait for all of the long one */
  r = fixture_wait (f, id);
  two = wait_for (f, &long_result, NULL);
  g_assert_cmpstr (r->text->str, ==, straight->text->str);
  assert_rows_equal (one->rows, alone->rows, WIDTH);
  for (guint i = 1; i < 6; i++)
    assert_rows_equal (two->rows, two->rows + i * WIDTH, WIDTH);
}

static void
test_queue_full (void)
{
  g_autoptr (Fixture) f = loaded (NULL, 0);
  guint64 ids[LLM_ENGINE_MAX_REQUESTS];

  for (guint i = 0; i < LLM_ENGINE_MAX_REQUESTS; i++)
    {
      ids[i] = fixture_submit (f, fixture_job (f, D, "q", 0));
      llm_engine_pause (fixture_engine (f), ids[i], TRUE);
    }
  assert_fails (f, job_of ("x"), LLM_ERROR, LLM_ERROR_QUEUE_FULL, "1024");
  llm_engine_cancel (fixture_engine (f), ids[7]);
  fixture_wait (f, ids[7]);
  llm_embedding_free (run_well (f, job_of ("x")));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/embed/alone-encoder", test_alone_encoder);
  g_test_add_func ("/embed/alone-decoder", test_alone_decoder);
  g_test_add_func ("/embed/long", test_long);
  g_test_add_func ("/embed/dimensions", test_dimensions);
  g_test_add_func ("/embed/window", test_window);
  g_test_add_func ("/embed/encoder-rows", test_encoder_rows);
  g_test_add_func ("/embed/result-bytes", test_result_bytes);
  g_test_add_func ("/embed/bad", test_bad);
  g_test_add_func ("/embed/cancel", test_cancel);
  g_test_add_func ("/embed/unload", test_unload);
  g_test_add_func ("/embed/free", test_free);
  g_test_add_func ("/embed/beside", test_beside);
  g_test_add_func ("/embed/queue-full", test_queue_full);
  return g_test_run ();
}
