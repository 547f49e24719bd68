/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzz program as an ordinary test: its seeds, each of them damaged in a thousand ways that
 * are the same in every run, and every input that was kept in tests/fuzz/corpus/NAME/.
 * With a folder as argument it writes the seeds there, for libFuzzer to start from.
 */
#include <string.h>

#include "fuzz/fuzz.h"

#define ROUNDS 6000

/* A copy that ends with its memory, so that a sanitizer sees a read beyond. */
static void
run (const guint8 *data, gsize size)
{
  g_autofree guint8 *copy = g_malloc (MAX (size, 1));

  memcpy (copy, data, size);
  LLVMFuzzerTestOneInput (copy, size);
}

static void
test_seeds (void)
{
  g_autoptr (GPtrArray) seeds = llm_fuzz_seeds ();

  for (guint i = 0; i < seeds->len; i++)
    run (g_bytes_get_data (seeds->pdata[i], NULL), g_bytes_get_size (seeds->pdata[i]));
}

/* Numbers at which sizes turn over. */
static const guint64 edges[] = {
  0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 32, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x10001, 0x7fffffff, 0x80000000, 0xffffffff,
  0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffe0, 0xffffffffffffffff,
};

/* Mostly near the beginning, where the structure is. */
static gsize
place (GRand *rand, gsize size)
{
  gsize within = g_rand_boolean (rand) ? MIN (size, 256) : size;

  return (gsize) g_rand_int_range (rand, 0, (gint32) within);
}

static void
damage (GRand *rand, guint8 *bytes, gsize *size)
{
  gsize at = place (rand, *size);
  guint width = 1u << g_rand_int_range (rand, 0, 4);
  guint64 edge = GUINT64_TO_LE (edges[g_rand_int_range (rand, 0, G_N_ELEMENTS (edges))]);

  switch (g_rand_int_range (rand, 0, 5))
    {
    case 0:
      bytes[at] ^= (guint8) (1u << g_rand_int_range (rand, 0, 8));
      break;
    case 1:
      bytes[at] = (guint8) g_rand_int (rand);
      break;
    case 2:
      memcpy (bytes + at, &edge, MIN (width, *size - at));
      break;
    case 3:
      memmove (bytes + at, bytes + MIN (at + width, *size - 1), *size - MIN (at + width, *size - 1));
      break;
    default:
      if (g_rand_int_range (rand, 0, 8) == 0)
        *size = MAX (at, 1);
      break;
    }
}

static void
test_damaged (void)
{
  g_autoptr (GPtrArray) seeds = llm_fuzz_seeds ();
  GRand *rand = g_rand_new_with_seed (20);

  for (guint i = 0; i < ROUNDS; i++)
    {
      GBytes *seed = seeds->pdata[i % seeds->len];
      gsize size = g_bytes_get_size (seed);
      g_autofree guint8 *bytes = g_memdup2 (g_bytes_get_data (seed, NULL), size);

      for (gint32 n = g_rand_int_range (rand, 1, 5); n > 0; n--)
        damage (rand, bytes, &size);
      run (bytes, size);
    }
  g_rand_free (rand);
}

/* The form kept, what it says changed. */
static void
test_mutated (void)
{
  g_autoptr (GPtrArray) seeds = llm_fuzz_seeds ();
  GRand *rand = g_rand_new_with_seed (21);

  for (guint i = 0; i < ROUNDS; i++)
    {
      g_autoptr (GBytes) once = llm_fuzz_mutate (seeds->pdata[i % seeds->len], rand), twice = once != NULL ? llm_fuzz_mutate (once, rand) : NULL;

      if (once != NULL)
        run (g_bytes_get_data (once, NULL), g_bytes_get_size (once));
      if (twice != NULL)
        run (g_bytes_get_data (twice, NULL), g_bytes_get_size (twice));
    }
  g_rand_free (rand);
}

static void
test_kept (gconstpointer data)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (data, FALSE, NULL);

  g_assert_nonnull (file);
  run ((const guint8 *) g_mapped_file_get_contents (file), g_mapped_file_get_length (file));
}

static void
add_kept (void)
{
  g_autofree char *folder = g_build_filename (LLM_FUZZ_FOLDER, "corpus", llm_fuzz_name, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_strdup_printf ("/fuzz/%s/corpus/%s", llm_fuzz_name, name);
      g_test_add_data_func_full (path, g_build_filename (folder, name, NULL), test_kept, g_free);
    }
}

static int
write_seeds (const char *folder)
{
  g_autoptr (GPtrArray) seeds = llm_fuzz_seeds ();

  for (guint i = 0; i < seeds->len; i++)
    {
      g_autofree char *path = g_strdup_printf ("%s/seed-%u", folder, i);

      if (!g_file_set_contents (path, g_bytes_get_data (seeds->pdata[i], NULL), (gssize) g_bytes_get_size (seeds->pdata[i]), NULL))
        return 1;
    }
  return 0;
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    GTestFunc func;
  } tests[] = { { "seeds", test_seeds }, { "damaged", test_damaged }, { "mutated", test_mutated } };

  g_test_init (&argc, &argv, NULL);
  if (argc > 1)
    return write_seeds (argv[1]);
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    {
      g_autofree char *path = g_strdup_printf ("/fuzz/%s/%s", llm_fuzz_name, tests[i].name);
      g_test_add_func (path, tests[i].func);
    }
  add_kept ();
  return g_test_run ();
}
