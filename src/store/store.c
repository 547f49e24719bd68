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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
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

static gboolean
lock_folder (LlmStore *self, const char *state_dir, GError **error)
{
  self->lock_fd = open (state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->lock_fd >= 0 && flock (self->lock_fd, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  g_set_error (error, LLM_ERROR, LLM_ERROR_BUSY, "another local-llmd uses the store %s; stop it, or choose another --state-dir", state_dir);
  return FALSE;
}

static void
load_manifest (LlmStore *self, const char *path, const char *relative)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strndup (relative, strlen (relative) - strlen (".json"));
  g_autofree char *checked = NULL;
  char *slash = strrchr (name, '/');
  LlmStoreModel *model = NULL;

  if (slash != NULL)
    {
      *slash = ':';
      checked = llm_store_normalize_name (name, NULL);
    }
  if (checked != NULL)
    model = llm_manifest_load (path, checked, self->blobs_dir, &error);
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

static void unlink_unless_named (LlmStore *self, const char *digest);

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
        unlink_unless_named (self, digest);
      g_unlink (path);
    }
}

LlmStore *
llm_store_open (const char *state_dir, GError **error)
{
  g_autoptr (LlmStore) self = g_new0 (LlmStore, 1);

  self->lock_fd = -1;
  self->models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) llm_store_model_unref);
  self->blobs_dir = g_build_filename (state_dir, "blobs", NULL);
  self->models_dir = g_build_filename (state_dir, "models", NULL);
  self->tmp_dir = g_build_filename (state_dir, "tmp", NULL);
  self->pending = llm_pending_new (self->blobs_dir, self->tmp_dir);
  if (!make_folder (self->blobs_dir, error) || !make_folder (self->models_dir, error) || !make_folder (self->tmp_dir, error)
      || !lock_folder (self, state_dir, error))
    return NULL;
  load_manifests (self);
  empty_tmp (self);
  return g_steal_pointer (&self);
}

void
llm_store_free (LlmStore *self)
{
  g_hash_table_unref (self->models);
  llm_pending_unref (self->pending);
  g_free (self->blobs_dir);
  g_free (self->models_dir);
  g_free (self->tmp_dir);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
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

LlmStoreModel *
llm_store_find (LlmStore *self, const char *name_or_digest)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name_or_digest);

  return model != NULL ? model : find_digest (self, name_or_digest);
}

GVariant *
llm_store_statistics (LlmStore *self)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GHashTable) counted = g_hash_table_new (g_str_hash, g_str_equal); /* paths (lent) */
  GHashTableIter iter;
  gpointer value;
  guint64 bytes = 0;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const LlmStoreModel *model = value;

      for (guint i = 0; i < model->blobs->len; i++)
        {
          const LlmStoreBlob *blob = model->blobs->pdata[i];

          if (g_hash_table_add (counted, blob->path))
            bytes += blob->size;
        }
    }
  g_variant_dict_insert (&dict, "models", "u", g_hash_table_size (self->models));
  g_variant_dict_insert (&dict, "bytes", "t", bytes);
  g_variant_dict_insert (&dict, "damaged-manifests", "u", self->damaged);
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

      if (!blob->bundled && strcmp (blob->digest, digest) == 0) /* a bundled file may hold the same bytes */
        return TRUE;
    }
  return FALSE;
}

static void
unlink_unless_named (LlmStore *self, const char *digest)
{
  GHashTableIter iter;
  gpointer model;

  g_hash_table_iter_init (&iter, self->models);
  while (g_hash_table_iter_next (&iter, NULL, &model))
    if (names_blob (model, digest))
      return;
  llm_pending_unlink (self->pending, digest);
}

/* The blobs of @model, which is in the index no more. */
static void
unlink_blobs (LlmStore *self, const LlmStoreModel *model)
{
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->bundled)
        unlink_unless_named (self, blob->digest);
    }
}

LlmStoreModel *
llm_store_add (LlmStore *self, LlmStoreModel *model, const char *tmp, GError **error)
{
  g_autofree char *path = llm_manifest_path (self->models_dir, model->name);
  LlmStoreModel *old = g_hash_table_lookup (self->models, model->name);
  g_autoptr (LlmStoreModel) replaced = old != NULL ? llm_store_model_ref (old) : NULL;

  if (!llm_manifest_install (tmp, path, error))
    return NULL;
  g_hash_table_replace (self->models, g_strdup (model->name), llm_store_model_ref (model));
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      if (!blob->bundled)
        llm_pending_release (self->pending, blob->digest);
    }
  if (replaced != NULL)
    unlink_blobs (self, replaced);
  return model;
}

gboolean
llm_store_delete (LlmStore *self, const char *name, GError **error)
{
  LlmStoreModel *model = g_hash_table_lookup (self->models, name);
  g_autoptr (LlmStoreModel) hold = NULL;
  g_autofree char *path = NULL;

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
  path = llm_manifest_path (self->models_dir, name);
  if (g_unlink (path) < 0 && errno != ENOENT)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot delete %s: %s", name, g_strerror (errno));
      return FALSE;
    }
  hold = llm_store_model_ref (model);
  g_hash_table_remove (self->models, hold->name);
  unlink_blobs (self, hold);
  return TRUE;
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
      g_autofree char *path = llm_manifest_path (self->models_dir, model->name);

      if (is_uninstalled (model) && g_unlink (path) == 0)
        g_hash_table_iter_remove (&iter);
    }
}

void
llm_store_discard (LlmStore *self, GPtrArray *blobs)
{
  for (guint i = 0; i < blobs->len; i++)
    {
      const LlmStoreBlob *blob = blobs->pdata[i];

      if (blob->bundled)
        continue;
      llm_pending_release (self->pending, blob->digest);
      unlink_unless_named (self, blob->digest);
    }
}
