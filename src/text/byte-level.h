/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GPT-2's byte alphabet: the 256 characters that stand for bytes in the token
 * texts of a byte-level vocabulary, so that those texts are printable.
 *
 * We turn token texts back into bytes once, when the vocabulary is loaded; all
 * later work is on bytes.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Decodes the token text @text[0..n) to @out (room for @n bytes).  A character
 * outside the alphabet, or a byte that is no UTF-8, stands for itself. */
gsize llm_byte_level_decode (const char *text, gsize n, char *out);
/* Whether all of it is in the alphabet. */
gboolean llm_byte_level_covers (const char *text, gsize n);

G_END_DECLS
