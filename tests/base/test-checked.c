/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* At 2^64 - 1 and one step beyond it; on failure the out-parameter is what it was. */
#include "base/checked.h"

static void
test_add (void)
{
  guint64 v = 7;

  g_assert_true (llm_add_u64 (G_MAXUINT64 - 1, 1, &v));
  g_assert_cmpuint (v, ==, G_MAXUINT64);
  g_assert_false (llm_add_u64 (G_MAXUINT64, 1, &v));
  g_assert_false (llm_add_u64 (G_MAXUINT64, G_MAXUINT64, &v));
  g_assert_cmpuint (v, ==, G_MAXUINT64);
}

static void
test_mul (void)
{
  guint64 v = 7;

  g_assert_false (llm_mul_u64 (G_GUINT64_CONSTANT (0x100000000), G_GUINT64_CONSTANT (0x100000000), &v));
  g_assert_false (llm_mul_u64 (G_MAXUINT64, 2, &v));
  g_assert_cmpuint (v, ==, 7);
  g_assert_true (llm_mul_u64 (G_GUINT64_CONSTANT (0xffffffff), G_GUINT64_CONSTANT (0x100000001), &v));
  g_assert_cmpuint (v, ==, G_MAXUINT64);
  g_assert_true (llm_mul_u64 (G_MAXUINT64, 0, &v));
  g_assert_cmpuint (v, ==, 0);
}

static void
test_align (void)
{
  guint64 v = 7;

  g_assert_true (llm_align_u64 (0, 32, &v) && v == 0);
  g_assert_true (llm_align_u64 (1, 32, &v) && v == 32);
  g_assert_true (llm_align_u64 (32, 32, &v) && v == 32);
  g_assert_true (llm_align_u64 (33, 32, &v) && v == 64);
  g_assert_true (llm_align_u64 (5, 1, &v) && v == 5);
  g_assert_true (llm_align_u64 (G_MAXUINT64 - 31, 32, &v) && v == G_MAXUINT64 - 31);
  g_assert_false (llm_align_u64 (G_MAXUINT64 - 30, 32, &v));
  g_assert_false (llm_align_u64 (G_MAXUINT64, 4096, &v));
  g_assert_cmpuint (v, ==, G_MAXUINT64 - 31);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/checked/add", test_add);
  g_test_add_func ("/checked/mul", test_mul);
  g_test_add_func ("/checked/align", test_align);
  return g_test_run ();
}
