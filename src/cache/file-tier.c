/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See file-tier.h. */
#include "cache/file-tier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

struct _LlmFileTier {
  int folder;
  char *engine;
  GHashTable *seen;      /* char * -> GString: an artifact's name -> the folders that had it when we came, each "\n<build>/<device>\n" */
  gint n_written;        /* atomic: for the names of temporaries */
};

/* ---- looking around ---- */

typedef gboolean (*EachFile) (int folder, const char *name, gpointer data); /* FALSE: enough */

static gboolean
for_each (int at, const char *path, EachFile each, gpointer data)
{
  int fd = openat (at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  gboolean go_on = TRUE;

  if (dir == NULL)
    {
      if (fd >= 0)
        close (fd);
      return TRUE;
    }
  for (const struct dirent *entry; go_on && (entry = readdir (dir)) != NULL;)
    if (entry->d_name[0] != '.')
      go_on = each (fd, entry->d_name, data);
  closedir (dir);
  return go_on;
}

/* Nobody holds the lock of a temporary whose writer is gone. */
static gboolean
remove_orphan (int folder, const char *name, gpointer data)
{
  int fd = g_str_has_prefix (name, "tmp-") ? openat (folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;

  if (fd < 0)
    return TRUE;
  if (flock (fd, LOCK_EX | LOCK_NB) == 0)
    unlinkat (folder, name, 0);
  close (fd);
  return TRUE;
}

typedef struct {
  GHashTable *seen;
  struct stat own; /* the folder of this build, which is called "." whatever its name is */
  const char *build, *device;
} Noting;

static gboolean
note_name (int folder, const char *name, gpointer data)
{
  Noting *noting = data;
  GString *folders = g_hash_table_lookup (noting->seen, name);

  if (llm_cache_name_kind (name) == 0)
    return TRUE;
  if (folders == NULL)
    {
      folders = g_string_new (NULL);
      g_hash_table_insert (noting->seen, g_strdup (name), folders);
    }
  g_string_append_printf (folders, "\n%s/%s\n", noting->build, noting->device);
  return g_hash_table_size (noting->seen) < LLM_CACHE_MAX_SEEN && folders->len < LLM_CACHE_MAX_LABEL_BYTES;
}

static gboolean
note_device (int folder, const char *name, gpointer data)
{
  ((Noting *) data)->device = name;
  return for_each (folder, name, note_name, data);
}

static gboolean
note_build (int folder, const char *name, gpointer data)
{
  Noting *noting = data;
  struct stat st;

  if (name[0] != 'v' || fstatat (folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return TRUE;
  noting->build = st.st_dev == noting->own.st_dev && st.st_ino == noting->own.st_ino ? "." : name;
  return for_each (folder, name, note_device, data);
}

static void
string_free (gpointer string)
{
  g_string_free (string, TRUE);
}

/* Whether it was there for another device, driver or build. */
static gboolean
was_elsewhere (const LlmFileTier *self, LlmCacheKey *key)
{
  const GString *folders = g_hash_table_lookup (self->seen, llm_cache_key_file_name (key));
  g_autofree char *own = g_strdup_printf ("\n./%s\n", llm_cache_key_device (key));

  return folders != NULL && (strstr (folders->str, own) == NULL || folders->len > strlen (own));
}

LlmFileTier *
llm_file_tier_new (int folder, const char *engine)
{
  LlmFileTier *self = g_new0 (LlmFileTier, 1);
  Noting noting = { 0 };

  self->folder = fcntl (folder, F_DUPFD_CLOEXEC, 0);
  self->engine = g_strdup (engine);
  noting.seen = self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, string_free);
  for_each (self->folder, ".", remove_orphan, NULL);
  if (fstat (self->folder, &noting.own) == 0)
    for_each (self->folder, "..", note_build, &noting);
  return self;
}

void
llm_file_tier_free (LlmFileTier *self)
{
  if (self->folder >= 0)
    close (self->folder);
  g_hash_table_unref (self->seen);
  g_free (self->engine);
  g_free (self);
}

static gboolean
add_size (int folder, const char *name, gpointer data)
{
  gsize kind = llm_cache_name_kind (name);
  g_autofree char *key = g_strndup (name, kind);
  struct stat st;
  guint64 *sum;

  if (kind == 0 || fstatat (folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return TRUE;
  sum = g_hash_table_lookup (data, key);
  if (sum == NULL)
    {
      sum = g_new0 (guint64, 1);
      g_hash_table_insert (data, g_steal_pointer (&key), sum);
    }
  *sum += (guint64) st.st_size;
  return TRUE;
}

static gboolean
add_sizes (int folder, const char *name, gpointer data)
{
  return for_each (folder, name, add_size, data);
}

GHashTable *
llm_file_tier_bytes (LlmFileTier *self)
{
  GHashTable *sums = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for_each (self->folder, ".", add_sizes, sums);
  return sums;
}

/* ---- one file ---- */

static char *
path_of (LlmCacheKey *key)
{
  return g_strdup_printf ("%s/%s", llm_cache_key_device (key), llm_cache_key_file_name (key));
}

static char *
identity_of (const LlmFileTier *self, const LlmCacheKey *key)
{
  return g_strdup_printf ("%s\n%s", self->engine, llm_cache_key_device (key));
}

void
llm_file_tier_remove (LlmFileTier *self, LlmCacheKey *key)
{
  g_autofree char *path = path_of (key);

  unlinkat (self->folder, path, 0);
}

/* Of a file that does not open. */
static LlmMiss
why_not (int error)
{
  switch (error)
    {
    case ENOENT:
    case ENOTDIR:
      return LLM_MISS_ABSENT;
    case ELOOP: /* a symbolic link */
    case ENXIO: /* a socket */
      return LLM_MISS_FOREIGN;
    default:
      return LLM_MISS_UNREADABLE;
    }
}

static gboolean
is_passing (int error)
{
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

LlmArtifact *
llm_file_tier_open (LlmFileTier *self, LlmCacheKey *key, LlmMiss *miss)
{
  g_autofree char *path = path_of (key), *identity = identity_of (self, key);
  LlmArtifactLabel label = { identity, llm_cache_key_text (key) };
  int fd = openat (self->folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  LlmArtifact *artifact = NULL;
  gboolean keep = fd < 0 && is_passing (errno);

  *miss = fd >= 0 ? LLM_HIT : why_not (errno);
  if (fd >= 0)
    {
      artifact = llm_artifact_open (fd, &label, miss);
      close (fd);
    }
  if (artifact != NULL)
    return artifact;
  if (*miss == LLM_MISS_ABSENT)
    *miss = was_elsewhere (self, key) ? LLM_MISS_VERSION : LLM_MISS_ABSENT;
  else if (!keep)
    unlinkat (self->folder, path, 0);
  return NULL;
}

static gboolean
write_all (int fd, const void *data, gsize n)
{
  while (n > 0)
    {
      gssize written = write (fd, data, n);

      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return FALSE;
      data = (const guint8 *) data + written;
      n -= (gsize) written;
    }
  return TRUE;
}

/* mkdir, as seldom as that is needed */
static int
open_device (LlmFileTier *self, const char *device)
{
  int fd = openat (self->folder, device, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  if (fd >= 0 || errno != ENOENT)
    return fd;
  if ((mkdirat (self->folder, device, 0755) < 0 && errno != EEXIST) || fsync (self->folder) < 0)
    return -1;
  return openat (self->folder, device, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The temporary under its name, for good. */
static gboolean
install (LlmFileTier *self, LlmCacheKey *key, const char *tmp)
{
  int device = open_device (self, llm_cache_key_device (key));
  gboolean ok = device >= 0 && renameat (self->folder, tmp, device, llm_cache_key_file_name (key)) == 0;

  if (ok && fsync (device) < 0)
    {
      unlinkat (device, llm_cache_key_file_name (key), 0);
      ok = FALSE;
    }
  if (device >= 0)
    close (device);
  return ok;
}

gboolean
llm_file_tier_store (LlmFileTier *self, LlmCacheKey *key, const LlmArtifact *artifact)
{
  g_autofree char *identity = identity_of (self, key);
  g_autofree char *tmp = g_strdup_printf ("tmp-%d-%d", (int) getpid (), g_atomic_int_add (&self->n_written, 1));
  LlmArtifactLabel label = { identity, llm_cache_key_text (key) };
  gsize n;
  gconstpointer payload = llm_artifact_data (artifact, &n);
  g_autoptr (GByteArray) header = llm_artifact_header (&label, payload, n);
  gboolean ok;
  int fd;

  if (header == NULL)
    return FALSE;
  fd = openat (self->folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0)
    return FALSE;
  ok = flock (fd, LOCK_EX | LOCK_NB) == 0 && write_all (fd, header->data, header->len) && write_all (fd, payload, n) && fsync (fd) == 0
       && install (self, key, tmp);
  if (!ok)
    unlinkat (self->folder, tmp, 0);
  close (fd);
  return ok;
}
