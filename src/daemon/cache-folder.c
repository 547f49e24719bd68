/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cache-folder.h. */
#include "daemon/cache-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "base/build-id.h"
#include "config.h"

char *
llm_cache_folder_name (const char *engine_path)
{
  g_autofree char *build_id = llm_build_id_of_file (engine_path);

  return build_id != NULL ? g_strdup_printf ("v%s-%s", LLM_VERSION, build_id) : NULL;
}

int
llm_cache_folder_open (const char *cache_dir, const char *engine_path, char **path, GError **error)
{
  g_autofree char *name = llm_cache_folder_name (engine_path);
  g_autofree char *folder = name != NULL ? g_build_filename (cache_dir, name, NULL) : NULL;
  int fd;

  if (name == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s cannot be read", engine_path);
      return -1;
    }
  g_mkdir_with_parents (cache_dir, 0700);
  fd = g_mkdir (folder, 0755) == 0 || errno == EEXIST ? open (folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", folder, g_strerror (errno));
  else
    *path = g_steal_pointer (&folder);
  return fd;
}
