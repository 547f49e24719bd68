/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local-llmd: parses options, owns the name, runs the loop.
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>

#include "base/error.h"
#include "base/names.h"
#include "config.h"
#include "daemon/broker.h"

#define STATUS_STORE_IN_USE 3 /* local-llmd(8) */
#define REPLACE_PATIENCE_US (30 * G_USEC_PER_SEC) /* for the one that is replaced to end */
#define RETRY_MS 50

static gboolean session, show_version, replace;
static char *state_dir, *cache_dir, *engine_path, *models_dir, *config_dir;

static const GOptionEntry entries[] = {
  { "session", 0, 0, G_OPTION_ARG_NONE, &session, N_("Serve one user on the session bus instead of everybody on the system bus"), NULL },
  { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &state_dir, N_("Folder of the model store"), N_("FOLDER") },
  { "cache-dir", 0, 0, G_OPTION_ARG_FILENAME, &cache_dir, N_("Folder of compiled artifacts"), N_("FOLDER") },
  { "engine", 0, 0, G_OPTION_ARG_FILENAME, &engine_path, N_("The inference engine's program"), N_("FILE") },
  { "models-dir", 0, 0, G_OPTION_ARG_FILENAME, &models_dir, N_("Folder of bundled models"), N_("FOLDER") },
  { "config-dir", 0, 0, G_OPTION_ARG_FILENAME, &config_dir, N_("Folder of the administrator's defaults and locks of settings"), N_("FOLDER") },
  { "replace", 0, 0, G_OPTION_ARG_NONE, &replace, N_("Replace a running instance"), NULL },
  { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, N_("Print the version and exit"), NULL },
  { NULL }
};

typedef struct {
  GMainLoop *loop;
  GDBusConnection *connection; /* lent */
  LlmBroker *broker;
  guint retry;
  gint64 patient_until;
  int status;
} Daemon;

/* FALSE: the store is in use, and whoever has it may be about to let go. */
static gboolean
start (Daemon *d, gboolean patient)
{
  LlmBrokerOptions options = { session, state_dir, cache_dir, engine_path, models_dir, config_dir };
  g_autoptr (GError) error = NULL;
  gboolean in_use;

  d->broker = llm_broker_new (d->connection, &options, &error);
  in_use = g_error_matches (error, LLM_ERROR, LLM_ERROR_BUSY);
  if (d->broker != NULL || (in_use && patient))
    return d->broker != NULL;
  g_printerr ("local-llmd: %s\n", error->message);
  d->status = in_use ? STATUS_STORE_IN_USE : 1;
  g_main_loop_quit (d->loop);
  return TRUE;
}

static gboolean
on_retry (gpointer user_data)
{
  Daemon *d = user_data;

  if (!start (d, g_get_monotonic_time () < d->patient_until))
    return G_SOURCE_CONTINUE;
  d->retry = 0;
  return G_SOURCE_REMOVE;
}

static void
on_bus_acquired (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Daemon *d = user_data;

  g_dbus_connection_set_exit_on_close (connection, FALSE);
  d->connection = connection;
  start (d, replace);
}

/* The one that had the name is leaving; its store comes free a little later. */
static void
on_name_acquired (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Daemon *d = user_data;

  if (d->broker != NULL)
    return;
  d->patient_until = g_get_monotonic_time () + REPLACE_PATIENCE_US;
  d->retry = g_timeout_add (RETRY_MS, on_retry, d);
}

static void
on_name_lost (GDBusConnection *connection, const char *name, gpointer user_data)
{
  Daemon *d = user_data;

  if (connection == NULL)
    {
      g_printerr (_("local-llmd: there is no %s bus\n"), session ? "session" : "system");
      d->status = 1;
    }
  else if (d->status == 0)
    {
      g_printerr (_("local-llmd: the name %s was taken by another instance, or the bus does not allow it\n"), name);
      d->status = 1;
    }
  g_main_loop_quit (d->loop);
}

static gboolean
on_signal (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_CONTINUE;
}

static void
fill_in_defaults (void)
{
  const char *models = g_getenv ("LLM_MODELS_DIR"), *engine = g_getenv ("LLM_ENGINE");

  if (state_dir == NULL)
    state_dir = session ? g_build_filename (g_get_user_data_dir (), "local-llm", NULL)
                        : g_strdup (g_getenv ("STATE_DIRECTORY") != NULL ? g_getenv ("STATE_DIRECTORY") : "/var/lib/local-llm");
  if (cache_dir == NULL)
    cache_dir = session ? g_build_filename (g_get_user_cache_dir (), "local-llm", NULL)
                        : g_strdup (g_getenv ("CACHE_DIRECTORY") != NULL ? g_getenv ("CACHE_DIRECTORY") : "/var/cache/local-llm");
  if (engine_path == NULL)
    engine_path = g_strdup (engine != NULL ? engine : LLM_LIBEXECDIR "/local-llm/local-llm-engine");
  if (models_dir == NULL)
    models_dir = g_strdup (models != NULL ? models : LLM_DATADIR "/local-llm/models");
  if (config_dir == NULL)
    config_dir = g_strdup (LLM_SYSCONFDIR "/local-llm");
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (_("- language-model inference for every application of this machine"));
  g_autoptr (GError) error = NULL;
  Daemon d = { 0 };
  guint owner;

  mallopt (M_MMAP_THRESHOLD, 128 * 1024); /* glibc raises it by itself; a large message must go back to the system */
  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, LLM_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc > 1)
    {
      g_printerr ("local-llmd: %s\n", error != NULL ? error->message : _("there are too many arguments; --help shows the options"));
      return 2;
    }
  if (show_version)
    {
      g_print ("local-llmd %s\n", LLM_VERSION);
      return 0;
    }
  fill_in_defaults ();
  signal (SIGPIPE, SIG_IGN);
  d.loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGTERM, on_signal, d.loop);
  g_unix_signal_add (SIGINT, on_signal, d.loop);
  owner = g_bus_own_name (session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, LLM_BUS_NAME,
                          G_BUS_NAME_OWNER_FLAGS_ALLOW_REPLACEMENT | (replace ? G_BUS_NAME_OWNER_FLAGS_REPLACE : G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE),
                          on_bus_acquired, on_name_acquired, on_name_lost, &d, NULL);
  g_main_loop_run (d.loop);
  g_clear_handle_id (&d.retry, g_source_remove);
  g_bus_unown_name (owner);
  g_clear_pointer (&d.broker, llm_broker_free);
  g_main_loop_unref (d.loop);
  g_free (state_dir);
  g_free (cache_dir);
  g_free (engine_path);
  g_free (models_dir);
  g_free (config_dir);
  return d.status;
}
