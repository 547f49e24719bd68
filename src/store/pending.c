/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK "pending-"
#define GONE "gone-"

struct _LlmPending {
  gatomicrefcount refs;
  GMutex lock;
  GHashTable *counts; /* digest -> count */
  char *blobs_dir, *tmp_dir;
  guint n_gone;
};

LlmPending *
llm_pending_new (const char *blobs_dir, const char *tmp_dir)
{
  LlmPending *self = g_new0 (LlmPending, 1);

  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  self->counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->blobs_dir = g_strdup (blobs_dir);
  self->tmp_dir = g_strdup (tmp_dir);
  return self;
}

LlmPending *
llm_pending_ref (LlmPending *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
llm_pending_unref (LlmPending *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_hash_table_unref (self->counts);
  g_mutex_clear (&self->lock);
  g_free (self->blobs_dir);
  g_free (self->tmp_dir);
  g_free (self);
}

static char *
mark_path (LlmPending *self, const char *digest)
{
  g_autofree char *file = g_strconcat (MARK, digest, NULL);

  return g_build_filename (self->tmp_dir, file, NULL);
}

const char *
llm_pending_marked (const char *file)
{
  return g_str_has_prefix (file, MARK) ? file + strlen (MARK) : NULL;
}

/* Under the lock. */
static void
count (LlmPending *self, const char *digest, int by)
{
  int n = GPOINTER_TO_INT (g_hash_table_lookup (self->counts, digest)) + by;
  g_autofree char *mark = mark_path (self, digest);

  if (n > 0)
    g_hash_table_replace (self->counts, g_strdup (digest), GINT_TO_POINTER (n));
  else
    {
      g_hash_table_remove (self->counts, digest);
      g_unlink (mark);
    }
}

/* A blob that is there already comes out at @tmp: freeing its gigabytes takes time, which is not to be spent under the lock. */
static gboolean
move_to_place (const char *tmp, const char *final)
{
  return renameat2 (AT_FDCWD, tmp, AT_FDCWD, final, RENAME_EXCHANGE) == 0 || rename (tmp, final) == 0;
}

gboolean
llm_pending_publish (LlmPending *self, const char *digest, const char *tmp)
{
  g_autofree char *final = g_build_filename (self->blobs_dir, digest, NULL), *mark = mark_path (self, digest);
  gboolean ok;
  int saved_errno, fd;

  g_mutex_lock (&self->lock);
  fd = open (mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0)
    close (fd);
  count (self, digest, 1);
  ok = fd >= 0 && move_to_place (tmp, final);
  saved_errno = errno;
  if (!ok)
    count (self, digest, -1);
  g_mutex_unlock (&self->lock);
  errno = saved_errno;
  return ok;
}

void
llm_pending_release (LlmPending *self, const char *digest)
{
  g_mutex_lock (&self->lock);
  count (self, digest, -1);
  g_mutex_unlock (&self->lock);
}

static gpointer
unlink_thread (gpointer data)
{
  g_autofree char *path = data;

  g_unlink (path);
  return NULL;
}

void
llm_pending_unlink (LlmPending *self, const char *digest)
{
  g_autofree char *path = g_build_filename (self->blobs_dir, digest, NULL), *gone = NULL;
  gboolean moved = FALSE;

  g_mutex_lock (&self->lock);
  if (!g_hash_table_contains (self->counts, digest))
    {
      gone = g_strdup_printf ("%s/" GONE "%u", self->tmp_dir, self->n_gone++);
      moved = rename (path, gone) == 0;
    }
  g_mutex_unlock (&self->lock);
  if (moved)
    g_thread_unref (g_thread_new ("unlink", unlink_thread, g_steal_pointer (&gone)));
}
