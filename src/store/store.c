/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index of the store in memory and the calls around it.
 *
 * Invariant: a blob is deleted only when no manifest names it and no import that has not
 * been committed or discarded yet stands on it (pending.h): two imports of the same bytes
 * may be under way at once.
 */
#include "store/store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "store/disk.h"
#include "store/manifest.h"

/* ---- opening ---- */

static gboolean
make_folder (const char *path, GError **error)
{
  if (g_mkdir_with_parents (path, 0755) == 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot make the store folder %s: %s", path, g_strerror (errno));
  return FALSE;
}

static void
load_manifest (LlmStore *self, const char *path, const char *relative)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strndup (relative, strlen (relative) - strlen (".json"));
  g_autofree char *checked = NULL, *alias_of = NULL;
  char *slash = strrchr (name, '/');
  LlmStoreModel *model = NULL;

  if (slash != NULL)
    {
      *slash = ':';
      checked = llm_store_normalize_name (name, NULL);
    }
  if (checked != NULL)
    model = llm_manifest_load (path, checked, self->blobs_dir, &alias_of, &error);
  if (alias_of != NULL)
    {
      g_hash_table_replace (self->aliases, g_steal_pointer (&checked), g_steal_pointer (&alias_of));
      return;
    }
  if (model == NULL)
    {
      self->damaged++;
      g_warning ("left out: %s", error != NULL ? error->message : path);
      return;
    }
  g_hash_table_replace (self->models, g_strdup (model->name), model);
}

/* Iterative: folders still to be looked at, as paths relative to models_dir. */
static void
load_manifests (LlmStore *self)
{
  g_autoptr (GPtrArray) todo = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (todo, g_strdup (""));
  while (todo->len > 0)
    {
      g_autofree char *folder = g_ptr_array_steal_index (todo, todo->len - 1);
      g_autofree char *full = g_build_filename (self->models_dir, folder, NULL);
      g_autoptr (GDir) dir = g_dir_open (full, 0, NULL);
      const char *entry;

      while (dir != NULL && (entry = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *relative = folder[0] != '\0' ? g_build_filename (folder, entry, NULL) : g_strdup (entry);
          g_autofree char *path = g_build_filename (self->models_dir, relative, NULL);
          struct stat st;

          if (entry[0] == '.' || lstat (path, &st) < 0)
            continue;
          if (S_ISDIR (st.st_mode))
            g_ptr_array_add (todo, g_steal_pointer (&relative));
          else if (S_ISREG (st.st_mode) && g_str_has_suffix (entry, ".json"))
            load_manifest (self, path, relative);
        }
    }
}

/* What imports have left that a crash cut off.  A blob that a damaged manifest may name stays. */
static void
empty_tmp (LlmStore *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->tmp_dir, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->tmp_dir, name, NULL);
      const char *digest = llm_pending_marked (name);

      if (digest != NULL && self->damaged > 0)
        continue;
      if (digest != NULL)
        llm_pending_drop (self->pending, digest, llm_store_fate (self, digest)); /* takes the mark along */
      else
        g_unlink (path);
    }
}

LlmStore *
llm_store_open (const char *state_dir, const char *who, GError **error)
{
  g_autoptr (LlmStore) self = g_new0 (LlmStore, 1);

  self->lock_fd = -1;
  self->models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) llm_store_model_unref);
  self->aliases = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->leases = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->holder = g_build_filename (state_dir, "holder", NULL);
  self->damaged_blobs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->quarantine_dir = g_build_filename (state_dir, "quarantine", NULL);
  self->blobs_dir = g_build_filename (state_dir, "blobs", NULL);
  self->models_dir = g_build_filename (state_dir, "models", NULL);
  self->tmp_dir = g_build_filename (state_dir, "tmp", NULL);
  self->pending = llm_pending_new (self->blobs_dir, self->tmp_dir);
  if (!make_folder (self->blobs_dir, error) || !make_folder (self->models_dir, error) || !make_folder (self->tmp_dir, error)
      || !make_folder (self->quarantine_dir, error)
      || (self->lock_fd = llm_holder_lock (state_dir, self->holder, who, error)) < 0)
    return NULL;
  load_manifests (self);
  empty_tmp (self);
  llm_store_load_quarantine (self);
  if (self->damaged == 0)
    llm_store_drop_aliases (self);
  return g_steal_pointer (&self);
}

void
llm_store_set_keep_free (LlmStore *self, guint64 bytes)
{
  self->keep_free = bytes;
}

void
llm_store_free (LlmStore *self)
{
  g_hash_table_unref (self->models);
  g_hash_table_unref (self->aliases);
  g_hash_table_unref (self->leases);
  g_hash_table_unref (self->damaged_blobs);
  llm_pending_wait (self->pending);
  llm_pending_unref (self->pending);
  g_free (self->blobs_dir);
  g_free (self->models_dir);
  g_free (self->tmp_dir);
  g_free (self->quarantine_dir);
  if (self->lock_fd >= 0)
    {
      g_unlink (self->holder);
      close (self->lock_fd);
    }
  g_free (self->holder);
  g_free (self);
}

/* ---- reading ---- */

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(LlmStoreModel *const *) a)->name, (*(LlmStoreModel *const *) b)->name);
}

GPtrArray *
llm_store_list (LlmStore *self)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_model_unref);
  GHashTableIter iter;
  gpointer model;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    g_ptr_array_add (list, llm_store_model_ref (model));
  g_ptr_array_sort (list, by_name);
  return list;
}

static LlmStoreModel *
find_digest (LlmStore *self, const char *digest)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      LlmStoreModel *model = value;

      if (strcmp (model->digest, digest) == 0)
        return model;
    }
  return NULL;
}

gboolean
llm_store_has_model (LlmStore *self, const char *name)
{
  return g_hash_table_contains (self->models, name);
}

LlmStoreModel *
llm_store_find (LlmStore *self, const char *name_or_digest)
{
  const char *target = g_hash_table_lookup (self->aliases, name_or_digest);
  LlmStoreModel *model = g_hash_table_lookup (self->models, target != NULL ? target : name_or_digest);

  return model != NULL ? model : find_digest (self, name_or_digest);
}

guint64
llm_store_bytes_of (LlmStore *self, guint32 uid)
{
  GHashTableIter iter;
  gpointer value;
  guint64 bytes = 0;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const LlmStoreModel *model = value;

      if (model->uid == uid && !((LlmStoreBlob *) model->blobs->pdata[0])->in_place && !llm_add_u64 (bytes, model->size, &bytes))
        return G_MAXUINT64;
    }
  return bytes;
}

GVariant *
llm_store_statistics (LlmStore *self)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GHashTable) counted = g_hash_table_new (g_str_hash, g_str_equal); /* paths (lent) */
  GHashTableIter iter;
  gpointer value;
  guint64 bytes = 0, copied = 0;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const LlmStoreModel *model = value;

      for (guint i = 0; i < model->blobs->len; i++)
        {
          const LlmStoreBlob *blob = model->blobs->pdata[i];

          if (g_hash_table_add (counted, blob->path))
            {
              bytes += blob->size;
              copied += blob->in_place ? 0 : blob->size;
            }
        }
    }
  g_variant_dict_insert (&dict, "models", "u", g_hash_table_size (self->models));
  g_variant_dict_insert (&dict, "bytes", "t", bytes);
  g_variant_dict_insert (&dict, "copied-bytes", "t", copied);
  g_variant_dict_insert (&dict, "damaged-manifests", "u", self->damaged);
  g_variant_dict_insert (&dict, "damaged-blobs", "u", g_hash_table_size (self->damaged_blobs));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

/* ---- changing ---- */

gboolean
llm_store_has_bundled (LlmStore *self, const char *name, const char *const *paths)
{
  const LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  guint n = g_strv_length ((char **) paths);

  if (model == NULL || !model->bundled || model->blobs->len != n)
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];
      g_autofree char *canonical = g_canonicalize_filename (paths[i], NULL);
      struct stat st;

      if (strcmp (blob->path, canonical) != 0 || stat (canonical, &st) < 0 || (guint64) st.st_size != blob->size || st.st_mtime >= model->imported)
        return FALSE;
    }
  return TRUE;
}

static gboolean
names_blob (const LlmStoreModel *model, const char *digest)
{
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->in_place && strcmp (blob->digest, digest) == 0) /* a file in place may hold the same bytes */
        return TRUE;
    }
  return FALSE;
}

static gboolean
is_named (LlmStore *self, const char *digest)
{
  GHashTableIter iter;
  gpointer model;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    if (names_blob (model, digest))
      return TRUE;
  return FALSE;
}

gboolean
llm_store_names_digest (LlmStore *self, const char *digest)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const LlmStoreModel *model = value;

      for (guint i = 0; i < model->blobs->len; i++)
        if (strcmp (((LlmStoreBlob *) model->blobs->pdata[i])->digest, digest) == 0)
          return TRUE;
    }
  return FALSE;
}

LlmBlobFate
llm_store_fate (LlmStore *self, const char *digest)
{
  return is_named (self, digest) ? LLM_BLOB_NAMED : llm_store_is_leased (self, digest) ? LLM_BLOB_LEASED : LLM_BLOB_UNWANTED;
}

gboolean
llm_store_holds_blob (LlmStore *self, const char *digest)
{
  return llm_store_fate (self, digest) != LLM_BLOB_UNWANTED || llm_pending_has (self->pending, digest);
}

void
llm_store_mark_blobs (LlmStore *self, const LlmStoreModel *model)
{
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->in_place)
        llm_pending_mark (self->pending, blob->digest);
    }
}

void
llm_store_drop_blobs (LlmStore *self, const LlmStoreModel *model)
{
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->in_place)
        llm_pending_drop (self->pending, blob->digest, llm_store_fate (self, blob->digest));
      if (!llm_store_names_digest (self, blob->digest))
        llm_store_end_quarantine (self, blob->digest);
    }
}

LlmStoreModel *
llm_store_add (LlmStore *self, LlmStoreModel *model, const char *tmp, GError **error)
{
  LlmStoreModel *old = g_hash_table_lookup (self->models, model->name);
  g_autoptr (LlmStoreModel) replaced = old != NULL ? llm_store_model_ref (old) : NULL;
  gboolean ok;

  if (replaced != NULL)
    llm_store_mark_blobs (self, replaced);
  ok = llm_manifest_install (tmp, self->models_dir, model->name, error);
  if (ok)
    {
      g_hash_table_replace (self->models, g_strdup (model->name), llm_store_model_ref (model));
      g_hash_table_remove (self->aliases, model->name); /* its file was in that place */
    }
  for (guint i = 0; ok && i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->in_place)
        llm_pending_settle (self->pending, blob->digest, LLM_BLOB_NAMED);
      llm_store_end_quarantine (self, blob->digest); /* these bytes have just been hashed */
    }
  if (replaced != NULL)
    llm_store_drop_blobs (self, replaced);
  return ok ? model : NULL;
}

gboolean
llm_store_delete (LlmStore *self, const char *name, GError **error)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  g_autoptr (LlmStoreModel) hold = NULL;

  if (model == NULL)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "there is no model %s in the store", name);
      return FALSE;
    }
  if (model->bundled)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED, "%s came with the system's packages; remove it there", name);
      return FALSE;
    }
  hold = llm_store_model_ref (model);
  llm_store_mark_blobs (self, hold);
  if (llm_manifest_remove (self->models_dir, name))
    g_hash_table_remove (self->models, hold->name);
  else
    llm_disk_fail (error, errno, "cannot delete the model");
  llm_store_drop_blobs (self, hold);
  llm_store_drop_aliases (self);
  return g_hash_table_lookup (self->models, hold->name) == NULL;
}

static gboolean
is_uninstalled (const LlmStoreModel *model)
{
  for (guint i = 0; model->bundled && i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];
      struct stat st;

      if (lstat (blob->path, &st) < 0 && errno == ENOENT)
        return TRUE;
    }
  return FALSE;
}

void
llm_store_drop_uninstalled (LlmStore *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const LlmStoreModel *model = value;

      if (is_uninstalled (model) && llm_manifest_remove (self->models_dir, model->name))
        g_hash_table_iter_remove (&iter);
    }
  llm_store_drop_aliases (self);
}

void
llm_store_discard (LlmStore *self, GPtrArray *blobs)
{
  for (guint i = 0; i < blobs->len; i++)
    {
      const LlmStoreBlob *blob = blobs->pdata[i];

      if (!blob->in_place)
        llm_pending_settle (self->pending, blob->digest, llm_store_fate (self, blob->digest));
    }
}
