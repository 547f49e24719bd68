/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tells two builds of a program apart, development builds included.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* 32 hex digits: the beginning of the linker's build id (the note NT_GNU_BUILD_ID) of the program at @path, else of the SHA-256 of all its bytes.
 * NULL: it cannot be read. Blocks; any thread. (transfer full) */
char *llm_build_id_of_file (const char *path);

G_END_DECLS
