/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A Vulkan device with a compile cache: what was measured and compiled changes no bit of a result, and is there the next time. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "compute/ops-fixture.h"

#define N_TOKENS 40
#define WIDTH 256
#define HIDDEN 320

static char *folder;

static OpsModel *
model_new (void)
{
  OpsModel *model = ops_model_new (NULL, 7);
  LlmValueId x = ops_model_input (model, N_TOKENS, WIDTH), h;

  h = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_Q4_0, HIDDEN, WIDTH), x, LLM_NONE, LLM_NONE);
  h = llm_plan_matmul (model->plan, ops_model_weight (model, LLM_DTYPE_F16, WIDTH, HIDDEN), h, LLM_NONE, x);
  ops_model_finish (model, h);
  return model;
}

/* The logits of a run of many rows and of one of few, after each other. */
static GByteArray *
logits (LlmCache *cache)
{
  g_autoptr (OpsModel) model = model_new ();
  g_autoptr (OpsBatch) many = ops_batch_new (21, 1, 0, 1, N_TOKENS, 1), few = ops_batch_new (3, 1, 0, 1, N_TOKENS, 2);
  LlmDevicesOptions options = { .software = TRUE, .cache = cache };
  LlmRunLimits limits = ops_limits (many);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmDevice) device = llm_devices_open ("vulkan0", &options, &error);
  g_autoptr (LlmExecutable) executable = NULL;
  g_autoptr (LlmKvBuffer) kv = NULL;
  GByteArray *all = g_byte_array_new ();

  g_assert_no_error (error);
  executable = llm_device_compile (device, model->plan, &limits, &error);
  g_assert_no_error (error);
  kv = llm_device_kv_new (device, llm_plan_kv_layout (model->plan), 2, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 4; i++)
    {
      OpsBatch *batch = i % 2 == 0 ? many : few;
      g_autofree float *out = ops_run (executable, kv, &batch->batch, WIDTH);

      g_byte_array_append (all, (const guint8 *) out, (guint) (batch->batch.n_out * WIDTH * sizeof (float)));
    }
  return all;
}

static LlmCache *
new_cache (void)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  LlmCache *cache = llm_cache_new (fd, "v1-test", LLM_CACHE_MEMORY_BYTES);

  close (fd);
  return cache;
}

static guint64
count (LlmCache *cache, const char *kind, const char *counter)
{
  g_autoptr (GVariant) statistics = llm_cache_statistics (cache), group = g_variant_lookup_value (statistics, kind, G_VARIANT_TYPE_VARDICT);
  guint64 value = G_MAXUINT64;

  g_assert_nonnull (group);
  g_variant_lookup (group, counter, "t", &value);
  return value;
}

static void
assert_same (const GByteArray *a, const GByteArray *b)
{
  g_assert_cmpmem (a->data, a->len, b->data, b->len);
}

static void
test_same (void)
{
  g_autoptr (LlmCache) cold = new_cache (), warm = NULL;
  g_autoptr (GByteArray) without = logits (NULL), first = logits (cold), again = logits (cold), later = NULL;

  assert_same (first, without);
  assert_same (again, without);
  g_assert_cmpuint (count (cold, "shader-tuning", "made"), ==, 1);
  g_assert_cmpuint (count (cold, "shader-tuning", "hits-memory"), ==, 1);
  warm = new_cache ();
  later = logits (warm);
  assert_same (later, without);
  g_assert_cmpuint (count (warm, "shader-tuning", "made"), ==, 0);
  g_assert_cmpuint (count (warm, "shader-tuning", "hits-file"), ==, 1);
  g_assert_cmpuint (count (warm, "vulkan-pipelines", "made"), ==, 0);
  g_assert_cmpuint (count (warm, "vulkan-pipelines", "hits-file"), ==, 1);
}

/* The only artifact of @kind: its path. */
static char *
find_file (const char *kind)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name = NULL;
  char *found = NULL;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autoptr (GDir) below = g_dir_open (path, 0, NULL);

      while (below != NULL && (name = g_dir_read_name (below)) != NULL)
        if (g_str_has_prefix (name, kind))
          {
            g_assert_null (found);
            found = g_build_filename (path, name, NULL);
          }
    }
  g_assert_nonnull (found);
  return found;
}

/* Every choice there is, as an artifact that says so; and one that is none. */
static void
test_every_choice (void)
{
  g_autoptr (GByteArray) want = logits (NULL);
  g_autofree char *path = find_file ("shader-tuning");

  for (guint few = 0; few <= 4; few++)
    for (guint many = 0; many <= 4; many++)
      {
        g_autoptr (LlmCache) cache = new_cache ();
        g_autoptr (GByteArray) got = NULL;
        g_autofree char *text = NULL, *key = NULL;
        LlmArtifactLabel label;
        g_autoptr (GByteArray) header = NULL;
        const guint8 *payload;
        guint8 rows[2 * 20];
        gsize n;

        g_assert_true (g_file_get_contents (path, &text, &n, NULL));
        payload = (const guint8 *) text + n - sizeof rows;
        memcpy (rows, payload, sizeof rows);
        for (guint i = 0; i < 2; i++)
          {
            rows[20 * i + 16] = (guint8) few;
            rows[20 * i + 17] = (guint8) many;
          }
        {
          guint32 sizes[2]; /* of the identity and the key, behind magic, checksum, total and format */
          g_autofree char *identity = NULL;
          FILE *file;

          memcpy (sizes, text + 36, sizeof sizes);
          identity = g_strndup (text + 64, sizes[0]);
          key = g_strndup (text + 64 + sizes[0], sizes[1]);
          label = (LlmArtifactLabel) { identity, key };
          header = llm_artifact_header (&label, rows, sizeof rows);
          file = fopen (path, "w");
          g_assert_cmpuint (fwrite (header->data, 1, header->len, file), ==, header->len);
          g_assert_cmpuint (fwrite (rows, 1, sizeof rows, file), ==, sizeof rows);
          fclose (file);
        }
        got = logits (cache);
        assert_same (got, want);
        g_assert_cmpuint (count (cache, "shader-tuning", few < 4 && many < 4 ? "hits-file" : "misses-damaged"), ==, 1);
      }
}

static void
remove_all (const char *path)
{
  GDir *dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *below = g_build_filename (path, name, NULL);

      remove_all (below);
    }
  g_clear_pointer (&dir, g_dir_close);
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_autofree char *root = g_dir_make_tmp ("llm-vulkan-cache-XXXXXX", NULL);
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (root, "v1-test", NULL);
  g_mkdir (folder, 0755);
  g_test_add_func ("/vulkan-cache/same", test_same);
  g_test_add_func ("/vulkan-cache/every-choice", test_every_choice);
  result = g_test_run ();
  remove_all (root);
  g_free (folder);
  return result;
}
