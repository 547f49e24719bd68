/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See special-set.h. */
#include "text/special-set.h"

#include <string.h>

void
llm_special_set_init (LlmSpecialSet *self, const char *arena, const guint32 *offsets)
{
  memset (self, 0, sizeof *self);
  self->arena = arena;
  self->offsets = offsets;
  self->ids = g_array_new (FALSE, FALSE, sizeof (gint32));
}

void
llm_special_set_clear (LlmSpecialSet *self)
{
  g_clear_pointer (&self->ids, g_array_unref);
}

void
llm_special_set_add (LlmSpecialSet *self, gint32 id)
{
  if (self->offsets[id + 1] > self->offsets[id])
    g_array_append_val (self->ids, id);
}

static gint
compare_ids (gconstpointer a, gconstpointer b, gpointer data)
{
  const LlmSpecialSet *self = data;
  gint32 x = *(const gint32 *) a, y = *(const gint32 *) b;
  guint32 nx = self->offsets[x + 1] - self->offsets[x];
  guint32 ny = self->offsets[y + 1] - self->offsets[y];
  int order = memcmp (self->arena + self->offsets[x], self->arena + self->offsets[y], MIN (nx, ny));

  if (order != 0)
    return order;
  if (nx != ny)
    return nx < ny ? -1 : 1;
  return x < y ? -1 : 1; /* of equal texts the lowest id is the one found */
}

static guint8
byte_at (const LlmSpecialSet *self, guint32 i, guint32 depth)
{
  return (guint8) self->arena[self->offsets[g_array_index (self->ids, gint32, i)] + depth];
}

static guint32
length_at (const LlmSpecialSet *self, guint32 i)
{
  gint32 id = g_array_index (self->ids, gint32, i);
  return self->offsets[id + 1] - self->offsets[id];
}

void
llm_special_set_sort (LlmSpecialSet *self)
{
  guint32 i = 0;

  g_array_sort_with_data (self->ids, compare_ids, self);
  for (int b = 0; b < 256; b++)
    {
      self->first[b] = i;
      while (i < self->ids->len && byte_at (self, i, 0) == b)
        i++;
    }
  self->first[256] = i;
}

/* The first index in [lo, hi) whose byte at @depth is not below @byte. */
static guint32
lower_bound (const LlmSpecialSet *self, guint32 lo, guint32 hi, guint32 depth, int byte)
{
  while (lo < hi)
    {
      guint32 mid = lo + (hi - lo) / 2;
      if (byte_at (self, mid, depth) < byte)
        lo = mid + 1;
      else
        hi = mid;
    }
  return lo;
}

gsize
llm_special_set_match (const LlmSpecialSet *self, const char *p, gsize n, gint32 *id)
{
  guint32 lo, hi;
  gsize best = 0;

  if (n == 0)
    return 0;
  lo = self->first[(guint8) p[0]];
  hi = self->first[(guint8) p[0] + 1];
  for (guint32 depth = 1; lo < hi; depth++)
    {
      if (length_at (self, lo) == depth)
        {
          best = depth;
          *id = g_array_index (self->ids, gint32, lo);
        }
      while (lo < hi && length_at (self, lo) == depth)
        lo++;
      if (depth == n)
        break;
      lo = lower_bound (self, lo, hi, depth, (guint8) p[depth]);
      hi = lower_bound (self, lo, hi, depth, (guint8) p[depth] + 1);
    }
  return best;
}
