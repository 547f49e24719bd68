/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/names.h"

struct _LlmClient {
  GDBusConnection *bus; /* (owned) */
  guint last_token;
};

LlmClient *
llm_client_new (gboolean session, GError **error)
{
  const char *choice = g_getenv ("LLM_BUS");
  GDBusConnection *bus;
  LlmClient *self;

  llm_error_quark (); /* registers the names of errors */
  session = session || g_strcmp0 (choice, "session") == 0;
  bus = g_bus_get_sync (session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, NULL, error);
  if (bus == NULL)
    return NULL;
  self = g_new0 (LlmClient, 1);
  self->bus = bus;
  return self;
}

void
llm_client_free (LlmClient *self)
{
  g_object_unref (self->bus);
  g_free (self);
}

/* "GDBus.Error:org...: text" -> text */
static void
strip (GError **error)
{
  if (error != NULL && *error != NULL)
    g_dbus_error_strip_remote_error (*error);
}

static GVariant *
call_at (LlmClient *self, const char *path, const char *interface, const char *method, GVariant *params, GUnixFDList *fds, GError **error)
{
  GVariant *reply = g_dbus_connection_call_with_unix_fd_list_sync (self->bus, LLM_BUS_NAME, path, interface, method, params, NULL,
                                                                   G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL, NULL, error);

  if (reply == NULL)
    strip (error);
  return reply;
}

GVariant *
llm_client_call (LlmClient *self, const char *method, GVariant *params, GError **error)
{
  return call_at (self, LLM_OBJECT_PATH, LLM_IFACE, method, params, NULL, error);
}

GVariant *
llm_client_call_interface (LlmClient *self, const char *interface, const char *method, GVariant *params, GError **error)
{
  return call_at (self, LLM_OBJECT_PATH, interface, method, params, NULL, error);
}

GVariant *
llm_client_get (LlmClient *self, const char *property, GError **error)
{
  g_autoptr (GVariant) reply = call_at (self, LLM_OBJECT_PATH, "org.freedesktop.DBus.Properties", "Get", g_variant_new ("(ss)", LLM_IFACE, property), NULL, error);
  g_autoptr (GVariant) boxed = reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;

  return boxed != NULL ? g_variant_get_variant (boxed) : NULL;
}

GVariant *
llm_client_objects (LlmClient *self, GError **error)
{
  g_autoptr (GVariant) reply = call_at (self, LLM_OBJECT_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, NULL, error);

  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

/* ---- requests: their path is known before the call, so that no signal is missed ---- */

typedef struct _Import Import;

typedef struct {
  LlmClient *client;
  char *path;
  LlmClientToken token;
  LlmClientProgress progress;
  gpointer user_data;
  Import *import;            /* lent; NULL: it is none */
  LlmClientProgress forward; /* of an import, to its caller */
  gpointer forward_data;
  gboolean finished;
  GVariant *result;
  GError *error;
} Request;

static void
on_signal (GDBusConnection *bus, const char *sender, const char *object, const char *interface, const char *name, GVariant *params, gpointer user_data)
{
  Request *r = user_data;
  const char *a, *b;
  guint64 done, total;

  if (g_variant_n_children (params) < 4)
    return;
  g_variant_get_child (params, 0, "&o", &a);
  if (strcmp (a, r->path) != 0)
    return;
  if (strcmp (name, "Token") == 0 && r->token != NULL)
    {
      g_variant_get_child (params, 2, "&s", &a);
      g_variant_get_child (params, 3, "&s", &b);
      r->token (a, b, r->user_data);
    }
  else if (strcmp (name, "Progress") == 0 && r->progress != NULL)
    {
      g_variant_get (params, "(&o&stt)", NULL, &a, &done, &total);
      r->progress (a, done, total, r->user_data);
    }
  else if (strcmp (name, "Finished") == 0)
    {
      g_variant_get (params, "(&o&s&s@a{sv})", NULL, &a, &b, &r->result);
      if (a[0] != '\0')
        r->error = llm_error_from_dbus (a, b);
      r->finished = TRUE;
    }
}

static void
on_service_gone (GDBusConnection *bus, const char *name, gpointer user_data)
{
  Request *r = user_data;

  if (r->finished)
    return;
  r->finished = TRUE;
  r->error = g_error_new (LLM_ERROR, LLM_ERROR_CLOSED, "the service has ended");
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  g_main_context_wakeup (user_data);
}

static void
request_clear (Request *r)
{
  g_clear_pointer (&r->result, g_variant_unref);
  g_clear_error (&r->error);
  g_free (r->path);
}

static gboolean import_can_go_on (const Import *import);
static gboolean send_more (Request *r, GError **error);

static void
tell_cancel (Request *r)
{
  g_dbus_connection_call (r->client->bus, LLM_BUS_NAME, r->path, LLM_IFACE_REQUEST, "Cancel", NULL, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

/* Makes the call (whose options hold the handle token) and waits for Finished. */
static GVariant *
run_request_at (Request *r, const char *path, const char *interface, const char *method, GVariant *params, GUnixFDList *fds, GCancellable *cancellable,
                GError **error)
{
  LlmClient *self = r->client;
  guint watch = 0, subscription = g_dbus_connection_signal_subscribe (self->bus, LLM_BUS_NAME, LLM_IFACE, NULL, LLM_OBJECT_PATH, NULL,
                                                                      G_DBUS_SIGNAL_FLAGS_NONE, on_signal, r, NULL);
  gulong handler = cancellable != NULL ? g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), g_main_context_default (), NULL) : 0;
  g_autoptr (GVariant) reply = call_at (self, path, interface, method, params, fds, error);
  g_autoptr (GError) more_error = NULL;
  gboolean told = FALSE;

  if (reply != NULL)
    watch = g_bus_watch_name_on_connection (self->bus, LLM_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, on_service_gone, r, NULL);
  while (reply != NULL && !r->finished)
    {
      if (g_cancellable_is_cancelled (cancellable) && !told)
        {
          told = TRUE;
          tell_cancel (r);
        }
      else if (!told && r->import != NULL && import_can_go_on (r->import) && !send_more (r, &more_error))
        {
          told = TRUE;
          tell_cancel (r);
        }
      g_main_context_iteration (NULL, TRUE);
    }
  g_clear_handle_id (&watch, g_bus_unwatch_name);
  if (handler != 0)
    g_cancellable_disconnect (cancellable, handler);
  g_dbus_connection_signal_unsubscribe (self->bus, subscription);
  if (more_error != NULL && (r->error == NULL || g_error_matches (r->error, LLM_ERROR, LLM_ERROR_CANCELLED)))
    g_propagate_error (error, g_steal_pointer (&more_error));
  else if (r->error != NULL)
    g_propagate_error (error, g_steal_pointer (&r->error));
  else if (reply != NULL)
    return g_steal_pointer (&r->result);
  return NULL;
}

static GVariant *
run_request (Request *r, const char *method, GVariant *params, GUnixFDList *fds, GCancellable *cancellable, GError **error)
{
  return run_request_at (r, LLM_OBJECT_PATH, LLM_IFACE, method, params, fds, cancellable, error);
}

/* A token of our own, its path, and the options with it. */
static GVariant *
begin_request (Request *r, LlmClient *self, GVariant *options)
{
  g_autofree char *token = g_strdup_printf ("c%d_%u", getpid (), ++self->last_token);
  g_autofree char *sender = g_strdelimit (g_strdup (g_dbus_connection_get_unique_name (self->bus) + 1), ".", '_');
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (options);

  r->client = self;
  r->path = g_strdup_printf ("%s/%s/%s", LLM_PATH_REQUESTS, sender, token);
  g_variant_dict_insert (&dict, "handle-token", "s", token);
  return g_variant_dict_end (&dict);
}

GVariant *
llm_client_stream (LlmClient *self, const char *model, GVariant *messages, GVariant *options, LlmClientToken token, gpointer user_data,
                   GCancellable *cancellable, GError **error)
{
  Request r = { .token = token, .user_data = user_data };
  GVariant *with_token = begin_request (&r, self, options);
  GVariant *result = run_request (&r, "Stream", g_variant_new ("(s@aa{sv}@a{sv})", model, messages, with_token), NULL, cancellable, error);

  request_clear (&r);
  return result;
}

/* ---- models ---- */

static char *
model_path (LlmClient *self, const char *name, GError **error)
{
  g_autoptr (GVariant) reply = llm_client_call (self, "GetModel", g_variant_new ("(s)", name), error);
  char *path = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(o)", &path);
  return path;
}

GVariant *
llm_client_call_model (LlmClient *self, const char *name, const char *method, GVariant *params, GError **error)
{
  g_autoptr (GVariant) held = g_variant_ref_sink (params);
  g_autofree char *path = model_path (self, name, error);

  return path != NULL ? call_at (self, path, LLM_IFACE_MODEL, method, held, NULL, error) : NULL;
}

GVariant *
llm_client_verify (LlmClient *self, const char *name, LlmClientProgress progress, gpointer user_data, GCancellable *cancellable, GError **error)
{
  g_autofree char *path = model_path (self, name, error);
  Request r = { .progress = progress, .user_data = user_data };
  GVariant *result;

  if (path == NULL)
    return NULL;
  result = run_request_at (&r, path, LLM_IFACE_MODEL, "Verify", g_variant_new ("(@a{sv})", begin_request (&r, self, NULL)), NULL, cancellable, error);
  request_clear (&r);
  return result;
}

/* ---- embeddings: into a memfd, which holds them however many they are ---- */

static void
keep_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Runs the main context until the call is answered; cancelling tells the service, which answers then. */
static GVariant *
call_to_fd (LlmClient *self, const char *request_path, const char *method, GVariant *params, GUnixFDList *fds, GCancellable *cancellable, GError **error)
{
  gulong handler = cancellable != NULL ? g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), g_main_context_default (), NULL) : 0;
  g_autoptr (GAsyncResult) answer = NULL;
  gboolean told = FALSE;
  GVariant *reply;

  g_dbus_connection_call_with_unix_fd_list (self->bus, LLM_BUS_NAME, LLM_OBJECT_PATH, LLM_IFACE, method, params, NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds,
                                            NULL, keep_reply, &answer);
  while (answer == NULL)
    {
      if (g_cancellable_is_cancelled (cancellable) && !told)
        {
          told = TRUE;
          g_dbus_connection_call (self->bus, LLM_BUS_NAME, request_path, LLM_IFACE_REQUEST, "Cancel", NULL, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
        }
      g_main_context_iteration (NULL, TRUE);
    }
  if (handler != 0)
    g_cancellable_disconnect (cancellable, handler);
  reply = g_dbus_connection_call_with_unix_fd_list_finish (self->bus, NULL, answer, error);
  if (reply == NULL)
    strip (error);
  return reply;
}

static GBytes *
read_all (int fd, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 piece[65536];
  gssize n;

  while ((n = pread (fd, piece, sizeof piece, bytes->len)) > 0)
    g_byte_array_append (bytes, piece, (guint) n);
  if (n == 0)
    return g_byte_array_free_to_bytes (g_steal_pointer (&bytes));
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s", g_strerror (errno));
  return NULL;
}

GBytes *
llm_client_embed (LlmClient *self, const char *model, GVariant *inputs, GVariant *options, GVariant **result, GCancellable *cancellable, GError **error)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GVariant) reply = NULL;
  Request r = { 0 };
  GBytes *bytes = NULL;
  int fd = memfd_create ("embeddings", MFD_CLOEXEC);

  options = begin_request (&r, self, options);
  if (fd >= 0 && g_unix_fd_list_append (fds, fd, error) >= 0)
    reply = call_to_fd (self, r.path, "EmbedToFd", g_variant_new ("(hs@as@a{sv})", 0, model, inputs, options), fds, cancellable, error);
  else if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s", g_strerror (errno));
  bytes = reply != NULL ? read_all (fd, error) : NULL;
  if (bytes != NULL)
    *result = g_variant_get_child_value (reply, 0);
  if (fd >= 0)
    close (fd);
  request_clear (&r);
  return bytes;
}

/* ---- importing: a call per LLM_MAX_IMPORT_FDS files, the next one when the service has copied those of the last ---- */

struct _Import {
  const char *const *paths;
  const char *name;
  guint n_paths, n_sent;
  guint64 *sizes;           /* (owned) bytes, [n_paths] */
  guint64 n_bytes, n_bytes_sent, n_bytes_copied;
};

static gboolean
set_errno_error (GError **error, const char *path)
{
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", path, g_strerror (errno));
  return FALSE;
}

static gboolean
measure (Import *import, GError **error)
{
  struct stat st;

  import->n_paths = g_strv_length ((char **) import->paths);
  import->sizes = g_new (guint64, import->n_paths);
  for (guint i = 0; i < import->n_paths; i++)
    {
      if (stat (import->paths[i], &st) < 0)
        return set_errno_error (error, import->paths[i]);
      import->sizes[i] = (guint64) st.st_size;
      import->n_bytes += import->sizes[i];
    }
  return TRUE;
}

static GUnixFDList *
open_next (Import *import, GError **error)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();

  for (guint i = 0; i < LLM_MAX_IMPORT_FDS && import->n_sent < import->n_paths; i++)
    {
      int at, fd = open (import->paths[import->n_sent], O_RDONLY | O_CLOEXEC);

      if (fd < 0)
        {
          set_errno_error (error, import->paths[import->n_sent]);
          return NULL;
        }
      at = g_unix_fd_list_append (fds, fd, error);
      close (fd);
      if (at < 0)
        return NULL;
      import->n_bytes_sent += import->sizes[import->n_sent++];
    }
  return g_steal_pointer (&fds);
}

/* @options: of this call, without "more" (floating). */
static GVariant *
import_params (const Import *import, GUnixFDList *fds, GVariant *options)
{
  g_autoptr (GVariant) base = g_variant_ref_sink (options);
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (base);
  GVariantBuilder handles;

  g_variant_builder_init (&handles, G_VARIANT_TYPE ("ah"));
  for (int i = 0; i < g_unix_fd_list_get_length (fds); i++)
    g_variant_builder_add (&handles, "h", i);
  if (import->n_sent < import->n_paths)
    g_variant_dict_insert (&dict, "more", "b", TRUE);
  return g_variant_new ("(ahs@a{sv})", &handles, import->name, g_variant_dict_end (&dict));
}

static gboolean
import_can_go_on (const Import *import)
{
  return import->n_sent < import->n_paths && import->n_bytes_copied >= import->n_bytes_sent;
}

static gboolean
send_more (Request *r, GError **error)
{
  g_autoptr (GUnixFDList) fds = open_next (r->import, error);
  g_autoptr (GVariant) reply = NULL;
  GVariantBuilder options;

  if (fds == NULL)
    return FALSE;
  g_variant_builder_init (&options, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&options, "{sv}", "append-to", g_variant_new_object_path (r->path));
  reply = call_at (r->client, LLM_OBJECT_PATH, LLM_IFACE, "Import", import_params (r->import, fds, g_variant_builder_end (&options)), fds, error);
  return reply != NULL;
}

static void
on_import_progress (const char *phase, guint64 done, guint64 total, gpointer user_data)
{
  Request *r = user_data;

  r->import->n_bytes_copied = MAX (r->import->n_bytes_copied, done);
  if (r->forward != NULL)
    r->forward (phase, done, MAX (total, r->import->n_bytes), r->forward_data);
}

GVariant *
llm_client_import (LlmClient *self, const char *const *paths, const char *name, GVariant *options, LlmClientProgress progress, gpointer user_data,
                   GCancellable *cancellable, GError **error)
{
  Import import = { .paths = paths, .name = name };
  g_autoptr (GVariant) held = options != NULL ? g_variant_ref_sink (options) : NULL;
  g_autoptr (GUnixFDList) fds = measure (&import, error) ? open_next (&import, error) : NULL;
  Request r = { .import = &import, .progress = on_import_progress, .user_data = &r, .forward = progress, .forward_data = user_data };
  GVariant *result = NULL;

  if (fds != NULL)
    result = run_request (&r, "Import", import_params (&import, fds, begin_request (&r, self, held)), fds, cancellable, error);
  request_clear (&r);
  g_free (import.sizes);
  return result;
}
