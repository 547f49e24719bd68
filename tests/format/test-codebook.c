/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code books: as many vectors as the format says, of the levels it says, in ascending order
 * of the number that their digits make; some vectors by name.
 */
#include <string.h>

#include "format/codebook.h"

static const struct {
  guint n_vectors, width;
  gint8 levels[8];
  guint n_levels;
  gint8 second[8], last[8];
} want[LLM_N_CODEBOOKS] = {
  [LLM_CODEBOOK_IQ2_XXS] = { 256, 8, { 8, 25, 43 }, 3, { 43, 8, 8, 8, 8, 8, 8, 8 }, { 8, 25, 8, 8, 25, 43, 43, 43 } },
  [LLM_CODEBOOK_IQ2_XS] = { 512, 8, { 8, 25, 43 }, 3, { 43, 8, 8, 8, 8, 8, 8, 8 }, { 43, 43, 43, 43, 43, 43, 43, 43 } },
  [LLM_CODEBOOK_IQ2_S] = { 1024, 8, { 8, 25, 43 }, 3, { 43, 8, 8, 8, 8, 8, 8, 8 }, { 43, 43, 43, 43, 43, 43, 43, 43 } },
  [LLM_CODEBOOK_IQ1] = { 2048, 8, { -1, 0, 1 }, 3, { 1, -1, -1, -1, -1, -1, -1, -1 }, { 1, 1, 1, 1, 1, 1, 1, 1 } },
  [LLM_CODEBOOK_IQ3_XXS] = { 256, 4, { 4, 12, 20, 28, 36, 44, 52, 62 }, 8, { 20, 4, 4, 4 }, { 4, 28, 52, 62 } },
  [LLM_CODEBOOK_IQ3_S] = { 512, 4, { 1, 3, 5, 7, 9, 11, 13, 15 }, 8, { 3, 1, 1, 1 }, { 1, 1, 15, 15 } },
};

static guint
number_of (LlmCodebookId id, const gint8 *vector)
{
  guint number = 0;

  for (guint k = want[id].width; k-- > 0;)
    {
      const gint8 *level = memchr (want[id].levels, vector[k], want[id].n_levels);

      g_assert_nonnull (level);
      number = number * want[id].n_levels + (guint) (level - want[id].levels);
    }
  return number;
}

static void
test_book (gconstpointer data)
{
  LlmCodebookId id = GPOINTER_TO_UINT (data);
  const LlmCodebook *book = llm_codebook_get (id);
  guint before = 0;

  g_assert_cmpuint (book->n_vectors, ==, want[id].n_vectors);
  g_assert_cmpuint (book->width, ==, want[id].width);
  for (guint i = 0; i < book->n_vectors; i++)
    {
      guint number = number_of (id, book->values + i * book->width);

      g_assert_true (i == 0 ? number == 0 : number > before);
      before = number;
    }
  g_assert_cmpmem (book->values + book->width, book->width, want[id].second, want[id].width);
  g_assert_cmpmem (book->values + (book->n_vectors - 1) * book->width, book->width, want[id].last, want[id].width);
}

static gpointer
get_book (gpointer data)
{
  return (gpointer) llm_codebook_get (GPOINTER_TO_UINT (data))->values;
}

static void
test_threads (void)
{
  GThread *threads[8];

  for (guint i = 0; i < 8; i++)
    threads[i] = g_thread_new ("book", get_book, GUINT_TO_POINTER (LLM_CODEBOOK_IQ3_S));
  for (guint i = 0; i < 8; i++)
    {
      const gint8 *values = g_thread_join (threads[i]);

      g_assert_cmpint (values[511 * 4 + 3], ==, 15);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/codebook/threads", test_threads); /* first: before anybody has expanded them */
  for (guint id = 0; id < LLM_N_CODEBOOKS; id++)
    {
      g_autofree char *path = g_strdup_printf ("/codebook/%u", id);

      g_test_add_data_func (path, GUINT_TO_POINTER (id), test_book);
    }
  return g_test_run ();
}
