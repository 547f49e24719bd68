/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The folder of real data that tests read: LLM_MATERIAL, else ../shared/material beside the
 * project.  Tests take every file of the format they know, whatever its name.
 */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

/* @sub of the folder, or NULL after g_test_skip() has said that it is missing. (transfer full) */
char *llm_material_folder (const char *sub);
/* Paths below @folder (not recursive) that end in @suffix, sorted. */
GPtrArray *llm_material_list (const char *folder, const char *suffix);
/* A file's bytes; "X.xz" is unpacked, and "X" is read from "X.xz" when only that is there. Aborts the test when it cannot. */
GBytes *llm_material_read (const char *path);
/* The root object; freed with the parser. */
JsonObject *llm_material_json (JsonParser *parser, const char *path, const char *format);
/* A memfd with these bytes. */
int llm_material_memfd (GBytes *bytes);
