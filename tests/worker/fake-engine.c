/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine that computes nothing and does what it is told, for tests of the broker's side.
 * It takes fd 3 and --inspect-only as the real one does.
 *
 * Submit, by the first line of the prompt (or of the last message's content):
 *   tokens N        State prefill, N deltas "0 " "1 " ..., Done stop
 *   slow N MS       the same, MS milliseconds between the deltas; Pause and Cancel work
 *   sleep           State decode and then nothing, until Cancel
 *   crash           SIGSEGV at once
 *   crash-after N   N deltas, then SIGSEGV
 *   exit STATUS     exits
 *   flood N         N deltas of 4096 bytes, as fast as the connection takes them, Done
 *   error NAME      Done with the error org.local.LLM.Error.NAME
 *   silent          the call is never answered
 *   hang            the main loop stands still for ever
 *   anything else   as tokens 1
 * Inspect, by the file's first line: crash, hang, error (InvalidModel); anything else is a small model.
 * Configure, by cpu-isa: crash, hang, error, slow (100 ms).  Load, by the digest: crash, error, silent.
 * Tokenize gives the bytes, Detokenize the reverse, CountTokens the number of messages; a text "silent" is never answered.
 */
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/names.h"
#include "engine-interface.h"

/* One request under way. */
typedef struct {
  guint64 id;
  guint n, limit, delay_ms;
  gboolean crashes, paused;
} Stream;

static GDBusConnection *connection;
static GHashTable *streams; /* id -> Stream */
static guint n_submitted;

static void
crash (void)
{
  signal (SIGSEGV, SIG_DFL); /* not the sanitizer's report */
  raise (SIGSEGV);
}

static void
hang (void)
{
  while (TRUE)
    pause ();
}

static void
emit (const char *name, GVariant *params)
{
  g_dbus_connection_emit_signal (connection, NULL, LLM_ENGINE_PATH, LLM_ENGINE_IFACE, name, params, NULL);
}

static void
emit_state (guint64 id, const char *state)
{
  emit ("State", g_variant_new ("(tsu)", id, state, 0));
}

static void
emit_delta (guint64 id, guint32 token, const char *text)
{
  GVariantDict details = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert_value (&details, "tokens", g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, &token, 1, sizeof token));
  emit ("Delta", g_variant_new ("(tuss@a{sv})", id, 0, "content", text, g_variant_dict_end (&details)));
}

static void
emit_done (guint64 id, guint n_tokens, const char *finish_reason, const char *error_name)
{
  GVariantDict result = G_VARIANT_DICT_INIT (NULL);
  static const char *const counts[] = { "prompt-tokens", "cached-tokens", "context-used" };
  static const char *const times[] = { "queue-us", "load-us", "prefill-us", "decode-us" };

  g_variant_dict_insert (&result, "finish-reason", "s", finish_reason);
  g_variant_dict_insert (&result, "output-tokens", "u", n_tokens);
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    g_variant_dict_insert (&result, counts[i], "u", 0);
  for (guint i = 0; i < G_N_ELEMENTS (times); i++)
    g_variant_dict_insert (&result, times[i], "t", (guint64) 0);
  if (error_name != NULL)
    {
      g_autofree char *full = g_strconcat (LLM_ERROR_PREFIX, error_name, NULL);

      g_variant_dict_insert (&result, "error-name", "s", full);
      g_variant_dict_insert (&result, "error-message", "s", "as the prompt asked for");
    }
  emit ("Done", g_variant_new ("(t@a{sv})", id, g_variant_dict_end (&result)));
}

/* ---- streams ---- */

static void
end_stream (Stream *stream, const char *finish_reason)
{
  emit_done (stream->id, stream->n, finish_reason, NULL);
  g_hash_table_remove (streams, &stream->id);
}

/* FALSE: it is over. */
static gboolean
step (Stream *stream)
{
  g_autofree char *text = g_strdup_printf ("%u ", stream->n);

  if (stream->n == stream->limit && stream->crashes)
    {
      g_dbus_connection_flush_sync (connection, NULL, NULL);
      crash ();
    }
  if (stream->n == stream->limit)
    {
      end_stream (stream, "stop");
      return FALSE;
    }
  emit_delta (stream->id, stream->n++, text);
  return TRUE;
}

static gboolean
on_step (gpointer id)
{
  Stream *stream = g_hash_table_lookup (streams, id);

  return stream != NULL && (stream->paused || step (stream));
}

static void
begin_stream (guint64 id, guint limit, guint delay_ms, gboolean crashes)
{
  Stream *stream = g_new0 (Stream, 1);

  *stream = (Stream) { .id = id, .limit = limit, .delay_ms = delay_ms, .crashes = crashes };
  g_hash_table_replace (streams, &stream->id, stream);
  emit_state (id, "prefill");
  if (delay_ms > 0)
    g_timeout_add_full (G_PRIORITY_DEFAULT, delay_ms, on_step, g_memdup2 (&id, sizeof id), g_free);
  else
    while (step (stream))
      ;
}

static void
flood (guint64 id, guint n)
{
  g_autofree char *text = g_strnfill (4096, 'x');

  emit_state (id, "decode");
  for (guint i = 0; i < n; i++)
    {
      emit_delta (id, i, text);
      if (i % 64 == 63)
        g_dbus_connection_flush_sync (connection, NULL, NULL);
    }
  emit_done (id, n, "length", NULL);
}

/* ---- methods ---- */

static char *
prompt_of (GVariant *request)
{
  char *prompt = NULL;
  g_autoptr (GVariant) messages = NULL;

  if (g_variant_lookup (request, "prompt", "s", &prompt))
    return prompt;
  messages = g_variant_lookup_value (request, "messages", G_VARIANT_TYPE ("aa{sv}"));
  if (messages != NULL && g_variant_n_children (messages) > 0)
    {
      g_autoptr (GVariant) last = g_variant_get_child_value (messages, g_variant_n_children (messages) - 1);

      g_variant_lookup (last, "content", "s", &prompt);
    }
  return prompt != NULL ? prompt : g_strdup ("");
}

static guint
number (char **words, guint i)
{
  return i < g_strv_length (words) ? (guint) atoi (words[i]) : 0;
}

static void
submit (GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) request = g_variant_get_child_value (params, 4);
  g_autofree char *prompt = prompt_of (request);
  g_auto (GStrv) words = NULL;
  guint64 id;

  g_variant_get_child (params, 0, "t", &id);
  prompt[strcspn (prompt, "\n")] = '\0';
  words = g_strsplit (prompt[0] != '\0' ? prompt : "tokens 1", " ", 0);
  n_submitted++;
  if (strcmp (words[0], "silent") == 0)
    return;
  g_dbus_method_invocation_return_value (invocation, NULL);
  g_dbus_connection_flush_sync (connection, NULL, NULL);
  if (strcmp (words[0], "crash") == 0)
    crash ();
  else if (strcmp (words[0], "exit") == 0)
    _exit ((int) number (words, 1));
  else if (strcmp (words[0], "hang") == 0)
    hang ();
  else if (strcmp (words[0], "sleep") == 0)
    {
      begin_stream (id, G_MAXUINT, G_MAXINT, FALSE);
      emit_state (id, "decode");
    }
  else if (strcmp (words[0], "flood") == 0)
    flood (id, number (words, 1));
  else if (strcmp (words[0], "error") == 0)
    emit_done (id, 0, "stop", words[1]);
  else if (strcmp (words[0], "slow") == 0)
    begin_stream (id, number (words, 1), MAX (number (words, 2), 1), FALSE);
  else if (strcmp (words[0], "crash-after") == 0)
    begin_stream (id, number (words, 1), 0, TRUE);
  else
    begin_stream (id, strcmp (words[0], "tokens") == 0 ? number (words, 1) : 1, 0, FALSE);
}

static void
pause_or_cancel (GVariant *params, gboolean cancel)
{
  Stream *stream;
  guint64 id;

  g_variant_get_child (params, 0, "t", &id);
  stream = g_hash_table_lookup (streams, &id);
  if (stream == NULL)
    return;
  if (cancel)
    {
      end_stream (stream, "cancelled");
      return;
    }
  g_variant_get_child (params, 1, "b", &stream->paused);
  emit_state (id, stream->paused ? "paused" : "decode");
}

static void
return_invalid_model (GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_error (invocation, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "a fake engine finds this model invalid");
}

static GVariant *
small_model (void)
{
  GVariantDict info = G_VARIANT_DICT_INIT (NULL);
  static const char *const capabilities[] = { "chat", "generate", NULL };

  g_variant_dict_insert (&info, "architecture", "s", "llama");
  g_variant_dict_insert (&info, "name", "s", "fake model");
  g_variant_dict_insert (&info, "quantization", "s", "F32");
  g_variant_dict_insert (&info, "license", "s", "cc0-1.0");
  g_variant_dict_insert (&info, "chat-form", "s", "chatml");
  g_variant_dict_insert (&info, "parameter-count", "t", (guint64) 1000);
  g_variant_dict_insert (&info, "size", "t", (guint64) 4000);
  g_variant_dict_insert (&info, "context-length", "u", 512);
  g_variant_dict_insert (&info, "vocab-size", "u", 256);
  g_variant_dict_insert_value (&info, "capabilities", g_variant_new_strv (capabilities, -1));
  return g_variant_dict_end (&info);
}

static void
inspect (GDBusMethodInvocation *invocation)
{
  GUnixFDList *fds = g_dbus_message_get_unix_fd_list (g_dbus_method_invocation_get_message (invocation));
  char text[16] = "";

  if (fds == NULL || pread (g_unix_fd_list_peek_fds (fds, NULL)[0], text, sizeof text - 1, 0) < 0)
    return_invalid_model (invocation);
  else if (g_str_has_prefix (text, "crash"))
    crash ();
  else if (g_str_has_prefix (text, "hang"))
    hang ();
  else if (g_str_has_prefix (text, "error"))
    return_invalid_model (invocation);
  else
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", small_model ()));
}

static void
configure (GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) settings = g_variant_get_child_value (params, 0);
  GVariantBuilder info;
  const char *isa = "";

  g_variant_lookup (settings, "cpu-isa", "&s", &isa);
  if (strcmp (isa, "crash") == 0)
    crash ();
  if (strcmp (isa, "hang") == 0)
    hang ();
  if (strcmp (isa, "slow") == 0)
    g_usleep (100000);
  if (strcmp (isa, "error") == 0)
    {
      g_dbus_method_invocation_return_error (invocation, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "as cpu-isa asked for");
      return;
    }
  g_variant_builder_init (&info, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&info, "{sv}", "version", g_variant_new_string ("fake"));
  g_variant_builder_add (&info, "{sv}", "build-id", g_variant_new_string ("fake"));
  g_variant_builder_add (&info, "{sv}", "devices",
                         g_variant_new_parsed ("[{'id': <'cpu'>, 'name': <'fake'>, 'driver': <'fake'>, 'uuid': <''>, 'type': <'cpu'>,"
                                               "  'memory-total': <@t 1>, 'memory-budget': <@t 1>}]"));
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(a{sv})", &info));
}

static void
load (GVariant *params, GDBusMethodInvocation *invocation)
{
  const char *digest;

  g_variant_get_child (params, 0, "&s", &digest);
  if (strcmp (digest, "crash") == 0)
    crash ();
  else if (strcmp (digest, "error") == 0)
    return_invalid_model (invocation);
  else if (strcmp (digest, "silent") != 0)
    g_dbus_method_invocation_return_value (
      invocation, g_variant_new_parsed ("({'device': <'cpu'>, 'memory-bytes': <@t 4000>, 'context-window': <@u 512>, 'load-us': <@t 1>},)"));
}

static void
tokenize (GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  const char *text;

  g_variant_get_child (params, 1, "&s", &text);
  if (strcmp (text, "silent") == 0)
    return;
  for (; *text != '\0'; text++)
    {
      guint32 id = (guint8) *text;
      g_array_append_val (ids, id);
    }
  g_dbus_method_invocation_return_value (
    invocation, g_variant_new ("(@au)", g_variant_new_fixed_array (G_VARIANT_TYPE_UINT32, ids->data, ids->len, sizeof (guint32))));
}

static void
detokenize (GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) tokens = g_variant_get_child_value (params, 1);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *valid = NULL;
  gsize n;
  const guint32 *ids = g_variant_get_fixed_array (tokens, &n, sizeof *ids);

  for (gsize i = 0; i < n; i++)
    g_string_append_c (text, (char) ids[i]);
  valid = g_utf8_make_valid (text->str, (gssize) text->len);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", valid));
}

static void
count_tokens (GVariant *params, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) messages = g_variant_get_child_value (params, 1);

  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(u)", (guint) g_variant_n_children (messages)));
}

static void
statistics (GDBusMethodInvocation *invocation)
{
  GVariantDict dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "requests-running", "u", g_hash_table_size (streams));
  g_variant_dict_insert (&dict, "steps", "t", (guint64) n_submitted);
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(@a{sv})", g_variant_dict_end (&dict)));
}

static void
on_method_call (GDBusConnection *c, const char *sender, const char *path, const char *interface, const char *method, GVariant *params,
                GDBusMethodInvocation *invocation, gpointer user_data)
{
  if (strcmp (method, "Submit") == 0)
    submit (params, invocation);
  else if (strcmp (method, "Configure") == 0)
    configure (params, invocation);
  else if (strcmp (method, "Inspect") == 0)
    inspect (invocation);
  else if (strcmp (method, "Load") == 0)
    load (params, invocation);
  else if (strcmp (method, "Tokenize") == 0)
    tokenize (params, invocation);
  else if (strcmp (method, "Detokenize") == 0)
    detokenize (params, invocation);
  else if (strcmp (method, "CountTokens") == 0)
    count_tokens (params, invocation);
  else if (strcmp (method, "Statistics") == 0)
    statistics (invocation);
  else
    {
      if (strcmp (method, "Unload") != 0)
        pause_or_cancel (params, strcmp (method, "Cancel") == 0);
      g_dbus_method_invocation_return_value (invocation, NULL);
    }
}

static void
on_closed (GDBusConnection *c, gboolean remote, GError *error, gpointer loop)
{
  g_main_loop_quit (loop);
}

int
main (int argc, char **argv)
{
  static const GDBusInterfaceVTable vtable = { on_method_call, NULL, NULL, { 0 } };
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GSocket) socket = g_socket_new_from_fd (3, NULL);
  g_autoptr (GSocketConnection) stream = NULL;

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  signal (SIGPIPE, SIG_IGN);
  if (socket == NULL)
    return 2;
  llm_error_quark ();
  streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
  stream = g_socket_connection_factory_create_connection (socket);
  connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL,
                                           G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, NULL);
  if (connection == NULL)
    return 1;
  g_dbus_connection_register_object (connection, LLM_ENGINE_PATH, (GDBusInterfaceInfo *) &engine_iface_interface, &vtable, NULL, NULL, NULL);
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), loop);
  g_dbus_connection_start_message_processing (connection);
  if (!g_dbus_connection_is_closed (connection))
    g_main_loop_run (loop);
  _exit (0); /* as good as any end; leaks of a fake are not news */
}
