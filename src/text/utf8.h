/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One step over bytes that may or may not be UTF-8.
 *
 * g_utf8_validate() stops at NUL and does not tell "unfinished" from "wrong";
 * tokenizers need both: a prompt may hold U+0000, and a token may end in the
 * middle of a character.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Looks at @p[0..n), n > 0.  > 0: the length of the whole, valid character there.
 * 0: what is there may still become a character.  < 0: that many bytes (negated)
 * can never be one; they are one U+FFFD (Unicode 3.9, maximal subpart). */
int llm_utf8_step (const char *p, gsize n);

/* The offset of the first byte that is not UTF-8, or -1. */
gssize llm_utf8_first_bad (const char *p, gsize n);

/* The code point of a whole, valid character of @len bytes. */
gunichar llm_utf8_decode (const char *p, int len);

G_END_DECLS
