/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One broker per store.  The lock is on the folder itself; the file "holder" in it is for people: who
 * has the lock.  It may be old or damaged, the lock cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "store/disk.h"
#include "store/store-private.h"

#define GROUP "Holder"

static gboolean
refuse (const char *state_dir, const char *holder, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *who = NULL, *since = NULL;
  int pid;

  g_key_file_load_from_file (file, holder, G_KEY_FILE_NONE, NULL);
  pid = g_key_file_get_integer (file, GROUP, "Process", NULL);
  who = g_key_file_get_string (file, GROUP, "Bus", NULL);
  since = g_key_file_get_string (file, GROUP, "Since", NULL);
  if (pid > 0 && who != NULL && since != NULL)
    return llm_error_fail (error, LLM_ERROR, LLM_ERROR_BUSY, "the store %s is in use by another local-llmd: process %d %s, since %s; stop it, or choose another --state-dir",
                           state_dir, pid, who, since);
  return llm_error_fail (error, LLM_ERROR, LLM_ERROR_BUSY, "the store %s is in use by another local-llmd; stop it, or choose another --state-dir", state_dir);
}

static void
introduce_ourselves (const char *holder, const char *who)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *since = g_date_time_format (now, "%Y-%m-%d %H:%M:%S"), *text = NULL;

  g_key_file_set_integer (file, GROUP, "Process", (int) getpid ());
  g_key_file_set_string (file, GROUP, "Bus", who);
  g_key_file_set_string (file, GROUP, "Since", since);
  text = g_key_file_to_data (file, NULL, NULL);
  g_file_set_contents_full (holder, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL); /* without it the message is shorter */
}

int
llm_holder_lock (const char *state_dir, const char *holder, const char *who, GError **error)
{
  int fd = open (state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), saved_errno;

  if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
    {
      introduce_ourselves (holder, who);
      return fd;
    }
  saved_errno = errno;
  if (fd >= 0)
    close (fd);
  if (saved_errno == EWOULDBLOCK)
    refuse (state_dir, holder, error);
  else
    llm_disk_fail (error, saved_errno, "cannot lock the store");
  return -1;
}
