/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of every fuzz program: libFuzzer's entry, the right inputs that it starts from, and
 * how its inputs are damaged without losing their form.  A clang build links them with libFuzzer
 * and libfuzzer-mutator.c, every build with test-corpus.c.
 */
#pragma once

#include <gio/gio.h>

#include "base/reader.h"

G_BEGIN_DECLS

/* libFuzzer's entry: any bytes; a broken promise of the code under test aborts. */
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* The name of the program and of its corpus, and its right inputs. (GPtrArray of GBytes, transfer full) */
extern const char llm_fuzz_name[];
GPtrArray *llm_fuzz_seeds (void);

/* Changes one thing in @input that keeps its form, or NULL when it has none to keep. (transfer full, nullable) */
GBytes *llm_fuzz_mutate (GBytes *input, GRand *rand);

/* ---- inputs as a list of decisions ---- */

/* The next byte's worth, 0 when there are no more: @n choices, 1 to 256. */
guint llm_fuzz_choose (LlmReader *in, guint n);
/* A number at which something may turn over, or any. */
guint64 llm_fuzz_number (LlmReader *in);
double llm_fuzz_double (LlmReader *in);
/* Up to 255 bytes, or up to 2 KiB of one repeated text. (transfer full) */
GBytes *llm_fuzz_bytes (LlmReader *in);
/* The same made valid UTF-8 without NUL. (transfer full) */
char *llm_fuzz_text (LlmReader *in);

/* a{sv} as a client may send it: keys of @keys (NULL-terminated) or others, values of fitting and
 * other types. (transfer full, not floating) */
GVariant *llm_fuzz_dict (LlmReader *in, const char *const *keys);
/* aa{sv} with mostly right messages. (transfer full, not floating) */
GVariant *llm_fuzz_messages (LlmReader *in);

/* The promise of every function with a GError: TRUE and none, or FALSE and one of @domain or of D-Bus. Clears it. */
void llm_fuzz_check_error (gboolean ok, GError **error);

/* A small vocabulary, one of every kind and pre-tokenizer that is supported. */
typedef struct {
  GBytes *file;
  struct _LlmVocab *vocab;
  gboolean byte_level; /* every byte is a token */
  gboolean exact;      /* and a text comes back as it was */
} LlmFuzzVocab;

guint llm_fuzz_n_vocabs (void);
const LlmFuzzVocab *llm_fuzz_vocab (guint i); /* modulo their number */

G_END_DECLS
