/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local-llm-engine: started by local-llmd with one end of a socketpair; gone when the other end is.
 */
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>

#include "config.h"
#include "worker/confine.h"
#include "worker/service.h"

static int fd = 3, cache_fd = -1;
static gboolean inspect_only, show_version;

static const GOptionEntry entries[] = {
  { "fd", 0, 0, G_OPTION_ARG_INT, &fd, N_("File descriptor of the connection to local-llmd"), N_("NUMBER") },
  { "cache-fd", 0, 0, G_OPTION_ARG_INT, &cache_fd, N_("File descriptor of the folder for compiled artifacts"), N_("NUMBER") },
  { "inspect-only", 0, 0, G_OPTION_ARG_NONE, &inspect_only, N_("Only look at a model file, then exit"), NULL },
  { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, N_("Print the version and exit"), NULL },
  { NULL }
};

static GDBusConnection *
connect_to_broker (GError **error)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, error);
  g_autoptr (GSocketConnection) stream = socket != NULL ? g_socket_connection_factory_create_connection (socket) : NULL;

  if (stream == NULL)
    return NULL;
  return g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                     NULL, NULL, error);
}

static void
on_closed (GDBusConnection *connection, gboolean remote, GError *error, gpointer loop)
{
  g_main_loop_quit (loop);
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (_("- inference engine of local-llmd"));
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (GError) error = NULL;
  LlmService *service;
  gboolean confined;

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, LLM_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _("Started by local-llmd; there is no reason to start it by hand."));
  if (!g_option_context_parse (context, &argc, &argv, &error))
    {
      g_printerr ("%s\n", error->message);
      return 2;
    }
  if (show_version)
    {
      g_print ("local-llm-engine %s\n", LLM_VERSION);
      return 0;
    }
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  signal (SIGPIPE, SIG_IGN);
  confined = cache_fd >= 0 && llm_confine_writes (cache_fd); /* before there are threads */
  connection = connect_to_broker (&error);
  service = connection != NULL ? llm_service_new (connection, inspect_only, cache_fd, confined, &error) : NULL;
  if (service == NULL)
    {
      g_printerr ("local-llm-engine: %s\n", error->message);
      return 1;
    }
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), loop);
  g_dbus_connection_start_message_processing (connection);
  if (!g_dbus_connection_is_closed (connection))
    g_main_loop_run (loop);
  llm_service_free (service);
  return 0;
}
