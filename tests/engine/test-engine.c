/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine as a whole: what a request gets must not depend on who else is there.
 */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "engine/engine-fixture.h"

#define D "digest"

static Fixture *
loaded (guint window, guint64 kv_bytes)
{
  g_autoptr (GError) error = NULL;
  Fixture *f = fixture_new ();
  g_autoptr (LlmModel) model = fixture_load (f, D, NULL, window, kv_bytes, &error);

  g_assert_no_error (error);
  g_assert_nonnull (model);
  return f;
}

/* Bytes of @n pages of the tiny model: 2 layers, 2 heads of 16 for K and V, F32. */
static guint64
pages (guint n)
{
  return (guint64) n * LLM_KV_PAGE_TOKENS * 2 * 2 * 2 * 16 * sizeof (float);
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

static void
assert_same (const Record *a, const Record *b)
{
  g_assert_no_error (a->error);
  g_assert_no_error (b->error);
  g_assert_cmpstr (a->result.finish_reason, ==, b->result.finish_reason);
  g_assert_cmpuint (a->result.output_tokens, ==, b->result.output_tokens);
  g_assert_cmpmem (a->tokens->data, a->tokens->len * sizeof (gint32), b->tokens->data, b->tokens->len * sizeof (gint32));
  g_assert_true (g_string_equal (a->text, b->text));
}

static void
assert_failed (const Record *r, GQuark domain, gint code)
{
  g_assert_error (r->error, domain, code);
  g_assert_cmpstr (r->result.finish_reason, ==, "cancelled");
}

/* ---- together as alone ---- */

static LlmJob *
mixed_job (Fixture *f, guint i, guint32 uid)
{
  g_autofree char *prompt = text_of (1 + i * 13 % 150, i);
  LlmJob *job = fixture_job (f, D, prompt, 5 + i * 7 % 40);

  job->uid = uid;
  if (i % 2 == 1)
    {
      job->sampling.temperature = 1;
      job->sampling.has_seed = TRUE;
      job->sampling.seed = i;
      job->sampling.repetition_penalty = i % 3 == 0 ? 1.3 : 1;
    }
  return job;
}

static void
test_together (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  const Record *alone[32];
  guint64 ids[32];

  for (guint i = 0; i < 32; i++)
    {
      alone[i] = fixture_run (f, mixed_job (f, i, 1000 + i));
      g_assert_cmpstr (alone[i]->result.finish_reason, ==, "length");
      g_assert_cmpuint (alone[i]->result.output_tokens, ==, 5 + i * 7 % 40);
    }
  for (guint i = 0; i < 32; i++)
    ids[i] = fixture_submit (f, mixed_job (f, i, 2000 + i));
  for (guint i = 0; i < 32; i++)
    assert_same (alone[i], fixture_wait (f, ids[i]));
  g_assert_cmpuint (fixture_statistic (f, "preemptions"), ==, 0);
  g_assert_cmpuint (fixture_statistic (f, "requests-running"), ==, 0);
}

/* A pool of little more than one window: the youngest are computed again, and it does not show. Half of them share
 * a beginning. */
static void
test_preemption (void)
{
  g_autoptr (Fixture) roomy = loaded (256, 0), tight = loaded (256, pages (9));
  guint64 ids[12];

  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *begin = text_of (70, i < 4 ? i : 99), *end = text_of (i, i), *prompt = g_strconcat (begin, end, NULL);
      ids[i] = fixture_submit (tight, fixture_job (tight, D, prompt, i == 0 ? 0 : 60 + i));
    }
  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *begin = text_of (70, i < 4 ? i : 99), *end = text_of (i, i), *prompt = g_strconcat (begin, end, NULL);
      const Record *alone = fixture_run (roomy, fixture_job (roomy, D, prompt, i == 0 ? 0 : 60 + i)), *r = fixture_wait (tight, ids[i]);

      assert_same (alone, r);
      g_assert_cmpuint (r->result.cached_tokens, <=, r->result.prompt_tokens);
    }
  g_assert_cmpuint (fixture_statistic (tight, "preemptions"), >, 0);
  g_assert_cmpuint (fixture_statistic (roomy, "preemptions"), ==, 0);
}

/* Pages that only the victims share, and the oldest needs: nobody may fall asleep. */
static void
test_shared_victims (void)
{
  g_autoptr (Fixture) f = loaded (256, pages (8));
  g_autofree char *first = text_of (40, 5), *shared = text_of (129, 3);
  guint64 ids[4];
  LlmJob *job = fixture_job (f, D, first, 0);

  job->uid = 1;
  ids[0] = fixture_submit (f, job);
  for (guint i = 1; i < 4; i++)
    ids[i] = fixture_submit (f, fixture_job (f, D, shared, 80));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpstr (fixture_wait (f, ids[i])->result.finish_reason, ==, "length");
  g_assert_cmpuint (fixture_statistic (f, "preemptions"), >, 0);
}

static void
test_prefix (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  g_autofree char *prompt = text_of (100, 1), *longer = g_strconcat (prompt, "and more", NULL);
  const Record *first = fixture_run (f, fixture_job (f, D, prompt, 20)), *again = fixture_run (f, fixture_job (f, D, prompt, 20)), *other;
  LlmJob *job = fixture_job (f, D, prompt, 20);

  g_assert_cmpuint (first->result.prompt_tokens, ==, 101); /* and BOS */
  g_assert_cmpuint (first->result.cached_tokens, ==, 0);
  g_assert_cmpuint (again->result.cached_tokens, ==, 96);
  assert_same (first, again);
  job->uid = 1001; /* another user's pages are not there */
  other = fixture_run (f, job);
  g_assert_cmpuint (other->result.cached_tokens, ==, 0);
  assert_same (first, other);
  g_assert_cmpuint (fixture_run (f, fixture_job (f, D, longer, 20))->result.cached_tokens, ==, 96);
}

/* A prompt of whole pages: the last token is computed all the same. */
static void
test_prefix_edge (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);

  for (guint n = 62; n <= 65; n++)
    {
      g_autofree char *prompt = text_of (n - 1, n);
      const Record *first = fixture_run (f, fixture_job (f, D, prompt, 3)), *again = fixture_run (f, fixture_job (f, D, prompt, 3));

      g_assert_cmpuint (first->result.prompt_tokens, ==, n);
      g_assert_cmpuint (again->result.cached_tokens, ==, n <= 64 ? 32 : 64);
      assert_same (first, again);
    }
}

/* ---- cancel, pause, deadline ---- */

static void
assert_cancelled (const Record *r)
{
  g_assert_error (r->error, LLM_ERROR, LLM_ERROR_CANCELLED);
  g_assert_cmpstr (r->result.finish_reason, ==, "cancelled");
}

static void
cancel_it (LlmEngine *engine, const Record *r)
{
  llm_engine_cancel (engine, r->id);
}

static void
test_cancel (void)
{
  g_autoptr (Fixture) f = loaded (0, pages (16));
  g_autofree char *large = text_of (480, 0);
  guint64 id, waiting;
  const Record *r;

  llm_engine_cancel (fixture_engine (f), 12345); /* nobody */
  id = fixture_submit (f, fixture_job (f, D, "at once", 0));
  llm_engine_cancel (fixture_engine (f), id);
  assert_cancelled (fixture_wait (f, id));

  fixture_on_delta (f, cancel_it); /* while it decodes */
  r = fixture_run (f, fixture_job (f, D, "some text", 0));
  assert_cancelled (r);
  g_assert_cmpuint (r->result.output_tokens, <, 20);
  fixture_on_delta (f, NULL);

  id = fixture_submit (f, fixture_job (f, D, "paused", 0));
  llm_engine_pause (fixture_engine (f), id, TRUE);
  fixture_wait_state (f, id, LLM_REQUEST_PAUSED);
  llm_engine_cancel (fixture_engine (f), id);
  assert_cancelled (fixture_wait (f, id));

  id = fixture_submit (f, fixture_job (f, D, large, 0)); /* takes all pages: the next one waits */
  waiting = fixture_submit (f, fixture_job (f, D, large, 0));
  llm_engine_cancel (fixture_engine (f), waiting);
  assert_cancelled (fixture_wait (f, waiting));
  g_assert_cmpstr (fixture_wait (f, id)->result.finish_reason, ==, "length");
  llm_engine_cancel (fixture_engine (f), id); /* over */
  g_assert_cmpuint (fixture_statistic (f, "requests-queued"), ==, 0);
}

static void
pause_it (LlmEngine *engine, const Record *r)
{
  if (r->n_deltas == 3)
    llm_engine_pause (engine, r->id, TRUE);
}

static void
test_pause (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  const Record *straight = fixture_run (f, fixture_job (f, D, "a story", 40)), *r;
  guint64 id, decoded;

  fixture_on_delta (f, pause_it);
  id = fixture_submit (f, fixture_job (f, D, "a story", 40));
  fixture_wait_state (f, id, LLM_REQUEST_PAUSED);
  decoded = fixture_statistic (f, "tokens-decoded");
  g_usleep (30000);
  g_assert_cmpuint (fixture_statistic (f, "tokens-decoded"), ==, decoded);
  g_assert_cmpuint (decoded, <, 80);
  llm_engine_pause (fixture_engine (f), id, FALSE);
  r = fixture_wait (f, id);
  assert_same (straight, r);
}

/* Paused ones that fill all places keep nobody waiting. */
static void
test_pause_places (void)
{
  g_autoptr (Fixture) f = loaded (64, 0);
  guint64 ids[LLM_BATCH_MAX_SLOTS + 1];

  fixture_on_delta (f, pause_it);
  for (guint i = 0; i < LLM_BATCH_MAX_SLOTS; i++)
    ids[i] = fixture_submit (f, fixture_job (f, D, "x", 0));
  for (guint i = 0; i < LLM_BATCH_MAX_SLOTS; i++)
    fixture_wait_state (f, ids[i], LLM_REQUEST_PAUSED);
  fixture_on_delta (f, NULL);
  g_assert_no_error (fixture_run (f, fixture_job (f, D, "y", 10))->error);
  ids[LLM_BATCH_MAX_SLOTS] = fixture_submit (f, fixture_job (f, D, "z", 0));
  for (guint i = 0; i < LLM_BATCH_MAX_SLOTS; i++) /* one more than places now */
    llm_engine_pause (fixture_engine (f), ids[i], FALSE);
  for (guint i = 0; i < LLM_BATCH_MAX_SLOTS + 1; i++)
    g_assert_cmpstr (fixture_wait (f, ids[i])->result.finish_reason, ==, "length");
}

static void
test_deadline (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  LlmJob *job = fixture_job (f, D, "slow", 0);
  guint64 id;
  gint64 began = g_get_monotonic_time ();

  job->deadline_ms = 40;
  fixture_on_delta (f, pause_it);
  id = fixture_submit (f, job);
  assert_cancelled (fixture_wait (f, id));
  fixture_on_delta (f, NULL);
  g_assert_cmpint (g_get_monotonic_time () - began, >=, 40000);
  job = fixture_job (f, D, "slow", 0);
  job->deadline_ms = 1;
  assert_cancelled (fixture_run (f, job));
  job = fixture_job (f, D, "quick", 2);
  job->deadline_ms = 3600000;
  g_assert_no_error (fixture_run (f, job)->error);
}

/* ---- ends ---- */

static void
test_window (void)
{
  g_autoptr (Fixture) f = loaded (64, 0);
  g_autofree char *most = text_of (62, 0), *exact = text_of (63, 0), *over = text_of (100, 0);
  const Record *r = fixture_run (f, fixture_job (f, D, "start", 0));

  g_assert_cmpstr (r->result.finish_reason, ==, "length");
  g_assert_cmpuint (r->result.context_used, ==, 64);
  g_assert_cmpuint (r->result.output_tokens, ==, 64 - r->result.prompt_tokens);
  r = fixture_run (f, fixture_job (f, D, most, 0)); /* with BOS one place is left */
  g_assert_cmpstr (r->result.finish_reason, ==, "length");
  g_assert_cmpuint (r->result.output_tokens, ==, 1);
  r = fixture_run (f, fixture_job (f, D, exact, 0));
  g_assert_error (r->error, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED);
  r = fixture_run (f, fixture_job (f, D, over, 1));
  g_assert_error (r->error, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED);
  g_assert_nonnull (strstr (r->error->message, "101"));
  g_assert_nonnull (strstr (r->error->message, "64"));
  g_assert_cmpuint (r->result.output_tokens, ==, 0);
  g_assert_cmpuint (r->n_deltas, ==, 0);
}

static void
test_eog (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  LlmJob *job = fixture_job (f, D, "the end", 0);
  const Record *r;

  g_clear_pointer (&job->sampling.logit_bias, g_array_unref);
  fixture_bias (job, FIRST_SPECIAL, 100);
  r = fixture_run (f, job);
  g_assert_no_error (r->error);
  g_assert_cmpstr (r->result.finish_reason, ==, "stop");
  g_assert_cmpuint (r->text->len, ==, 0);
  g_assert_cmpuint (r->tokens->len, ==, 0);
}

static LlmJob *
letters_job (Fixture *f, guint max_tokens)
{ /* only letters and spaces come */
  LlmJob *job = fixture_job (f, D, "once", max_tokens);

  for (gint32 token = 0; token < 256; token++)
    if (!(token >= 'a' && token <= 'z') && token != ' ')
      fixture_bias (job, token, -100);
  job->sampling.temperature = 1;
  job->sampling.has_seed = TRUE;
  job->sampling.seed = 11;
  return job;
}

static void
test_stop (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  const Record *free_run = fixture_run (f, letters_job (f, 80));
  gsize len = free_run->text->len;

  g_assert_cmpuint (len, >=, 80);
  for (gsize from = 0; from + 5 < len; from += 9)
    {
      g_autofree char *stop = g_strndup (free_run->text->str + from, 5);
      gsize at = (gsize) (strstr (free_run->text->str, stop) - free_run->text->str);
      LlmJob *job = letters_job (f, 80);
      const Record *r;

      job->stop = g_new0 (char *, 3);
      job->stop[0] = g_strdup ("QQQ");
      job->stop[1] = g_steal_pointer (&stop);
      job->logprobs = 3;
      r = fixture_run (f, job);
      g_assert_no_error (r->error);
      g_assert_cmpstr (r->result.finish_reason, ==, "stop");
      g_assert_cmpuint (r->text->len, ==, at);
      g_assert_true (strncmp (r->text->str, free_run->text->str, at) == 0);
      g_assert_cmpuint (r->logprobs->len, ==, r->result.output_tokens);
    }
}

static void
test_echo (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  g_autofree char *prompt = text_of (300, 0);
  const Record *plain = fixture_run (f, fixture_job (f, D, prompt, 8)), *r;
  LlmJob *job = fixture_job (f, D, prompt, 8);
  g_autofree char *want = NULL;

  job->echo = TRUE;
  r = fixture_run (f, job);
  want = g_strconcat (prompt, plain->text->str, NULL);
  g_assert_cmpstr (r->text->str, ==, want);
  g_assert_cmpuint (r->tokens->len, ==, 8);
}

static void
test_logprobs (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  LlmJob *job = fixture_job (f, D, "numbers", 12);
  const Record *r;

  job->logprobs = LLM_MAX_LOGPROBS;
  job->sampling.logit_bias->len = 0;
  fixture_bias (job, FIRST_SPECIAL, -100);
  r = fixture_run (f, job);
  g_assert_cmpuint (r->logprobs->len, ==, r->tokens->len);
  g_assert_cmpuint (r->n_sorted, ==, r->logprobs->len * (LLM_MAX_LOGPROBS - 1));
  for (guint i = 0; i < r->logprobs->len; i++)
    {
      const LlmTokenLogprobs *lp = &g_array_index (r->logprobs, LlmTokenLogprobs, i);

      g_assert_cmpint (lp->token, ==, g_array_index (r->tokens, gint32, i));
      g_assert_cmpuint (lp->n_top, ==, LLM_MAX_LOGPROBS);
      g_assert_cmpfloat (lp->logprob, <=, 0);
    }
}

static void
test_times (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  gint64 began = g_get_monotonic_time ();
  const LlmResult *r = &fixture_run (f, fixture_job (f, D, "time", 20))->result;
  gint64 took = g_get_monotonic_time () - began;

  g_assert_cmpint (r->queue_us, >=, 0);
  g_assert_cmpint (r->prefill_us, >, 0);
  g_assert_cmpint (r->decode_us, >, 0);
  g_assert_cmpint (r->queue_us + r->prefill_us + r->decode_us, <=, took);
}

/* ---- refusals ---- */

static void
test_bad_requests (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  LlmJob *job = fixture_job (f, "nothing", "text", 1);
  LlmTestModel qwen = { .arch = "qwen2" };
  g_autoptr (LlmModel) model = fixture_load (f, "qwen", &qwen, 0, 0, NULL);

  assert_failed (fixture_run (f, job), LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  job = fixture_job (f, D, "text", 1);
  fixture_bias (job, N_VOCAB - 1, 1);
  g_assert_no_error (fixture_run (f, job)->error);
  job = fixture_job (f, D, "text", 1);
  fixture_bias (job, N_VOCAB, 1);
  assert_failed (fixture_run (f, job), G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  job = fixture_job (f, "qwen", "", 1); /* adds no BOS */
  assert_failed (fixture_run (f, job), LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
  job = fixture_job (f, D, "", 1);
  g_assert_no_error (fixture_run (f, job)->error);
  job = fixture_job (f, D, "\xff\xfe", 1);
  assert_failed (fixture_run (f, job), LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
}

static void
test_queue_full (void)
{
  g_autoptr (Fixture) f = loaded (0, 0);
  guint64 ids[LLM_ENGINE_MAX_REQUESTS], over;

  for (guint i = 0; i < LLM_ENGINE_MAX_REQUESTS; i++)
    {
      ids[i] = fixture_submit (f, fixture_job (f, D, "q", 0));
      llm_engine_pause (fixture_engine (f), ids[i], TRUE);
    }
  g_assert_cmpuint (fixture_statistic (f, "requests-queued") + fixture_statistic (f, "requests-running"), ==, LLM_ENGINE_MAX_REQUESTS);
  over = fixture_submit (f, fixture_job (f, D, "q", 1));
  assert_failed (fixture_wait (f, over), LLM_ERROR, LLM_ERROR_QUEUE_FULL);
  llm_engine_cancel (fixture_engine (f), ids[7]);
  assert_cancelled (fixture_wait (f, ids[7]));
  g_assert_no_error (fixture_run (f, fixture_job (f, D, "q", 1))->error); /* at the limit again */
  for (guint i = 0; i < LLM_ENGINE_MAX_REQUESTS; i++)
    llm_engine_cancel (fixture_engine (f), ids[i]);
  for (guint i = 0; i < LLM_ENGINE_MAX_REQUESTS; i++)
    assert_cancelled (fixture_wait (f, ids[i]));
}

/* ---- models ---- */

static void
test_unload (void)
{
  g_autoptr (Fixture) f = loaded (0, pages (16));
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmModel) again = NULL;
  guint64 ids[6];

  for (guint i = 0; i < 6; i++)
    ids[i] = fixture_submit (f, fixture_job (f, D, "some text", 0));
  llm_engine_pause (fixture_engine (f), ids[1], TRUE);
  fixture_wait_state (f, ids[0], LLM_REQUEST_DECODE);
  g_assert_true (fixture_unload (f, D, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < 6; i++)
    if (fixture_wait (f, ids[i])->error != NULL || i == 1)
      assert_failed (fixture_wait (f, ids[i]), LLM_ERROR, LLM_ERROR_CLOSED);
  assert_failed (fixture_run (f, fixture_job (f, D, "x", 1)), LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  g_assert_false (fixture_unload (f, D, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  g_clear_error (&error);
  again = fixture_load (f, D, NULL, 0, 0, &error);
  g_assert_no_error (error);
  g_assert_no_error (fixture_run (f, fixture_job (f, D, "x", 1))->error);
}

static void
test_models (void)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmModel) found = NULL, over = NULL;

  for (guint i = 0; i < LLM_ENGINE_MAX_MODELS; i++)
    {
      g_autofree char *digest = g_strdup_printf ("%u", i);
      LlmTestModel options = { .arch = i % 2 == 0 ? "llama" : "qwen2", .dtype = i % 4 < 2 ? LLM_DTYPE_F16 : LLM_DTYPE_Q8_0, .seed = i, .untied = i % 3 == 0 };
      g_autoptr (LlmModel) model = fixture_load (f, digest, &options, 64, 0, &error), again = fixture_load (f, digest, &options, 64, 0, NULL);

      g_assert_no_error (error);
      g_assert_true (model == again);
      g_assert_cmpuint (llm_model_context_window (model), ==, 64);
      g_assert_cmpuint (llm_model_memory_bytes (model), >, pages (2));
      g_assert_cmpstr (llm_model_device_id (model), ==, "cpu");
      g_assert_no_error (fixture_run (f, fixture_job (f, digest, "hello", 4))->error);
    }
  over = fixture_load (f, "more", NULL, 64, 0, &error);
  g_assert_null (over);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_BUSY);
  found = llm_engine_find_model (fixture_engine (f), "3");
  g_assert_nonnull (found);
  g_assert_null (llm_engine_find_model (fixture_engine (f), "more"));
}

static void
test_every_type (void)
{
  for (guint32 id = 0; id < 64; id++)
    {
      LlmTestModel options = { .dtype = (LlmDtype) id, .d_model = 256, .d_ff = 256, .n_layers = 1 };
      g_autoptr (Fixture) f = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmModel) model = NULL;

      if (llm_dtype_info (id) == NULL || llm_dtype_info (id)->decode == NULL)
        continue;
      f = fixture_new ();
      model = fixture_load (f, D, &options, 64, 0, &error);
      g_assert_no_error (error);
      g_assert_no_error (fixture_run (f, fixture_job (f, D, "hello", 4))->error);
    }
}

static void
test_bad_models (void)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) good = llm_test_tiny_model (NULL), cut = g_bytes_new_from_bytes (good, 0, g_bytes_get_size (good) - 64);
  g_autoptr (LlmModel) model = NULL;

  g_assert_null (fixture_load_bytes (f, D, cut, 0, 0, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_clear_error (&error);
  g_assert_null (fixture_load (f, D, NULL, 256, pages (8) - 1, &error)); /* one window does not fit */
  g_assert_error (error, LLM_ERROR, LLM_ERROR_OUT_OF_MEMORY);
  g_clear_error (&error);
  model = fixture_load (f, D, NULL, 256, pages (8), &error);
  g_assert_no_error (error);
}

/* Everything that is under way when the engine goes. */
static void
test_free (void)
{
  for (guint round = 0; round < 10; round++)
    {
      g_autoptr (Fixture) f = loaded (0, 0);

      for (guint i = 0; i < 8; i++)
        fixture_submit (f, fixture_job (f, D, "going", 0));
      g_usleep (round * 500);
    }
}

static void
test_chat (void)
{
  g_autoptr (Fixture) f = fixture_new ();
  LlmTestModel options = { .arch = "qwen2", .chat_template = "{{ '<|im_start|>' + message['role'] + '<|im_end|>' }}" };
  g_autoptr (LlmModel) model = fixture_load (f, D, &options, 0, 0, NULL);
  LlmJob *job = fixture_job (f, D, "hello <|im_end|>", 4);
  guint raw = fixture_run (f, fixture_job (f, D, "hello <|im_end|>", 4))->result.prompt_tokens;
  const Record *r;

  g_assert_nonnull (model);
  job->raw = FALSE;
  r = fixture_run (f, job);
  g_assert_no_error (r->error);
  g_assert_cmpuint (raw, ==, 13); /* a special token that a user types is text */
  g_assert_cmpuint (r->result.prompt_tokens, >=, raw + 5); /* <|im_start|>user\n ... <|im_end|>\n<|im_start|>assistant\n */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/engine/together", test_together);
  g_test_add_func ("/engine/preemption", test_preemption);
  g_test_add_func ("/engine/shared-victims", test_shared_victims);
  g_test_add_func ("/engine/prefix", test_prefix);
  g_test_add_func ("/engine/prefix-edge", test_prefix_edge);
  g_test_add_func ("/engine/cancel", test_cancel);
  g_test_add_func ("/engine/pause", test_pause);
  g_test_add_func ("/engine/pause-places", test_pause_places);
  g_test_add_func ("/engine/deadline", test_deadline);
  g_test_add_func ("/engine/window", test_window);
  g_test_add_func ("/engine/eog", test_eog);
  g_test_add_func ("/engine/stop", test_stop);
  g_test_add_func ("/engine/echo", test_echo);
  g_test_add_func ("/engine/logprobs", test_logprobs);
  g_test_add_func ("/engine/times", test_times);
  g_test_add_func ("/engine/bad-requests", test_bad_requests);
  g_test_add_func ("/engine/queue-full", test_queue_full);
  g_test_add_func ("/engine/unload", test_unload);
  g_test_add_func ("/engine/models", test_models);
  g_test_add_func ("/engine/every-type", test_every_type);
  g_test_add_func ("/engine/bad-models", test_bad_models);
  g_test_add_func ("/engine/free", test_free);
  g_test_add_func ("/engine/chat", test_chat);
  return g_test_run ();
}
