/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ollama's models: manifests/REGISTRY/NAMESPACE/MODEL/TAG, an OCI image manifest each, whose layer of the
 * type "model" is the GGUF file blobs/sha256-HEX.
 */
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json-guard.h"
#include "base/limits.h"
#include "cli/scan.h"

#define MODEL_LAYER "application/vnd.ollama.image.model"
#define LEVELS 4 /* REGISTRY/NAMESPACE/MODEL/TAG */

typedef struct {
  GPtrArray *found;
  const char *root;
  guint n_left;
} Ollama;

static const char *
text_member (JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member (object, key);

  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : "";
}

/* "sha256:HEX" -> "sha256-HEX", or NULL. */
static char *
blob_name (const char *digest)
{
  if (!g_str_has_prefix (digest, "sha256:") || strlen (digest) != strlen ("sha256:") + 64)
    return NULL;
  for (const char *p = digest + strlen ("sha256:"); *p != '\0'; p++)
    if (!g_ascii_isxdigit (*p) || g_ascii_isupper (*p))
      return NULL;
  return g_strconcat ("sha256-", digest + strlen ("sha256:"), NULL);
}

/* The digests of its GGUF files; empty when it has none or is no manifest. */
static GPtrArray *
read_manifest (const char *path)
{
  GPtrArray *blobs = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *text = NULL;
  JsonNode *root, *layers;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, NULL) || !llm_json_guard (text, len, LLM_MANIFEST_MAX_BYTES, NULL)
      || !json_parser_load_from_data (parser, text, (gssize) len, NULL))
    return blobs;
  root = json_parser_get_root (parser);
  layers = root != NULL && JSON_NODE_HOLDS_OBJECT (root) ? json_object_get_member (json_node_get_object (root), "layers") : NULL;
  for (guint i = 0; layers != NULL && JSON_NODE_HOLDS_ARRAY (layers) && i < json_array_get_length (json_node_get_array (layers)); i++)
    {
      JsonNode *layer = json_array_get_element (json_node_get_array (layers), i);
      char *blob = NULL;

      if (JSON_NODE_HOLDS_OBJECT (layer) && strcmp (text_member (json_node_get_object (layer), "mediaType"), MODEL_LAYER) == 0)
        blob = blob_name (text_member (json_node_get_object (layer), "digest"));
      if (blob != NULL && blobs->len < LLM_MODEL_MAX_PARTS)
        g_ptr_array_add (blobs, blob);
      else
        g_free (blob);
    }
  return blobs;
}

static void
add_model (Ollama *self, char *const levels[LEVELS], const char *manifest)
{
  gboolean official = strcmp (levels[0], "registry.ollama.ai") == 0, library = official && strcmp (levels[1], "library") == 0;
  g_autofree char *name = library    ? g_strdup (levels[2])
                          : official ? g_strdup_printf ("%s/%s", levels[1], levels[2])
                                     : g_strdup_printf ("%s/%s/%s", levels[0], levels[1], levels[2]);
  g_autofree char *origin = g_strdup_printf ("%s:%s", name, levels[3]);
  g_autoptr (GPtrArray) blobs = read_manifest (manifest);
  LlmFound *found;

  if (blobs->len == 0)
    return;
  found = llm_found_add (self->found, "ollama", name, levels[3], origin, "");
  found->n_parts = blobs->len;
  for (guint i = 0; i < blobs->len; i++)
    {
      g_autofree char *path = g_build_filename (self->root, "blobs", blobs->pdata[i], NULL);

      llm_found_add_file (found, path);
    }
  if (blobs->len == 1)
    found->digest = g_strdup (blobs->pdata[0]);
}

static void
descend (Ollama *self, const char *folder, char *levels[LEVELS], guint level)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && self->n_left > 0 && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      struct stat st;

      self->n_left--;
      if (name[0] == '.' || stat (path, &st) < 0)
        continue;
      levels[level] = (char *) name;
      if (level + 1 < LEVELS && S_ISDIR (st.st_mode))
        descend (self, path, levels, level + 1);
      else if (level + 1 == LEVELS && S_ISREG (st.st_mode))
        add_model (self, levels, path);
    }
}

static void
scan_root (GPtrArray *found, const char *root)
{
  Ollama self = { found, root, LLM_SCAN_MAX_FILES };
  g_autofree char *manifests = g_build_filename (root, "manifests", NULL);
  char *levels[LEVELS];

  descend (&self, manifests, levels, 0);
}

/* The folder of the user's own server; else also that of the system's, if it lets us read. */
void
llm_scan_ollama (GPtrArray *found)
{
  const char *chosen = g_getenv ("OLLAMA_MODELS");
  g_autofree char *own = g_build_filename (g_get_home_dir (), ".ollama", "models", NULL);

  if (chosen != NULL && chosen[0] != '\0')
    {
      scan_root (found, chosen);
      return;
    }
  scan_root (found, own);
  scan_root (found, "/usr/share/ollama/.ollama/models");
}
