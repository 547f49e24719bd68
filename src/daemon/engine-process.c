/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/engine-process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/cache-folder.h"

static const char *const kept_prefixes[] = { "VK_", "MESA_", "LP_", "LLM_", "ASAN_", "UBSAN_", "LSAN_", "LC_", "G_" };
static const char *const kept_names[] = { "PATH", "LANG", "XDG_RUNTIME_DIR", "TMPDIR" };

static gboolean
is_kept (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kept_prefixes); i++)
    if (g_str_has_prefix (name, kept_prefixes[i]))
      return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (kept_names); i++)
    if (strcmp (name, kept_names[i]) == 0)
      return TRUE;
  return FALSE;
}

static char **
scrubbed_environment (void)
{
  g_auto (GStrv) names = g_listenv ();
  char **environment = g_new0 (char *, 1);

  for (guint i = 0; names[i] != NULL; i++)
    if (is_kept (names[i]))
      environment = g_environ_setenv (environment, names[i], g_getenv (names[i]), TRUE);
  return environment;
}

void
llm_engine_process_free (LlmEngineProcess *self)
{
  if (self->process != NULL)
    g_subprocess_force_exit (self->process);
  g_clear_object (&self->process);
  if (self->connection != NULL)
    g_dbus_connection_close (self->connection, NULL, NULL, NULL);
  g_clear_object (&self->connection);
  g_free (self);
}

/* The task holds the process until it hands it out. */
static void
holder_free (gpointer data)
{
  LlmEngineProcess **holder = data;

  g_clear_pointer (holder, llm_engine_process_free);
  g_free (holder);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  LlmEngineProcess **holder = g_task_get_task_data (task), *self = *holder;
  g_autoptr (GError) error = NULL;

  self->connection = g_dbus_connection_new_finish (result, &error);
  if (self->connection == NULL)
    g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the engine did not answer: %s", error->message);
  else
    {
      g_dbus_connection_set_exit_on_close (self->connection, FALSE);
      *holder = NULL;
      g_task_return_pointer (task, self, (GDestroyNotify) llm_engine_process_free);
    }
}

#define CACHE_FD 4

/* An engine without it works, slower. */
static char **
give_cache (GSubprocessLauncher *launcher, const char *cache_dir, const char *path, char **environment, gboolean *given)
{
  g_autofree char *folder = NULL, *drivers = NULL;
  g_autoptr (GError) error = NULL;
  int fd = llm_cache_folder_open (cache_dir, path, &folder, &error);

  *given = fd >= 0;
  if (fd < 0)
    {
      g_warning ("the engine keeps nothing that it compiles: %s", error->message);
      return environment;
    }
  g_subprocess_launcher_take_fd (launcher, fd, CACHE_FD);
  drivers = g_build_filename (folder, "mesa", NULL);
  environment = g_environ_setenv (environment, "MESA_SHADER_CACHE_DIR", drivers, TRUE);
  return g_environ_setenv (environment, "MESA_SHADER_CACHE_MAX_SIZE", "256M", TRUE);
}

static gboolean
spawn (LlmEngineProcess *self, const char *path, gboolean inspect_only, const char *cache_dir, int *ours, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE);
  g_auto (GStrv) environment = scrubbed_environment ();
  const char *argv[] = { path, inspect_only ? "--inspect-only" : NULL, NULL };
  gboolean has_cache = FALSE;
  int pair[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_ENGINE_LOST, "the engine cannot be started: %s", g_strerror (errno));
      return FALSE;
    }
  if (cache_dir != NULL)
    environment = give_cache (launcher, cache_dir, path, environment, &has_cache);
  if (has_cache)
    argv[1] = "--cache-fd=" G_STRINGIFY (CACHE_FD);
  g_subprocess_launcher_set_environ (launcher, environment);
  g_subprocess_launcher_set_cwd (launcher, "/");
  g_subprocess_launcher_take_fd (launcher, pair[1], 3);
  self->process = g_subprocess_launcher_spawnv (launcher, argv, error);
  *ours = pair[0];
  if (self->process != NULL)
    return TRUE;
  close (pair[0]);
  g_prefix_error (error, "the engine cannot be started: ");
  return FALSE;
}

void
llm_engine_process_start_async (const char *path, gboolean inspect_only, const char *cache_dir, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  LlmEngineProcess **holder = g_new0 (LlmEngineProcess *, 1), *self = g_new0 (LlmEngineProcess, 1);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autofree char *guid = g_dbus_generate_guid ();
  GError *error = NULL;
  int fd;

  *holder = self;
  g_task_set_task_data (task, holder, holder_free);
  if (!spawn (self, path, inspect_only, cache_dir, &fd, &error) || (socket = g_socket_new_from_fd (fd, &error)) == NULL)
    {
      g_task_return_new_error (task, LLM_ERROR, LLM_ERROR_ENGINE_LOST, "%s", error->message);
      g_error_free (error);
      return;
    }
  stream = g_socket_connection_factory_create_connection (socket);
  g_dbus_connection_new (G_IO_STREAM (stream), guid,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER | G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS, NULL, cancellable,
                         on_connected, g_steal_pointer (&task));
}

LlmEngineProcess *
llm_engine_process_start_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
