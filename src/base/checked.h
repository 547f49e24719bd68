/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arithmetic on sizes that came from a file or a client: every step says
 * whether it wrapped.  The out-parameter is untouched on failure.
 */
#pragma once

#include <glib.h>

static inline gboolean
llm_add_u64 (guint64 a, guint64 b, guint64 *sum)
{
  guint64 r;
  if (__builtin_add_overflow (a, b, &r))
    return FALSE;
  *sum = r;
  return TRUE;
}

static inline gboolean
llm_mul_u64 (guint64 a, guint64 b, guint64 *product)
{
  guint64 r;
  if (__builtin_mul_overflow (a, b, &r))
    return FALSE;
  *product = r;
  return TRUE;
}

/* Rounds @a up to a multiple of @align (a power of two). */
static inline gboolean
llm_align_u64 (guint64 a, guint64 align, guint64 *aligned)
{
  guint64 r;
  if (!llm_add_u64 (a, align - 1, &r))
    return FALSE;
  *aligned = r & ~(align - 1);
  return TRUE;
}
