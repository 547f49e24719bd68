/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a split model: together they are one model, in any order; whatever is wrong with
 * them is said by the part that is wrong.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "format/gguf-builder.h"

#define ABSENT G_MAXUINT32
#define NEGATIVE (G_MAXUINT32 - 1)

/* One file. ABSENT: without that key; NEGATIVE: below 0. */
typedef struct {
  guint32 no, count, n_tensors;
  const char *tensor; /* with 32 elements, all the part's number; NULL: none */
  const char *name;   /* general.name */
} Part;

static const Part three[] = {
  { 0, 3, 3, "a", "model" },
  { 1, 3, 3, "b", NULL },
  { 2, 3, 3, "c", NULL },
};

static void
put_u32 (LlmGgufBuilder *builder, const char *key, guint32 value)
{
  g_autoptr (GBytes) minus_two = llm_test_bytes ("i32:-2");

  if (value == NEGATIVE)
    llm_gguf_builder_raw (builder, key, LLM_GGUF_I32, minus_two);
  else if (value != ABSENT)
    llm_gguf_builder_u32 (builder, key, value);
}

static int
file_of (const Part *part)
{
  g_autoptr (LlmGgufBuilder) builder = llm_gguf_builder_new (3);
  g_autoptr (GBytes) bytes = NULL;
  float values[32];
  int fd = memfd_create ("part", MFD_CLOEXEC);
  gsize size;
  const void *data;

  for (guint i = 0; i < 32; i++)
    values[i] = (float) part->no;
  if (part->name != NULL)
    llm_gguf_builder_str (builder, "general.name", part->name);
  put_u32 (builder, "split.no", part->no);
  put_u32 (builder, "split.count", part->count);
  put_u32 (builder, "split.tensors.count", part->n_tensors);
  if (part->tensor != NULL)
    llm_gguf_builder_tensor (builder, part->tensor, LLM_DTYPE_F32, 32, 0, values);
  bytes = llm_gguf_builder_end (builder);
  data = g_bytes_get_data (bytes, &size);
  g_assert_cmpint (write (fd, data, size), ==, size);
  return fd;
}

static void
close_all (const int *fds, guint n)
{
  for (guint i = 0; i < n; i++)
    close (fds[i]);
}

/* Opens @n of @parts, in the order that the digits of @order say. */
static LlmGguf *
open_in_order (const Part *parts, const char *order, GError **error)
{
  guint n = (guint) strlen (order);
  int fds[16] = { 0 };
  LlmGguf *gguf;

  for (guint i = 0; i < n; i++)
    fds[i] = file_of (&parts[order[i] - '0']);
  gguf = llm_gguf_open_parts (fds, n, error);
  close_all (fds, n);
  return gguf;
}

static void
check_refused (const Part *parts, const char *order, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (LlmGguf) gguf = open_in_order (parts, order, &error);

  g_assert_null (gguf);
  g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  if (strstr (error->message, message) == NULL)
    g_error ("\"%s\" is not in \"%s\"", message, error->message);
}

static void
test_any_order (void)
{
  static const char *const orders[] = { "012", "021", "102", "120", "201", "210" };
  static const char *const names[] = { "a", "b", "c" };

  for (gsize i = 0; i < G_N_ELEMENTS (orders); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (LlmGguf) gguf = open_in_order (three, orders[i], &error);
      guint64 sum = 0;

      g_assert_no_error (error);
      g_assert_true (llm_gguf_has (gguf, "general.name"));
      g_assert_cmpuint (llm_gguf_n_tensors (gguf), ==, 3);
      g_assert_cmpuint (llm_gguf_n_files (gguf), ==, 3);
      for (guint part = 0; part < 3; part++)
        {
          const LlmGgufTensor *t = llm_gguf_find_tensor (gguf, names[part]);
          guint file = llm_gguf_file_of_part (gguf, part);

          g_assert_true (llm_gguf_tensor (gguf, part) == t);
          g_assert_cmpuint (file, ==, (guint) (strchr (orders[i], '0' + (char) part) - orders[i]));
          g_assert_cmpuint (t->file, ==, file);
          g_assert_cmpuint (t->offset + t->n_bytes, ==, llm_gguf_size_of_file (gguf, file));
          sum += llm_gguf_size_of_file (gguf, file);
        }
      g_assert_cmpuint (llm_gguf_file_size (gguf), ==, sum);
    }
}

/* A first part without tensors, and a model in one file that says so. */
static void
test_allowed (void)
{
  static const Part no_first_tensors[] = { { 0, 2, 1, NULL, "m" }, { 1, 2, 1, "a", NULL } };
  static const Part single = { 0, 1, 1, "a", "m" }, merged = { 0, 0, 1, "a", "m" }, without_total[] = { { 0, 2, ABSENT, "a", NULL }, { 1, 2, ABSENT, "b", "m" } };
  g_autoptr (LlmGguf) one = open_in_order (no_first_tensors, "10", NULL), two = open_in_order (&single, "0", NULL), three_ = open_in_order (&merged, "0", NULL),
                      four = open_in_order (without_total, "01", NULL);

  g_assert_nonnull (one);
  g_assert_nonnull (two);
  g_assert_nonnull (three_);
  g_assert_nonnull (four);
  g_assert_cmpuint (llm_gguf_n_files (two), ==, 1);
  g_assert_false (llm_gguf_has (four, "general.name")); /* what the first part does not say, nobody does */
}

static void
test_missing (void)
{
  check_refused (three, "01", "of the 3 parts of the model these are missing: 3;");
  check_refused (three, "21", "of the 3 parts of the model these are missing: 1;");
  check_refused (three, "1", "of the 3 parts of the model these are missing: 1, 3;");
  check_refused (three, "0", "of the 3 parts of the model these are missing: 2, 3;");
  check_refused ((const Part[]) { { 3, 20, 3, "a", NULL } }, "0", "of the 20 parts of the model these are missing: 1, 2, 3, 5, 6, 7, 8, 9 and 11 more;");
}

static void
test_double (void)
{
  check_refused (three, "0122", "part 3 of 3 was given twice, as files 3 and 4");
  check_refused (three, "011", "part 2 of 3 was given twice, as files 2 and 3");
}

static void
test_foreign (void)
{
  static const Part whole = { ABSENT, ABSENT, ABSENT, "x", "other" };
  g_autoptr (LlmGguf) joined = NULL;
  Part parts[4];

  memcpy (parts, three, sizeof three);
  parts[3] = whole;
  check_refused (parts, "013", "file 3 of 3: it is no part of a split model");
  check_refused (parts, "301", "file 1 of 3: it is no part of a split model");
  parts[3] = (Part) { 2, 4, 3, "c", NULL };
  check_refused (parts, "013", "file 3 is a part of 4, file 1 is a part of 3");
  parts[3] = (Part) { 2, 3, 7, "c", NULL };
  check_refused (parts, "013", "part 3 of 3 belongs to another model: its split.tensors.count");
  parts[3] = (Part) { 2, 3, 3, "c", "another" };
  check_refused (parts, "301", "part 3 of 3 belongs to another model: its general.name");
  parts[3] = (Part) { 2, 3, 3, "c", "model" };
  joined = open_in_order (parts, "301", NULL);
  g_assert_nonnull (joined);
}

static void
test_wrong_counts (void)
{
  check_refused ((const Part[]) { { 0, 2, 3, "a", NULL }, { 1, 2, 3, "b", NULL } }, "01", "split.tensors.count is 3, but the 2 parts have 2 tensors");
  check_refused ((const Part[]) { { 0, 1, 2, "a", NULL } }, "0", "split.tensors.count is 2");
  check_refused ((const Part[]) { { 0, 1, NEGATIVE, "a", NULL } }, "0", "split.tensors.count");
  check_refused ((const Part[]) { { 0, NEGATIVE, 1, "a", NULL } }, "0", "split.count");
  check_refused ((const Part[]) { { NEGATIVE, 1, 1, "a", NULL } }, "0", "split.no");
  check_refused ((const Part[]) { { 2, 2, 2, "a", NULL } }, "0", "split.no is 2 of 2 parts; it counts from 0");
  check_refused ((const Part[]) { { ABSENT, 2, 2, "a", NULL } }, "0", "split.no is not there");
  check_refused ((const Part[]) { { 0, ABSENT, 2, "a", NULL } }, "0", "split.count is not there");
}

static void
test_tensor_in_two_parts (void)
{
  static const Part parts[] = { { 0, 3, 3, "a", NULL }, { 1, 3, 3, "b", NULL }, { 2, 3, 3, "b", NULL } };

  check_refused (parts, "210", "the tensor b stands in part 2 and in part 3 of 3");
}

/* A part cut off anywhere is that part's fault; nothing is leaked (sanitizers). */
static void
test_cut_off (void)
{
  for (off_t at = 0; at < 400; at += 13)
    {
      int fds[] = { file_of (&three[0]), file_of (&three[1]), file_of (&three[2]) };
      g_autoptr (GError) error = NULL;
      off_t size = lseek (fds[1], 0, SEEK_END);

      if (at < size)
        {
          g_assert_cmpint (ftruncate (fds[1], at), ==, 0);
          g_assert_null (llm_gguf_open_parts (fds, 3, &error));
          g_assert_error (error, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
          g_assert_true (g_str_has_prefix (error->message, "file 2 of 3: "));
          g_assert_nonnull (strstr (error->message, "cut off"));
        }
      close_all (fds, 3);
    }
}

/* As many parts as a model may have, and one more. */
static void
test_limits (void)
{
  int fds[LLM_MODEL_MAX_PARTS + 1];
  char names[LLM_MODEL_MAX_PARTS + 1][8];
  g_autoptr (GError) error = NULL, too_many = NULL;
  g_autoptr (LlmGguf) gguf = NULL;

  for (guint i = 0; i <= LLM_MODEL_MAX_PARTS; i++)
    {
      Part part = { i, LLM_MODEL_MAX_PARTS, LLM_MODEL_MAX_PARTS, names[i], NULL };

      g_snprintf (names[i], sizeof names[i], "t%u", i);
      fds[i] = file_of (&part);
    }
  gguf = llm_gguf_open_parts (fds, LLM_MODEL_MAX_PARTS, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (llm_gguf_n_tensors (gguf), ==, LLM_MODEL_MAX_PARTS);
  g_assert_null (llm_gguf_open_parts (fds, LLM_MODEL_MAX_PARTS + 1, &too_many));
  g_assert_error (too_many, LLM_ERROR, LLM_ERROR_INVALID_MODEL);
  g_assert_null (llm_gguf_open_parts (fds, 0, NULL));
  close_all (fds, LLM_MODEL_MAX_PARTS + 1);
  check_refused ((const Part[]) { { 0, LLM_MODEL_MAX_PARTS + 1, 1, "a", NULL } }, "0", "split.count is 129; 1 to 128 parts are allowed");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gguf-split/any-order", test_any_order);
  g_test_add_func ("/gguf-split/allowed", test_allowed);
  g_test_add_func ("/gguf-split/missing", test_missing);
  g_test_add_func ("/gguf-split/double", test_double);
  g_test_add_func ("/gguf-split/foreign", test_foreign);
  g_test_add_func ("/gguf-split/wrong-counts", test_wrong_counts);
  g_test_add_func ("/gguf-split/tensor-in-two-parts", test_tensor_in_two_parts);
  g_test_add_func ("/gguf-split/cut-off", test_cut_off);
  g_test_add_func ("/gguf-split/limits", test_limits);
  return g_test_run ();
}
