/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The folders of the compile cache, as the broker sees them: $CACHE/v<version>-<build id>, one for each build of the engine.  The engine fills
 * its own, by fd; the broker makes the folder, and removes files.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* "v<version>-<build id>" of the engine's program; NULL: it cannot be read. (transfer full) */
char *llm_cache_folder_name (const char *engine_path);
/* Makes that folder in @cache_dir when need be, and opens it; @path (transfer full): where it is. -1 with the error: it cannot be had. */
int llm_cache_folder_open (const char *cache_dir, const char *engine_path, char **path, GError **error);

G_END_DECLS
