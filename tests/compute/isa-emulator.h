/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions that this CPU lacks, done in C when it refuses them (SIGILL): the machine code of the AMX and AVX-VNNI
 * kernels runs, and is tested, on any x86-64.  Tiles keep the hardware's rules: whatever would fault there ends the
 * program with a message.
 */
#pragma once

#include <glib.h>

/* From here on llm_cpu_kernels_find() has "avx-vnni" where there is AVX2, and "amx" where there is AVX-512 with VNNI
 * and BF16.  Once, before other threads run.  FALSE where nothing can be emulated: not an x86-64, no XSAVE. */
gboolean llm_test_isa_emulate (void);
/* Whether the instructions of the kernels @name are emulated; or else this CPU has them. */
gboolean llm_test_isa_emulates (const char *name);
gboolean llm_test_isa_runs (const char *name);
/* From here on one number of every product of tiles is wrong. */
void llm_test_isa_spoil (gboolean spoil);
/* Instructions that were emulated so far, of all threads. */
guint64 llm_test_isa_count (void);
/* Whether this thread's tiles are configured. Always FALSE where the CPU has them. */
gboolean llm_test_isa_tiles_in_use (void);
