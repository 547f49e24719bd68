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
  guint n_gone, n_unlinking;
  GCond unlinked;
};

LlmPending *
llm_pending_new (const char *blobs_dir, const char *tmp_dir)
{
  LlmPending *self = g_new0 (LlmPending, 1);

  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  g_cond_init (&self->unlinked);
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
  g_cond_clear (&self->unlinked);
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

static gboolean
make_mark (LlmPending *self, const char *digest)
{
  g_autofree char *mark = mark_path (self, digest);
  int fd = open (mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static void
remove_mark (LlmPending *self, const char *digest)
{
  g_autofree char *mark = mark_path (self, digest);

  g_unlink (mark);
}

/* Under the lock. The count after it. */
static int
count (LlmPending *self, const char *digest, int by)
{
  int n = GPOINTER_TO_INT (g_hash_table_lookup (self->counts, digest)) + by;

  if (n > 0)
    g_hash_table_replace (self->counts, g_strdup (digest), GINT_TO_POINTER (n));
  else
    g_hash_table_remove (self->counts, digest);
  return n;
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
  g_autofree char *final = g_build_filename (self->blobs_dir, digest, NULL);
  gboolean ok;
  int saved_errno;

  g_mutex_lock (&self->lock);
  ok = make_mark (self, digest) && move_to_place (tmp, final);
  saved_errno = errno;
  if (ok)
    count (self, digest, 1);
  else if (!g_hash_table_contains (self->counts, digest) && access (final, F_OK) < 0)
    remove_mark (self, digest); /* else somebody may need it; at worst the next start finds a mark of a blob with a name */
  g_mutex_unlock (&self->lock);
  errno = saved_errno;
  return ok;
}

typedef struct {
  LlmPending *pending; /* (owned) */
  char *path;
} Unlink;

static gpointer
unlink_thread (gpointer data)
{
  g_autofree Unlink *work = data;
  g_autoptr (LlmPending) pending = work->pending;
  g_autofree char *path = work->path;

  g_unlink (path);
  g_mutex_lock (&pending->lock);
  pending->n_unlinking--;
  g_cond_broadcast (&pending->unlinked);
  g_mutex_unlock (&pending->lock);
  return NULL;
}

/* Under the lock. Its name in tmp/, or NULL with errno set. (transfer full) */
static char *
move_away (LlmPending *self, const char *path)
{
  g_autofree char *gone = g_strdup_printf ("%s/" GONE "%u", self->tmp_dir, self->n_gone++);

  return rename (path, gone) == 0 ? g_steal_pointer (&gone) : NULL;
}

/* Under the lock. The file that is to be unlinked without it, or NULL. (transfer full) */
static char *
decide (LlmPending *self, const char *digest, LlmBlobFate fate)
{
  g_autofree char *path = g_build_filename (self->blobs_dir, digest, NULL), *gone = NULL;

  if (fate == LLM_BLOB_LEASED)
    {
      make_mark (self, digest);
      return NULL;
    }
  if (fate == LLM_BLOB_UNWANTED)
    {
      gone = move_away (self, path);
      if (gone == NULL && errno != ENOENT)
        return NULL; /* the mark stays: the next start tries again */
    }
  remove_mark (self, digest);
  return g_steal_pointer (&gone);
}

/* Under the lock. Takes @gone. */
static void
give_back_space (LlmPending *self, char *gone)
{
  Unlink *work;

  if (gone == NULL)
    return;
  work = g_new (Unlink, 1);
  *work = (Unlink) { llm_pending_ref (self), gone };
  self->n_unlinking++;
  g_thread_unref (g_thread_new ("unlink", unlink_thread, work));
}

void
llm_pending_remove_file (LlmPending *self, const char *path)
{
  char *gone;

  g_mutex_lock (&self->lock);
  gone = move_away (self, path);
  give_back_space (self, gone);
  g_mutex_unlock (&self->lock);
}

void
llm_pending_wait (LlmPending *self)
{
  g_mutex_lock (&self->lock);
  while (self->n_unlinking > 0)
    g_cond_wait (&self->unlinked, &self->lock);
  g_mutex_unlock (&self->lock);
}

void
llm_pending_settle (LlmPending *self, const char *digest, LlmBlobFate fate)
{
  g_mutex_lock (&self->lock);
  if (count (self, digest, -1) == 0)
    give_back_space (self, decide (self, digest, fate));
  g_mutex_unlock (&self->lock);
}

void
llm_pending_mark (LlmPending *self, const char *digest)
{
  g_mutex_lock (&self->lock);
  if (!g_hash_table_contains (self->counts, digest))
    make_mark (self, digest);
  g_mutex_unlock (&self->lock);
}

void
llm_pending_drop (LlmPending *self, const char *digest, LlmBlobFate fate)
{
  g_mutex_lock (&self->lock);
  if (!g_hash_table_contains (self->counts, digest))
    give_back_space (self, decide (self, digest, fate));
  g_mutex_unlock (&self->lock);
}

gboolean
llm_pending_has (LlmPending *self, const char *digest)
{
  gboolean has;

  g_mutex_lock (&self->lock);
  has = g_hash_table_contains (self->counts, digest);
  g_mutex_unlock (&self->lock);
  return has;
}
