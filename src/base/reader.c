/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/reader.h"

#include <string.h>

#include "base/checked.h"

void
llm_reader_init (LlmReader *self, const void *data, gsize size)
{
  *self = (LlmReader) { .data = data, .size = size };
}

gsize
llm_reader_remaining (const LlmReader *self)
{
  return self->size - self->at;
}

gboolean
llm_reader_bytes (LlmReader *self, guint64 n, const guint8 **out)
{
  if (self->failed || n > llm_reader_remaining (self))
    {
      self->failed = TRUE;
      return FALSE;
    }
  *out = self->data + self->at;
  self->at += n;
  return TRUE;
}

gboolean
llm_reader_array (LlmReader *self, guint64 count, gsize item_size, const guint8 **out)
{
  guint64 n;

  if (!llm_mul_u64 (count, item_size, &n))
    {
      self->failed = TRUE;
      return FALSE;
    }
  return llm_reader_bytes (self, n, out);
}

gboolean
llm_reader_u8 (LlmReader *self, guint8 *out)
{
  const guint8 *p;

  if (!llm_reader_bytes (self, 1, &p))
    return FALSE;
  *out = *p;
  return TRUE;
}

gboolean
llm_reader_u16 (LlmReader *self, guint16 *out)
{
  const guint8 *p;
  guint16 v;

  if (!llm_reader_bytes (self, sizeof v, &p))
    return FALSE;
  memcpy (&v, p, sizeof v);
  *out = GUINT16_FROM_LE (v);
  return TRUE;
}

gboolean
llm_reader_u32 (LlmReader *self, guint32 *out)
{
  const guint8 *p;
  guint32 v;

  if (!llm_reader_bytes (self, sizeof v, &p))
    return FALSE;
  memcpy (&v, p, sizeof v);
  *out = GUINT32_FROM_LE (v);
  return TRUE;
}

gboolean
llm_reader_u64 (LlmReader *self, guint64 *out)
{
  const guint8 *p;
  guint64 v;

  if (!llm_reader_bytes (self, sizeof v, &p))
    return FALSE;
  memcpy (&v, p, sizeof v);
  *out = GUINT64_FROM_LE (v);
  return TRUE;
}
