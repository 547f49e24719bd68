/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of every fuzz program: libFuzzer's entry, and the right inputs that an ordinary
 * test starts from.  A clang build links the entry with libFuzzer, every build with test-corpus.c.
 */
#pragma once

#include <gio/gio.h>

/* libFuzzer's entry: any bytes; a broken promise of the code under test aborts. */
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* The name of the program and of its folder of findings, and its right inputs. (GPtrArray of GBytes, transfer full) */
extern const char llm_fuzz_name[];
GPtrArray *llm_fuzz_seeds (void);
