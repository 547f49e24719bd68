/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a model's files completely without loading it.
 */
#pragma once

#include <gio/gio.h>

/* a{sv} as Inspect of org.local.LLM.Engine documents it. (transfer full, not floating) Blocks.
 * InvalidModel, NotSupported. */
GVariant *llm_inspect (const int *fds, guint n_fds, GError **error);
