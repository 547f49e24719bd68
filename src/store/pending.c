/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK "pending-"

struct _LlmPending {
  gatomicrefcount refs;
  GMutex lock;
  GHashTable *counts; /* digest -> count */
  char *blobs_dir, *tmp_dir;
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
  ok = fd >= 0 && rename (tmp, final) == 0;
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

void
llm_pending_unlink (LlmPending *self, const char *digest)
{
  g_autofree char *path = g_build_filename (self->blobs_dir, digest, NULL);

  g_mutex_lock (&self->lock);
  if (!g_hash_table_contains (self->counts, digest))
    g_unlink (path);
  g_mutex_unlock (&self->lock);
}
