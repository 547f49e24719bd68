/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements that stand for themselves.
 */
#include <string.h>

#include "format/dtype-private.h"

void
llm_decode_f32 (const void *blocks, float *out, gsize n)
{
  memcpy (out, blocks, n * sizeof (float));
}

void
llm_decode_f16 (const void *blocks, float *out, gsize n)
{
  const guint8 *p = blocks;

  for (gsize i = 0; i < n; i++)
    out[i] = llm_load_half (p + 2 * i);
}

/* the upper half of a float32 */
void
llm_decode_bf16 (const void *blocks, float *out, gsize n)
{
  const guint8 *p = blocks;

  for (gsize i = 0; i < n; i++)
    {
      guint32 bits = (guint32) llm_load_u16 (p + 2 * i) << 16;

      memcpy (&out[i], &bits, sizeof bits);
    }
}
