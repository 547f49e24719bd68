/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one cursor over untrusted little-endian bytes.
 *
 * Every read checks what remains; after the first failure the reader is
 * `failed` and every later read fails too, so a parser may read a whole record
 * and look once.  It never allocates and never reads outside [data, data+size).
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  const guint8 *data; /* (borrowed) */
  gsize size;         /* bytes */
  gsize at;           /* bytes consumed; stays where a failing read began */
  gboolean failed;
} LlmReader;

void llm_reader_init (LlmReader *self, const void *data, gsize size);
gsize llm_reader_remaining (const LlmReader *self);

gboolean llm_reader_u8 (LlmReader *self, guint8 *out);
gboolean llm_reader_u16 (LlmReader *self, guint16 *out);
gboolean llm_reader_u32 (LlmReader *self, guint32 *out);
gboolean llm_reader_u64 (LlmReader *self, guint64 *out);

/* Lends @n bytes at the cursor and moves past them. */
gboolean llm_reader_bytes (LlmReader *self, guint64 n, const guint8 **out);

/* Like llm_reader_bytes() for @count items of @item_size bytes, product checked. */
gboolean llm_reader_array (LlmReader *self, guint64 count, gsize item_size, const guint8 **out);

G_END_DECLS
