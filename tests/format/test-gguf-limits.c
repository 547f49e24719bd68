/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is exactly at a limit of base/limits.h works; one over it is refused.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"

static void
check (GBytes *bytes, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = llm_gguf_parse (bytes, g_bytes_get_size (bytes), &error);

  if (message == NULL)
    {
      g_assert_no_error (error);
      g_assert_nonnull (gguf);
      return;
    }
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  if (strstr (error->message, message) == NULL)
    g_test_fail_printf ("wanted \"%s\", got: %s", message, error->message);
}

static GBytes *
with_keys (guint n)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *key = g_strdup_printf ("k%u", i);
      llm_gguf_builder_u32 (b, key, i);
    }
  return llm_gguf_builder_end (b);
}

static void
test_keys (void)
{
  g_autoptr (GBytes) at = with_keys (LLM_GGUF_MAX_KEYS), over = with_keys (LLM_GGUF_MAX_KEYS + 1);

  check (at, NULL);
  check (over, "the metadata count is 65537; at most 65536");
}

static GBytes *
with_tensors (guint n)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  const float value = 1;

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("t%u", i);
      llm_gguf_builder_tensor (b, name, LLM_DTYPE_F32, 1, 0, &value);
    }
  return llm_gguf_builder_end (b);
}

static void
test_tensors (void)
{
  g_autoptr (GBytes) at = with_tensors (LLM_GGUF_MAX_TENSORS), over = with_tensors (LLM_GGUF_MAX_TENSORS + 1);

  check (at, NULL);
  check (over, "the tensor count is 65537; at most 65536");
}

static GBytes *
with_key_of (gsize len)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  g_autofree char *key = g_strnfill (len, 'k');

  llm_gguf_builder_u32 (b, key, 1);
  return llm_gguf_builder_end (b);
}

static void
test_key_bytes (void)
{
  g_autoptr (GBytes) at = with_key_of (LLM_GGUF_MAX_KEY_BYTES), over = with_key_of (LLM_GGUF_MAX_KEY_BYTES + 1);

  check (at, NULL);
  check (over, "a metadata key is 1025 bytes long; at most 1024");
}

static GBytes *
with_name_of (gsize len)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  g_autofree char *name = g_strnfill (len, 'n');
  const float value = 1;

  llm_gguf_builder_tensor (b, name, LLM_DTYPE_F32, 1, 0, &value);
  return llm_gguf_builder_end (b);
}

static void
test_name_bytes (void)
{
  g_autoptr (GBytes) at = with_name_of (LLM_GGUF_MAX_NAME_BYTES), over = with_name_of (LLM_GGUF_MAX_NAME_BYTES + 1);

  check (at, NULL);
  check (over, "a tensor name is 257 bytes long; at most 256");
}

static GBytes *
with_string_of (gsize len)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  g_autofree char *text = g_strnfill (len, 'x');

  llm_gguf_builder_str (b, "s", text);
  return llm_gguf_builder_end (b);
}

static void
test_string_bytes (void)
{
  g_autoptr (GBytes) at = with_string_of (LLM_GGUF_MAX_STRING_BYTES), over = with_string_of (LLM_GGUF_MAX_STRING_BYTES + 1);

  check (at, NULL);
  check (over, "s is 16777217 bytes long; at most 16777216");
}

static GBytes *
with_items (guint n, const char *type)
{
  g_autofree char *text = g_strdup_printf ("'GGUF' u32:3 u64:0 u64:1 s:a u32:9 u32:%s u64:%u zero:%u", type, n, 8 * n);

  return llm_test_bytes (text);
}

static void
test_array_items (void)
{
  g_autoptr (GBytes) u8 = with_items (LLM_GGUF_MAX_ARRAY_ITEMS, "0"), u8_over = with_items (LLM_GGUF_MAX_ARRAY_ITEMS + 1, "0");
  g_autoptr (GBytes) strings = with_items (LLM_GGUF_MAX_ARRAY_ITEMS, "8"), strings_over = with_items (LLM_GGUF_MAX_ARRAY_ITEMS + 1, "8");

  check (u8, NULL);
  check (strings, NULL);
  check (u8_over, "the array a has 4194305 items; at most 4194304");
  check (strings_over, "the array a has 4194305 items; at most 4194304");
}

static void
test_alignment (void)
{
  g_autoptr (GBytes) at = llm_test_bytes ("'GGUF' u32:3 u64:1 u64:1 s:general.alignment u32:4 u32:0x100000 s:t u32:1 u64:1 u32:0 u64:0 pad:0x100000 zero:4");
  g_autoptr (GBytes) over = llm_test_bytes ("'GGUF' u32:3 u64:1 u64:1 s:general.alignment u32:4 u32:0x200000 s:t u32:1 u64:1 u32:0 u64:0 pad:0x200000 zero:4");

  check (at, NULL);
  check (over, "general.alignment is 2097152; a power of two from 8 to 1048576");
}

/* A sparse file: arrays of zeros, 32 MiB each, and one that makes the header @size bytes long. */
static int
header_of (guint64 size)
{
  int fd = memfd_create ("gguf", MFD_CLOEXEC);
  guint n_arrays = LLM_GGUF_MAX_HEADER_BYTES / (32 * LLM_MIB);
  g_autofree char *head = g_strdup_printf ("'GGUF' u32:3 u64:0 u64:%u", n_arrays);
  g_autoptr (GBytes) bytes = llm_test_bytes (head);
  off_t at = (off_t) g_bytes_get_size (bytes);

  g_assert_cmpint (pwrite (fd, g_bytes_get_data (bytes, NULL), (size_t) at, 0), ==, at);
  for (guint i = 0; i < n_arrays; i++)
    {
      gboolean last = i + 1 == n_arrays;
      /* the last one takes what is left: first in items of 8 bytes, then a string of fewer than 8 */
      guint64 left = size - (guint64) at - (8 + 1 + 4 + 4 + 8), count = last ? 1 : LLM_GGUF_MAX_ARRAY_ITEMS;
      g_autofree char *text = last ? g_strdup_printf ("s:%u u32:9 u32:8 u64:2 u64:%u", i, (guint) LLM_GGUF_MAX_STRING_BYTES)
                                   : g_strdup_printf ("s:%u u32:9 u32:10 u64:%u", i, (guint) count);
      g_autoptr (GBytes) key = llm_test_bytes (text);

      g_assert_cmpint (pwrite (fd, g_bytes_get_data (key, NULL), g_bytes_get_size (key), at), >, 0);
      at += (off_t) g_bytes_get_size (key);
      if (last)
        { /* the second string of the last array */
          guint64 len = GUINT64_TO_LE (left - 8 - LLM_GGUF_MAX_STRING_BYTES - 8);

          at += (off_t) LLM_GGUF_MAX_STRING_BYTES;
          g_assert_cmpint (pwrite (fd, &len, 8, at), ==, 8);
        }
      else
        at += (off_t) (8 * count);
    }
  g_assert_cmpint (ftruncate (fd, (off_t) size + 1), ==, 0);
  return fd;
}

static void
test_header_bytes (void)
{
  for (guint over = 0; over <= 1; over++)
    {
      int fd = header_of (LLM_GGUF_MAX_HEADER_BYTES + over);
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmGguf) gguf = llm_gguf_open (fd, &error);

      close (fd);
      if (over == 0)
        g_assert_no_error (error);
      else
        {
          g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
          g_assert_nonnull (strstr (error->message, "longer than 268435456 bytes"));
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gguf-limits/keys", test_keys);
  g_test_add_func ("/gguf-limits/tensors", test_tensors);
  g_test_add_func ("/gguf-limits/key-bytes", test_key_bytes);
  g_test_add_func ("/gguf-limits/name-bytes", test_name_bytes);
  g_test_add_func ("/gguf-limits/string-bytes", test_string_bytes);
  g_test_add_func ("/gguf-limits/array-items", test_array_items);
  g_test_add_func ("/gguf-limits/alignment", test_alignment);
  g_test_add_func ("/gguf-limits/header-bytes", test_header_bytes);
  return g_test_run ();
}
