/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See prefix-set.h. */
#include "text/prefix-set.h"

#include <string.h>

void
llm_prefix_set_init (LlmPrefixSet *self, const char *arena, const guint32 *offsets)
{
  memset (self, 0, sizeof *self);
  self->arena = arena;
  self->offsets = offsets;
  self->adding = g_array_new (FALSE, FALSE, sizeof (gint32));
}

void
llm_prefix_set_clear (LlmPrefixSet *self)
{
  g_clear_pointer (&self->adding, g_array_unref);
  g_clear_pointer (&self->ids, g_free);
}

void
llm_prefix_set_add (LlmPrefixSet *self, gint32 id)
{
  if (self->offsets[id + 1] > self->offsets[id])
    g_array_append_val (self->adding, id);
}

static gint
compare_ids (gconstpointer a, gconstpointer b, gpointer data)
{
  const LlmPrefixSet *self = data;
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
byte_at (const LlmPrefixSet *self, guint32 i, guint32 depth)
{
  return (guint8) self->arena[self->offsets[self->ids[i]] + depth];
}

static guint32
length_at (const LlmPrefixSet *self, guint32 i)
{
  gint32 id = self->ids[i];
  return self->offsets[id + 1] - self->offsets[id];
}

static gboolean
same_bytes (const LlmPrefixSet *self, gint32 x, gint32 y)
{
  guint32 n = self->offsets[x + 1] - self->offsets[x];

  return n == self->offsets[y + 1] - self->offsets[y] && memcmp (self->arena + self->offsets[x], self->arena + self->offsets[y], n) == 0;
}

/* A thousand tokens of the same text would be walked over at every place that has it. */
static void
drop_doubles (LlmPrefixSet *self)
{
  gint32 *ids = self->ids;
  guint kept = 0;

  for (guint i = 0; i < self->n_ids; i++)
    if (kept == 0 || !same_bytes (self, ids[kept - 1], ids[i]))
      ids[kept++] = ids[i];
  self->n_ids = kept;
}

void
llm_prefix_set_sort (LlmPrefixSet *self)
{
  guint32 i = 0;

  self->n_ids = self->adding->len;
  g_array_sort_with_data (self->adding, compare_ids, self);
  self->ids = (gint32 *) (gpointer) g_array_free (g_steal_pointer (&self->adding), FALSE);
  drop_doubles (self);
  for (int b = 0; b < 256; b++)
    {
      self->first[b] = i;
      while (i < self->n_ids && byte_at (self, i, 0) == b)
        i++;
    }
  self->first[256] = i;
}

gboolean
llm_prefix_set_is_sound (const LlmPrefixSet *self, guint32 n_tokens)
{
  guint32 i = 0;

  for (guint32 j = 0; j < self->n_ids; j++)
    if (self->ids[j] < 0 || (guint32) self->ids[j] >= n_tokens || length_at (self, j) == 0
        || (j > 0 && (same_bytes (self, self->ids[j - 1], self->ids[j]) || compare_ids (&self->ids[j - 1], &self->ids[j], (gpointer) self) >= 0)))
      return FALSE;
  for (int b = 0; b < 256; b++)
    {
      if (self->first[b] != i)
        return FALSE;
      while (i < self->n_ids && byte_at (self, i, 0) == b)
        i++;
    }
  return self->first[256] == i && i == self->n_ids;
}

/* The first index in [lo, hi) whose byte at @depth is not below @byte. */
static guint32
lower_bound (const LlmPrefixSet *self, guint32 lo, guint32 hi, guint32 depth, int byte)
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

void
llm_prefix_walk_init (LlmPrefixWalk *walk, const LlmPrefixSet *self, const char *p, gsize n)
{
  *walk = (LlmPrefixWalk) { .set = self, .p = p, .n = n, .depth = 1 };
  if (n > 0)
    {
      walk->lo = self->first[(guint8) p[0]];
      walk->hi = self->first[(guint8) p[0] + 1];
    }
}

/* To the tokens that go on with the byte at @depth. */
static void
narrow (LlmPrefixWalk *walk)
{
  guint8 byte = (guint8) walk->p[walk->depth];

  walk->lo = lower_bound (walk->set, walk->lo, walk->hi, (guint32) walk->depth, byte);
  walk->hi = lower_bound (walk->set, walk->lo, walk->hi, (guint32) walk->depth, byte + 1);
  walk->depth++;
}

gsize
llm_prefix_walk_next (LlmPrefixWalk *walk, gint32 *id)
{
  gsize found = 0;

  while (walk->lo < walk->hi && found == 0)
    {
      if (length_at (walk->set, walk->lo) == walk->depth)
        {
          found = walk->depth;
          *id = walk->set->ids[walk->lo];
        }
      if (found > 0)
        walk->lo++;
      if (walk->depth < walk->n)
        narrow (walk);
      else
        walk->lo = walk->hi;
    }
  return found;
}

gsize
llm_prefix_set_match (const LlmPrefixSet *self, const char *p, gsize n, gint32 *id)
{
  LlmPrefixWalk walk;
  gsize best = 0, found;

  llm_prefix_walk_init (&walk, self, p, n);
  while ((found = llm_prefix_walk_next (&walk, id)) > 0)
    best = found;
  return best;
}
