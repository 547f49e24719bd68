/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one place where an engine may write: its folder of the compile cache.
 *
 * Landlock says so for paths, which a system-call filter cannot look at; it counts for the thread that asks and those
 * it makes later, so it has to be asked before there are others.
 */
#pragma once

#include <glib.h>

/* From now on files below the folder @folder alone can be made, changed and removed, and device nodes of GPUs opened for writing. No new privileges.
 * FALSE: this kernel cannot (nothing has changed then); the engine's filter has to forbid all writing. */
gboolean llm_confine_writes (int folder);
