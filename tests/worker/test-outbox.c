/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Engine events -> signals: what is gathered, what goes out at once, and that Done is the last.
 * Two ends of a socketpair in one process; events come from a thread, as the engine's do.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/names.h"
#include "worker/outbox.h"

typedef struct {
  GDBusConnection *engine, *broker;
  LlmOutbox *outbox;
  GPtrArray *log; /* char *: "delta 1 text [tokens]", "state ...", "done ..." */
  gsize n_text;
} Fixture;

static void
on_signal (GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *name, GVariant *params, gpointer user_data)
{
  Fixture *f = user_data;
  guint64 id;

  g_variant_get_child (params, 0, "t", &id);
  if (strcmp (name, "Delta") == 0)
    {
      g_autoptr (GVariant) details = g_variant_get_child_value (params, 4);
      g_autoptr (GVariant) tokens = g_variant_lookup_value (details, "tokens", G_VARIANT_TYPE ("au"));
      const char *text;

      g_variant_get_child (params, 3, "&s", &text);
      f->n_text += strlen (text);
      g_ptr_array_add (f->log, g_strdup_printf ("delta %" G_GUINT64_FORMAT " %.40s %" G_GSIZE_FORMAT, id, text, g_variant_n_children (tokens)));
    }
  else if (strcmp (name, "State") == 0)
    {
      const char *state;

      g_variant_get_child (params, 1, "&s", &state);
      g_ptr_array_add (f->log, g_strdup_printf ("state %" G_GUINT64_FORMAT " %s", id, state));
    }
  else
    {
      g_autoptr (GVariant) result = g_variant_get_child_value (params, 1);
      const char *reason = "", *error = "";

      g_variant_lookup (result, "finish-reason", "&s", &reason);
      g_variant_lookup (result, "error-name", "&s", &error);
      g_ptr_array_add (f->log, g_strdup_printf ("done %" G_GUINT64_FORMAT " %s%s%s", id, reason, error[0] != '\0' ? " " : "", error));
    }
}

static void
on_made (GObject *source, GAsyncResult *result, gpointer connection)
{
  *(GDBusConnection **) connection = g_dbus_connection_new_finish (result, NULL);
}

static void
make_end (int fd, gboolean server, GDBusConnection **connection)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autoptr (GSocketConnection) stream = g_socket_connection_factory_create_connection (socket);
  g_autofree char *guid = g_dbus_generate_guid ();

  g_dbus_connection_new (G_IO_STREAM (stream), server ? guid : NULL,
                         server ? G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER : G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, on_made,
                         connection);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  f->engine = f->broker = NULL;
  make_end (pair[0], TRUE, &f->broker);
  make_end (pair[1], FALSE, &f->engine);
  while (f->engine == NULL || f->broker == NULL)
    g_main_context_iteration (NULL, TRUE);
  f->outbox = llm_outbox_new (f->engine);
  f->log = g_ptr_array_new_with_free_func (g_free);
  f->n_text = 0;
  g_dbus_connection_signal_subscribe (f->broker, NULL, LLM_ENGINE_IFACE, NULL, LLM_ENGINE_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, f, NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
  llm_outbox_free (f->outbox);
  g_dbus_connection_close_sync (f->engine, NULL, NULL);
  g_dbus_connection_close_sync (f->broker, NULL, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_object_unref (f->engine);
  g_object_unref (f->broker);
  g_ptr_array_unref (f->log);
}

/* ---- the engine's part ---- */

static void
delta (Fixture *f, guint64 id, const char *text)
{
  const gint32 token = 5;

  llm_outbox_events.delta (id, 0, "content", text, strlen (text), &token, 1, NULL, 0, f->outbox);
}

static void
done (Fixture *f, guint64 id, const char *reason, const GError *error)
{
  LlmResult result = { .finish_reason = reason };

  llm_outbox_events.done (id, &result, error, f->outbox);
}

static void
wait_for (Fixture *f, guint n)
{
  gint64 end = g_get_monotonic_time () + 180 * G_USEC_PER_SEC;

  while (f->log->len < n && g_get_monotonic_time () < end)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (500);
  g_assert_cmpuint (f->log->len, >=, n); /* more when this thread had to wait for its core */
}

#define LOG(i) ((const char *) f->log->pdata[i])

/* ---- tests ---- */

static void
test_gathers (Fixture *f, gconstpointer data)
{
  gint64 begin;

  llm_outbox_begin (f->outbox, 1, NULL);
  llm_outbox_events.state (1, LLM_REQUEST_PREFILL, 0, f->outbox);
  delta (f, 1, "a");
  wait_for (f, 2); /* the first at once */
  begin = g_get_monotonic_time ();
  delta (f, 1, "b");
  delta (f, 1, "c");
  delta (f, 1, "d");
  wait_for (f, 3);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, (LLM_DELTA_COALESCE_MS - 5) * 1000);
  g_assert_cmpstr (LOG (0), ==, "state 1 prefill");
  g_assert_cmpstr (LOG (1), ==, "delta 1 a 1");
  g_assert_cmpstr (LOG (2), ==, "delta 1 bcd 3");
  delta (f, 1, "e"); /* after a pause it waits again */
  done (f, 1, "stop", NULL);
  wait_for (f, 5); /* what is left goes before Done, without waiting */
  g_assert_cmpstr (LOG (3), ==, "delta 1 e 1");
  g_assert_cmpstr (LOG (4), ==, "done 1 stop");
}

/* Bytes up to the limit wait, the limit goes. */
static void
test_bytes (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (LLM_DELTA_COALESCE_BYTES - 1, 'x');
  gint64 begin;

  llm_outbox_begin (f->outbox, 1, NULL);
  delta (f, 1, "a");
  wait_for (f, 1);
  begin = g_get_monotonic_time ();
  delta (f, 1, text);
  for (guint i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  if (f->log->len > 1)
    {
      g_assert_cmpint (g_get_monotonic_time () - begin, >=, LLM_DELTA_COALESCE_MS * 1000);
      g_test_skip ("this thread had to wait for its core");
      return;
    }
  delta (f, 1, "y");
  delta (f, 1, "z"); /* already the next one */
  wait_for (f, 2);
  g_assert_cmpuint (f->n_text - (f->log->len > 2), ==, 1 + LLM_DELTA_COALESCE_BYTES);
  g_assert_true (g_str_has_suffix (LOG (1), " 2"));
  wait_for (f, 3);
  g_assert_cmpstr (LOG (2), ==, "delta 1 z 1");
}

/* Deltas without text (held back as a possible stop string) do not use up the first one. */
static void
test_first_text (Fixture *f, gconstpointer data)
{
  llm_outbox_begin (f->outbox, 1, NULL);
  delta (f, 1, "");
  delta (f, 1, "a");
  delta (f, 1, "b");
  wait_for (f, 3);
  g_assert_cmpstr (LOG (0), ==, "delta 1  1");
  g_assert_cmpstr (LOG (1), ==, "delta 1 a 1"); /* had it waited, it would have met b */
  g_assert_cmpstr (LOG (2), ==, "delta 1 b 1");
}

static void
test_streams_apart (Fixture *f, gconstpointer data)
{
  llm_outbox_begin (f->outbox, 1, NULL);
  llm_outbox_begin (f->outbox, 2, NULL);
  delta (f, 1, "a");
  delta (f, 2, "A");
  delta (f, 1, "b");
  delta (f, 2, "B");
  done (f, 1, "length", NULL);
  wait_for (f, 4);
  g_assert_cmpstr (LOG (2), ==, "delta 1 b 1");
  g_assert_cmpstr (LOG (3), ==, "done 1 length");
  wait_for (f, 5);
  g_assert_cmpstr (LOG (4), ==, "delta 2 B 1");
}

static void
test_errors (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) ours = g_error_new (LLM_ERROR, LLM_ERROR_CONTEXT_EXCEEDED, "too long");
  g_autoptr (GError) standard = g_error_new (G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "wrong");

  llm_outbox_begin (f->outbox, 1, NULL);
  llm_outbox_begin (f->outbox, 2, NULL);
  done (f, 1, "stop", ours);
  done (f, 2, "cancelled", standard);
  wait_for (f, 2);
  g_assert_cmpstr (LOG (0), ==, "done 1 stop org.local.LLM.Error.ContextExceeded");
  g_assert_cmpstr (LOG (1), ==, "done 2 cancelled org.freedesktop.DBus.Error.InvalidArgs");
}

/* Nothing of a request comes after its Done, nor of one that never began. */
static void
test_nothing_after_done (Fixture *f, gconstpointer data)
{
  llm_outbox_begin (f->outbox, 1, NULL);
  delta (f, 1, "a");
  delta (f, 1, "b"); /* its timer is running when Done comes */
  done (f, 1, "stop", NULL);
  delta (f, 1, "late");
  done (f, 1, "stop", NULL);
  llm_outbox_events.state (1, LLM_REQUEST_DECODE, 0, f->outbox);
  delta (f, 3, "unknown");
  wait_for (f, 3);
  g_usleep (2 * LLM_DELTA_COALESCE_MS * 1000);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (f->log->len, ==, 3);
  g_assert_cmpstr (LOG (2), ==, "done 1 stop");
}

static gpointer
engine_thread (gpointer data)
{
  Fixture *f = data;

  for (guint i = 0; i < 2000; i++)
    delta (f, 1 + i % 4, "0123456789");
  for (guint64 id = 1; id <= 4; id++)
    done (f, id, "stop", NULL);
  return NULL;
}

static void
test_thread (Fixture *f, gconstpointer data)
{
  GThread *thread;
  guint n_done = 0;

  for (guint64 id = 1; id <= 4; id++)
    llm_outbox_begin (f->outbox, id, NULL);
  thread = g_thread_new ("engine", engine_thread, f);
  while (n_done < 4)
    {
      g_main_context_iteration (NULL, TRUE);
      n_done = 0;
      for (guint i = 0; i < f->log->len; i++)
        n_done += g_str_has_prefix (LOG (i), "done");
    }
  g_thread_join (thread);
  g_assert_cmpuint (f->n_text, ==, 20000);
  g_assert_cmpuint (f->log->len, <, 200);
}

#define TEST(name, func) g_test_add ("/outbox/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("gathers", test_gathers);
  TEST ("bytes", test_bytes);
  TEST ("first-text", test_first_text);
  TEST ("streams-apart", test_streams_apart);
  TEST ("errors", test_errors);
  TEST ("nothing-after-done", test_nothing_after_done);
  TEST ("thread", test_thread);
  return g_test_run ();
}
