/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of the compile cache's folders, "v<version>-<build id>", and which engine is the newer one.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The version in the name of such a folder; NULL: it is none, and none of our business. (transfer full) */
char *llm_engine_version_of (const char *folder);
/* <0, 0, >0: dotted numbers as numbers, the rest as text; "1.0~rc1" comes before "1.0". */
int llm_engine_version_compare (const char *a, const char *b);

G_END_DECLS
