/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See confine.h, and landlock(7). */
#include "worker/confine.h"

#include <fcntl.h>
#include <glob.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRUNCATE (1ULL << 14) /* LANDLOCK_ACCESS_FS_TRUNCATE; Linux 6.2 */

/* Writing in every form that version @abi knows. */
static guint64
writing (int abi)
{
  guint64 rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR
                   | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
                   | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

  if (abi >= 2)
    rights |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3)
    rights |= TRUNCATE;
  return rights;
}

static gboolean
allow (int ruleset, int parent, guint64 rights)
{
  struct landlock_path_beneath_attr rule = { rights, parent };

  return syscall (SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* What drivers write to; those that are not there now will not be needed. */
static void
allow_devices (int ruleset)
{
  static const char *const patterns[] = { "/dev/dri/*", "/dev/nvidia*", "/dev/kfd", "/dev/null" };

  for (gsize p = 0; p < G_N_ELEMENTS (patterns); p++)
    {
      glob_t found;

      if (glob (patterns[p], GLOB_NOSORT, NULL, &found) != 0)
        continue;
      for (gsize i = 0; i < found.gl_pathc; i++)
        {
          int fd = open (found.gl_pathv[i], O_PATH | O_CLOEXEC);

          if (fd < 0)
            continue;
          allow (ruleset, fd, LANDLOCK_ACCESS_FS_WRITE_FILE);
          close (fd);
        }
      globfree (&found);
    }
}

gboolean
llm_confine_writes (int folder)
{
  int abi = (int) syscall (SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), ruleset;
  struct landlock_ruleset_attr attributes = { 0 };
  gboolean ok;

  if (abi < 1)
    return FALSE;
  attributes.handled_access_fs = writing (abi);
  ruleset = (int) syscall (SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
  if (ruleset < 0)
    return FALSE;
  allow_devices (ruleset);
  ok = allow (ruleset, folder,
              attributes.handled_access_fs
                & (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR
                   | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | TRUNCATE))
       && prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall (SYS_landlock_restrict_self, ruleset, 0) == 0;
  close (ruleset);
  return ok;
}
