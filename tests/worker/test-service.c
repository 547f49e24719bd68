/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The real engine process on a socketpair, with models of a few kilobytes: its life from Configure
 * to the end, and the typed error of each thing that is wrong. argv[1]: local-llm-engine.
 */
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"
#include "format/gguf-builder.h"

static const char *engine_path;

typedef struct {
  GSubprocess *process;
  GDBusConnection *connection;
  GString *text;
  guint n_delta, n_tokens, n_logprobs, n_done;
  GVariant *result;
  char *states;
} Fixture;

/* ---- the process ---- */

static void
on_signal (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GVariant *params, gpointer user_data)
{
  Fixture *f = user_data;
  g_autoptr (GVariant) dict = NULL, tokens = NULL, logprobs = NULL;

  if (strcmp (name, "Delta") == 0)
    {
      const char *text;

      g_variant_get (params, "(tus&s@a{sv})", NULL, NULL, NULL, &text, &dict);
      g_assert_cmpuint (f->n_done, ==, 0); /* Done is the last; requests of these tests come one by one */
      tokens = g_variant_lookup_value (dict, "tokens", G_VARIANT_TYPE ("au"));
      logprobs = g_variant_lookup_value (dict, "logprobs", G_VARIANT_TYPE ("aa{sv}"));
      g_string_append (f->text, text);
      f->n_delta++;
      f->n_tokens += (guint) g_variant_n_children (tokens);
      f->n_logprobs += logprobs != NULL ? (guint) g_variant_n_children (logprobs) : 0;
    }
  else if (strcmp (name, "State") == 0)
    {
      g_autofree char *before = f->states;
      const char *state;

      g_variant_get (params, "(t&su)", NULL, &state, NULL);
      f->states = g_strconcat (before != NULL ? before : "", state, " ", NULL);
    }
  else
    {
      g_clear_pointer (&f->result, g_variant_unref);
      f->result = g_variant_get_child_value (params, 1);
      f->n_done++;
    }
}

static void
on_made (GObject *source, GAsyncResult *result, gpointer connection)
{
  g_autoptr (GError) error = NULL;

  *(GDBusConnection **) connection = g_dbus_connection_new_finish (result, &error);
  g_assert_no_error (error);
}

static void
start (Fixture *f, const char *option)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GError) error = NULL;
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_subprocess_launcher_take_fd (launcher, pair[1], 3);
  g_subprocess_launcher_setenv (launcher, "LLM_CPU_ISA", "scalar", TRUE);
  g_subprocess_launcher_setenv (launcher, "VK_DRIVER_FILES", "/dev/null", TRUE); /* drivers have leaks of their own */
  g_subprocess_launcher_setenv (launcher, "VK_ICD_FILENAMES", "/dev/null", TRUE); /* the same for older loaders */
  f->process = g_subprocess_launcher_spawn (launcher, &error, engine_path, option, NULL);
  g_assert_no_error (error);
  socket = g_socket_new_from_fd (pair[0], NULL);
  stream = g_socket_connection_factory_create_connection (socket);
  g_dbus_connection_new (G_IO_STREAM (stream), guid, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, NULL, NULL, on_made, &f->connection);
  while (f->connection == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_dbus_connection_set_exit_on_close (f->connection, FALSE);
  g_dbus_connection_signal_subscribe (f->connection, NULL, LLM_ENGINE_IFACE, NULL, LLM_ENGINE_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, f, NULL);
  f->text = g_string_new (NULL);
}

/* Takes @fd when it is not -1. */
static GVariant *
call_with (Fixture *f, const char *method, GVariant *params, int fd, GError **error)
{
  g_autoptr (GUnixFDList) fds = fd >= 0 ? g_unix_fd_list_new_from_array (&fd, 1) : NULL;
  GVariant *reply = g_dbus_connection_call_with_unix_fd_list_sync (f->connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, method, params, NULL,
                                                                   G_DBUS_CALL_FLAGS_NONE, 30000, fds, NULL, NULL, error);

  if (reply == NULL)
    g_dbus_error_strip_remote_error (*error);
  return reply;
}

static GVariant *
call (Fixture *f, const char *method, GVariant *params)
{
  g_autoptr (GError) error = NULL;
  GVariant *reply = call_with (f, method, params, -1, &error);

  g_assert_no_error (error);
  return reply;
}

#define CALL(f, method, params) g_variant_unref (call (f, method, params))

static void
set_up (Fixture *f, gconstpointer data)
{
  start (f, NULL);
  CALL (f, "Configure", g_variant_new_parsed ("({'threads': <@u 2>},)"));
}

static void
set_up_unconfigured (Fixture *f, gconstpointer option)
{
  start (f, option);
}

static void
set_up_inspector (Fixture *f, gconstpointer data)
{
  start (f, "--inspect-only");
}

/* Every test also shows that the engine goes, and cleanly, when the connection does. */
static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_dbus_connection_close_sync (f->connection, NULL, NULL);
  g_subprocess_wait_check (f->process, NULL, &error);
  g_assert_no_error (error);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_object_unref (f->connection);
  g_object_unref (f->process);
  g_string_free (f->text, TRUE);
  g_clear_pointer (&f->result, g_variant_unref);
  g_free (f->states);
}

/* ---- models ---- */

static int
file_with (gconstpointer bytes, gsize size)
{
  int fd = memfd_create ("model", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, bytes, size), ==, (gssize) size);
  return fd;
}

static int
tiny_model (void)
{
  const LlmTestModel options = { .seed = 1 };
  g_autoptr (GBytes) bytes = llm_test_tiny_model (&options);

  return file_with (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static int
cut_model (gsize denominator)
{
  const LlmTestModel options = { .seed = 1 };
  g_autoptr (GBytes) bytes = llm_test_tiny_model (&options);

  return file_with (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes) - g_bytes_get_size (bytes) / denominator);
}

static GVariant *
load_params (const char *digest, const char *settings)
{
  return g_variant_new ("(s@ah@a{sv})", digest, g_variant_new_parsed ("[@h 0]"), g_variant_new_parsed (settings));
}

static void
load (Fixture *f, const char *digest)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = call_with (f, "Load", load_params (digest, "{'context-window': <@u 512>}"), tiny_model (), &error), info = NULL;
  const char *device = NULL;
  guint window = 0;

  g_assert_no_error (error);
  info = g_variant_get_child_value (reply, 0);
  g_assert_true (g_variant_lookup (info, "device", "&s", &device));
  g_assert_true (g_variant_lookup (info, "context-window", "u", &window));
  g_assert_cmpstr (device, ==, "cpu");
  g_assert_cmpuint (window, ==, 512);
}

/* ---- requests ---- */

static void
submit (Fixture *f, guint64 id, const char *digest, const char *request)
{
  f->n_done = f->n_delta = f->n_tokens = f->n_logprobs = 0;
  g_string_truncate (f->text, 0);
  g_clear_pointer (&f->states, g_free);
  CALL (f, "Submit", g_variant_new ("(tuts@a{sv})", id, 1000, G_GUINT64_CONSTANT (1), digest, g_variant_new_parsed (request)));
}

static void
wait_done (Fixture *f)
{
  gint64 end = g_get_monotonic_time () + 180 * G_USEC_PER_SEC;

  while (f->n_done == 0 && g_get_monotonic_time () < end)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (500);
  g_assert_cmpuint (f->n_done, ==, 1);
}

static void
assert_result (Fixture *f, const char *finish_reason, const char *error_name)
{
  const char *reason = "", *error = "";

  wait_done (f);
  g_variant_lookup (f->result, "finish-reason", "&s", &reason);
  g_variant_lookup (f->result, "error-name", "&s", &error);
  g_assert_cmpstr (error, ==, error_name);
  if (finish_reason != NULL)
    g_assert_cmpstr (reason, ==, finish_reason);
}

/* No token of the tiny model may end the answer: its EOS is pushed away. */
#define ENDLESS "'temperature': <0.0>, 'logit-bias': <{@u 286: -100.0, 288: -100.0, 290: -100.0, 293: -100.0}>"

static void
test_stream (Fixture *f, gconstpointer data)
{
  g_autofree char *first = NULL;
  guint n_output = 0, n_prompt = 0;

  load (f, "d");
  for (guint i = 0; i < 2; i++)
    {
      submit (f, 1, "d", "{'prompt': <'Once'>, 'raw': <true>, 'max-tokens': <@u 30>, 'logprobs': <@u 2>, " ENDLESS "}");
      assert_result (f, "length", "");
      g_assert_true (g_variant_lookup (f->result, "output-tokens", "u", &n_output));
      g_assert_true (g_variant_lookup (f->result, "prompt-tokens", "u", &n_prompt));
      g_assert_cmpuint (n_output, ==, 30);
      g_assert_cmpuint (n_prompt, ==, 5); /* BOS and four bytes */
      g_assert_cmpuint (f->n_tokens, ==, 30);
      g_assert_cmpuint (f->n_logprobs, ==, 30);
      g_assert_cmpuint (f->text->len, >, 0);
      g_assert_true (g_utf8_validate (f->text->str, -1, NULL));
      g_assert_nonnull (strstr (f->states, "decode"));
      if (first == NULL)
        first = g_strdup (f->text->str);
      g_assert_cmpstr (first, ==, f->text->str); /* greedy: the same again */
    }
}

static void
test_echo_and_chat (Fixture *f, gconstpointer data)
{
  load (f, "d");
  submit (f, 1, "d", "{'prompt': <'Once'>, 'raw': <true>, 'echo': <true>, 'max-tokens': <@u 2>, " ENDLESS "}");
  assert_result (f, "length", "");
  g_assert_true (g_str_has_prefix (f->text->str, "Once"));
  submit (f, 2, "d", "{'messages': <[{'role': <'user'>, 'content': <'hello'>}]>, 'max-tokens': <@u 2>, " ENDLESS "}");
  assert_result (f, "length", "");
}

static void
test_cancel_and_pause (Fixture *f, gconstpointer data)
{
  gboolean was_cancelled = FALSE;
  const char *reason = NULL;

  load (f, "d");
  submit (f, 1, "d", "{'prompt': <'Once'>, 'raw': <true>, 'max-tokens': <@u 400>, " ENDLESS "}");
  CALL (f, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (1), TRUE));
  while (f->n_done == 0 && strstr (f->states != NULL ? f->states : "", "paused") == NULL)
    g_main_context_iteration (NULL, TRUE);
  if (f->n_done == 0) /* a quick machine may have ended it before the pause */
    {
      g_assert_nonnull (strstr (f->states, "paused"));
      CALL (f, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (1), FALSE));
    }
  assert_result (f, "length", "");
  for (guint i = 0; i < 100 && !was_cancelled; i++)
    {
      submit (f, 2, "d", "{'prompt': <'Once'>, 'raw': <true>, 'max-tokens': <@u 400>, " ENDLESS "}");
      CALL (f, "Cancel", g_variant_new ("(t)", G_GUINT64_CONSTANT (2)));
      wait_done (f);
      was_cancelled = g_variant_lookup (f->result, "finish-reason", "&s", &reason) && strcmp (reason, "length") != 0; /* else it was too quick */
    }
  assert_result (f, "cancelled", LLM_ERROR_PREFIX "Cancelled");
  CALL (f, "Cancel", g_variant_new ("(t)", G_GUINT64_CONSTANT (2))); /* gone, unknown: nothing happens */
  CALL (f, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (77), TRUE));
}

static GVariant *
embed (Fixture *f, const char *digest, const char *request, GError **error)
{
  return call_with (f, "Embed", g_variant_new ("(tus@a{sv})", G_GUINT64_CONSTANT (50), 1000, digest, g_variant_new_parsed (request)), -1, error);
}

static void
assert_embed_fails (Fixture *f, const char *digest, const char *request, GQuark domain, int code)
{
  g_autoptr (GError) error = NULL;

  llm_error_quark ();
  g_assert_null (embed (f, digest, request, &error));
  g_assert_error (error, domain, code);
}

static void
test_embed (Fixture *f, gconstpointer data)
{
  g_autofree char *long_text = g_strnfill (600, '~');
  g_autofree char *too_long = g_strdup_printf ("{'inputs': <['a', '%s']>}", long_text), *cut = g_strdup_printf ("{'inputs': <['%s']>, 'truncate': <true>}", long_text);
  g_autoptr (GVariant) reply = NULL, rows = NULL, result = NULL, statistics = NULL, dict = NULL, shorter = NULL;
  const guint8 *bytes;
  float numbers[2 * 64];
  guint count = 0, dimensions = 0, tokens = 0;
  guint64 embedded = 0;
  double square = 0;
  gsize n;

  assert_embed_fails (f, "d", "{'inputs': <['a']>}", LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  load (f, "d");
  reply = embed (f, "d", "{'inputs': <['Once', 'Twice']>, 'pooling': <'mean'>}", NULL);
  g_assert_nonnull (reply);
  g_variant_get (reply, "(@ay@a{sv})", &rows, &result);
  bytes = g_variant_get_fixed_array (rows, &n, 1);
  g_assert_cmpuint (n, ==, sizeof numbers);
  memcpy (numbers, bytes, n);
  for (guint i = 64; i < G_N_ELEMENTS (numbers); i++)
    square += (double) numbers[i] * (double) numbers[i];
  g_assert_cmpfloat_with_epsilon (square, 1, 1e-5);
  g_assert_true (g_variant_lookup (result, "count", "u", &count) && g_variant_lookup (result, "dimensions", "u", &dimensions)
                 && g_variant_lookup (result, "prompt-tokens", "u", &tokens));
  g_assert_cmpuint (count, ==, 2);
  g_assert_cmpuint (dimensions, ==, 64);
  g_assert_cmpuint (tokens, ==, 11); /* BOS and the bytes */
  while (f->states == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (f->states, ==, "prefill ");
  shorter = embed (f, "d", cut, NULL);
  g_assert_nonnull (shorter);
  statistics = call (f, "Statistics", NULL);
  dict = g_variant_get_child_value (statistics, 0);
  g_assert_true (g_variant_lookup (dict, "tokens-embedded", "t", &embedded));
  g_assert_cmpuint (embedded, ==, 11 + 512);
  assert_embed_fails (f, "d", too_long, LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED);
  assert_embed_fails (f, "d", "{'inputs': <@as []>}", LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
  assert_embed_fails (f, "d", "@a{sv} {}", LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
  assert_embed_fails (f, "d", "{'inputs': <'a'>}", G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  assert_embed_fails (f, "d", "{'inputs': <['a']>, 'pooling': <'max'>}", G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  assert_embed_fails (f, "d", "{'inputs': <['a']>, 'nonsense': <1>}", G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  assert_embed_fails (f, "d", "{'inputs': <['a']>, 'dimensions': <@u 65>}", G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  assert_embed_fails (f, "d", "{'inputs': <['a']>, 'max-bytes': <@t 255>}", G_DBUS_ERROR, G_DBUS_ERROR_LIMITS_EXCEEDED);
  assert_embed_fails (f, "d", "{'inputs': <['a']>, 'deadline-ms': <@u 1>, 'truncate': <1>}", G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* With a thousand texts under way, Cancel comes in time. */
static void
test_embed_cancel (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (500, '~');
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;
  GVariantBuilder inputs, request;

  load (f, "d");
  g_variant_builder_init (&inputs, G_VARIANT_TYPE_STRING_ARRAY);
  for (guint i = 0; i < 1000; i++)
    g_variant_builder_add (&inputs, "s", text);
  g_variant_builder_init (&request, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&request, "{sv}", "inputs", g_variant_builder_end (&inputs));
  g_dbus_connection_call (f->connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, "Embed", g_variant_new ("(tusa{sv})", G_GUINT64_CONSTANT (9), 1000, "d", &request),
                          NULL, G_DBUS_CALL_FLAGS_NONE, 30000, NULL, keep_result, &result);
  CALL (f, "Cancel", g_variant_new ("(t)", G_GUINT64_CONSTANT (9)));
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  reply = g_dbus_connection_call_finish (f->connection, result, &error);
  g_assert_null (reply);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_CANCELLED);
}

static void
test_request_errors (Fixture *f, gconstpointer data)
{
  g_autofree char *long_prompt = g_strnfill (2000, '~');
  g_autofree char *too_long = g_strdup_printf ("{'prompt': <'%s'>, 'raw': <true>}", long_prompt);

  submit (f, 1, "nobody", "{'prompt': <'a'>}");
  assert_result (f, NULL, LLM_ERROR_PREFIX "ModelNotFound");
  load (f, "d");
  submit (f, 2, "d", too_long);
  assert_result (f, NULL, LLM_ERROR_PREFIX "ContextExceeded");
  submit (f, 3, "d", "{'prompt': <'a'>, 'logit-bias': <{@u 294: 1.0}>}"); /* ids are 0 to 293 */
  assert_result (f, NULL, "org.freedesktop.DBus.Error.InvalidArgs");
  submit (f, 4, "d", "{'prompt': <'a'>, 'logit-bias': <{@u 4294967295: 1.0}>}");
  assert_result (f, NULL, "org.freedesktop.DBus.Error.InvalidArgs");
  submit (f, 5, "d", "{'prompt': <'a'>, 'raw': <true>, 'max-tokens': <@u 1>, 'logit-bias': <{@u 293: -100.0}>}");
  assert_result (f, NULL, "");
}

static void
test_unload (Fixture *f, gconstpointer data)
{
  load (f, "d");
  load (f, "d"); /* again: at once, the same */
  submit (f, 1, "d", "{'prompt': <'Once'>, 'raw': <true>, 'max-tokens': <@u 400>, " ENDLESS "}");
  CALL (f, "Pause", g_variant_new ("(tb)", G_GUINT64_CONSTANT (1), TRUE));
  CALL (f, "Unload", g_variant_new ("(s)", "d"));
  assert_result (f, "cancelled", LLM_ERROR_PREFIX "Closed");
  submit (f, 2, "d", "{'prompt': <'a'>}");
  assert_result (f, NULL, LLM_ERROR_PREFIX "ModelNotFound");
  load (f, "d");
  submit (f, 3, "d", "{'prompt': <'a'>, 'raw': <true>, 'max-tokens': <@u 1>, " ENDLESS "}");
  assert_result (f, "length", "");
}

static void
test_text (Fixture *f, gconstpointer data)
{
  g_autoptr (GVariant) tokens = NULL, text = NULL, count = NULL, statistics = NULL;
  g_autoptr (GError) error = NULL;

  load (f, "d");
  tokens = call (f, "Tokenize", g_variant_new_parsed ("('d', 'ab', {'add-special': <true>})"));
  g_assert_true (g_variant_equal (tokens, g_variant_new_parsed ("([@u 289, 97, 98],)")));
  text = call (f, "Detokenize", g_variant_new_parsed ("('d', [@u 97, 98, 255], @a{sv} {})"));
  g_assert_true (g_variant_equal (text, g_variant_new_parsed ("('ab\xef\xbf\xbd',)")));
  count = call (f, "CountTokens", g_variant_new_parsed ("('d', [{'role': <'user'>, 'content': <'ab'>}], @a{sv} {})"));
  g_assert_true (g_variant_is_of_type (count, G_VARIANT_TYPE ("(u)")));
  statistics = call (f, "Statistics", g_variant_new ("()"));
  g_assert_true (g_variant_is_of_type (statistics, G_VARIANT_TYPE ("(a{sv})")));
  g_assert_null (call_with (f, "Detokenize", g_variant_new_parsed ("('d', [@u 294], @a{sv} {})"), -1, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_clear_error (&error);
  g_assert_null (call_with (f, "Tokenize", g_variant_new_parsed ("('nobody', 'ab', @a{sv} {})"), -1, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (call_with (f, "CountTokens", g_variant_new_parsed ("('d', [{'role': <'king'>, 'content': <'ab'>}], @a{sv} {})"), -1, &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MESSAGE);
}

/* ---- what is refused ---- */

typedef struct {
  const char *name, *method, *params, *message; /* message: glob */
} Refusal;

static const Refusal refusals[] = {
  { "submit/unknown-key", "Submit", "(@t 1, @u 1000, @t 1, 'd', {'prompt': <'a'>, 'colour': <'red'>})", "unknown key \"colour\"" },
  { "submit/type", "Submit", "(@t 1, @u 1000, @t 1, 'd', {'prompt': <'a'>, 'top-k': <'b'>})", "top-k is of type s*" },
  { "load/unknown-key", "Load", "('d', @ah [], {'colour': <'red'>})", "unknown key \"colour\"" },
  { "load/type", "Load", "('d', @ah [], {'context-window': <'512'>})", "context-window is of type s; u is needed" },
  { "load/no-file", "Load", "('d', @ah [], @a{sv} {})", "0 files were sent; 1 to 128 are needed" },
  { "load/no-such-handle", "Load", "('d', [@h 0], @a{sv} {})", "*file*" },
  { "inspect/no-file", "Inspect", "(@ah [],)", "0 files were sent; 1 to 128 are needed" },
  { "inspect/no-such-handle", "Inspect", "([@h 0, 1],)", "file handle 0 of 0" },
};

static void
test_refusals (Fixture *f, gconstpointer data)
{
  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (call_with (f, refusals[i].method, g_variant_new_parsed (refusals[i].params), -1, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
      if (!g_pattern_match_simple (refusals[i].message, error->message))
        g_error ("%s: %s", refusals[i].name, error->message);
    }
  g_assert_cmpuint (f->n_done, ==, 0);
}

/* As many files as a message may have, and one more; all of them are the same whole model. */
static void
test_many_files (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL, over = NULL;
  g_autofree gint32 *handles = g_new0 (gint32, LLM_MODEL_MAX_PARTS + 1);
  GVariant *at = g_variant_new_fixed_array (G_VARIANT_TYPE_HANDLE, handles, LLM_MODEL_MAX_PARTS, sizeof *handles);
  GVariant *above = g_variant_new_fixed_array (G_VARIANT_TYPE_HANDLE, handles, LLM_MODEL_MAX_PARTS + 1, sizeof *handles);

  g_assert_null (call_with (f, "Inspect", g_variant_new ("(@ah)", at), tiny_model (), &error));
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_nonnull (strstr (error->message, "no part of a split model"));
  g_assert_null (call_with (f, "Inspect", g_variant_new ("(@ah)", above), tiny_model (), &over));
  g_assert_error (over, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

static void
test_load_errors (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *settings;
    gboolean invalid_args;
    int code;
  } cases[] = {
    { "{'device': <'cpu:nonsense'>}", FALSE, LLM_ERROR_NOT_SUPPORTED },
    { "{'kv-type': <'f64'>}", TRUE, G_DBUS_ERROR_INVALID_ARGS },
    { "{'kv-type': <'q8_0'>, 'device': <'cpu'>}", FALSE, LLM_ERROR_NOT_SUPPORTED }, /* its heads are no whole blocks */
    { "{'kv-bytes': <@t 1>}", FALSE, LLM_ERROR_OUT_OF_MEMORY },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GVariant) reply = call_with (f, "Load", load_params ("d", cases[i].settings), tiny_model (), &error);

      if (reply != NULL)
        g_error ("%s was taken", cases[i].settings);
      g_assert_error (error, (cases[i].invalid_args ? G_DBUS_ERROR : LLM_ERROR), cases[i].code);
    }
  load (f, "d");
}

static int
pipe_end (void)
{
  int pair[2];

  g_assert_cmpint (pipe2 (pair, O_CLOEXEC), ==, 0);
  close (pair[1]);
  return pair[0];
}

/* A pipe that nobody closes: whoever reads it waits for ever. */
static int
open_pipe (void)
{
  int pair[2];

  g_assert_cmpint (pipe2 (pair, O_CLOEXEC), ==, 0);
  return pair[0];
}

/* Each thing that is no model, as a file descriptor. (transfer full) */
static int
broken_file (guint i)
{
  switch (i)
    {
    case 0:
      return pipe_end ();
    case 1:
      return open_pipe ();
    case 2:
      return open ("/dev/zero", O_RDONLY | O_CLOEXEC);
    case 3:
      return open ("/dev/null", O_RDONLY | O_CLOEXEC);
    case 4:
      return open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 5:
      return file_with ("", 0);
    case 6:
      return file_with ("GGUF", 4);
    case 7:
      return file_with ("no model at all, only text", 26);
    case 8:
      return cut_model (2); /* in the weights */
    case 9:
      return cut_model (1000); /* in the last tensor */
    default:
      return -1;
    }
}

static void
test_broken (Fixture *f, gconstpointer method)
{
  guint n = 0;

  for (int fd; (fd = broken_file (n)) >= 0; n++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GVariant) reply = NULL;

      if (strcmp (method, "Load") == 0)
        reply = call_with (f, "Load", load_params ("d", "@a{sv} {}"), fd, &error);
      else
        reply = call_with (f, "Inspect", g_variant_new_parsed ("([@h 0],)"), fd, &error);
      g_assert_null (reply);
      g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
      g_assert_cmpuint (strlen (error->message), >, 0);
    }
  g_assert_cmpuint (n, ==, 10);
}

/* ---- Configure, Inspect ---- */

static void
test_configure (Fixture *f, gconstpointer data)
{
  static const char *const wrong[] = { "({'colour': <'red'>},)", "({'threads': <'2'>},)" };
  g_autoptr (GVariant) reply = NULL, info = NULL, devices = NULL;
  g_autoptr (GError) error = NULL;
  const char *version = NULL;

  g_assert_null (call_with (f, "Statistics", g_variant_new ("()"), -1, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED);
  g_clear_error (&error);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_assert_null (call_with (f, "Configure", g_variant_new_parsed (wrong[i]), -1, &error));
      g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
      g_clear_error (&error);
    }
  reply = call (f, "Configure", g_variant_new_parsed ("({'cpu-isa': <'scalar'>, 'software-devices': <false>, 'threads': <@u 1>},)"));
  info = g_variant_get_child_value (reply, 0);
  g_assert_true (g_variant_lookup (info, "version", "&s", &version));
  devices = g_variant_lookup_value (info, "devices", G_VARIANT_TYPE ("aa{sv}"));
  g_assert_nonnull (devices);
  g_assert_cmpuint (g_variant_n_children (devices), >=, 1);
  g_assert_null (call_with (f, "Configure", g_variant_new_parsed ("(@a{sv} {},)"), -1, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED);
}

/* Inspect locks the instance in, but makes no engine of it. */
static void
test_inspect_before_configure (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_variant_unref (call_with (f, "Inspect", g_variant_new_parsed ("([@h 0],)"), tiny_model (), &error));
  g_assert_null (call_with (f, "Submit", g_variant_new_parsed ("(@t 1, @u 1, @t 1, 'd', {'prompt': <'a'>})"), -1, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED);
}

static void
test_inspect (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = NULL, info = NULL;
  const char *architecture = NULL, *name = NULL, *license = NULL, *quantization = NULL;
  guint context = 0, n_vocab = 0;
  guint64 n_parameters = 0, size = 0;
  g_auto (GStrv) capabilities = NULL;

  for (guint i = 0; i < 2; i++) /* once more in the same instance */
    {
      g_clear_pointer (&reply, g_variant_unref);
      reply = call_with (f, "Inspect", g_variant_new_parsed ("([@h 0],)"), tiny_model (), &error);
      g_assert_no_error (error);
    }
  info = g_variant_get_child_value (reply, 0);
  g_assert_true (g_variant_lookup (info, "architecture", "&s", &architecture));
  g_assert_true (g_variant_lookup (info, "name", "&s", &name));
  g_assert_true (g_variant_lookup (info, "license", "&s", &license));
  g_assert_true (g_variant_lookup (info, "quantization", "&s", &quantization));
  g_assert_true (g_variant_lookup (info, "context-length", "u", &context));
  g_assert_true (g_variant_lookup (info, "vocab-size", "u", &n_vocab));
  g_assert_true (g_variant_lookup (info, "parameter-count", "t", &n_parameters));
  g_assert_true (g_variant_lookup (info, "size", "t", &size));
  g_assert_true (g_variant_lookup (info, "capabilities", "^as", &capabilities));
  g_assert_cmpstr (architecture, ==, "llama");
  g_assert_cmpstr (name, ==, "tiny test model");
  g_assert_cmpstr (license, ==, "cc0-1.0");
  g_assert_cmpuint (context, ==, 512);
  g_assert_cmpuint (n_vocab, ==, 294);
  g_assert_cmpuint (n_parameters, >, 50000);
  g_assert_cmpuint (size, >, 4 * n_parameters);
  g_assert_true (g_strv_contains ((const char *const *) capabilities, "generate"));
  g_assert_null (call_with (f, "Configure", g_variant_new_parsed ("(@a{sv} {},)"), -1, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_FAILED);
}

static void
test_options (void)
{
  static const struct {
    const char *option;
    gboolean succeeds;
  } cases[] = { { "--version", TRUE }, { "--help", TRUE }, { "--nonsense", FALSE }, { "--fd=999", FALSE } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GSubprocess) process =
        g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error, engine_path, cases[i].option, NULL);

      g_assert_no_error (error);
      g_assert_cmpint (g_subprocess_wait_check (process, NULL, NULL), ==, cases[i].succeeds);
    }
}

#define TEST(name, data, up, func) g_test_add ("/service/" name, Fixture, data, up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  engine_path = argv[1];
  llm_error_quark ();
  g_test_add_func ("/service/options", test_options);
  TEST ("configure", NULL, set_up_unconfigured, test_configure);
  TEST ("inspect", "--inspect-only", set_up_unconfigured, test_inspect);
  TEST ("inspect-before-configure", NULL, set_up_unconfigured, test_inspect_before_configure);
  TEST ("stream", NULL, set_up, test_stream);
  TEST ("echo-and-chat", NULL, set_up, test_echo_and_chat);
  TEST ("embed", NULL, set_up, test_embed);
  TEST ("embed-cancel", NULL, set_up, test_embed_cancel);
  TEST ("cancel-and-pause", NULL, set_up, test_cancel_and_pause);
  TEST ("request-errors", NULL, set_up, test_request_errors);
  TEST ("unload", NULL, set_up, test_unload);
  TEST ("text", NULL, set_up, test_text);
  TEST ("refusals", NULL, set_up, test_refusals);
  TEST ("load-errors", NULL, set_up, test_load_errors);
  TEST ("many-files", NULL, set_up_inspector, test_many_files);
  g_test_add ("/service/broken/load", Fixture, "Load", set_up, test_broken, tear_down);
  g_test_add ("/service/broken/inspect", Fixture, "Inspect", set_up_inspector, test_broken, tear_down);
  return g_test_run ();
}
