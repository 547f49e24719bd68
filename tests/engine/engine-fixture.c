/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/engine-fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#define PATIENCE (300 * G_TIME_SPAN_SECOND)

struct _Fixture {
  LlmEngine *engine;
  GThread *thread; /* the test's own: no event comes on it */
  GMutex lock;
  GCond changed;
  GHashTable *records; /* id -> Record, under lock */
  guint64 last_id;
  void (*on_delta) (LlmEngine *engine, const Record *record);
};

static void
record_free (gpointer data)
{
  Record *r = data;

  g_string_free (r->text, TRUE);
  g_array_unref (r->tokens);
  g_array_unref (r->logprobs);
  g_clear_error (&r->error);
  g_free (r);
}

/* Locks. */
static Record *
take_record (Fixture *self, guint64 id)
{
  Record *r;

  g_assert_true (g_thread_self () != self->thread);
  g_mutex_lock (&self->lock);
  r = g_hash_table_lookup (self->records, &id);
  g_assert_nonnull (r);
  g_assert_false (r->done); /* done is the last */
  return r;
}

static void
give_record (Fixture *self)
{
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
on_delta (guint64 id, guint choice, const char *channel, const char *text, gsize len, const gint32 *tokens, guint n_tokens,
          const LlmTokenLogprobs *logprobs, guint n_logprobs, gpointer user_data)
{
  Fixture *self = user_data;
  Record *r = take_record (self, id);

  g_assert_cmpuint (choice, ==, 0);
  g_assert_cmpstr (channel, ==, "content");
  g_assert_true (len > 0 || n_logprobs > 0);
  for (gsize at = 0; at < len; at++)
    if (text[at] == '\0') /* GLib counts NUL as invalid */
      g_assert_true (g_utf8_validate (text, (gssize) at, NULL));
  g_string_append_len (r->text, text, (gssize) len);
  if (n_tokens > 0)
    g_array_append_vals (r->tokens, tokens, n_tokens);
  for (guint i = 0; i < n_logprobs; i++)
    {
      LlmTokenLogprobs lp = logprobs[i];

      for (guint t = 1; t < lp.n_top; t++)
        r->n_sorted += lp.top_logprob[t - 1] >= lp.top_logprob[t];
      if (lp.n_top > 0)
        g_assert_cmpfloat (lp.logprob, <=, lp.top_logprob[0]);
      g_array_append_val (r->logprobs, lp);
    }
  r->n_deltas++;
  if (self->on_delta != NULL)
    self->on_delta (self->engine, r);
  give_record (self);
}

static void
on_state (guint64 id, LlmRequestState state, guint position, gpointer user_data)
{
  Fixture *self = user_data;
  Record *r;

  g_mutex_lock (&self->lock);
  r = g_hash_table_lookup (self->records, &id); /* NULL: an embedding */
  if (r != NULL)
    {
      g_assert_false (r->done);
      r->state = state;
      r->states |= 1u << state;
    }
  give_record (self);
}

static void
on_done (guint64 id, const LlmResult *result, const GError *error, gpointer user_data)
{
  Record *r = take_record (user_data, id);

  r->result = *result;
  r->error = error != NULL ? g_error_copy (error) : NULL;
  r->done = TRUE;
  give_record (user_data);
}

Fixture *
fixture_new (void)
{
  static const LlmEngineEvents events = { on_delta, on_state, on_done };
  Fixture *self = g_new0 (Fixture, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->thread = g_thread_self ();
  self->records = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, record_free);
  self->engine = llm_engine_new (&events, self);
  return self;
}

void
fixture_free (Fixture *self)
{
  llm_engine_free (self->engine);
  g_hash_table_unref (self->records);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
  g_free (self);
}

LlmEngine *
fixture_engine (Fixture *self)
{
  return self->engine;
}

void
fixture_on_delta (Fixture *self, void (*func) (LlmEngine *engine, const Record *record))
{
  self->on_delta = func;
}

/* ---- models ---- */

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
wait_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

LlmModel *
fixture_load_bytes (Fixture *self, const char *digest, GBytes *bytes, guint window, guint64 kv_bytes, GError **error)
{
  LlmLoadSettings settings = {
    .device = (char *) "cpu", .context_window = window, .kv_type = LLM_DTYPE_F32, .kv_bytes = kv_bytes, .devices = { .n_threads = 2, .isa = "scalar" },
  };
  g_autoptr (GAsyncResult) result = NULL;
  int fd = memfd_create ("model", MFD_CLOEXEC);

  g_assert_cmpint (write (fd, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes)), ==, (gssize) g_bytes_get_size (bytes));
  llm_engine_load_async (self->engine, digest, &fd, 1, &settings, NULL, keep_result, &result);
  close (fd);
  wait_result (&result);
  return llm_engine_load_finish (self->engine, result, error);
}

LlmModel *
fixture_load (Fixture *self, const char *digest, const LlmTestModel *options, guint window, guint64 kv_bytes, GError **error)
{
  g_autoptr (GBytes) bytes = llm_test_tiny_model (options);

  return fixture_load_bytes (self, digest, bytes, window, kv_bytes, error);
}

gboolean
fixture_unload (Fixture *self, const char *digest, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  llm_engine_unload_async (self->engine, digest, keep_result, &result);
  wait_result (&result);
  return llm_engine_unload_finish (self->engine, result, error);
}

/* ---- requests ---- */

void
fixture_bias (LlmJob *job, gint32 token, float bias)
{
  LlmLogitBias entry = { token, bias };

  if (job->sampling.logit_bias == NULL)
    job->sampling.logit_bias = g_array_new (FALSE, FALSE, sizeof entry);
  g_array_append_val (job->sampling.logit_bias, entry);
}

LlmJob *
fixture_job (Fixture *self, const char *digest, const char *prompt, guint max_tokens)
{
  LlmJob *job = llm_job_new ();

  job->id = ++self->last_id;
  job->uid = 1000;
  job->client = 1;
  job->digest = g_strdup (digest);
  job->prompt = g_strdup (prompt);
  job->raw = TRUE;
  job->max_tokens = max_tokens;
  job->sampling.temperature = 0;
  for (gint32 token = FIRST_SPECIAL; token < N_VOCAB; token++)
    fixture_bias (job, token, -100);
  return job;
}

guint64
fixture_submit (Fixture *self, LlmJob *job)
{
  Record *r = g_new0 (Record, 1);
  guint64 id = job->id;

  r->id = id;
  r->text = g_string_new (NULL);
  r->tokens = g_array_new (FALSE, FALSE, sizeof (gint32));
  r->logprobs = g_array_new (FALSE, FALSE, sizeof (LlmTokenLogprobs));
  g_mutex_lock (&self->lock);
  g_hash_table_insert (self->records, &r->id, r);
  g_mutex_unlock (&self->lock);
  llm_engine_submit (self->engine, job);
  return id;
}

static Record *
wait_until (Fixture *self, guint64 id, guint states)
{
  gint64 until = g_get_monotonic_time () + PATIENCE;
  Record *r;

  g_mutex_lock (&self->lock);
  r = g_hash_table_lookup (self->records, &id);
  while (!r->done && (r->states & states) == 0)
    if (!g_cond_wait_until (&self->changed, &self->lock, until))
      g_error ("request %" G_GUINT64_FORMAT " does not come", id);
  g_mutex_unlock (&self->lock);
  return r;
}

const Record *
fixture_wait (Fixture *self, guint64 id)
{
  return wait_until (self, id, 0);
}

void
fixture_wait_state (Fixture *self, guint64 id, LlmRequestState state)
{
  wait_until (self, id, 1u << state);
}

const Record *
fixture_run (Fixture *self, LlmJob *job)
{
  return fixture_wait (self, fixture_submit (self, job));
}

guint64
fixture_statistic (Fixture *self, const char *key)
{
  g_autoptr (GVariant) all = llm_engine_statistics (self->engine), value = g_variant_lookup_value (all, key, NULL);

  g_assert_nonnull (value);
  return g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32) ? g_variant_get_uint32 (value) : g_variant_get_uint64 (value);
}
