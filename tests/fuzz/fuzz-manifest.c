/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a manifest of the store: an error, or a model of right types.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "store/manifest.h"

const char llm_fuzz_name[] = "manifest";

/* json-glib 1.6 loses an array or two of a text that is not right. */
void __lsan_disable (void) __attribute__ ((weak));
void __lsan_enable (void) __attribute__ ((weak));

static LlmStoreModel *
load (const char *path, char **alias_of, GError **error)
{
  LlmStoreModel *model;

  if (__lsan_disable != NULL)
    __lsan_disable ();
  model = llm_manifest_load (path, "a:b", "/nowhere", alias_of, error);
  if (__lsan_enable != NULL)
    __lsan_enable ();
  return model;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autofree char *alias_of = NULL;
  g_autoptr (GError) error = NULL;
  LlmStoreModel *model;

  g_assert_true (fd >= 0 && write (fd, data, size) == (gssize) size);
  model = load (path, &alias_of, &error);
  close (fd);
  g_assert_true ((model != NULL) + (error != NULL) + (alias_of != NULL) == 1);
  if (model == NULL)
    return 0;
  g_assert_true (g_str_has_prefix (model->digest, "sha256-") && g_variant_is_of_type (model->info, G_VARIANT_TYPE_VARDICT));
  g_assert_cmpuint (model->blobs->len, >=, 1);
  for (guint i = 0; i < model->blobs->len; i++)
    {
      const LlmStoreBlob *blob = model->blobs->pdata[i];

      g_assert_true (g_utf8_validate (blob->path, -1, NULL) && g_path_is_absolute (blob->path) && blob->size <= model->size);
    }
  llm_store_model_unref (model);
  return 0;
}

/* ---- where to start ---- */

GPtrArray *
llm_fuzz_seeds (void)
{
  static const char *const texts[] = {
    "{\"format\": \"local-llm-manifest/1\", \"alias\": \"org/model:tag\"}",
    ("{\"format\": \"local-llm-manifest/1\", \"digest\": \"sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", "
     "\"size\": 7, \"imported\": 1, \"info\": \"{'architecture': <'llama'>, 'size': <uint64 7>}\", \"file\": \"/a\"}"),
    ("{\"format\": \"local-llm-manifest/1\", \"digest\": \"sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", "
     "\"size\": 7, \"imported\": 1, \"info\": \"{'a': <'\\ud800 \\u0000'>}\", \"file\": \"/a\\udfff\"}"),
    ("{\"format\": \"local-llm-manifest/1\", \"digest\": \"sha256-abe3ad4d2b21ebc73f90b4b8d44cd280d4a65b28f634c8f0db1ba1a9f7292079\", "
     "\"size\": 7, \"imported\": 1, \"info\": \"@a{sv} {}\", \"parts\": ["
     "{\"digest\": \"sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"size\": 3}, "
     "{\"digest\": \"sha256-fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210\", \"size\": 4}]}"),
    "{}", "[[[[]]]]", "{\"a\": {\"b\": [1, 2.5, null, true, \"\\u00e9\\ud83d\\ude42\"]}}",
  };
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_ptr_array_add (seeds, g_bytes_new_static (texts[i], strlen (texts[i])));
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  return NULL;
}
