/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's end of the private connection against fake-engine: every event, every way an
 * engine can end, and that a client is usable after each. argv[1]: the fake engine.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
static int inspect_timeout_ms; /* a test of the limit cannot wait a minute; therefore the source and not the library */
#undef LLM_INSPECT_TIMEOUT_MS
#define LLM_INSPECT_TIMEOUT_MS inspect_timeout_ms
#include "daemon/crash-ledger.h"
#include "daemon/engine-client.c"
#include "daemon/engine-process.c"

static const char *fake_engine;

/* ---- a client that writes everything down ---- */

typedef struct {
  LlmEngineClient *client;
  guint n_ready, n_delta, n_state, n_done, n_lost;
  guint n_after_done; /* deltas of a request that had ended */
  gsize n_bytes;
  GString *text;
  GVariant *result;
  char *states, *lost;
  guint n_pending;    /* calls */
} Fixture;

static void
on_ready (GVariant *info, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (g_variant_is_of_type (info, G_VARIANT_TYPE_VARDICT));
  f->n_ready++;
}

static void
on_delta (guint64 id, const char *channel, const char *text, GVariant *details, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_cmpstr (channel, ==, "content");
  f->n_delta++;
  f->n_after_done += f->n_done > 0;
  f->n_bytes += strlen (text);
  if (f->n_bytes < 4096)
    g_string_append (f->text, text);
}

static void
on_state (guint64 id, const char *state, guint position, gpointer user_data)
{
  Fixture *f = user_data;
  char *states = g_strconcat (f->states != NULL ? f->states : "", state, " ", NULL);

  f->n_state++;
  g_free (f->states);
  f->states = states;
}

static void
on_done (guint64 id, GVariant *result, gpointer user_data)
{
  Fixture *f = user_data;

  f->n_done++;
  g_clear_pointer (&f->result, g_variant_unref);
  f->result = g_variant_ref (result);
}

static void
on_lost (const char *reason, gpointer user_data)
{
  Fixture *f = user_data;

  f->n_lost++;
  g_free (f->lost);
  f->lost = g_strdup (reason);
}

static void
set_up_with (Fixture *f, const char *path, const char *isa)
{
  static const LlmEngineClientEvents events = { on_ready, on_delta, on_state, on_done, on_lost };
  GVariantBuilder settings;

  g_variant_builder_init (&settings, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&settings, "{sv}", "cpu-isa", g_variant_new_string (isa));
  f->text = g_string_new (NULL);
  inspect_timeout_ms = strcmp (isa, "hang") == 0 ? 700 : 180000;
  f->client = llm_engine_client_new (path, NULL, g_variant_builder_end (&settings), &events, f);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  set_up_with (f, fake_engine, data != NULL ? data : "");
}

static void
set_up_plain (Fixture *f, gconstpointer data)
{
  set_up_with (f, fake_engine, "");
}

static gboolean
on_timeout (gpointer flag)
{
  *(gboolean *) flag = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
on_tick (gpointer unused)
{
  return G_SOURCE_CONTINUE;
}

/* Runs the loop until @condition (evaluated again after each iteration), three minutes at most. */
#define WAIT_FOR(condition)                                                                                                                          \
  G_STMT_START                                                                                                                                       \
  {                                                                                                                                                  \
    gboolean too_late = FALSE;                                                                                                                       \
    guint timer = g_timeout_add_seconds (180, on_timeout, &too_late), ticker = g_timeout_add (20, on_tick, NULL);                                      \
    while (!(condition) && !too_late)                                                                                                                \
      g_main_context_iteration (NULL, TRUE);                                                                                                         \
    g_assert_false (too_late);                                                                                                                       \
    g_source_remove (timer);                                                                                                                         \
    g_source_remove (ticker);                                                                                                                        \
  }                                                                                                                                                  \
  G_STMT_END

static void
linger (guint ms)
{
  gboolean over = FALSE;

  g_timeout_add (ms, on_timeout, &over);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->client, llm_engine_client_free);
  WAIT_FOR (f->n_pending == 0);
  linger (10);
  g_clear_pointer (&f->result, g_variant_unref);
  g_string_free (f->text, TRUE);
  g_free (f->states);
  g_free (f->lost);
}

/* ---- calls ---- */

typedef struct {
  Fixture *f;
  gboolean over;
  GVariant *reply;
  GError *error;
} Answer;

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Answer *answer = user_data;

  answer->reply = llm_engine_client_call_finish (NULL, result, &answer->error);
  answer->over = TRUE;
  answer->f->n_pending--;
}

static void
call (Fixture *f, Answer *answer, const char *method, GVariant *params)
{
  *answer = (Answer) { f };
  f->n_pending++;
  llm_engine_client_call_async (f->client, method, params, NULL, on_answer, answer);
}

static void
clear_answer (Answer *answer)
{
  g_clear_pointer (&answer->reply, g_variant_unref);
  g_clear_error (&answer->error);
}

static GVariant *
submission (guint64 id, const char *prompt)
{
  GVariantBuilder request;

  g_variant_builder_init (&request, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&request, "{sv}", "prompt", g_variant_new_string (prompt));
  return g_variant_new ("(tuts@a{sv})", id, 1000, G_GUINT64_CONSTANT (7), "digest", g_variant_builder_end (&request));
}

static void
submit (Fixture *f, guint64 id, const char *prompt)
{
  Answer answer;

  call (f, &answer, "Submit", submission (id, prompt));
  WAIT_FOR (answer.over);
  g_assert_no_error (answer.error);
  clear_answer (&answer);
}

static const char *
finish_reason (Fixture *f)
{
  const char *reason = NULL;

  g_assert_nonnull (f->result);
  g_variant_lookup (f->result, "finish-reason", "&s", &reason);
  return reason;
}

/* A request from begin to end, as proof that the client is usable. */
static void
assert_works (Fixture *f)
{
  guint n_done = f->n_done;

  submit (f, 999, "tokens 2");
  WAIT_FOR (f->n_done == n_done + 1);
  g_assert_cmpstr (finish_reason (f), ==, "stop");
}

/* ---- events ---- */

static void
test_stream (Fixture *f, gconstpointer data)
{
  guint n_tokens = 0;

  g_assert_false (llm_engine_client_is_running (f->client));
  submit (f, 1, "tokens 5");
  g_assert_true (llm_engine_client_is_running (f->client));
  WAIT_FOR (f->n_done == 1);
  g_assert_cmpstr (f->text->str, ==, "0 1 2 3 4 ");
  g_assert_cmpstr (f->states, ==, "prefill ");
  g_assert_cmpstr (finish_reason (f), ==, "stop");
  g_variant_lookup (f->result, "output-tokens", "u", &n_tokens);
  g_assert_cmpuint (n_tokens, ==, 5);
  g_assert_cmpuint (f->n_after_done, ==, 0);
  g_assert_cmpuint (f->n_ready, ==, 1);
  g_assert_cmpuint (f->n_lost, ==, 0);
}

static void
test_pause_and_cancel (Fixture *f, gconstpointer data)
{
  Answer pause, resume, cancel;
  guint n;

  submit (f, 1, "slow 1000000 1");
  WAIT_FOR (f->n_delta >= 3);
  call (f, &pause, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (1), TRUE));
  WAIT_FOR (pause.over);
  linger (20);
  n = f->n_delta;
  linger (40);
  g_assert_cmpuint (f->n_delta, ==, n);
  g_assert_nonnull (strstr (f->states, "paused"));
  call (f, &resume, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (1), FALSE));
  WAIT_FOR (f->n_delta > n);
  call (f, &cancel, "Cancel", g_variant_new ("(t)", G_GUINT64_CONSTANT (1)));
  WAIT_FOR (f->n_done == 1 && cancel.over && resume.over);
  g_assert_cmpstr (finish_reason (f), ==, "cancelled");
  clear_answer (&pause);
  clear_answer (&resume);
  clear_answer (&cancel);
}

static void
test_error_in_done (Fixture *f, gconstpointer data)
{
  const char *name = NULL;

  submit (f, 1, "error ContextExceeded");
  WAIT_FOR (f->n_done == 1);
  g_assert_true (g_variant_lookup (f->result, "error-name", "&s", &name));
  g_assert_cmpstr (name, ==, "org.local.LLM.Error.ContextExceeded");
}

static void
test_flood (Fixture *f, gconstpointer data)
{
  submit (f, 1, "flood 4000");
  WAIT_FOR (f->n_done == 1);
  g_assert_cmpuint (f->n_delta, ==, 4000);
  g_assert_cmpuint (f->n_bytes, ==, 4000 * 4096);
}

static void
test_text_calls (Fixture *f, gconstpointer data)
{
  Answer tokens, text, count, statistics;

  call (f, &tokens, "Tokenize", g_variant_new_parsed ("('digest', 'ab', @a{sv} {})"));
  call (f, &text, "Detokenize", g_variant_new_parsed ("('digest', [@u 120, 121], @a{sv} {})"));
  call (f, &count, "CountTokens", g_variant_new_parsed ("('digest', [{'role': <'user'>}, {'role': <'user'>}], @a{sv} {})"));
  call (f, &statistics, "Statistics", g_variant_new ("()"));
  WAIT_FOR (f->n_pending == 0);
  g_assert_true (g_variant_equal (tokens.reply, g_variant_new_parsed ("([@u 97, 98],)")));
  g_assert_true (g_variant_equal (text.reply, g_variant_new_parsed ("('xy',)")));
  g_assert_true (g_variant_equal (count.reply, g_variant_new_parsed ("(@u 2,)")));
  g_assert_true (g_variant_is_of_type (statistics.reply, G_VARIANT_TYPE ("(a{sv})")));
  clear_answer (&tokens);
  clear_answer (&text);
  clear_answer (&count);
  clear_answer (&statistics);
}

static void
test_typed_errors (Fixture *f, gconstpointer data)
{
  Answer answer;

  call (f, &answer, "Load", g_variant_new_parsed ("('error', @ah [], @a{sv} {})"));
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_false (g_dbus_error_is_remote_error (answer.error)); /* no "GDBus.Error:" before the message */
  clear_answer (&answer);
  call (f, &answer, "NoSuchMethod", g_variant_new ("()"));
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD);
  clear_answer (&answer);
}

/* ---- ends ---- */

typedef struct {
  const char *prompt, *reason;
} Death;

static const Death deaths[] = { { "crash", "killed by signal 11*" }, { "crash-after 3", "killed by signal 11*" }, { "exit 3", "exited with status 3" } };

static void
test_death (Fixture *f, gconstpointer data)
{
  const Death *death = data;

  submit (f, 1, death->prompt);
  WAIT_FOR (f->n_lost == 1);
  g_assert_true (g_pattern_match_simple (death->reason, f->lost));
  g_assert_false (llm_engine_client_is_running (f->client));
  g_assert_cmpuint (f->n_delta, ==, strcmp (death->prompt, "crash-after 3") == 0 ? 3 : 0); /* none lost, none twice */
  linger (50);
  g_assert_cmpuint (f->n_lost, ==, 1);
  g_assert_cmpuint (f->n_done, ==, 0);
  assert_works (f);
  g_assert_cmpuint (f->n_ready, ==, 2);
}

static void
test_killed_in_stream (Fixture *f, gconstpointer data)
{
  Answer silent, queued[3];

  submit (f, 1, "slow 1000000 1");
  call (f, &silent, "Tokenize", g_variant_new_parsed ("('digest', 'silent', @a{sv} {})"));
  WAIT_FOR (f->n_delta >= 5);
  kill (atoi (g_subprocess_get_identifier (f->client->process->process)), SIGKILL);
  WAIT_FOR (f->n_lost == 1);
  g_assert_true (g_pattern_match_simple ("killed by signal 9*", f->lost));
  g_assert_true (silent.over); /* failed before `lost`, as the header says */
  g_assert_error (silent.error, LLM_ERROR, LLM_ERROR_ENGINE_LOST);
  for (guint i = 0; i < G_N_ELEMENTS (queued); i++)
    call (f, &queued[i], "Statistics", g_variant_new ("()")); /* one new process for the three */
  WAIT_FOR (f->n_pending == 0);
  for (guint i = 0; i < G_N_ELEMENTS (queued); i++)
    {
      g_assert_no_error (queued[i].error);
      clear_answer (&queued[i]);
    }
  assert_works (f);
  g_assert_cmpuint (f->n_ready, ==, 2);
  g_assert_cmpuint (f->n_lost, ==, 1);
  clear_answer (&silent);
}

/* A stopped engine does not stop the loop of the broker; free() ends it. */
static void
test_deaf (Fixture *f, gconstpointer data)
{
  Answer answer;

  submit (f, 1, "hang");
  call (f, &answer, "Statistics", g_variant_new ("()"));
  linger (50);
  g_assert_false (answer.over);
  g_clear_pointer (&f->client, llm_engine_client_free);
  WAIT_FOR (answer.over);
  g_assert_nonnull (answer.error);
  g_assert_cmpuint (f->n_lost, ==, 0);
  clear_answer (&answer);
}

static void
test_back_off (Fixture *f, gconstpointer data)
{
  gint64 begin = g_get_monotonic_time ();

  for (guint i = 0; i < 4; i++)
    {
      submit (f, i, "crash");
      WAIT_FOR (f->n_lost == i + 1);
    }
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, (50 + 100 + 200) * 1000);
}

/* Two crashes with one user's requests to one model: what the broker does with `lost`. */
static void
test_double_crash (Fixture *f, gconstpointer data)
{
  LlmCrashLedger *ledger = llm_crash_ledger_new ();

  for (guint i = 1; i <= LLM_CRASHES_TO_QUARANTINE; i++)
    {
      g_assert_false (llm_crash_ledger_is_quarantined (ledger, "digest", 1000, g_get_monotonic_time ()));
      submit (f, i, "crash");
      WAIT_FOR (f->n_lost == i);
      llm_crash_ledger_charge (ledger, "digest", 1000, FALSE, g_get_monotonic_time ());
    }
  g_assert_true (llm_crash_ledger_is_quarantined (ledger, "digest", 1000, g_get_monotonic_time ()));
  llm_crash_ledger_free (ledger);
}

/* ---- starting ---- */

static void
test_start_fails (Fixture *f, gconstpointer data)
{
  Answer first, second;

  for (guint i = 0; i < 2; i++)
    {
      g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "the engine did not start: *");
      call (f, &first, "Statistics", g_variant_new ("()"));
      call (f, &second, "Statistics", g_variant_new ("()"));
      WAIT_FOR (first.over && second.over);
      g_assert_error (first.error, LLM_ERROR, LLM_ERROR_ENGINE_LOST);
      g_assert_error (second.error, LLM_ERROR, LLM_ERROR_ENGINE_LOST);
      g_assert_false (llm_engine_client_is_running (f->client));
      g_test_assert_expected_messages ();
      clear_answer (&first);
      clear_answer (&second);
    }
  g_assert_cmpuint (f->n_lost, ==, 0); /* it never was */
  g_assert_cmpuint (f->n_ready, ==, 0);
}

static void
set_up_missing (Fixture *f, gconstpointer data)
{
  set_up_with (f, data, "");
}

static void
test_stop (Fixture *f, gconstpointer data)
{
  Answer answer;

  submit (f, 1, "sleep");
  llm_engine_client_stop (f->client);
  g_assert_false (llm_engine_client_is_running (f->client));
  linger (50);
  g_assert_cmpuint (f->n_lost, ==, 0); /* it was asked to */
  assert_works (f);
  llm_engine_client_stop (f->client);
  llm_engine_client_stop (f->client);
  call (f, &answer, "Statistics", g_variant_new ("()"));
  llm_engine_client_stop (f->client); /* before it has started: nobody waits for ever */
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, LLM_ERROR, LLM_ERROR_ENGINE_LOST);
  clear_answer (&answer);
  assert_works (f);
}

/* Processes that the client has started and that live; -1: this kernel does not tell. */
static int
count_children (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", getpid ()), *text = NULL;
  int n = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return -1;
  for (const char *c = text; *c != '\0'; c++)
    n += *c == ' ';
  return n;
}

/* Stopped at every moment of starting and asked again at once: one process, one answer. */
static void
test_stop_while_starting (Fixture *f, gconstpointer data)
{
  Answer stopped, answer;

  for (guint n_iterations = 0; n_iterations < 8; n_iterations++)
    {
      guint n_ready;

      llm_engine_client_stop (f->client);
      call (f, &stopped, "Statistics", g_variant_new ("()"));
      for (guint i = 0; i < n_iterations && f->client->state != READY; i++)
        g_main_context_iteration (NULL, TRUE);
      llm_engine_client_stop (f->client);
      n_ready = f->n_ready;
      call (f, &answer, "Statistics", g_variant_new ("()"));
      WAIT_FOR (stopped.over && answer.over);
      g_assert_no_error (answer.error);
      linger (5);
      g_assert_cmpuint (f->n_ready, ==, n_ready + 1);
      clear_answer (&stopped);
      clear_answer (&answer);
    }
  linger (50);
  WAIT_FOR (count_children () <= 1);
  g_assert_cmpuint (f->n_lost, ==, 0);
}

static void
test_free_with_calls (Fixture *f, gconstpointer data)
{
  Answer waiting, under_way;

  submit (f, 1, "sleep");
  call (f, &under_way, "Tokenize", g_variant_new_parsed ("('digest', 'silent', @a{sv} {})"));
  linger (10);
  llm_engine_client_free (g_steal_pointer (&f->client));
  WAIT_FOR (under_way.over);
  g_assert_nonnull (under_way.error);
  clear_answer (&under_way);
  set_up_with (f, fake_engine, "");
  call (f, &waiting, "Statistics", g_variant_new ("()"));
  g_clear_pointer (&f->client, llm_engine_client_free);
  WAIT_FOR (waiting.over);
  g_assert_error (waiting.error, LLM_ERROR, LLM_ERROR_CANCELLED);
  clear_answer (&waiting);
}

typedef struct {
  Answer answer;
  LlmEngineClient *client;
} Stubborn;

static void
on_stubborn_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Stubborn *stubborn = user_data;
  Answer *again = &stubborn->answer;

  g_assert_null (llm_engine_client_call_finish (NULL, result, NULL));
  llm_engine_client_call_async (stubborn->client, "Statistics", g_variant_new ("()"), NULL, on_answer, again);
  g_assert_false (llm_engine_client_is_running (stubborn->client)); /* a start would outlive the client */
}

/* Who hears in free() that his call failed may call again: that fails, too, and starts nothing. */
static void
test_call_in_free (Fixture *f, gconstpointer data)
{
  Stubborn stubborn = { { f }, f->client };

  f->n_pending++;
  llm_engine_client_call_async (f->client, "Statistics", g_variant_new ("()"), NULL, on_stubborn_answer, &stubborn);
  g_main_context_iteration (NULL, FALSE); /* it calls back at once, then */
  g_clear_pointer (&f->client, llm_engine_client_free);
  WAIT_FOR (stubborn.answer.over);
  g_assert_error (stubborn.answer.error, LLM_ERROR, LLM_ERROR_CANCELLED);
  clear_answer (&stubborn.answer);
}

/* LLM_ENGINE_MAX_CALLS wait; one more is refused and the others are not harmed. */
static void
test_too_many_calls (Fixture *f, gconstpointer data)
{
  g_autofree Answer *answers = g_new0 (Answer, LLM_ENGINE_MAX_CALLS);
  Answer refused;

  for (guint i = 0; i < LLM_ENGINE_MAX_CALLS; i++)
    call (f, &answers[i], "Statistics", g_variant_new ("()"));
  call (f, &refused, "Statistics", g_variant_new ("()"));
  WAIT_FOR (f->n_pending == 0);
  g_assert_error (refused.error, LLM_ERROR, LLM_ERROR_BUSY);
  clear_answer (&refused);
  for (guint i = 0; i < LLM_ENGINE_MAX_CALLS; i++)
    {
      g_assert_no_error (answers[i].error);
      clear_answer (&answers[i]);
    }
  assert_works (f);
}

/* What the engine's environment may not hold. */
static void
test_environment (void)
{
  g_auto (GStrv) environment = NULL;

  g_assert_true (is_kept ("VK_ICD_FILENAMES"));
  g_assert_true (is_kept ("LP_NUM_THREADS"));
  g_assert_true (is_kept ("MESA_SHADER_CACHE_DIR"));
  g_assert_true (is_kept ("LLM_CPU_ISA"));
  g_assert_true (is_kept ("ASAN_OPTIONS"));
  g_assert_false (is_kept ("LD_PRELOAD"));
  g_assert_false (is_kept ("LD_LIBRARY_PATH"));
  g_assert_false (is_kept ("DBUS_SESSION_BUS_ADDRESS"));
  g_assert_false (is_kept ("HOME"));
  g_assert_false (is_kept ("HTTP_PROXY"));
  g_setenv ("LLM_TEST_KEPT", "1", TRUE);
  g_setenv ("AWS_SECRET", "1", TRUE);
  environment = scrubbed_environment ();
  g_assert_null (g_environ_getenv (environment, "AWS_SECRET"));
  g_assert_cmpstr (g_environ_getenv (environment, "LLM_TEST_KEPT"), ==, "1");
}

/* ---- inspecting ---- */

static int
file_with (const char *text)
{
  int fd = memfd_create ("model", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, text, strlen (text)), ==, (gssize) strlen (text));
  return fd;
}

static void
on_inspected_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Answer *answer = user_data;

  answer->reply = llm_engine_client_inspect_finish (NULL, result, &answer->error);
  answer->over = TRUE;
  answer->f->n_pending--;
}

static void
inspect (Fixture *f, Answer *answer, const char *text, GCancellable *cancellable)
{
  int fd = file_with (text);
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new_from_array (&fd, 1);

  *answer = (Answer) { f };
  f->n_pending++;
  llm_engine_client_inspect_async (f->client, fds, cancellable, on_inspected_answer, answer);
}

static void
test_inspect (Fixture *f, gconstpointer data)
{
  Answer good, crash, error;
  const char *architecture = NULL;

  inspect (f, &good, "good", NULL);
  inspect (f, &crash, "crash", NULL); /* side by side, each in a process of its own */
  inspect (f, &error, "error", NULL);
  WAIT_FOR (good.over && crash.over && error.over);
  g_assert_no_error (good.error);
  g_assert_true (g_variant_lookup (good.reply, "architecture", "&s", &architecture));
  g_assert_cmpstr (architecture, ==, "llama");
  g_assert_error (crash.error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (crash.error->message, "crash"));
  g_assert_error (error.error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (error.error->message, "finds this model invalid"));
  g_assert_cmpuint (f->n_lost, ==, 0); /* a throw-away instance is not the engine */
  g_assert_false (llm_engine_client_is_running (f->client));
  clear_answer (&good);
  clear_answer (&crash);
  clear_answer (&error);
}

static void
test_inspect_hangs (Fixture *f, gconstpointer data)
{
  gint64 begin = g_get_monotonic_time ();
  Answer answer;

  inspect_timeout_ms = 700;
  inspect (f, &answer, "hang", NULL);
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (answer.error->message, "hang"));
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, LLM_INSPECT_TIMEOUT_MS * 1000);
  clear_answer (&answer);
}

static void
test_inspect_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) late = g_cancellable_new (), early = g_cancellable_new ();
  Answer answer;

  inspect (f, &answer, "hang", late);
  linger (100);
  g_cancellable_cancel (late);
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  clear_answer (&answer);
  g_cancellable_cancel (early);
  inspect (f, &answer, "good", early);
  WAIT_FOR (answer.over);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  clear_answer (&answer);
}

#define TEST(name, data, up, func) g_test_add ("/engine-client/" name, Fixture, data, up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  fake_engine = argv[1];
  TEST ("stream", NULL, set_up, test_stream);
  TEST ("pause-and-cancel", NULL, set_up, test_pause_and_cancel);
  TEST ("error-in-done", NULL, set_up, test_error_in_done);
  TEST ("flood", NULL, set_up, test_flood);
  TEST ("text-calls", NULL, set_up, test_text_calls);
  TEST ("typed-errors", NULL, set_up, test_typed_errors);
  TEST ("death/crash", &deaths[0], set_up_plain, test_death);
  TEST ("death/crash-after-three", &deaths[1], set_up_plain, test_death);
  TEST ("death/exit", &deaths[2], set_up_plain, test_death);
  TEST ("killed-in-stream", NULL, set_up, test_killed_in_stream);
  TEST ("deaf", NULL, set_up, test_deaf);
  TEST ("back-off", NULL, set_up, test_back_off);
  TEST ("double-crash", NULL, set_up, test_double_crash);
  TEST ("start/crash", "crash", set_up, test_start_fails);
  TEST ("start/hang", "hang", set_up, test_start_fails);
  TEST ("start/error", "error", set_up, test_start_fails);
  TEST ("start/no-program", "/nonexistent/engine", set_up_missing, test_start_fails);
  TEST ("start/no-engine", "/bin/true", set_up_missing, test_start_fails);
  TEST ("stop", NULL, set_up, test_stop);
  TEST ("stop-while-starting", "slow", set_up, test_stop_while_starting);
  TEST ("call-in-free", NULL, set_up, test_call_in_free);
  TEST ("free-with-calls", NULL, set_up, test_free_with_calls);
  TEST ("limit/calls", NULL, set_up, test_too_many_calls);
  g_test_add_func ("/engine-client/environment", test_environment);
  TEST ("inspect/answers", NULL, set_up, test_inspect);
  TEST ("inspect/hangs", NULL, set_up, test_inspect_hangs);
  TEST ("inspect/cancelled", NULL, set_up, test_inspect_cancelled);
  return g_test_run ();
}
