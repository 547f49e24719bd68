/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a split model, mostly right: numbers, counts, tensors and metadata in any mixture,
 * files in any order, twice, cut off or not at all.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"
#include "fuzz/fuzz.h"

#define MAX_FILES 6

const char llm_fuzz_name[] = "split";

/* Mostly @right. */
static void
put_number (LlmGgufBuilder *builder, LlmReader *in, const char *key, guint right)
{
  guint how = llm_fuzz_choose (in, 16);
  guint8 wide[8];
  guint64 number;
  g_autoptr (GBytes) bytes = NULL;

  if (how == 1)
    return;
  if (how == 2)
    {
      llm_gguf_builder_str (builder, key, "x");
      return;
    }
  number = how == 3 ? llm_fuzz_number (in) : how == 4 ? llm_fuzz_choose (in, 8) : right;
  for (guint i = 0; i < 8; i++)
    wide[i] = (guint8) (number >> (8 * i));
  bytes = g_bytes_new (wide, how == 5 ? 2 : how == 6 ? 4 : 8);
  llm_gguf_builder_raw (builder, key, how == 5 ? LLM_GGUF_U16 : how == 6 ? LLM_GGUF_I32 : how == 7 ? LLM_GGUF_I64 : LLM_GGUF_U64, bytes);
}

static GBytes *
make_part (LlmReader *in, guint no, guint count)
{
  g_autoptr (LlmGgufBuilder) builder = llm_gguf_builder_new (3);
  static const float values[32];
  guint n_tensors = llm_fuzz_choose (in, 4);

  if (no == 0 || llm_fuzz_choose (in, 8) == 1)
    llm_gguf_builder_str (builder, "general.name", llm_fuzz_choose (in, 8) == 1 ? "other" : "model");
  put_number (builder, in, "split.no", no);
  put_number (builder, in, "split.count", count);
  if (llm_fuzz_choose (in, 2) == 1)
    put_number (builder, in, "split.tensors.count", count);
  for (guint i = 0; i < n_tensors; i++)
    {
      g_autofree char *name = g_strdup_printf ("t%u.%u", llm_fuzz_choose (in, 16) == 1 ? 0 : no, i);

      llm_gguf_builder_tensor (builder, name, LLM_DTYPE_F32, 32, 0, values);
    }
  return llm_gguf_builder_end (builder);
}

static int
make_file (LlmReader *in, guint no, guint count)
{
  g_autoptr (GBytes) part = make_part (in, no, count);
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);
  gsize size;
  const void *data = g_bytes_get_data (part, &size);

  if (llm_fuzz_choose (in, 16) == 1)
    {
      gsize cut = 2 * (gsize) llm_fuzz_choose (in, 256);
      size = MIN (size, cut);
    }
  g_assert_true (fd >= 0 && write (fd, data, size) == (gssize) size);
  return fd;
}

/* What everybody who uses a joined file relies upon. */
static void
check (const LlmGguf *gguf, guint n_fds)
{
  gboolean seen[MAX_FILES] = { FALSE };
  guint64 sum = 0;

  g_assert_cmpuint (llm_gguf_n_files (gguf), ==, n_fds);
  for (guint i = 0; i < n_fds; i++)
    {
      guint file = llm_gguf_file_of_part (gguf, i);

      g_assert_true (file < n_fds && !seen[file]);
      seen[file] = TRUE;
      sum += llm_gguf_size_of_file (gguf, i);
    }
  g_assert_cmpuint (llm_gguf_file_size (gguf), ==, sum);
  for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
    {
      const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);

      g_assert_true (llm_gguf_find_tensor (gguf, t->name) == t && t->file < n_fds);
      g_assert_true (t->n_bytes <= llm_gguf_size_of_file (gguf, t->file) && t->offset <= llm_gguf_size_of_file (gguf, t->file) - t->n_bytes);
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  LlmReader in;
  int fds[MAX_FILES];
  guint n, count;
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = NULL;

  llm_reader_init (&in, data, size);
  n = 1 + llm_fuzz_choose (&in, MAX_FILES);
  count = llm_fuzz_choose (&in, 8) == 1 ? llm_fuzz_choose (&in, MAX_FILES + 2) : n;
  for (guint i = 0; i < n; i++)
    fds[i] = make_file (&in, llm_fuzz_choose (&in, 8) == 1 ? llm_fuzz_choose (&in, MAX_FILES) : n - 1 - i, count);
  gguf = llm_gguf_open_parts (fds, n, &error);
  for (guint i = 0; i < n; i++)
    close (fds[i]);
  if (gguf != NULL)
    check (gguf, n);
  llm_fuzz_check_error (gguf != NULL, &error);
  return 0;
}

GPtrArray *
llm_fuzz_seeds (void)
{
  GPtrArray *seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (guint i = 0; i < MAX_FILES; i++)
    {
      guint8 decisions[96] = { (guint8) i }; /* 0 is what is right */

      for (guint at = 8; at < sizeof decisions; at += 7 + i)
        decisions[at] = 2; /* some tensors */
      g_ptr_array_add (seeds, g_bytes_new (decisions, sizeof decisions));
    }
  return seeds;
}

GBytes *
llm_fuzz_mutate (GBytes *input, GRand *rand)
{
  return NULL;
}
