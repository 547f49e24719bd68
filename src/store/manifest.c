/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json-guard.h"
#include "base/limits.h"

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
  g_free (self->path);
  g_free (self->source);
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

LlmStoreModel *
llm_manifest_new (const char *name, const LlmStoreBlob *blob, gint64 imported, GVariant *info)
{
  LlmStoreModel *self = g_atomic_rc_box_new0 (LlmStoreModel);

  self->name = g_strdup (name);
  self->digest = g_strdup (blob->digest);
  self->size = blob->size;
  self->path = g_strdup (blob->path);
  self->bundled = blob->bundled;
  self->source = g_strdup (blob->bundled ? "bundled" : "import");
  self->imported = imported;
  self->info = g_variant_ref_sink (info);
  return self;
}

int
llm_store_model_open (const LlmStoreModel *self, GError **error)
{
  struct stat st;
  int fd = open (self->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

  if (fd < 0)
    {
      g_set_error (error, LLM_ERROR, LLM_ERROR_MODEL_NOT_FOUND,
                   "the weights of %s cannot be opened: %s; import the model again", self->name, g_strerror (errno));
      return -1;
    }
  if (fstat (fd, &st) < 0 || !S_ISREG (st.st_mode) || (guint64) st.st_size != self->size)
    {
      close (fd);
      g_set_error (error, LLM_ERROR, LLM_ERROR_INTEGRITY_FAILED,
                   "the weights of %s are not the %" G_GUINT64_FORMAT " bytes that were imported; import the model again",
                   self->name, self->size);
      return -1;
    }
  return fd;
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

static gboolean
read_blob (JsonObject *object, const char *path, const char *blobs_dir, LlmStoreBlob *blob, GError **error)
{
  const char *digest = member_string (object, "digest");
  const char *file = member_string (object, "file");
  gint64 size;

  if (!digest_is_valid (digest))
    return damaged (error, path, "\"digest\" is not sha256-<64 hex digits>");
  if (!member_int (object, "size", &size) || size < 0)
    return damaged (error, path, "\"size\" is not a number of bytes");
  if (file != NULL && !g_path_is_absolute (file))
    return damaged (error, path, "\"file\" is not an absolute path");
  blob->digest = g_strdup (digest);
  blob->size = size;
  blob->bundled = file != NULL;
  blob->path = file != NULL ? g_strdup (file) : g_build_filename (blobs_dir, digest, NULL);
  return TRUE;
}

LlmStoreModel *
llm_manifest_load (const char *path, const char *name, const char *blobs_dir, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (LlmStoreBlob) blob = g_new0 (LlmStoreBlob, 1);
  g_autoptr (GVariant) info = NULL;
  JsonObject *object = load_object (path, parser, error);
  const char *text;
  gint64 imported;

  if (object == NULL)
    return NULL;
  if (g_strcmp0 (member_string (object, "format"), FORMAT) != 0)
    {
      damaged (error, path, "\"format\" is not " FORMAT);
      return NULL;
    }
  if (!read_blob (object, path, blobs_dir, blob, error))
    return NULL;
  text = member_string (object, "info");
  info = text != NULL ? g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL) : NULL;
  if (info == NULL || !member_int (object, "imported", &imported))
    {
      damaged (error, path, "\"info\" or \"imported\" is absent or damaged");
      return NULL;
    }
  return llm_manifest_new (name, blob, imported, info);
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
  json_builder_set_member_name (b, "digest");
  json_builder_add_string_value (b, model->digest);
  json_builder_set_member_name (b, "size");
  json_builder_add_int_value (b, (gint64) model->size);
  if (model->bundled)
    {
      json_builder_set_member_name (b, "file");
      json_builder_add_string_value (b, model->path);
    }
  json_builder_set_member_name (b, "imported");
  json_builder_add_int_value (b, model->imported);
  json_builder_set_member_name (b, "info");
  json_builder_add_string_value (b, info);
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  return json_to_string (root, TRUE);
}

gboolean
llm_manifest_save (const LlmStoreModel *model, const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *text = to_json (model);

  if (g_mkdir_with_parents (folder, 0755) < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot make %s: %s", folder, g_strerror (errno));
      return FALSE;
    }
  return g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, error);
}
