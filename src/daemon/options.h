/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of every method: one table each, with key, type and range.
 *
 * What comes out has exactly the types of the table, so that nobody behind it has to look again.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
  LLM_OPTIONS_GENERATE, /* Generate, GenerateToFd */
  LLM_OPTIONS_CHAT,     /* Chat, Stream */
  LLM_OPTIONS_EMBED,    /* Embed, EmbedToFd */
  LLM_OPTIONS_TOKENIZE,
  LLM_OPTIONS_DETOKENIZE,
  LLM_OPTIONS_FILTER,   /* ListModels */
  LLM_OPTIONS_REQUEST,  /* Load: handle-token */
  LLM_OPTIONS_IMPORT,
  LLM_OPTIONS_COLLECT,
  LLM_OPTIONS_NONE,
} LlmOptionsTable;

/* a{sv} with the values converted, keys of no effect on the engine (handle-token, deadline-ms) included.
 * InvalidArgs names the key, its value's type, and what would be right. (transfer full, not floating) */
GVariant *llm_options_parse (LlmOptionsTable table, GVariant *options, GError **error);

G_END_DECLS
