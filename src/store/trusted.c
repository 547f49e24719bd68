/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define HOW "a file is used in place only where nobody but root can change it; import it without in-place to copy it"

static gboolean
is_trusted (int fd, uid_t owner, gboolean want_file, const char *what, GError **error)
{
  struct stat st;

  if (fstat (fd, &st) < 0)
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s: %s", what, g_strerror (errno));
  if (want_file && !S_ISREG (st.st_mode))
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s is no regular file", what);
  if (st.st_uid != owner)
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s belongs to user %u; " HOW, what, (guint) st.st_uid);
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: others than root may write to %s; " HOW, what);
  return TRUE;
}

/* The next component, in the place of @dir, which is closed. */
static int
step (int dir, const char *name, uid_t owner, gboolean last, const char *path, GError **error)
{
  int fd = openat (dir, name, O_CLOEXEC | O_NOFOLLOW | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY)), saved_errno = errno;

  close (dir);
  if (fd < 0)
    {
      llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: the service cannot open %s: %s at \"%s\"", path,
                      saved_errno == ELOOP || saved_errno == ENOTDIR ? "no folder, or a link," : g_strerror (saved_errno), name);
      return -1;
    }
  if (is_trusted (fd, owner, last, last ? path : name, error))
    return fd;
  close (fd);
  return -1;
}

int
llm_trusted_open (int root, uid_t owner, const char *path, GError **error)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  int fd = openat (root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (path[0] != '/' || fd < 0 || !is_trusted (fd, owner, FALSE, "/", error))
    {
      if (path[0] != '/' || fd < 0)
        llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s cannot be looked at", path);
      if (fd >= 0)
        close (fd);
      return -1;
    }
  for (guint i = 1; fd >= 0 && names[i] != NULL; i++)
    {
      if (names[i][0] == '\0' || strcmp (names[i], ".") == 0 || strcmp (names[i], "..") == 0)
        {
          close (fd);
          llm_error_fail (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS, "in-place: %s is no plain path", path);
          return -1;
        }
      fd = step (fd, names[i], owner, names[i + 1] == NULL, path, error);
    }
  return fd;
}

int
llm_trusted_open_here (const char *path, GError **error)
{
  int root = open ("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = llm_trusted_open (root, 0, path, error);

  if (root >= 0)
    close (root);
  return fd;
}
