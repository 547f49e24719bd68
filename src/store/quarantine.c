/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs that are not what their names say.  quarantine/ holds a file for each, with the digest it was
 * meant to have: the damaged blob itself, or an empty file for one that is not ours to move.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "store/disk.h"
#include "store/store-private.h"

/* A blob that is in both places was imported again, and we were killed before the old one was gone. */
void
llm_store_load_quarantine (LlmStore *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->quarantine_dir, 0, NULL);
  const char *digest;

  while (dir != NULL && (digest = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->quarantine_dir, digest, NULL), *blob = g_build_filename (self->blobs_dir, digest, NULL);

      if (self->damaged == 0 && (!llm_store_names_digest (self, digest) || access (blob, F_OK) == 0))
        llm_pending_remove_file (self->pending, path);
      else
        g_hash_table_add (self->damaged_blobs, g_strdup (digest));
    }
}

void
llm_store_quarantine (LlmStore *self, const LlmStoreBlob *blob)
{
  g_autofree char *path = g_build_filename (self->quarantine_dir, blob->digest, NULL);
  int fd = -1;

  g_warning ("%s is damaged; it is not served any more", blob->path);
  g_hash_table_add (self->damaged_blobs, g_strdup (blob->digest));
  if (blob->in_place)
    fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (blob->in_place ? fd < 0 : rename (blob->path, path) < 0)
    g_warning ("%s cannot be put into quarantine: %s", blob->path, g_strerror (errno)); /* until the next start it is all the same */
  if (fd >= 0)
    close (fd);
}

void
llm_store_end_quarantine (LlmStore *self, const char *digest)
{
  g_autofree char *path = NULL;

  if (!g_hash_table_remove (self->damaged_blobs, digest))
    return;
  path = g_build_filename (self->quarantine_dir, digest, NULL);
  llm_pending_remove_file (self->pending, path);
}

gboolean
llm_store_check (LlmStore *self, const LlmStoreModel *model, GError **error)
{
  for (guint i = 0; i < model->blobs->len; i++)
    if (g_hash_table_contains (self->damaged_blobs, ((LlmStoreBlob *) model->blobs->pdata[i])->digest))
      return llm_error_fail (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "file %u of %u of %s is damaged; import the model again", i + 1, model->blobs->len, model->name);
  return TRUE;
}
