/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every field of a GGUF header, broken one at a time; then by cutting and by flipping bytes.
 * The headers are written out as text (llm_test_bytes), so that a case can be read.
 */
#include <string.h>

#include "base/error.h"
#include "format/gguf-builder.h"

/* Header with @t tensors and @k keys; 24 bytes. */
#define HEADER(t, k) "'GGUF' u32:3 u64:" #t " u64:" #k " "
/* A key "a" begins at byte 24, its type at 33, its value at 37. */
#define KEY "s:a "
/* Tensor "t": name at byte 24, dimensions from 33. */
#define TENSOR "s:t u32:1 u64:4 u32:0 "
#define U8 "u32:0 "
#define I32 "u32:5 "
#define BOOL "u32:7 "
#define STRING "u32:8 "
#define ARRAY "u32:9 "

typedef struct {
  const char *name;
  const char *text;
  const char *message; /* glob */
} Broken;

static const Broken broken[] = {
  { "empty", "", "*byte 0:*ends inside the magic*" },
  { "magic", "'GGUX' u32:3 u64:0 u64:0", "*no GGUF file*47 47 55 58*" },
  { "magic-reversed", "'FUGG' u32:3 u64:0 u64:0", "*no GGUF file*46 55 47 47*" },
  { "version/0", "'GGUF' u32:0 u64:0 u64:0", "*byte 4: the GGUF version is 0; 2 and 3*" },
  { "version/4", "'GGUF' u32:4 u64:0 u64:0", "*byte 4: the GGUF version is 4; 2 and 3*" },
  { "version/huge", "'GGUF' u32:0xffffffff u64:0 u64:0", "*byte 4: the GGUF version is 4294967295;*" },
  { "count/tensors", HEADER (65537, 0), "*byte 8: the tensor count is 65537; at most 65536*" },
  { "count/tensors-wrap", HEADER (0xffffffffffffffff, 0), "*byte 8: the tensor count is 18446744073709551615;*" },
  { "count/keys", HEADER (0, 65537), "*byte 16: the metadata count is 65537; at most 65536*" },
  { "count/keys-wrap", HEADER (0, 0x8000000000000000), "*byte 16: the metadata count is 9223372036854775808;*" },
  { "count/more-keys-than-there", HEADER (0, 2) KEY U8 "u8:1", "*byte 38:*ends inside a metadata key*" },
  { "count/more-tensors-than-there", HEADER (1, 1) KEY U8 "u8:1", "*byte 38:*ends inside a tensor name*" },

  { "key/length-past-end", HEADER (0, 1) "u64:100 'a'", "*byte 24: a metadata key is 100 bytes long, but only 1 bytes*" },
  { "key/length-over-limit", HEADER (0, 1) "u64:1025 zero:2000", "*byte 24: a metadata key is 1025 bytes long; at most 1024*" },
  { "key/length-wraps", HEADER (0, 1) "u64:0xffffffffffffffff 'a'", "*byte 24: a metadata key is 18446744073709551615 bytes*" },
  { "key/empty", HEADER (0, 1) "s: " U8 "u8:1", "*byte 24: a metadata key is empty*" },
  { "key/not-utf8", HEADER (0, 1) "u64:2 u8:0xff u8:0xfe " U8 "u8:1", "*byte 24: a metadata key is not UTF-8*" },
  { "key/nul", HEADER (0, 1) "u64:2 'a' u8:0 " U8 "u8:1", "*byte 24: a metadata key is not UTF-8*" },
  { "key/overlong-utf8", HEADER (0, 1) "u64:2 u8:0xc0 u8:0x80 " U8 "u8:1", "*byte 24: a metadata key is not UTF-8*" },
  { "key/twice", HEADER (0, 2) KEY U8 "u8:1 " KEY U8 "u8:2", "*byte 38: the metadata key a stands there twice*" },
  { "key/twice-of-other-type", HEADER (0, 2) KEY U8 "u8:1 " KEY STRING "s:x", "*byte 38: the metadata key a stands there twice*" },
  { "type/13", HEADER (0, 1) KEY "u32:13 u8:1", "*byte 33: a has type 13; types are 0 to 12*" },
  { "type/wraps", HEADER (0, 1) KEY "u32:0xffffffff u8:1", "*byte 33: a has type 4294967295;*" },
  { "value/missing", HEADER (0, 1) KEY "u32:10 u32:7", "*byte 37:*ends inside a;*" },
  { "bool/2", HEADER (0, 1) KEY BOOL "u8:2", "*byte 37: the value of a is the bool 2; 0 or 1*" },
  { "bool/255", HEADER (0, 1) KEY BOOL "u8:255", "*byte 37: the value of a is the bool 255;*" },
  { "string/length-past-end", HEADER (0, 1) KEY STRING "u64:5 'abcd'", "*byte 37: a is 5 bytes long, but only 4 bytes*" },
  { "string/length-over-limit", HEADER (0, 1) KEY STRING "u64:16777217", "*byte 37: a is 16777217 bytes long; at most 16777216*" },
  { "string/length-wraps", HEADER (0, 1) KEY STRING "u64:0xfffffffffffffff8 'abcd'", "*byte 37: a is 18446744073709551608 bytes*" },
  { "string/not-utf8", HEADER (0, 1) KEY STRING "u64:1 u8:0x80", "*byte 37: the string a is not UTF-8*" },
  { "string/nul", HEADER (0, 1) KEY STRING "u64:3 'a' u8:0 'b'", "*byte 37: the string a is not UTF-8*" },

  { "array/item-type", HEADER (0, 1) KEY ARRAY "u32:13 u64:1 u8:1", "*byte 37: a has type 13;*" },
  { "array/nested", HEADER (0, 1) KEY ARRAY ARRAY "u64:1 u32:0 u64:1 u8:1", "*byte 37: a is an array of arrays;*" },
  { "array/count-over-limit", HEADER (0, 1) KEY ARRAY U8 "u64:4194305", "*byte 41: the array a has 4194305 items; at most 4194304*" },
  { "array/count-wraps", HEADER (0, 1) KEY ARRAY "u32:12 u64:0x2000000000000001 u64:1", "*byte 41: the array a has 2305843009213693953 items;*" },
  { "array/past-end", HEADER (0, 1) KEY ARRAY I32 "u64:3 u32:1 u32:2", "*byte 41: the array a has 3 items,*no room*" },
  { "array/bool-2", HEADER (0, 1) KEY ARRAY BOOL "u64:3 u8:0 u8:1 u8:2", "*byte 51: the value of a is the bool 2;*" },
  { "array/strings-past-end", HEADER (0, 1) KEY ARRAY STRING "u64:3 s:x", "*byte 41: the array a has 3 strings, *no room*" },
  { "array/string-length-past-end", HEADER (0, 1) KEY ARRAY STRING "u64:2 s:x u64:9 'y'", "*byte 58: a is 9 bytes long, but only 1 bytes*" },
  { "array/string-length-wraps", HEADER (0, 1) KEY ARRAY STRING "u64:1 u64:0xffffffffffffffff", "*byte 49: a is 18446744073709551615 bytes*" },

  { "alignment/0", HEADER (0, 1) "s:general.alignment u32:4 u32:0", "*general.alignment is 0; a power of two from 8*" },
  { "alignment/4", HEADER (0, 1) "s:general.alignment u32:4 u32:4", "*general.alignment is 4;*" },
  { "alignment/48", HEADER (0, 1) "s:general.alignment u32:4 u32:48", "*general.alignment is 48;*" },
  { "alignment/over-limit", HEADER (0, 1) "s:general.alignment u32:4 u32:0x200000", "*general.alignment is 2097152;*to 1048576*" },
  { "alignment/wraps", HEADER (0, 1) "s:general.alignment u32:10 u64:0x8000000000000000", "*general.alignment is 9223372036854775808;*" },
  { "alignment/negative", HEADER (0, 1) "s:general.alignment u32:5 i32:-32", "*general.alignment is -32; it cannot be negative*" },
  { "alignment/string", HEADER (0, 1) "s:general.alignment u32:8 s:32", "*general.alignment is of type string; an integer*" },
  { "alignment/float", HEADER (0, 1) "s:general.alignment u32:6 f32:32", "*general.alignment is of type float32; an integer*" },

  { "tensor/name-empty", HEADER (1, 0) "s: u32:1 u64:4 u32:0 u64:0 pad:32 zero:16", "*byte 24: a tensor name is empty*" },
  { "tensor/name-over-limit", HEADER (1, 0) "u64:257 zero:400", "*byte 24: a tensor name is 257 bytes long; at most 256*" },
  { "tensor/name-past-end", HEADER (1, 0) "u64:200 't'", "*byte 24: a tensor name is 200 bytes long, but only 1*" },
  { "tensor/name-not-utf8", HEADER (1, 0) "u64:1 u8:0xc3 u32:1 u64:4 u32:0 u64:0 pad:32 zero:16", "*byte 24: a tensor name is not UTF-8*" },
  { "tensor/name-twice", HEADER (2, 0) TENSOR "u64:0 " TENSOR "u64:32 pad:32 zero:64", "*byte 57: the tensor name t stands there twice*" },
  { "tensor/dims-0", HEADER (1, 0) "s:t u32:0 u32:0 u64:0 pad:32 zero:16", "*byte 33: the tensor t has 0 dimensions; 1 to 4*" },
  { "tensor/dims-5", HEADER (1, 0) "s:t u32:5 u64:1 u64:1 u64:1 u64:1 u64:1 u32:0 u64:0 pad:32 zero:16", "*byte 33: the tensor t has 5 dimensions;*" },
  { "tensor/dims-wrap", HEADER (1, 0) "s:t u32:0xffffffff u64:1 u32:0 u64:0 pad:32 zero:16", "*byte 33: the tensor t has 4294967295 dimensions;*" },
  { "tensor/dim-0", HEADER (1, 0) "s:t u32:2 u64:4 u64:0 u32:0 u64:0 pad:32 zero:16", "*byte 45: dimension 1 of the tensor t is 0*" },
  { "tensor/rows-wrap", HEADER (1, 0) "s:t u32:3 u64:1 u64:0x100000000 u64:0x100000001 u32:0 u64:0 pad:32 zero:16", "*byte 53: the dimensions of the tensor t multiply*" },
  { "tensor/elements-wrap", HEADER (1, 0) "s:t u32:2 u64:0x100000000 u64:0x100000000 u32:0 u64:0 pad:32 zero:16", "*byte 45: the dimensions of the tensor t multiply*" },
  { "tensor/bytes-wrap", HEADER (1, 0) "s:t u32:1 u64:0x4000000000000001 u32:0 u64:0 pad:32 zero:16", "*byte 45: the size of the tensor t does not fit*" },
  { "tensor/bytes-wrap-in-rows", HEADER (1, 0) "s:t u32:2 u64:0x80000000 u64:0x80000001 u32:0 u64:0 pad:32 zero:16", "*byte 53: the size of the tensor t does not fit*" },
  { "tensor/type-4", HEADER (1, 0) "s:t u32:1 u64:32 u32:4 u64:0 pad:32 zero:128", "*byte 45: the tensor t has element type 4, which*" },
  { "tensor/type-wraps", HEADER (1, 0) "s:t u32:1 u64:32 u32:0xffffffff u64:0 pad:32 zero:128", "*byte 45: the tensor t has element type 4294967295,*" },
  { "tensor/partial-block", HEADER (1, 0) "s:t u32:1 u64:33 u32:2 u64:0 pad:32 zero:64", "*byte 45: the tensor t has rows of 33 elements; Q4_0 needs a multiple of 32*" },
  { "tensor/offset-misaligned", HEADER (1, 0) TENSOR "u64:16 pad:32 zero:64", "*byte 49: the offset 16 of the tensor t is no multiple of the alignment 32*" },
  { "tensor/offset-misaligned-64", HEADER (1, 1) "s:general.alignment u32:4 u32:64 " TENSOR "u64:32 pad:64 zero:64", "*the offset 32 of the tensor t*alignment 64*" },
  { "tensor/offset-past-end", HEADER (1, 0) TENSOR "u64:32 pad:32 zero:16", "*the tensor t (16 bytes) reaches past the end of the file of 80 bytes*" },
  { "tensor/offset-wraps", HEADER (1, 0) TENSOR "u64:0xffffffffffffffe0 pad:32 zero:16", "*the tensor t (16 bytes) reaches past the end*" },
  { "tensor/end-wraps", HEADER (1, 0) "s:t u32:1 u64:0x3fffffffffffffff u32:0 u64:32 pad:32 zero:16", "*the tensor t (18446744073709551612 bytes) reaches past*" },
  { "tensor/one-byte-short", HEADER (1, 0) TENSOR "u64:0 pad:32 zero:15", "*the tensor t (16 bytes) reaches past the end of the file of 79 bytes*" },
  { "tensor/same-place", HEADER (2, 0) TENSOR "u64:0 s:u u32:1 u64:4 u32:0 u64:0 pad:32 zero:64", "*the tensors ? and ? overlap at byte 96*" },
  { "tensor/overlap", HEADER (2, 0) "s:t u32:1 u64:9 u32:0 u64:0 s:u u32:1 u64:4 u32:0 u64:32 pad:32 zero:64", "*the tensors t and u overlap at byte 128*" },
  { "tensor/overlap-unsorted", HEADER (2, 0) "s:t u32:1 u64:4 u32:0 u64:32 s:u u32:1 u64:9 u32:0 u64:0 pad:32 zero:64", "*the tensors u and t overlap at byte 128*" },
};

static LlmGguf *
parse (GBytes *bytes, GError **error)
{
  return llm_gguf_parse (bytes, g_bytes_get_size (bytes), error);
}

static void
test_broken (gconstpointer data)
{
  const Broken *c = data;
  g_autoptr (GBytes) bytes = llm_test_bytes (c->text);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = parse (bytes, &error);

  g_assert_null (gguf);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  if (!g_pattern_match_simple (c->message, error->message))
    g_test_fail_printf ("wanted %s, got: %s", c->message, error->message);
}

static const Broken unsupported[] = {
  { "version-1", "'GGUF' u32:1 u32:0 u32:0", "*version 1 is not supported; versions 2 and 3*" },
  { "big-endian-3", "'GGUF' u8:0 u8:0 u8:0 u8:3 zero:16", "*big-endian*not supported*" },
  { "big-endian-2", "'GGUF' u8:0 u8:0 u8:0 u8:2 zero:16", "*big-endian*not supported*" },
};

static void
test_unsupported (gconstpointer data)
{
  const Broken *c = data;
  g_autoptr (GBytes) bytes = llm_test_bytes (c->text);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = parse (bytes, &error);

  g_assert_null (gguf);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_NOT_SUPPORTED);
  g_assert_true (g_pattern_match_simple (c->message, error->message));
}

/* Odd, and right all the same. */
static const Broken valid[] = {
  { "nothing-v3", HEADER (0, 0), "" },
  { "nothing-v2", "'GGUF' u32:2 u64:0 u64:0", "" },
  { "bytes-after-header", HEADER (0, 0) "zero:7", "" },
  { "empty-string", HEADER (0, 1) KEY STRING "s:", "" },
  { "empty-array", HEADER (0, 1) KEY ARRAY I32 "u64:0", "" },
  { "empty-string-array", HEADER (0, 1) KEY ARRAY STRING "u64:0", "" },
  { "tokens-are-bytes", HEADER (0, 1) KEY ARRAY STRING "u64:2 u64:1 u8:0xff u64:2 u8:0 u8:1", "" },
  { "alignment-8", HEADER (1, 1) "s:general.alignment u32:4 u32:8 " TENSOR "u64:8 pad:8 zero:24", "" },
  { "alignment-of-u64", HEADER (1, 1) "s:general.alignment u32:10 u64:64 " TENSOR "u64:64 pad:64 zero:80", "" },
  { "tensors-in-any-order", HEADER (2, 0) TENSOR "u64:32 s:u u32:1 u64:8 u32:0 u64:0 pad:32 zero:48", "" },
  { "tensor-of-a-type-that-only-has-a-size", HEADER (1, 0) "s:t u32:1 u64:256 u32:14 u64:0 pad:32 zero:210", "" },
};

static void
test_valid (gconstpointer data)
{
  const Broken *c = data;
  g_autoptr (GBytes) bytes = llm_test_bytes (c->text);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = parse (bytes, &error);

  g_assert_no_error (error);
  g_assert_nonnull (gguf);
}

static GBytes *
small_file (void)
{
  g_autoptr (LlmGgufBuilder) b = llm_gguf_builder_new (3);
  static const char *const words[] = { "one", "", "three" };
  static const gint32 numbers[] = { -1, 0, 1 };
  float values[64];

  for (int i = 0; i < 64; i++)
    values[i] = (float) i;
  llm_gguf_builder_u32 (b, "general.alignment", 32);
  llm_gguf_builder_str (b, "s", "text");
  llm_gguf_builder_bool (b, "b", TRUE);
  llm_gguf_builder_f32 (b, "f", 1.5f);
  llm_gguf_builder_strs (b, "w", words, 3);
  llm_gguf_builder_i32s (b, "n", numbers, 3);
  llm_gguf_builder_tensor (b, "x", LLM_DTYPE_F32, 8, 2, values);
  llm_gguf_builder_tensor (b, "y", LLM_DTYPE_Q8_0, 32, 0, values);
  return llm_gguf_builder_end (b);
}

/* The header of small_file() ends here: at its data, less the padding. */
static gsize
header_bytes (GBytes *file)
{
  for (gsize n = 0;; n++)
    {
      g_autoptr (GBytes) head = g_bytes_new_from_bytes (file, 0, n);
      g_autoptr (LlmGguf) gguf = llm_gguf_parse (head, g_bytes_get_size (file), NULL);

      if (gguf != NULL)
        return n;
    }
}

/* A file that ends after any number of bytes is broken, and says so; the same bytes as the
 * beginning of a longer file ask for more. */
static void
test_cut (void)
{
  g_autoptr (GBytes) file = small_file ();
  gsize size = g_bytes_get_size (file), header = header_bytes (file);

  g_assert_cmpuint (header, >, 200);
  for (gsize n = 0; n < size; n++)
    {
      g_autoptr (GBytes) head = g_bytes_new_from_bytes (file, 0, n);
      g_autoptr (GError) cut = NULL, partial = NULL;
      g_autoptr (LlmGguf) none = parse (head, &cut);
      g_autoptr (LlmGguf) gguf = llm_gguf_parse (head, size, &partial);

      g_assert_null (none);
      g_assert_error (cut, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
      if (n < header)
        g_assert_error (partial, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT);
      else
        g_assert_nonnull (gguf);
    }
}

/* The bytes end exactly with their memory, so that a sanitizer sees a read beyond. */
static void
parse_copy (const guint8 *bytes, gsize n, guint *n_valid)
{
  g_autoptr (GBytes) copy = g_bytes_new (bytes, n);
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = parse (copy, &error);

  g_assert_true ((gguf != NULL) != (error != NULL));
  if (error != NULL)
    g_assert_true (error->domain == LLM_ERROR);
  else
    for (guint i = 0; i < llm_gguf_n_tensors (gguf); i++)
      {
        const LlmGgufTensor *t = llm_gguf_tensor (gguf, i);

        g_assert_cmpuint (t->offset, <=, n);
        g_assert_cmpuint (t->n_bytes, <=, n - t->offset);
      }
  *n_valid += gguf != NULL;
}

static void
test_flip (void)
{
  static const guint8 masks[] = { 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f };
  g_autoptr (GBytes) file = small_file ();
  gsize size, header = header_bytes (file);
  const guint8 *original = g_bytes_get_data (file, &size);
  g_autofree guint8 *bytes = g_memdup2 (original, size);
  guint n_valid = 0, n = 0;

  for (gsize at = 0; at < header; at++)
    for (gsize m = 0; m < G_N_ELEMENTS (masks); m++, n++)
      {
        bytes[at] = original[at] ^ masks[m];
        parse_copy (bytes, size, &n_valid);
        bytes[at] = original[at];
      }
  g_test_message ("%u of %u flips leave a valid file", n_valid, n);
  g_assert_cmpuint (n_valid, >, 0); /* in names and values */
  g_assert_cmpuint (n_valid, <, n);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      g_autofree char *path = g_strconcat ("/gguf/broken/", broken[i].name, NULL);
      g_test_add_data_func (path, &broken[i], test_broken);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (unsupported); i++)
    {
      g_autofree char *path = g_strconcat ("/gguf/unsupported/", unsupported[i].name, NULL);
      g_test_add_data_func (path, &unsupported[i], test_unsupported);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (valid); i++)
    {
      g_autofree char *path = g_strconcat ("/gguf/valid/", valid[i].name, NULL);
      g_test_add_data_func (path, &valid[i], test_valid);
    }
  g_test_add_func ("/gguf/cut", test_cut);
  g_test_add_func ("/gguf/flip", test_flip);
  return g_test_run ();
}
