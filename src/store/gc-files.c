/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/gc-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/limits.h"
#include "store/disk.h"
#include "store/engine-version.h"

#define TEMPORARY "tmp-"    /* cache/file-tier.h */
#define DRIVERS "mesa"      /* daemon/engine-process.c */
#define UNKNOWN_COST 1000.0 /* µs of what nobody has measured yet */

/* ---- looking ---- */

typedef struct {
  gint64 now, grace;
  GHashTable *costs;
  GPtrArray *entries;
  const char *folder; /* of an engine */
} Scan;

static DIR *
open_folder (int at, const char *name)
{
  int fd = openat (at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;

  if (dir == NULL && fd >= 0)
    close (fd);
  return dir;
}

static const char *
next_name (DIR *dir)
{
  const struct dirent *entry;

  while ((entry = readdir (dir)) != NULL)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      return entry->d_name;
  return NULL;
}

/* "<kind>-<64 hex digits>" */
static double
cost_of (const Scan *scan, const char *name)
{
  const char *dash = strrchr (name, '-');
  g_autofree char *kind = dash != NULL ? g_strndup (name, (gsize) (dash - name)) : NULL;
  const double *cost = kind != NULL && scan->costs != NULL ? g_hash_table_lookup (scan->costs, kind) : NULL;

  return cost != NULL ? *cost : UNKNOWN_COST;
}

static gboolean
is_being_written (const Scan *scan, int at, const char *name, const struct stat *st)
{
  gboolean locked;
  int fd;

  if (scan->now - st->st_mtim.tv_sec <= scan->grace)
    return TRUE; /* not even asked: it may be about to be locked */
  fd = openat (at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  locked = fd < 0 || flock (fd, LOCK_EX | LOCK_NB) < 0;
  if (fd >= 0)
    close (fd);
  return locked;
}

static void
add_file (Scan *scan, int at, const char *name, const char *path, const struct stat *st)
{
  LlmGcEntry *entry = g_new0 (LlmGcEntry, 1);
  gboolean drivers = g_str_has_prefix (path + strlen (scan->folder), "/" DRIVERS "/");

  entry->kind = g_str_has_prefix (name, TEMPORARY) ? LLM_GC_TEMPORARY : drivers ? LLM_GC_DRIVERS : LLM_GC_ARTIFACT;
  entry->folder = g_strdup (scan->folder);
  entry->path = g_strdup (path);
  entry->bytes = (guint64) st->st_blocks * 512; /* what the disk gets back */
  entry->used = MAX (st->st_mtim.tv_sec, st->st_atim.tv_sec);
  entry->saves = cost_of (scan, name);
  entry->held = entry->kind == LLM_GC_TEMPORARY && is_being_written (scan, at, name, st);
  entry->inode = st->st_ino;
  entry->changed = llm_disk_mtime (st);
  g_ptr_array_add (scan->entries, entry);
}

/* As deep as a driver may go; the depth bounds the recursion. */
static void
scan_folder (Scan *scan, int at, const char *name, const char *path, guint depth)
{
  DIR *dir = depth <= LLM_GC_MAX_DEPTH ? open_folder (at, name) : NULL;
  const char *file;

  while (dir != NULL && scan->entries->len < LLM_GC_MAX_ENTRIES && (file = next_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (path, file, NULL);
      struct stat st;

      if (fstatat (dirfd (dir), file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        continue;
      if (S_ISDIR (st.st_mode))
        scan_folder (scan, dirfd (dir), file, below, depth + 1);
      else
        add_file (scan, dirfd (dir), file, below, &st);
    }
  if (dir != NULL)
    closedir (dir);
}

void
llm_gc_scan (const char *cache_dir, gint64 now, gint64 grace, GHashTable *costs, GPtrArray *entries)
{
  DIR *dir = open_folder (AT_FDCWD, cache_dir);
  const char *name;

  while (dir != NULL && (name = next_name (dir)) != NULL)
    {
      g_autofree char *version = llm_engine_version_of (name), *folder = g_strdup (name);
      Scan scan = { now, grace, costs, entries, folder };

      if (version != NULL)
        scan_folder (&scan, dirfd (dir), folder, folder, 1);
    }
  if (dir != NULL)
    closedir (dir);
}

void
llm_gc_scan_blobs (const char *blobs_dir, GHashTable *held, GPtrArray *entries)
{
  DIR *dir = open_folder (AT_FDCWD, blobs_dir);
  const char *name;

  while (dir != NULL && entries->len < LLM_GC_MAX_ENTRIES && (name = next_name (dir)) != NULL)
    {
      LlmGcEntry *entry;
      struct stat st;

      if (!g_str_has_prefix (name, "sha256-") || fstatat (dirfd (dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG (st.st_mode))
        continue;
      entry = g_new0 (LlmGcEntry, 1);
      entry->kind = LLM_GC_BLOB;
      entry->path = g_strdup (name);
      entry->bytes = (guint64) st.st_blocks * 512;
      entry->used = st.st_ctim.tv_sec; /* a blob's mtime says nothing (disk.h) */
      entry->held = g_hash_table_contains (held, name);
      g_ptr_array_add (entries, entry);
    }
  if (dir != NULL)
    closedir (dir);
}

/* ---- carrying out ---- */

/* The folder that @path is in, without ever following a link. */
static int
open_parent (const char *cache_dir, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  int fd = open (cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  for (guint i = 0; fd >= 0 && parts[i] != NULL && parts[i + 1] != NULL; i++)
    {
      int next = openat (fd, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

      close (fd);
      fd = next;
    }
  return fd;
}

gboolean
llm_gc_unlink (const char *cache_dir, const LlmGcEntry *entry)
{
  int parent = open_parent (cache_dir, entry->path);
  const char *name = strrchr (entry->path, '/') + 1;
  struct stat st;
  gboolean ok = parent >= 0 && fstatat (parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == entry->inode
                && llm_disk_mtime (&st) == entry->changed && unlinkat (parent, name, 0) == 0;

  if (parent >= 0)
    close (parent);
  return ok;
}

/* What is not empty stays by itself. */
static void
prune_folder (int at, const char *name, guint depth)
{
  DIR *dir = depth <= LLM_GC_MAX_DEPTH ? open_folder (at, name) : NULL;
  const char *below;
  struct stat st;

  while (dir != NULL && (below = next_name (dir)) != NULL)
    if (fstatat (dirfd (dir), below, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (st.st_mode))
      prune_folder (dirfd (dir), below, depth + 1);
  if (dir != NULL)
    closedir (dir);
  unlinkat (at, name, AT_REMOVEDIR);
}

void
llm_gc_prune (const char *cache_dir, const char *current)
{
  DIR *dir = open_folder (AT_FDCWD, cache_dir);
  const char *name;

  while (dir != NULL && (name = next_name (dir)) != NULL)
    {
      g_autofree char *version = llm_engine_version_of (name);

      if (version != NULL && strcmp (name, current) != 0)
        prune_folder (dirfd (dir), name, 1);
    }
  if (dir != NULL)
    closedir (dir);
}

guint64
llm_gc_free_bytes (const char *folder)
{
  struct statvfs fs;
  guint64 bytes;

  if (statvfs (folder, &fs) < 0 || !llm_mul_u64 (fs.f_bavail, fs.f_frsize, &bytes))
    return G_MAXUINT64;
  return bytes;
}
