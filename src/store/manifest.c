/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/json-guard.h"
#include "base/limits.h"
#include "store/disk.h"
#include "store/hash.h"
#include "store/trusted.h"

#define FORMAT "local-llm-manifest/1"
#define DIGEST_CHARS (strlen ("sha256-") + 64)

LlmStoreModel *
llm_store_model_ref (LlmStoreModel *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
model_clear (LlmStoreModel *self)
{
  g_free (self->name);
  g_free (self->digest);
  g_ptr_array_unref (self->blobs);
  g_free (self->source);
  g_free (self->version);
  g_variant_unref (self->info);
}

void
llm_store_model_unref (LlmStoreModel *self)
{
  g_atomic_rc_box_release_full (self, (GDestroyNotify) model_clear);
}

void
llm_store_blob_free (LlmStoreBlob *blob)
{
  g_free (blob->digest);
  g_free (blob->path);
  g_free (blob);
}

static gpointer
copy_blob (gconstpointer src, gpointer user_data)
{
  const LlmStoreBlob *blob = src;
  LlmStoreBlob *copy = g_new0 (LlmStoreBlob, 1);

  *copy = (LlmStoreBlob) { g_strdup (blob->digest), blob->size, g_strdup (blob->path), blob->in_place, blob->mtime };
  return copy;
}

/* Of one blob its own; of several, over their digests, a line each. */
static char *
digest_of (const GPtrArray *blobs)
{
  g_autoptr (LlmHash) hash = NULL;

  if (blobs->len == 1)
    return g_strdup (((LlmStoreBlob *) blobs->pdata[0])->digest);
  hash = llm_hash_new ();
  for (guint i = 0; i < blobs->len; i++)
    {
      const LlmStoreBlob *blob = blobs->pdata[i];

      llm_hash_update (hash, blob->digest, strlen (blob->digest));
      llm_hash_update (hash, "\n", 1);
    }
  return llm_hash_end (g_steal_pointer (&hash));
}

LlmStoreModel *
llm_manifest_new (const char *name, GPtrArray *blobs, gint64 imported, GVariant *info, const LlmStoreOrigin *origin, gboolean pinned)
{
  LlmStoreModel *self = g_atomic_rc_box_new0 (LlmStoreModel);

  self->name = g_strdup (name);
  self->digest = digest_of (blobs);
  for (guint i = 0; i < blobs->len; i++)
    self->size += ((LlmStoreBlob *) blobs->pdata[i])->size;
  self->blobs = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_blob_free);
  for (guint i = 0; i < blobs->len; i++)
    g_ptr_array_add (self->blobs, copy_blob (blobs->pdata[i], NULL));
  self->bundled = strcmp (origin->source, "bundled") == 0;
  self->pinned = pinned;
  self->source = g_strdup (origin->source);
  self->version = g_strdup (origin->version);
  self->uid = origin->uid;
  self->imported = imported;
  self->info = g_variant_ref_sink (info);
  return self;
}

int
llm_manifest_open_blob (const LlmStoreModel *self, const LlmStoreBlob *blob, GError **error)
{
  g_autoptr (GError) distrust = NULL;
  int fd;

  if (blob->in_place && !self->bundled)
    {
      fd = llm_trusted_open_here (blob->path, &distrust);
      if (fd < 0)
        llm_error_fail (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "the weights of %s are not used any more: %s", self->name, distrust->message);
      return fd;
    }
  fd = open (blob->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (blob->in_place ? 0 : O_NOFOLLOW)); /* packages may link */
  if (fd < 0 && (errno == EMFILE || errno == ENFILE))
    llm_error_fail (error, LLM_ERROR, LLM_ERROR_BUSY, "the weights of %s cannot be opened: %s; try again later", self->name, g_strerror (errno));
  else if (fd < 0)
    llm_error_fail (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND, "the weights of %s cannot be opened: %s; import the model again", self->name,
                    g_strerror (errno));
  return fd;
}

static int
open_blob (const LlmStoreModel *self, const LlmStoreBlob *blob, GError **error)
{
  int fd = llm_manifest_open_blob (self, blob, error);
  struct stat st;

  if (fd < 0 || (fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && (guint64) st.st_size == blob->size))
    return fd;
  close (fd);
  llm_error_fail (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "the weights of %s are not the %" G_GUINT64_FORMAT " bytes that were imported; import the model again",
                  self->name, blob->size);
  return -1;
}

GUnixFDList *
llm_store_model_open (const LlmStoreModel *self, GError **error)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();

  for (guint i = 0; i < self->blobs->len; i++)
    {
      int fd = open_blob (self, self->blobs->pdata[i], error), at;

      if (fd < 0)
        return NULL;
      at = g_unix_fd_list_append (fds, fd, error);
      close (fd);
      if (at < 0)
        return NULL;
    }
  return g_steal_pointer (&fds);
}

gboolean
llm_store_model_is_whole (const LlmStoreModel *self)
{
  for (guint i = 0; i < self->blobs->len; i++)
    {
      const LlmStoreBlob *blob = self->blobs->pdata[i];
      struct stat st;

      if ((blob->in_place ? stat (blob->path, &st) : lstat (blob->path, &st)) < 0 || !S_ISREG (st.st_mode) || (guint64) st.st_size != blob->size)
        return FALSE;
    }
  return TRUE;
}

static gboolean
is_touched (const LlmStoreBlob *blob)
{
  gint64 expected = blob->in_place ? blob->mtime : LLM_DISK_BLOB_MTIME;
  struct stat st;

  return expected != 0 && (blob->in_place ? stat (blob->path, &st) : lstat (blob->path, &st)) == 0 && llm_disk_mtime (&st) != expected;
}

gboolean
llm_store_model_is_touched (const LlmStoreModel *self)
{
  for (guint i = 0; i < self->blobs->len; i++)
    if (is_touched (self->blobs->pdata[i]))
      return TRUE;
  return FALSE;
}

char *
llm_manifest_path (const char *models_dir, const char *name)
{
  g_auto (GStrv) halves = g_strsplit (name, ":", 2);
  g_autofree char *file = g_strconcat (halves[1], ".json", NULL);

  return g_build_filename (models_dir, halves[0], file, NULL);
}

static gboolean
damaged (GError **error, const char *path, const char *what)
{
  g_set_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED, "manifest %s: %s", path, what);
  return FALSE;
}

/* json-glib takes "\\ud800" alone, which is no character. */
static const char *
member_string (JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member (object, key);
  const char *text = node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;

  return text != NULL && g_utf8_validate (text, -1, NULL) ? text : NULL;
}

static gboolean
member_int (JsonObject *object, const char *key, gint64 *out)
{
  JsonNode *node = json_object_get_member (object, key);

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64)
    return FALSE;
  *out = json_node_get_int (node);
  return TRUE;
}

static gboolean
digest_is_valid (const char *digest)
{
  if (digest == NULL || strlen (digest) != DIGEST_CHARS || !g_str_has_prefix (digest, "sha256-"))
    return FALSE;
  for (const char *p = digest + strlen ("sha256-"); *p != '\0'; p++)
    if (!g_ascii_isxdigit (*p) || g_ascii_isupper (*p))
      return FALSE;
  return TRUE;
}

static JsonObject *
load_object (const char *path, JsonParser *parser, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, error) || !llm_json_guard (text, len, LLM_MANIFEST_MAX_BYTES, error)
      || !json_parser_load_from_data (parser, text, len, error))
    return NULL;
  if (json_parser_get_root (parser) == NULL || !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    {
      damaged (error, path, "not an object");
      return NULL;
    }
  return json_node_get_object (json_parser_get_root (parser));
}

/* "digest", "size" and perhaps "file" of @object, which is a model or one of its parts. */
static gboolean
read_blob (JsonObject *object, const char *path, const char *blobs_dir, GPtrArray *blobs, GError **error)
{
  LlmStoreBlob *blob;
  const char *digest = member_string (object, "digest");
  const char *file = member_string (object, "file");
  gint64 size, mtime = 0;

  if (!digest_is_valid (digest))
    return damaged (error, path, "\"digest\" is not sha256-<64 hex digits>");
  if (!member_int (object, "size", &size) || size < 0)
    return damaged (error, path, "\"size\" is not a number of bytes");
  if (file != NULL && !g_path_is_absolute (file))
    return damaged (error, path, "\"file\" is not an absolute path");
  if (json_object_has_member (object, "mtime") && !member_int (object, "mtime", &mtime))
    return damaged (error, path, "\"mtime\" is not a number of nanoseconds");
  blob = g_new0 (LlmStoreBlob, 1);
  blob->digest = g_strdup (digest);
  blob->size = (guint64) size;
  blob->in_place = file != NULL;
  blob->mtime = mtime;
  blob->path = file != NULL ? g_strdup (file) : g_build_filename (blobs_dir, digest, NULL);
  g_ptr_array_add (blobs, blob);
  return TRUE;
}

/* The parts of a split model: as many as a model may have, all in one place, and the model's digest and size are theirs. */
static gboolean
read_parts (JsonObject *object, JsonNode *node, const char *path, const char *blobs_dir, GPtrArray *blobs, GError **error)
{
  JsonArray *parts = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = parts != NULL ? json_array_get_length (parts) : 0;
  g_autofree char *digest = NULL;
  gint64 size;
  guint64 sum = 0;

  if (n < 2 || n > LLM_MODEL_MAX_PARTS)
    return damaged (error, path, "\"parts\" is not a list of 2 to 128 files");
  for (guint i = 0; i < n; i++)
    {
      JsonNode *part = json_array_get_element (parts, i);

      if (!JSON_NODE_HOLDS_OBJECT (part))
        return damaged (error, path, "a part is not an object");
      if (!read_blob (json_node_get_object (part), path, blobs_dir, blobs, error))
        return FALSE;
      if (!llm_add_u64 (sum, ((LlmStoreBlob *) blobs->pdata[i])->size, &sum)
          || ((LlmStoreBlob *) blobs->pdata[i])->in_place != ((LlmStoreBlob *) blobs->pdata[0])->in_place)
        return damaged (error, path, "the parts do not fit together");
    }
  digest = digest_of (blobs);
  return (g_strcmp0 (member_string (object, "digest"), digest) == 0 && member_int (object, "size", &size) && (guint64) size == sum)
         || damaged (error, path, "\"digest\" and \"size\" are not those of the parts");
}

/* What older manifests do not have. */
static gboolean
read_origin (JsonObject *object, const char *path, gboolean in_place, LlmStoreOrigin *origin, gboolean *pinned, GError **error)
{
  JsonNode *pin = json_object_get_member (object, "pinned");
  gint64 uid = 0;

  if (pin != NULL && (!JSON_NODE_HOLDS_VALUE (pin) || json_node_get_value_type (pin) != G_TYPE_BOOLEAN))
    return damaged (error, path, "\"pinned\" is not true or false");
  if (json_object_has_member (object, "uid") && (!member_int (object, "uid", &uid) || uid < 0 || uid > G_MAXUINT32))
    return damaged (error, path, "\"uid\" is no user");
  *pinned = pin != NULL && json_node_get_boolean (pin);
  *origin = (LlmStoreOrigin) { member_string (object, "source"), member_string (object, "version"), (guint32) uid };
  if (origin->source == NULL)
    origin->source = in_place ? "bundled" : "import";
  if (origin->version == NULL)
    origin->version = "";
  if (strcmp (origin->source, "bundled") == 0 && !in_place)
    return damaged (error, path, "a bundled model has its files where they are");
  return TRUE;
}

LlmStoreModel *
llm_manifest_load (const char *path, const char *name, const char *blobs_dir, char **alias_of, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GPtrArray) blobs = g_ptr_array_new_with_free_func ((GDestroyNotify) llm_store_blob_free);
  g_autoptr (GVariant) info = NULL;
  JsonObject *object = load_object (path, parser, error);
  JsonNode *parts;
  const char *text;
  LlmStoreOrigin origin;
  gboolean pinned;
  gint64 imported;

  if (object == NULL)
    return NULL;
  if (g_strcmp0 (member_string (object, "format"), FORMAT) != 0)
    {
      damaged (error, path, "\"format\" is not " FORMAT);
      return NULL;
    }
  if (json_object_has_member (object, "alias"))
    {
      text = member_string (object, "alias");
      *alias_of = text != NULL ? llm_store_normalize_name (text, NULL) : NULL;
      if (*alias_of == NULL)
        damaged (error, path, "\"alias\" is no model's name");
      return NULL;
    }
  parts = json_object_get_member (object, "parts");
  if (parts != NULL ? !read_parts (object, parts, path, blobs_dir, blobs, error) : !read_blob (object, path, blobs_dir, blobs, error))
    return NULL;
  text = member_string (object, "info");
  info = text != NULL ? g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL) : NULL;
  if (info == NULL || !member_int (object, "imported", &imported))
    {
      damaged (error, path, "\"info\" or \"imported\" is absent or damaged");
      return NULL;
    }
  if (!read_origin (object, path, ((LlmStoreBlob *) blobs->pdata[0])->in_place, &origin, &pinned, error))
    return NULL;
  return llm_manifest_new (name, blobs, imported, info, &origin, pinned);
}

static void
add_blob (JsonBuilder *b, const LlmStoreBlob *blob)
{
  json_builder_set_member_name (b, "digest");
  json_builder_add_string_value (b, blob->digest);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, (gint64) blob->size);
  if (blob->in_place)
    {
      json_builder_set_member_name (b, "file");
      json_builder_add_string_value (b, blob->path);
      json_builder_set_member_name (b, "mtime");
      json_builder_add_int_value (b, blob->mtime);
    }
}

static void
add_parts (JsonBuilder *b, const LlmStoreModel *model)
{
  json_builder_set_member_name (b, "digest");
  json_builder_add_string_value (b, model->digest);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, (gint64) model->size);
  json_builder_set_member_name (b, "parts");
  json_builder_begin_array (b);
  for (guint i = 0; i < model->blobs->len; i++)
    {
      json_builder_begin_object (b);
      add_blob (b, model->blobs->pdata[i]);
      json_builder_end_object (b);
    }
  json_builder_end_array (b);
}

static char *
to_json (const LlmStoreModel *model)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *info = g_variant_print (model->info, TRUE);

  json_builder_begin_object (b);
  json_builder_set_member_name (b, "format");
  json_builder_add_string_value (b, FORMAT);
  if (model->blobs->len == 1)
    add_blob (b, model->blobs->pdata[0]);
  else
    add_parts (b, model);
  json_builder_set_member_name (b, "source");
  json_builder_add_string_value (b, model->source);
  json_builder_set_member_name (b, "version");
  json_builder_add_string_value (b, model->version);
  json_builder_set_member_name (b, "uid");
  json_builder_add_int_value (b, model->uid);
  json_builder_set_member_name (b, "pinned");
  json_builder_add_boolean_value (b, model->pinned);
  json_builder_set_member_name (b, "imported");
  json_builder_add_int_value (b, model->imported);
  json_builder_set_member_name (b, "info");
  json_builder_add_string_value (b, info);
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  return json_to_string (root, TRUE);
}

static char *
write_text (const char *text, const char *tmp_dir, GError **error)
{
  g_autofree char *tmp = g_build_filename (tmp_dir, "manifest-XXXXXX", NULL);
  static const char doing[] = "cannot write a manifest into the store";
  gboolean ok;
  int fd;

  if (strlen (text) > LLM_MANIFEST_MAX_BYTES) /* load() would not take it */
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL, "what the model says of itself (name, license) takes %" G_GSIZE_FORMAT " bytes; at most %llu are kept",
                   strlen (text), LLM_MANIFEST_MAX_BYTES);
      return NULL;
    }
  fd = g_mkstemp_full (tmp, O_RDWR | O_CLOEXEC, 0644);
  if (fd < 0)
    {
      llm_disk_fail (error, errno, doing);
      return NULL;
    }
  ok = llm_disk_write_all (fd, text, strlen (text), doing, error) && (fsync (fd) == 0 || llm_disk_fail (error, errno, doing));
  if (close (fd) < 0 && ok)
    ok = llm_disk_fail (error, errno, doing);
  if (ok)
    return g_steal_pointer (&tmp);
  unlink (tmp);
  return NULL;
}

char *
llm_manifest_write (const LlmStoreModel *model, const char *tmp_dir, GError **error)
{
  g_autofree char *text = to_json (model);

  return write_text (text, tmp_dir, error);
}

char *
llm_manifest_write_alias (const char *target, const char *tmp_dir, GError **error)
{
  g_autofree char *text = g_strdup_printf ("{\n  \"format\" : \"" FORMAT "\",\n  \"alias\" : \"%s\"\n}", target); /* a name has nothing to escape */

  return write_text (text, tmp_dir, error);
}

/* Those from @folder up that are empty; never @models_dir itself. */
static void
remove_empty_folders (const char *models_dir, const char *folder)
{
  g_autofree char *at = g_strdup (folder);

  while (strlen (at) > strlen (models_dir) && rmdir (at) == 0)
    *strrchr (at, '/') = '\0';
}

gboolean
llm_manifest_install (const char *tmp, const char *models_dir, const char *name, GError **error)
{
  g_autofree char *path = llm_manifest_path (models_dir, name), *folder = g_path_get_dirname (path);
  int saved_errno;

  if (g_mkdir_with_parents (folder, 0755) == 0 && rename (tmp, path) == 0)
    return TRUE;
  saved_errno = errno;
  remove_empty_folders (models_dir, folder);
  return llm_disk_fail (error, saved_errno, "cannot put a manifest into the store");
}

gboolean
llm_manifest_remove (const char *models_dir, const char *name)
{
  g_autofree char *path = llm_manifest_path (models_dir, name), *folder = g_path_get_dirname (path);

  if (unlink (path) < 0 && errno != ENOENT)
    return FALSE;
  remove_empty_folders (models_dir, folder);
  return TRUE;
}
