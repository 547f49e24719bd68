/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of the files of a split model: STEM-00002-of-00003.gguf, counted from 1.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* FALSE: @path is not of that form. @stem: with its folder (transfer full). */
gboolean llm_part_name_parse (const char *path, char **stem, guint *no, guint *count);
char *llm_part_name_format (const char *stem, guint no, guint count);

G_END_DECLS
