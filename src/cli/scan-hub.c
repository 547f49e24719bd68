/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of the Hugging Face hub: models--ORG--REPO/snapshots/REVISION/..., links into ../../blobs, with
 * the revision of a branch in refs/BRANCH; and that of llama.cpp: files named ORG_REPO_FILE side by side.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/scan.h"

#define MARK "models--"
#define SUBFOLDERS 3 /* in which a repository may keep its files */

/* "Qwen3-8B-GGUF" -> "Qwen3-8B" */
static char *
without_gguf (const char *repo)
{
  gsize n = strlen (repo);

  if (n > strlen ("-GGUF") && g_ascii_strcasecmp (repo + n - strlen ("-GGUF"), "-GGUF") == 0)
    n -= strlen ("-GGUF");
  return g_strndup (repo, n);
}

/* Of "Qwen3-8B-Q4_K_M" in the repository "Qwen3-8B": "Q4_K_M"; of another file its stem. */
static const char *
tag_of (const char *stem, const char *repo)
{
  gsize n = strlen (repo);

  return g_ascii_strncasecmp (stem, repo, n) == 0 && stem[n] != '\0' && strchr ("-._", stem[n]) != NULL && stem[n + 1] != '\0' ? stem + n + 1 : stem;
}

static void
add_parts (LlmFound *found, const GPtrArray *paths, guint n_parts)
{
  found->n_parts = n_parts;
  for (guint i = 0; i < paths->len; i++)
    llm_found_add_file (found, paths->pdata[i]);
}

/* ---- Hugging Face ---- */

typedef struct {
  GPtrArray *found;
  const char *org, *repo, *revision, *snapshot;
  GHashTable *seen; /* files of this repository that a better snapshot has */
} Hub;

/* The blob of a large file is named by its SHA-256. */
static char *
digest_of (const char *path)
{
  g_autofree char *target = g_file_read_link (path, NULL), *base = target != NULL ? g_path_get_basename (target) : NULL;

  if (base == NULL || strlen (base) != 64 || strspn (base, "0123456789abcdef") != 64)
    return NULL;
  return g_strconcat ("sha256-", base, NULL);
}

static void
add_hub_model (const char *stem, const GPtrArray *paths, guint n_parts, gpointer user_data)
{
  Hub *hub = user_data;
  const char *relative = stem + strlen (hub->snapshot) + 1;
  g_autofree char *base = g_path_get_basename (stem), *repo = without_gguf (hub->repo);
  g_autofree char *name = hub->org[0] != '\0' ? g_strdup_printf ("%s/%s", hub->org, repo) : g_strdup (repo);
  g_autofree char *origin = g_strdup_printf ("%s%s%s/%s", hub->org, hub->org[0] != '\0' ? "/" : "", hub->repo, relative);
  LlmFound *found;

  if (!g_hash_table_add (hub->seen, g_strdup_printf ("%u %s", n_parts, relative)))
    return;
  found = llm_found_add (hub->found, "huggingface", name, tag_of (base, repo), origin, hub->revision);
  add_parts (found, paths, n_parts);
  if (n_parts == 1)
    found->digest = digest_of (paths->pdata[0]);
}

static void
scan_snapshot (Hub *hub, const char *snapshots, const char *revision)
{
  g_autofree char *snapshot = g_build_filename (snapshots, revision, NULL);
  g_autoptr (GPtrArray) files = llm_scan_gguf_files (snapshot, SUBFOLDERS);

  hub->revision = revision;
  hub->snapshot = snapshot;
  llm_scan_group (files, add_hub_model, hub);
}

typedef struct {
  char *name;
  gint64 changed;
} Revision;

static void
revision_clear (gpointer data)
{
  g_free (((Revision *) data)->name);
}

static gint
newest_first (gconstpointer a, gconstpointer b)
{
  const Revision *x = a, *y = b;

  return x->changed > y->changed ? -1 : x->changed < y->changed ? 1 : strcmp (x->name, y->name);
}

/* That of the branch "main" first, then the newest. */
static GArray *
list_revisions (const char *folder, const char *snapshots)
{
  GArray *revisions = g_array_new (FALSE, FALSE, sizeof (Revision));
  g_autofree char *ref = g_build_filename (folder, "refs", "main", NULL), *main_revision = NULL;
  g_autoptr (GDir) dir = g_dir_open (snapshots, 0, NULL);
  const char *name;

  g_array_set_clear_func (revisions, revision_clear);
  g_file_get_contents (ref, &main_revision, NULL, NULL);
  if (main_revision != NULL)
    g_strstrip (main_revision);
  while (dir != NULL && revisions->len < LLM_SCAN_MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (snapshots, name, NULL);
      struct stat st;
      Revision revision;

      if (name[0] == '.' || stat (path, &st) < 0 || !S_ISDIR (st.st_mode))
        continue;
      revision = (Revision) { g_strdup (name), g_strcmp0 (name, main_revision) == 0 ? G_MAXINT64 : st.st_mtime };
      g_array_append_val (revisions, revision);
    }
  g_array_sort (revisions, newest_first);
  return revisions;
}

static void
scan_repository (GPtrArray *found, const char *folder, const char *full_name)
{
  const char *dashes = strstr (full_name, "--");
  g_autofree char *org = dashes != NULL ? g_strndup (full_name, (gsize) (dashes - full_name)) : g_strdup ("");
  g_autofree char *snapshots = g_build_filename (folder, "snapshots", NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GArray) revisions = list_revisions (folder, snapshots);
  Hub hub = { found, org, dashes != NULL ? dashes + 2 : full_name, NULL, NULL, seen };

  for (guint i = 0; i < revisions->len; i++)
    scan_snapshot (&hub, snapshots, g_array_index (revisions, Revision, i).name);
}

static char *
hub_folder (void)
{
  const char *cache = g_getenv ("HF_HUB_CACHE"), *older = g_getenv ("HUGGINGFACE_HUB_CACHE"), *home = g_getenv ("HF_HOME");

  if (cache != NULL && cache[0] != '\0')
    return g_strdup (cache);
  if (older != NULL && older[0] != '\0')
    return g_strdup (older);
  if (home != NULL && home[0] != '\0')
    return g_build_filename (home, "hub", NULL);
  return g_build_filename (g_get_user_cache_dir (), "huggingface", "hub", NULL);
}

void
llm_scan_huggingface (GPtrArray *found)
{
  g_autofree char *hub = hub_folder ();
  g_autoptr (GDir) dir = g_dir_open (hub, 0, NULL);
  const char *name;
  guint n_left = LLM_SCAN_MAX_FILES;

  while (dir != NULL && n_left-- > 0 && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *folder = g_build_filename (hub, name, NULL);

      if (g_str_has_prefix (name, MARK) && name[strlen (MARK)] != '\0')
        scan_repository (found, folder, name + strlen (MARK));
    }
}

/* ---- llama.cpp ---- */

static void
add_llama_cpp_model (const char *stem, const GPtrArray *paths, guint n_parts, gpointer user_data)
{
  g_autofree char *base = g_path_get_basename (stem), *name = NULL;
  const char *mark = strstr (base, "-GGUF_"), *tag = "latest";

  if (mark != NULL) /* ORG_REPO-GGUF_FILE */
    {
      name = g_strndup (base, (gsize) (mark - base));
      tag = mark + strlen ("-GGUF_");
      if (strchr (name, '_') != NULL)
        {
          *strchr (name, '_') = '/';
          tag = tag_of (tag, strchr (name, '/') + 1);
        }
    }
  add_parts (llm_found_add (user_data, "llama.cpp", name != NULL ? name : base, tag, base, ""), paths, n_parts);
}

void
llm_scan_llama_cpp (GPtrArray *found)
{
  const char *chosen = g_getenv ("LLAMA_CACHE");
  g_autofree char *folder = chosen != NULL && chosen[0] != '\0' ? g_strdup (chosen) : g_build_filename (g_get_user_cache_dir (), "llama.cpp", NULL);
  g_autoptr (GPtrArray) files = llm_scan_gguf_files (folder, 0);

  llm_scan_group (files, add_llama_cpp_model, found);
}
