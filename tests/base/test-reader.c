/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cursor stops exactly at the end, and after one failure for good. */
#include "base/reader.h"

static const guint8 data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void
test_little_endian (void)
{
  LlmReader r;
  guint8 a;
  guint16 b;
  guint32 c;
  guint64 d;

  llm_reader_init (&r, data, sizeof data);
  g_assert_true (llm_reader_u8 (&r, &a) && llm_reader_u16 (&r, &b) && llm_reader_u32 (&r, &c) && llm_reader_u64 (&r, &d));
  g_assert_cmphex (a, ==, 0x01);
  g_assert_cmphex (b, ==, 0x0302);
  g_assert_cmphex (c, ==, 0x07060504);
  g_assert_cmphex (d, ==, G_GUINT64_CONSTANT (0x0f0e0d0c0b0a0908));
  g_assert_cmpuint (llm_reader_remaining (&r), ==, 0);
  g_assert_false (r.failed);
}

/* Each number with one byte too few: refused, nothing consumed, nothing written. */
static void
test_short (void)
{
  for (guint size = 0; size < 8; size++)
    {
      LlmReader r;
      guint8 a = 0x55;
      guint16 b = 0x55;
      guint32 c = 0x55;
      guint64 d = 0x55;

      llm_reader_init (&r, data, size);
      g_assert_false (llm_reader_u64 (&r, &d));
      g_assert_true (r.failed);
      g_assert_cmpuint (r.at, ==, 0);
      llm_reader_init (&r, data, size);
      g_assert_cmpint (llm_reader_u32 (&r, &c), ==, size >= 4);
      llm_reader_init (&r, data, size);
      g_assert_cmpint (llm_reader_u16 (&r, &b), ==, size >= 2);
      llm_reader_init (&r, data, size);
      g_assert_cmpint (llm_reader_u8 (&r, &a), ==, size >= 1);
      g_assert_true (d == 0x55 && (c == 0x55) == (size < 4) && (b == 0x55) == (size < 2) && (a == 0x55) == (size < 1));
    }
}

static void
test_failure_stays (void)
{
  LlmReader r;
  const guint8 *p = NULL;
  guint8 a = 0x55;
  guint64 d;

  llm_reader_init (&r, data, 4);
  g_assert_true (llm_reader_u8 (&r, &a));
  g_assert_false (llm_reader_u64 (&r, &d));
  g_assert_cmpuint (r.at, ==, 1); /* where the failing read began */
  g_assert_false (llm_reader_u8 (&r, &a));
  g_assert_false (llm_reader_bytes (&r, 0, &p));
  g_assert_false (llm_reader_array (&r, 0, 1, &p));
  g_assert_null (p);
  g_assert_cmpuint (r.at, ==, 1);
}

static void
test_bytes (void)
{
  LlmReader r;
  const guint8 *p = NULL;

  llm_reader_init (&r, data, sizeof data);
  g_assert_true (llm_reader_bytes (&r, 0, &p) && p == data);
  g_assert_true (llm_reader_bytes (&r, sizeof data, &p) && p == data);
  g_assert_true (llm_reader_bytes (&r, 0, &p) && p == data + sizeof data);
  g_assert_false (llm_reader_bytes (&r, 1, &p));

  llm_reader_init (&r, data, sizeof data);
  g_assert_true (llm_reader_bytes (&r, 1, &p));
  g_assert_false (llm_reader_bytes (&r, G_MAXUINT64, &p)); /* at + n would wrap */
}

static void
test_array (void)
{
  LlmReader r;
  const guint8 *p = NULL;

  llm_reader_init (&r, data, sizeof data);
  g_assert_true (llm_reader_array (&r, 3, 5, &p) && p == data && r.at == 15);
  llm_reader_init (&r, data, sizeof data);
  g_assert_false (llm_reader_array (&r, 4, 4, &p));
  llm_reader_init (&r, data, sizeof data);
  g_assert_false (llm_reader_array (&r, G_GUINT64_CONSTANT (0x4000000000000001), 4, &p)); /* 4 in 64 bits */
  g_assert_true (r.failed);
}

static void
test_nothing (void)
{
  LlmReader r;
  const guint8 *p;
  guint8 a;

  llm_reader_init (&r, NULL, 0);
  g_assert_true (llm_reader_bytes (&r, 0, &p));
  g_assert_false (llm_reader_u8 (&r, &a));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reader/little-endian", test_little_endian);
  g_test_add_func ("/reader/short", test_short);
  g_test_add_func ("/reader/failure-stays", test_failure_stays);
  g_test_add_func ("/reader/bytes", test_bytes);
  g_test_add_func ("/reader/array", test_array);
  g_test_add_func ("/reader/nothing", test_nothing);
  return g_test_run ();
}
