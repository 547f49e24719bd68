/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Beside libFuzzer: the program's own mutations and libFuzzer's, by turns. Linked in clang builds alone.
 */
#include <string.h>

#include "fuzz/fuzz.h"

gsize LLVMFuzzerMutate (guint8 *data, gsize size, gsize max_size);
gsize LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size, guint seed);
int LLVMFuzzerInitialize (int *argc, char ***argv);

/* As in every test: what GLib complains of is a finding. */
int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
  return 0;
}

gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size, guint seed)
{
  g_autoptr (GBytes) input = g_bytes_new (data, size), output = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  if (g_rand_int_range (rand, 0, 4) > 0)
    output = llm_fuzz_mutate (input, rand);
  if (output == NULL || g_bytes_get_size (output) > max_size)
    return LLVMFuzzerMutate (data, size, max_size);
  size = g_bytes_get_size (output);
  if (size > 0)
    memcpy (data, g_bytes_get_data (output, NULL), size);
  return size;
}
